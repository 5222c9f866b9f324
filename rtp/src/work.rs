//! Counts the steps of loops that a far side can make longer, in test builds, so that tests can say
//! what a packet costs at worst without a clock.

/// Counts `n` steps.
#[inline(always)]
pub(crate) fn steps(n: usize) {
    #[cfg(test)]
    tests::STEPS.with(|count| count.set(count.get() + n as u64));
    #[cfg(not(test))]
    let _ = n;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use crate::limits::{
        HISTORY_PACKETS, MAX_REQUESTS, NACK_LIST, REORDER_PACKETS, TRANSPORT_FEEDBACK_WINDOW,
        TRANSPORT_LOG_PACKETS,
    };
    use crate::receive::{
        NackConfig, NackGenerator, ReorderBuffer, ReorderConfig, TransportFeedbackConfig,
        TransportFeedbackGenerator,
    };
    use crate::rtcp::{Compound, Packet};
    use crate::send::{History, HistoryConfig, StreamSender, StreamSenderConfig, TransportLog};
    use crate::{SequenceNumber, Ssrc};

    thread_local! {
        pub(super) static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    const MS: Duration = Duration::from_millis(1);

    /// What `packets` calls of `packet` cost each on average, after as many to settle: not more than `bound`, and not
    /// more for four times as many.
    fn each_at_most(what: &str, bound: usize, packets: u64, mut packet: impl FnMut(u64)) {
        let mut at = 0;
        let mut run = |count: u64| {
            STEPS.with(|steps| steps.set(0));
            for _ in 0..count {
                packet(at);
                at += 1;
            }
            STEPS.with(Cell::get) / count
        };
        run(packets);
        let (few, many) = (run(packets), run(4 * packets));
        println!("{what}: {few} steps a packet, of four times as many {many}; at most {bound}");
        assert!(few.max(many) <= bound as u64, "{what}: {few}, {many}");
    }

    /// A generator of requests, and a far side that leaves out numbers as it likes.
    #[test]
    fn missing_packets_cost_no_more_than_the_list() {
        let start = Instant::now();
        let mut out = Vec::new();
        for (name, jump) in [("nearly all", NACK_LIST as u64), ("half", 500), ("one", 2)] {
            let mut g = NackGenerator::new(NackConfig::default());
            each_at_most(name, NACK_LIST, 2_000, |n| g.on_packet(start, n * jump));
        }
        // Each is missing at a time of its own, so that each has its own time to be asked for.
        let mut g = NackGenerator::new(NackConfig::default());
        each_at_most("asked for one by one", 20 * NACK_LIST, 3_000, |n| {
            let now = start + MS * n as u32;
            g.on_packet(now, n * 2);
            for part in 0..8 {
                out.clear();
                g.poll_transmit(now + MS * part / 8, Ssrc(1), Ssrc(2), &mut out);
            }
        });
        // One never comes; each other comes late, and stays in the list behind it.
        let mut g = NackGenerator::new(NackConfig::default());
        each_at_most("late behind one that is lost", 4, 20_000, |n| {
            g.on_packet(start, 2 * n + 3);
            g.on_packet(start, 2 * n + 2);
        });
    }

    #[test]
    fn packets_far_ahead_cost_no_more_than_the_reorder_buffer() {
        let start = Instant::now();
        let span = REORDER_PACKETS as u64;
        for (name, jump, polled) in [
            ("one span each, polled", span, true),
            ("one span each", span, false),
            ("just within it, polled", span - 1, true),
            ("ten spans", 10 * span, true),
            ("every other, never polled", 2, false),
        ] {
            let mut buffer = ReorderBuffer::new(ReorderConfig::default());
            each_at_most(name, 2 * REORDER_PACKETS, 3_000, |n| {
                buffer.insert(start + MS * n as u32, n * jump, 100, ());
                while polled && buffer.poll(start + MS * n as u32).is_some() {}
            });
        }
        // One that is waited for, and all behind it come and come again.
        let mut buffer = ReorderBuffer::new(ReorderConfig::default());
        buffer.insert(start, 0, 100, ());
        buffer.poll(start);
        each_at_most("copies behind one that is missing", 4, 10_000, |n| {
            buffer.insert(start, 2 + n % 1_000, 100, ());
            assert!(buffer.poll(start).is_none());
        });
    }

    #[test]
    fn leaps_of_transport_wide_numbers_cost_no_more_than_the_window() {
        let start = Instant::now();
        let mut out = Vec::new();
        let window = TRANSPORT_FEEDBACK_WINDOW;
        for leap in [1, window - 1, window, 30_011, 32_767, 65_535, 40_000] {
            let mut g = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
            let name = format!("leaps of {leap}");
            each_at_most(&name, window, 2_000, |n| {
                let now = start + MS * n as u32;
                g.on_packet(now, SequenceNumber((n * leap as u64) as u16));
                out.clear();
                g.poll_transmit(now, Ssrc(1), Ssrc(2), &mut out);
            });
        }
    }

    /// A forwarder keeps what it recovered late where it belongs.
    #[test]
    fn late_packets_cost_no_more_than_half_the_history() {
        let start = Instant::now();
        let mut history = History::new(HistoryConfig::default());
        each_at_most("backwards in hundreds", HISTORY_PACKETS / 2, 5_000, |n| {
            let number = 100 * (n / 100) + (99 - n % 100);
            history.insert(start, SequenceNumber(number as u16), &[0; 100]);
        });
    }

    #[test]
    fn requests_for_everything_cost_no_more_than_the_list_of_requests() {
        let start = Instant::now();
        let config = StreamSenderConfig::video(Ssrc(1), SequenceNumber(0));
        let mut sender = StreamSender::new(config);
        let mut out = Vec::new();
        each_at_most("65 536 numbers each", MAX_REQUESTS, 200, |_| {
            sender.on_nack((0..=u16::MAX).map(SequenceNumber));
            while sender.poll_retransmission(start, &mut out).is_some() {}
        });
        assert!(out.is_empty());
    }

    /// Feedback of a few octets that speaks of as many packets as a number of sixteen bits can.
    fn feedback(count: u8, base: u16, packets: u16) -> Vec<u8> {
        let mut message = vec![0x8f, 205, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1];
        message.extend_from_slice(&base.to_be_bytes());
        message.extend_from_slice(&packets.to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, count]);
        let mut left = packets;
        while left > 0 {
            let run = left.min(0x1fff);
            message.extend_from_slice(&run.to_be_bytes());
            left -= run;
        }
        while !message.len().is_multiple_of(4) {
            message.push(0);
        }
        let words = (message.len() / 4 - 1) as u16;
        message[2..4].copy_from_slice(&words.to_be_bytes());
        message
    }

    #[test]
    fn feedback_on_everything_costs_no_more_than_the_log() {
        let now = Instant::now();
        let mut log = TransportLog::new(SequenceNumber(0));
        for _ in 0..20_000 {
            log.next(now, 1_000);
        }
        let mut results = Vec::new();
        for (base, packets) in [
            (0u16, 65_535u16),
            (12_000, 65_535),
            (20_001, 65_535),
            (52_000, 65_535),
            (0, 5_000),
            (11_000, 9_000),
        ] {
            let name = format!("{packets} packets from {base}");
            each_at_most(&name, TRANSPORT_LOG_PACKETS, 50, |n| {
                let message = feedback(n as u8, base, packets);
                assert!(message.len() < 64);
                results.clear();
                for packet in Compound::parse(&message).unwrap().packets() {
                    match packet.unwrap() {
                        Packet::TransportFeedback(f) => log.on_feedback(&f, &mut results),
                        other => panic!("{other:?}"),
                    }
                }
                assert!(results.len() <= TRANSPORT_LOG_PACKETS);
            });
        }
        // What is true is still taken.
        let message = feedback(0, 19_000, 1_000);
        results.clear();
        if let Some(Ok(Packet::TransportFeedback(f))) =
            Compound::parse(&message).unwrap().packets().next()
        {
            log.on_feedback(&f, &mut results);
        }
        assert_eq!(results.len(), 1_000);
    }
}
