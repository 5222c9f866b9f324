//! Two programs in two network namespaces with a cable between them: the kernel's own interfaces, addresses and errors.
//!
//! This test makes the namespaces and starts itself twice, one end in each; the ends speak to it by lines, and it carries
//! their signalling. Needs root and `ip` of iproute2; where something is missing it says so and does without it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tincan_peer::driver::{DataChannel, DriverConfig, PeerEvent};
use tincan_peer::{
    Configuration, DataChannelInit, Event, IceCandidateInit, Message, SessionDescription,
};
use tokio::io::AsyncBufReadExt;

use crate::common;

/// Set in the processes that are one end.
const ROLE: &str = "TINCAN_NAMESPACE_END";

/// Before each line of an end that is for the test.
const MARK: &str = "@@ ";

/// Between two messages.
const PACE: Duration = Duration::from_millis(2);

/// How long nothing at all may happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The cable's MTU: less than what datagrams are tried with.
const MTU: u64 = 1_400;

fn say(kind: &str, text: &str) {
    let text = serde_json::to_string(text).unwrap();
    println!("\n{MARK}{kind} {text}");
}

/// A number every now and then, until told how many to send in all.
async fn count_up(channel: DataChannel, mut stop: tokio::sync::oneshot::Receiver<()>) {
    let mut tick = tokio::time::interval(PACE);
    let mut next = 0u32;
    while stop.try_recv().is_err() {
        tick.tick().await;
        let mut bytes = vec![0; 3_000];
        bytes[..4].copy_from_slice(&next.to_be_bytes());
        channel.send(Message::binary(bytes)).await.unwrap();
        next += 1;
    }
    say("sent", &next.to_string());
    // Closing it would end what is on its way.
    std::future::pending().await
}

async fn check_order(mut channel: DataChannel) {
    let mut expected = 0u32;
    while let Some(message) = channel.recv().await {
        let head = message.as_bytes().first_chunk::<4>();
        let number = u32::from_be_bytes(*head.unwrap());
        if number != expected {
            say("broken", &format!("{number} instead of {expected}"));
        }
        expected += 1;
        say("count", &expected.to_string());
    }
    say("broken", "closed");
}

/// One end: does what lines tell it, and says what happens.
async fn end(calls: bool) {
    let handle = common::driver(DriverConfig::default());
    let (peer, mut events) = handle.peer(Configuration::default()).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut stop = Some(stop);
    if calls {
        let init = DataChannelInit::default();
        let channel = peer.create_data_channel("numbers", init).await.unwrap();
        tokio::spawn(count_up(channel, stopped));
    }
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    loop {
        let line = tokio::select! {
            event = events.next() => {
                match event.unwrap() {
                    PeerEvent::DataChannel(channel) => {
                        tokio::spawn(check_order(channel));
                    }
                    PeerEvent::Event(Event::IceCandidate(Some(candidate))) => {
                        let IceCandidateInit { candidate, sdp_mid, username_fragment, .. } =
                            candidate;
                        let text = serde_json::json!([candidate, sdp_mid, username_fragment]);
                        say("candidate", &text.to_string());
                    }
                    PeerEvent::Event(Event::IceConnectionState(state)) => {
                        say("state", &format!("{state:?}"));
                    }
                    PeerEvent::Event(Event::SelectedCandidatePair { local, .. }) => {
                        say("pair", &local.ip().to_string());
                    }
                    _ => {}
                }
                continue;
            }
            line = lines.next_line() => line.unwrap(),
        };
        // The test has ended.
        let Some(line) = line else { return };
        let (kind, text) = line.split_once(' ').unwrap();
        let text: String = serde_json::from_str(text).unwrap();
        let described = |description: Option<SessionDescription>| description.unwrap().sdp;
        match kind {
            "call" => {
                if text == "restart" {
                    peer.restart_ice().await.unwrap();
                }
                peer.set_local_description(None).await.unwrap();
                say("offer", &described(peer.local_description().await.unwrap()));
            }
            "offer" => {
                let offer = SessionDescription::offer(text.as_str());
                peer.set_remote_description(offer).await.unwrap();
                peer.set_local_description(None).await.unwrap();
                let answer = described(peer.local_description().await.unwrap());
                say("answer", &answer);
            }
            "answer" => {
                let answer = SessionDescription::answer(text.as_str());
                peer.set_remote_description(answer).await.unwrap();
            }
            "candidate" => {
                let parts: [Option<String>; 3] = serde_json::from_str(&text).unwrap();
                let [candidate, sdp_mid, username_fragment] = parts;
                let candidate = IceCandidateInit {
                    candidate: candidate.unwrap(),
                    sdp_mid,
                    username_fragment,
                    ..IceCandidateInit::default()
                };
                // One of before a restart is too late.
                if let Err(error) = peer.add_ice_candidate(Some(candidate)).await {
                    println!("candidate not taken: {error}");
                }
            }
            "figures" => {
                let too_long = handle.stats().await.unwrap().too_long;
                say("mtu", &common::mtu(&peer).await.to_string());
                say("too-long", &too_long.to_string());
            }
            "stop" => stop.take().unwrap().send(()).unwrap(),
            other => panic!("{other}?"),
        }
    }
}

