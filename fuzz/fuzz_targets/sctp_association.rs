//! An established association is fed arbitrary chunks with the right tag and checksum, and time.
//! It must not panic, no timer may stick, and what it holds stays within its bounds.
#![no_main]

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_sctp::association::{Reliability, SendOptions, State};
use tincan_sctp::wire::{ChunkWriter, Header, finish_packet, start_packet};
use tincan_sctp::{Association, Config};

#[derive(Arbitrary, Debug)]
enum Step {
    /// A packet of chunks: type, flags, a number near the TSNs in use, the rest.
    Packet(Vec<(u8, u8, i16, Vec<u8>)>),
    Raw(Vec<u8>),
    Pass(u16),
    Send {
        stream: u8,
        len: u16,
        unordered: bool,
        retransmissions: Option<u8>,
    },
    Reset(u8),
    Read,
    Close,
}

#[derive(Arbitrary, Debug)]
struct Input {
    interleaving: bool,
    pieces: bool,
    steps: Vec<Step>,
}

const FIRST: u32 = 1_000;

fuzz_target!(|input: Input| {
    let mut now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let config = Config {
        interleaving: input.interleaving,
        piece_size: input.pieces.then_some(4_000),
        max_message_size: 50_000,
        receive_window: 50_000,
        max_receive_window: 200_000,
        ..Config::default()
    };
    let peer = Association::new(config.clone(), now, &mut rng);
    let mut association = Association::new(config, now, &mut rng);
    let own = association.local_init();
    let mut init = peer.local_init();
    init[16..20].copy_from_slice(&FIRST.to_be_bytes());
    association
        .connect_with_init(now, &init)
        .expect("a valid INIT");
    let word = |at: usize| {
        own[at..at + 4]
            .iter()
            .fold(0u32, |w, b| w << 8 | u32::from(*b))
    };
    let (verification_tag, our_first) = (word(4), word(16));
    let mut out = Vec::new();
    for step in input.steps {
        match step {
            Step::Packet(chunks) => {
                let mut packet = Vec::new();
                let header = Header {
                    source_port: 5000,
                    destination_port: 5000,
                    verification_tag,
                };
                start_packet(&mut packet, &header);
                for (kind, flags, offset, rest) in chunks {
                    // Chunks about our TSNs and about the peer's.
                    let base = if matches!(kind, 3 | 7 | 12) {
                        our_first
                    } else {
                        FIRST
                    };
                    ChunkWriter::new(&mut packet, kind, flags)
                        .u32(base.wrapping_add_signed(i32::from(offset)))
                        .bytes(&rest)
                        .finish();
                }
                finish_packet(&mut packet, 0);
                association.handle_input(now, Bytes::from(packet));
            }
            Step::Raw(bytes) => association.handle_input(now, Bytes::from(bytes)),
            Step::Pass(ms) => now += Duration::from_millis(u64::from(ms)),
            Step::Send {
                stream,
                len,
                unordered,
                retransmissions,
            } => {
                let reliability = retransmissions.map_or(Reliability::Reliable, |n| {
                    Reliability::MaxRetransmits(n.into())
                });
                let options = SendOptions {
                    ppid: 53,
                    unordered,
                    reliability,
                };
                let data = Bytes::from(vec![1; usize::from(len)]);
                let _ = association.send(now, stream.into(), data, options);
            }
            Step::Reset(stream) => {
                let _ = association.reset_stream(now, stream.into());
            }
            Step::Read => while association.poll_event().is_some() {},
            Step::Close => association.close(now),
        }
        if association.poll_timeout().is_some_and(|at| at <= now) {
            association.handle_timeout(now);
            assert!(
                association.poll_timeout().is_none_or(|at| at > now),
                "a stuck timer"
            );
        }
        let mut packets = 0;
        while association.poll_transmit(now, &mut out).is_some() {
            packets += 1;
            assert!(packets < 10_000, "it never stops sending");
            out.clear();
        }
        let stats = association.stats();
        assert!(
            stats.bytes_waiting + stats.bytes_unread <= 700_000,
            "{stats:?}"
        );
        if association.state() == State::Closed {
            assert_eq!(association.poll_timeout(), None);
        }
    }
});
