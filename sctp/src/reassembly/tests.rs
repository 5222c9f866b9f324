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

/// A reset may come with every packet, and what it finds may be what no packet will ever finish.
#[test]
fn a_reset_costs_the_streams_that_it_names_and_not_the_fragments() {
    for interleaved in [false, true] {
        let mut store = Store::new(interleaved);
        store.insert(1, 7, 0, 0, FLAG_BEGIN);
        let one = store.reassembly.held().waiting;
        for n in 0..20_000u16 {
            // Parts without a beginning.
            store.insert(10 + 2 * u64::from(n), n % 1_000 + 10, u32::from(n), 1, 0);
        }
        let held = store.reassembly.held().waiting;
        let steps = work::counted(|| {
            for _ in 0..52 {
                store.reassembly.reset(&[3, 7], 2, &mut store.events);
            }
        });
        assert_eq!(steps, 2 * 52);
        assert_eq!(store.reassembly.held().waiting, held - one);
    }
}

/// Messages of the new life of a stream stay, and so do other streams'.
#[test]
fn a_reset_drops_what_waits_on_its_streams() {
    const STREAMS: u16 = 20_000;
    for interleaved in [false, true] {
        let mut store = Store::new(interleaved);
        for stream in 0..STREAMS {
            // The message before it never comes.
            store.insert(u64::from(stream), stream, 1, 0, FLAG_BEGIN | FLAG_END);
        }
        let half: Vec<u16> = (0..STREAMS).filter(|s| s % 2 == 0).collect();
        let held = store.reassembly.held().waiting;
        let next = u64::from(STREAMS);
        store.reassembly.reset(&half, next, &mut store.events);
        assert_eq!(store.reassembly.held().waiting, held / 2);
        let rest: Vec<u16> = (0..STREAMS).collect();
        store.reassembly.reset(&rest, next, &mut store.events);
        assert_eq!(store.reassembly.held().waiting, 0);
        assert!(store.reassembly.streams().is_empty());
    }
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