#[test]
fn an_end_if_asked_for() {
    if let Ok(role) = std::env::var(ROLE) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(end(role == "calls"));
        // A read of the terminal can't be given up.
        std::process::exit(0);
    }
}

/// Runs `ip`; what it complained of.
fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Two namespaces and the cable between them.
struct Namespaces([String; 2]);

impl Namespaces {
    fn new() -> Result<Self, String> {
        let names = ["a", "b"].map(|end| format!("tincan-{}-{end}", std::process::id()));
        let made = Self(names);
        for name in &made.0 {
            ip(&format!("netns add {name}"))?;
            // That mounts what making one does not: some containers forbid it.
            ip(&format!("netns exec {name} true"))?;
        }
        let [a, b] = &made.0;
        ip(&format!(
            "link add eth0 netns {a} type veth peer name eth0 netns {b}"
        ))?;
        for n in 0..2 {
            made.ip(n, &format!("link set eth0 mtu {MTU} up"))?;
        }
        made.ip(0, "addr add 10.77.0.1/24 dev eth0")?;
        made.ip(1, "addr add 10.77.0.2/24 dev eth0")?;
        Ok(made)
    }

    fn ip(&self, n: usize, arguments: &str) -> Result<(), String> {
        ip(&format!("-n {} {arguments}", self.0[n]))
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// What the test knows of an end.
struct End {
    child: Child,
    input: ChildStdin,
    state: String,
    /// The address it sends from.
    address: String,
    mtu: u64,
    too_long: Option<u64>,
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Story {
    ends: [End; 2],
    lines: Receiver<(usize, String, String)>,
    count: u64,
    sent: Option<u64>,
}

impl Story {
    fn new(namespaces: &Namespaces) -> Self {
        let (sender, lines) = channel();
        let start = |n: usize, role: &str| {
            let mut child = Command::new("ip")
                .args(["netns", "exec", &namespaces.0[n]])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "namespaces::an_end_if_asked_for", "--nocapture"])
                .env(ROLE, role)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = child.stdout.take().unwrap();
            let sender: Sender<_> = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let marked = line.strip_prefix(MARK).and_then(|l| l.split_once(' '));
                    if let Some((kind, text)) = marked {
                        let text: String = serde_json::from_str(text).unwrap();
                        if sender.send((n, kind.to_owned(), text)).is_err() {
                            return;
                        }
                    }
                }
            });
            End {
                input: child.stdin.take().unwrap(),
                child,
                state: String::new(),
                address: String::new(),
                mtu: 0,
                too_long: None,
            }
        };
        Self {
            ends: [start(0, "calls"), start(1, "answers")],
            lines,
            count: 0,
            sent: None,
        }
    }

    fn tell(&mut self, n: usize, kind: &str, text: &str) {
        let text = serde_json::to_string(text).unwrap();
        writeln!(self.ends[n].input, "{kind} {text}").unwrap();
    }

    /// Carries signalling until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = std::time::Instant::now();
        while !done(self) {
            let waited = begun.elapsed();
            let line = PATIENCE
                .checked_sub(waited)
                .and_then(|rest| self.lines.recv_timeout(rest).ok());
            let Some((n, kind, text)) = line else {
                let states = self.ends.each_ref().map(|end| &end.state);
                panic!("not {what}: {} messages, {states:?}", self.count);
            };
            let end = &mut self.ends[n];
            match kind.as_str() {
                "offer" | "answer" | "candidate" => self.tell(1 - n, &kind, &text),
                "state" => end.state = text,
                "pair" => end.address = text,
                "count" => self.count = text.parse().unwrap(),
                "sent" => self.sent = text.parse().ok(),
                "mtu" => end.mtu = text.parse().unwrap(),
                "too-long" => end.too_long = text.parse().ok(),
                _ => panic!("end {n}: {kind} {text}"),
            }
        }
        println!(
            "{what} after {:?}: {} messages",
            begun.elapsed(),
            self.count
        );
    }

    fn are(&self, state: &str) -> bool {
        let is =
            |end: &End| end.state == state || (state == "Connected" && end.state == "Completed");
        self.ends.iter().all(is)
    }
}

