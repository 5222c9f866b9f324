//! usrsctp as the other end, in both roles, with and without interleaving. Where a C compiler or
//! the library is missing the tests say so and pass.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that fails should fail its test"
)]

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tincan_sctp::association::{Event, Reliability, SendOptions, State};
use tincan_sctp::{Association, CloseReason, Config};

const COMMAND: u32 = 99;
const BINARY: u32 = 53;
const STREAMS: u16 = 400;

/// The program, compiled once; `None` where that is not possible.
fn program() -> Option<&'static PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/usrsctp.c");
            let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("usrsctp-peer");
            let compiled = Command::new("cc")
                .args([source, "-O1", "-o"])
                .arg(&program)
                .args(["-lusrsctp", "-lpthread"])
                .output();
            match compiled {
                Ok(output) if output.status.success() => Some(program),
                Ok(output) => {
                    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
                    println!("skipped: usrsctp does not compile here: {reason}");
                    None
                }
                Err(error) => {
                    println!("skipped: no C compiler: {error}");
                    None
                }
            }
        })
        .as_ref()
}

/// Ours and usrsctp with a pipe between them.
struct Pair {
    ours: Association,
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    rng: StdRng,
    /// Of 1 000 packets each way.
    loss: u32,
    events: Vec<Event>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pair {
    fn start(connects: bool, interleaving: bool) -> Option<Self> {
        let kind = if interleaving { "interleave" } else { "plain" };
        let role = if connects { "listen" } else { "connect" };
        let mut child = Command::new(program()?)
            .args([role, kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut from = child.stdout.take().unwrap();
        let (to, output) = channel();
        std::thread::spawn(move || {
            let mut head = [0; 2];
            while from.read_exact(&mut head).is_ok() {
                let mut packet = vec![0; usize::from(u16::from_be_bytes(head))];
                if from.read_exact(&mut packet).is_err() || to.send(packet).is_err() {
                    break;
                }
            }
        });
        println!("seed 7, ours connects: {connects}, interleaving: {interleaving}");
        let mut rng = StdRng::seed_from_u64(7);
        let now = Instant::now();
        let mut ours = Association::new(
            Config {
                interleaving,
                outbound_streams: STREAMS,
                inbound_streams: STREAMS,
                max_message_size: 1 << 20,
                ..Config::default()
            },
            now,
            &mut rng,
        );
        if connects {
            ours.connect(now);
        }
        let mut pair = Self {
            ours,
            child,
            input,
            output,
            rng,
            loss: 0,
            events: Vec::new(),
        };
        pair.run("the handshake", |p| p.ours.state() == State::Established);
        assert_eq!(pair.ours.interleaves(), interleaving);
        Some(pair)
    }

    fn lost(&mut self) -> bool {
        self.rng.next_u32() % 1_000 < self.loss
    }

    /// Moves packets until `done`; two minutes without it are too long, on a busy machine too.
    fn run(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let now = Instant::now();
            let mut out = Vec::new();
            while self.ours.poll_transmit(now, &mut out).is_some() {
                let packet = std::mem::take(&mut out);
                if !self.lost() {
                    let head = u16::try_from(packet.len()).unwrap().to_be_bytes();
                    self.input.write_all(&head).unwrap();
                    self.input.write_all(&packet).unwrap();
                }
            }
            self.events
                .extend(std::iter::from_fn(|| self.ours.poll_event()));
            if done(self) {
                return;
            }
            assert!(now < end, "{what} does not come: {:?}", self.ours.stats());
            let wait = self.ours.poll_timeout().map_or(end, |at| at.min(end));
            match self
                .output
                .recv_timeout(wait.saturating_duration_since(now))
            {
                Ok(packet) => {
                    if !self.lost() {
                        self.ours.handle_input(Instant::now(), Bytes::from(packet));
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.ours.handle_timeout(Instant::now()),
                Err(RecvTimeoutError::Disconnected) => panic!("usrsctp is gone before {what}"),
            }
        }
    }

    fn say(&mut self, stream: u16, ppid: u32, data: Vec<u8>, reliability: Reliability) {
        let options = SendOptions {
            ppid,
            reliability,
            ..SendOptions::default()
        };
        let now = Instant::now();
        self.ours
            .send(now, stream, Bytes::from(data), options)
            .unwrap();
    }

    fn command(&mut self, text: &str) {
        let data = text.as_bytes().to_vec();
        self.say(0, COMMAND, data, Reliability::Reliable);
    }

    /// Messages that came, with their streams.
    fn take_messages(&mut self) -> Vec<(u16, Vec<u8>)> {
        let mut found = Vec::new();
        self.events.retain(|event| match event {
            Event::Message {
                stream, payload, ..
            } => {
                found.push((*stream, payload.to_vec()));
                false
            }
            _ => true,
        });
        found
    }

    /// Waits for so many messages.
    fn messages(&mut self, count: usize) -> Vec<(u16, Vec<u8>)> {
        let mut found = Vec::new();
        self.run("a message", |p| {
            found.extend(p.take_messages());
            found.len() >= count
        });
        found
    }

    fn close(mut self) {
        self.ours.close(Instant::now());
        let closed = Event::Closed {
            reason: CloseReason::Shutdown,
        };
        self.run("the shutdown", |p| p.events.contains(&closed));
    }
}

/// The four ways: who connects, and whether messages are interleaved.
fn each_way(test: impl Fn(Pair)) {
    for connects in [true, false] {
        for interleaving in [false, true] {
            if let Some(pair) = Pair::start(connects, interleaving) {
                test(pair);
            }
        }
    }
}

fn message(index: usize, size: usize) -> Vec<u8> {
    (0..size)
        .map(|i| (i.wrapping_mul(31) + index) as u8)
        .collect()
}

#[test]
fn messages_of_all_sizes_go_there_and_come_back() {
    each_way(|mut pair| {
        let sizes = [
            1, 2, 3, 100, 1_131, 1_132, 1_133, 1_200, 5_000, 65_536, 200_000,
        ];
        for (i, size) in sizes.into_iter().enumerate() {
            pair.say(1, BINARY, message(i, size), Reliability::Reliable);
        }
        let echoed = pair.messages(sizes.len());
        for (i, size) in sizes.into_iter().enumerate() {
            assert!(echoed[i] == (1, message(i, size)), "message {i} of {size}");
        }
        pair.close();
    });
}

#[test]
fn bulk_arrives_both_ways_in_order_in_spite_of_loss() {
    each_way(|mut pair| {
        pair.loss = 10;
        const SIZE: usize = 20_000;
        pair.command("bulk 100 20000");
        for i in 0..60 {
            pair.say(10, BINARY, message(i, SIZE), Reliability::Reliable);
        }
        let mut theirs = [0usize; 4];
        let mut echoed = 0;
        for (stream, data) in pair.messages(160) {
            if stream == 10 {
                assert!(data == message(echoed, SIZE), "echo {echoed}");
                echoed += 1;
            } else {
                // On stream s come s, s + 4, s + 8, …
                let stream = usize::from(stream);
                let index = stream + 4 * theirs[stream];
                assert!(data == vec![index as u8; SIZE], "message {index}");
                theirs[stream] += 1;
            }
        }
        assert_eq!((echoed, theirs), (60, [25; 4]));
        assert!(pair.ours.stats().counters.retransmissions > 0);
        pair.close();
    });
}

#[test]
fn streams_are_reset_by_either_side_and_begin_anew() {
    each_way(|mut pair| {
        let reset = Event::IncomingReset { stream: 2 };
        let ours = Event::OutgoingReset {
            stream: 2,
            performed: true,
        };
        for round in 0..3 {
            for i in 0..3 {
                pair.say(2, BINARY, message(i, 3_000), Reliability::Reliable);
            }
            let echoed = pair.messages(3);
            assert!(echoed.iter().all(|(stream, _)| *stream == 2));
            // We reset ours, it answers with its own; or the other way round.
            if round % 2 == 0 {
                pair.ours.reset_stream(Instant::now(), 2).unwrap();
            } else {
                pair.command("reset 2");
                pair.run("its reset", |p| p.events.contains(&reset));
                pair.ours.reset_stream(Instant::now(), 2).unwrap();
            }
            pair.run("both resets", |p| {
                p.events.contains(&reset) && p.events.contains(&ours)
            });
            pair.events.clear();
        }
        pair.close();
    });
}

/// More than one request has room for at usrsctp.
#[test]
fn three_hundred_streams_are_reset_at_once_and_begin_anew() {
    each_way(|mut pair| {
        const COUNT: u16 = 300;
        for round in 0..2 {
            for stream in 1..=COUNT {
                pair.say(stream, BINARY, message(round, 10), Reliability::Reliable);
            }
            let mut echoed = pair.messages(usize::from(COUNT));
            echoed.sort();
            for (stream, echo) in (1..=COUNT).zip(echoed) {
                assert!(echo == (stream, message(round, 10)), "{stream}: {echo:?}");
            }
            for stream in 1..=COUNT {
                pair.ours.reset_stream(Instant::now(), stream).unwrap();
            }
            let (mut ours, mut theirs) = (0, 0);
            pair.run("all resets", |p| {
                for event in p.events.drain(..) {
                    match event {
                        Event::OutgoingReset { performed, .. } => {
                            assert!(performed);
                            ours += 1;
                        }
                        Event::IncomingReset { .. } => theirs += 1,
                        _ => {}
                    }
                }
                (ours, theirs) == (COUNT, COUNT)
            });
        }
        pair.close();
    });
}

#[test]
fn what_usrsctp_gives_up_does_not_hold_up_what_follows() {
    each_way(|mut pair| {
        pair.command("some 200 1000");
        pair.run("the command's way", |p| p.ours.stats().bytes_in_flight == 0);
        pair.loss = 100;
        let mut got = Vec::new();
        pair.run("the end", |p| {
            got.extend(p.take_messages().into_iter().map(|m| m.1));
            got.last().is_some_and(|m| m == b"end")
        });
        let numbers: Vec<u8> = got[..got.len() - 1].iter().map(|m| m[0]).collect();
        assert!(numbers.is_sorted(), "in order: {numbers:?}");
        assert!(numbers.len() <= 200);
        pair.loss = 0;
        pair.close();
    });
}

#[test]
fn what_we_give_up_does_not_hold_up_what_follows() {
    each_way(|mut pair| {
        pair.loss = 100;
        for i in 0..200 {
            // Of several fragments, so that messages are given up in their midst.
            pair.say(5, BINARY, message(i, 3_000), Reliability::MaxRetransmits(0));
        }
        pair.say(5, BINARY, b"end".to_vec(), Reliability::Reliable);
        let mut got = Vec::new();
        pair.run("the end", |p| {
            got.extend(p.take_messages().into_iter().map(|m| m.1));
            got.last().is_some_and(|m| m == b"end")
        });
        let mut next = 0;
        for data in &got[..got.len() - 1] {
            let index = (next..200).find(|i| *data == message(*i, 3_000));
            next = index.unwrap_or_else(|| panic!("out of order after {next}")) + 1;
        }
        assert!(got.len() < 201, "some were given up: {}", got.len());
        assert!(pair.ours.stats().messages_abandoned > 0);
        pair.loss = 0;
        pair.close();
    });
}

/// RFC 6525 §5.2.4, asked for by usrsctp. Its own sending does not get far afterwards: it goes on
/// sending the FORWARD-TSN point of before the reset and stalls, so one message has to do.
#[test]
fn usrsctp_resets_all_numbers() {
    each_way(|mut pair| {
        pair.say(3, BINARY, message(0, 5_000), Reliability::Reliable);
        assert_eq!(pair.messages(1).len(), 1);
        pair.command("anew");
        pair.run("the reset", |p| p.events.contains(&Event::NumbersReset));
        pair.say(3, BINARY, message(1, 5_000), Reliability::Reliable);
        let echoed = pair.messages(1);
        assert!(echoed[0] == (3, message(1, 5_000)));
        pair.run("its acknowledgement", |p| {
            p.ours.stats().chunks_outstanding == 0
        });
    });
}

#[test]
fn usrsctp_shuts_down_after_everything_is_delivered() {
    each_way(|mut pair| {
        pair.command("bulk 20 50000");
        pair.command("close");
        let closed = Event::Closed {
            reason: CloseReason::Shutdown,
        };
        pair.run("the shutdown", |p| p.events.contains(&closed));
        assert_eq!(pair.take_messages().len(), 20);
    });
}
