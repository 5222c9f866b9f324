//! What a peer can make of the store: bounded work, and only what it is charged for.

use super::*;
use crate::wire::{DataChunk, FLAG_BEGIN, FLAG_END};
use crate::work;

const POLICY: Policy = Policy {
    piece: None,
    largest: 1 << 20,
};

struct Store {
    reassembly: Reassembly,
    events: VecDeque<Event>,
}

impl Store {
    fn new(interleaved: bool) -> Self {
        Self {
            reassembly: Reassembly::new(interleaved, POLICY),
            events: VecDeque::new(),
        }
    }

    /// A fragment of one octet.
    fn insert(&mut self, tsn: u64, stream: u16, message: u32, fragment: u32, flags: u8) {
        let datagram = Bytes::from_static(b"x");
        let chunk = DataChunk {
            interleaved: matches!(self.reassembly.fragments, Fragments::Interleaved(_)),
            flags,
            tsn: tsn as u32,
            stream,
            message,
            fragment,
            ppid: 53,
            payload: &datagram,
        };
        self.reassembly
            .insert(tsn, &chunk, &datagram, &mut self.events)
            .expect("no contradiction");
    }
}

/// One packet can name hundreds of streams, or all of them.
#[test]
fn resetting_all_streams_walks_the_fragments_once() {
    const STREAMS: u16 = 20_000;
    let mut store = Store::new(false);
    for stream in 0..STREAMS {
        let tsn = 10 * u64::from(stream);
        // A message, the beginning of one, and a loose part.
        store.insert(tsn, stream, 0, 0, FLAG_BEGIN | FLAG_END);
        store.insert(tsn + 1, stream, 1, 0, FLAG_BEGIN);
        store.insert(tsn + 5, stream, 2, 0, 0);
    }
    let half: Vec<u16> = (0..STREAMS).filter(|s| s % 2 == 0).collect();
    let held = store.reassembly.held().waiting;
    let steps = work::counted(|| store.reassembly.reset(&half, &mut store.events));
    println!("{steps} steps for {STREAMS} streams");
    assert!(steps <= 2 * u64::from(STREAMS), "{steps}");
    assert_eq!(store.reassembly.held().waiting, held / 2);
    let rest: Vec<u16> = (0..STREAMS).collect();
    let steps = work::counted(|| store.reassembly.reset(&rest, &mut store.events));
    assert!(steps <= 2 * u64::from(STREAMS), "{steps}");
    assert_eq!(store.reassembly.held().waiting, 0);
    assert!(store.reassembly.streams().is_empty());
}

/// Every message has as many fragments as the one before: so might the next one, but not a thousand at once.
#[test]
fn beginnings_of_messages_take_what_they_are_charged() {
    for interleaved in [false, true] {
        let mut store = Store::new(interleaved);
        for n in 0..1_024 {
            let flags = match n {
                0 => FLAG_BEGIN,
                1_023 => FLAG_END,
                _ => 0,
            };
            store.insert(u64::from(n), 0, 0, n, flags);
        }
        assert_eq!(store.reassembly.held().waiting, 0);
        let info = allocation_counter::measure(|| {
            for n in 0..1_000u16 {
                store.insert(2_000 + 2 * u64::from(n), n, 1, 0, FLAG_BEGIN);
            }
        });
        let charged = store.reassembly.held().waiting;
        println!("{} octets for {charged} charged", info.bytes_current);
        // The tables' room may be twice what is in them.
        assert!(
            info.bytes_current <= 2 * charged as i64,
            "{} octets for {charged} charged",
            info.bytes_current
        );
    }
}