#[test]
fn channels_go_on_when_cables_are_pulled_and_addresses_change() {
    let namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(why) => {
            println!("skipped: no network namespaces here: {why}");
            return;
        }
    };
    let mut story = Story::new(&namespaces);
    let more = |story: &Story| {
        let count = story.count + 300;
        move |story: &Story| story.count >= count && story.are("Connected")
    };
    story.tell(0, "call", "");
    let enough = more(&story);
    story.until("connected", enough);

    // What the kernel does not send in one piece is believed, and smaller datagrams are sent.
    let begun = std::time::Instant::now();
    loop {
        story.ends[0].too_long = None;
        story.tell(0, "figures", "");
        story.until("told", |story| story.ends[0].too_long.is_some());
        let End { mtu, too_long, .. } = &story.ends[0];
        if (1_250..MTU).contains(mtu) && too_long.is_some_and(|n| n > 0) {
            break;
        }
        // The search for the longest datagram goes on.
        assert!(begun.elapsed() < PATIENCE, "{mtu}, {too_long:?}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }

    namespaces.ip(0, "link set eth0 down").unwrap();
    story.until("disconnected", |story| story.are("Disconnected"));
    namespaces.ip(0, "link set eth0 up").unwrap();
    story.tell(0, "call", "restart");
    let enough = more(&story);
    story.until("connected again", enough);

    namespaces.ip(0, "addr del 10.77.0.1/24 dev eth0").unwrap();
    namespaces.ip(0, "addr add 10.77.0.3/24 dev eth0").unwrap();
    story.tell(0, "call", "restart");
    story.until("connected from another address", |story| {
        story.ends[0].address == "10.77.0.3"
    });
    let enough = more(&story);
    story.until("going on", enough);

    // The other version of IP, and the first is gone.
    let add = |n| {
        let address = format!("addr add fd00:77::{}/64 dev eth0 nodad", n + 1);
        namespaces.ip(n, &address)
    };
    if let Err(why) = add(0).and_then(|()| add(1)) {
        println!("skipped: no IPv6 here: {why}");
    } else {
        for n in 0..2 {
            namespaces.ip(n, "-4 addr flush dev eth0").unwrap();
        }
        story.tell(0, "call", "restart");
        story.until("connected by IPv6", |story| {
            story.ends[0].address == "fd00:77::1"
        });
        let enough = more(&story);
        story.until("going on", enough);
    }

    story.tell(0, "stop", "");
    story.until("all there", |story| story.sent == Some(story.count));
}
