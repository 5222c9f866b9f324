//! What a SACK tells, chunk by chunk (RFC 9260 §6.2.1).

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::{Acked, BadSack, FEW_BLOCKS, OutChunk, Outstanding, RateSample, State};
use crate::serial::unwrap32;
use crate::wire::Sack;

impl Outstanding {
    /// Takes in a SACK.
    pub(crate) fn on_sack(&mut self, now: Instant, sack: &Sack<'_>) -> Result<Acked, BadSack> {
        let cumulative = unwrap32(self.cumulative(), sack.cumulative);
        if cumulative < self.cumulative() {
            return Err(BadSack::Stale);
        }
        if cumulative >= self.next_tsn() {
            return Err(BadSack::NeverSent);
        }
        let mut acked = Acked::default();
        self.sack_at = now;
        self.acknowledge_through(cumulative, &mut acked);
        self.acknowledge_gaps(cumulative, sack, &mut acked);
        if self.ring.front().is_some_and(|c| c.state == State::Acked) {
            // The cumulative TSN stops before what was reported: it was taken back.
            acked.reneged = true;
            self.unacknowledge();
        }
        acked.repaired = self.settle_tail_probe(sack);
        self.finish_ack(now, &mut acked);
        Ok(acked)
    }

    /// Takes in the cumulative TSN of a SHUTDOWN (RFC 9260 §9.2).
    pub(crate) fn on_cumulative(&mut self, now: Instant, tsn: u32) -> Result<Acked, BadSack> {
        let cumulative = unwrap32(self.cumulative(), tsn);
        if cumulative < self.cumulative() {
            return Err(BadSack::Stale);
        }
        if cumulative >= self.next_tsn() {
            return Err(BadSack::NeverSent);
        }
        let mut acked = Acked::default();
        self.sack_at = now;
        self.acknowledge_through(cumulative, &mut acked);
        self.finish_ack(now, &mut acked);
        Ok(acked)
    }

    fn finish_ack(&mut self, now: Instant, acked: &mut Acked) {
        if acked.octets > 0 {
            self.delivered += acked.octets as u64;
            self.delivered_at = now;
        }
        if let Some((number, at)) = acked.newest {
            if let Some(packet) = self.packet(number).copied() {
                acked.rtt = acked.rtt.map(|_| now.saturating_duration_since(at));
                // Acknowledgements may come in a bunch, and packets may have left in one: the
                // slower of the two says what the path carries.
                let interval = now
                    .saturating_duration_since(packet.delivered_at)
                    .max(at.saturating_duration_since(packet.acked_left_at));
                self.acked_left_at = at;
                acked.rate = Some(RateSample {
                    delivered: self.delivered - packet.delivered,
                    interval,
                    limited: packet.limited,
                    inflated: number < self.late_before,
                    prior_delivered: packet.delivered,
                });
            }
            self.newest_acked = self.newest_acked.max(number);
        }
        self.forget_packets();
        self.advance();
    }

    /// RFC 8985 §7.4.2: the probe was acknowledged. Unless the receiver calls it a duplicate, or
    /// the answer is too early to be one to the probe, what it repeats had been lost.
    fn settle_tail_probe(&mut self, sack: &Sack<'_>) -> Option<u64> {
        let probe = self.tail_probe?;
        let chunk = self.get(probe.tsn);
        if chunk.is_some_and(|c| c.state == State::InFlight && c.packet == probe.packet) {
            return None;
        }
        let gone = chunk.is_none_or(|c| c.state == State::Acked);
        self.tail_probe = None;
        let early = self.sack_at.saturating_duration_since(probe.at) < self.least_rtt;
        let duplicate = sack.duplicates().any(|tsn| tsn == probe.tsn as u32);
        // What is neither acknowledged nor in flight counts as lost already.
        (gone && !early && !duplicate).then_some(probe.tsn)
    }

    fn acknowledge_through(&mut self, cumulative: u64, acked: &mut Acked) {
        let header = self.header();
        while self.base <= cumulative {
            let Some(chunk) = self.ring.pop_front() else {
                break;
            };
            self.base += 1;
            acked.advanced = true;
            match chunk.state {
                State::Acked => {}
                State::Abandoned => self.abandoned_chunks -= 1,
                State::InFlight | State::Untold | State::Lost => {
                    match chunk.state {
                        State::InFlight => self.in_flight -= chunk.size(header),
                        State::Lost => acked.spurious += 1,
                        _ => {}
                    }
                    self.unacked_payload -= chunk.data.len();
                    self.note_newest(&chunk, acked);
                    acked.octets += chunk.size(header);
                }
            }
        }
        let passed = self.acked.partition_point(|(_, last)| *last <= cumulative);
        self.acked.drain(..passed);
        if let Some(run) = self.acked.first_mut() {
            run.0 = run.0.max(cumulative + 1);
        }
    }

    fn note_newest(&self, chunk: &OutChunk, acked: &mut Acked) {
        if chunk.sent_times == 1 && chunk.packet < self.newest_acked {
            acked.reordered = true;
        }
        match acked.newest {
            Some((number, _)) if chunk.packet < number => {}
            Some((number, at)) if chunk.packet == number => {
                if chunk.sent_times > 1 {
                    acked.rtt = None;
                }
                acked.newest = Some((number, at));
            }
            _ => {
                if let Some(packet) = self.packet(chunk.packet) {
                    let passed = self.sack_at.saturating_duration_since(packet.at);
                    if chunk.sent_times > 1 && passed < self.least_rtt {
                        return;
                    }
                    acked.newest = Some((chunk.packet, packet.at));
                    acked.rtt = (chunk.sent_times == 1).then_some(Duration::ZERO);
                }
            }
        }
    }

    /// Merges the SACK's gap blocks into the known runs; marks only what is new.
    fn acknowledge_gaps(&mut self, cumulative: u64, sack: &Sack<'_>, acked: &mut Acked) {
        let mut known = std::mem::take(&mut self.acked);
        let mut merged = std::mem::take(&mut self.scratch);
        merged.clear();
        let mut old = known.iter().copied().peekable();
        let mut floor = cumulative;
        let mut blocks = 0;
        for (from, to) in sack.gaps() {
            blocks += 1;
            let (from, to) = (cumulative + u64::from(from), cumulative + u64::from(to));
            if to >= self.next_tsn() {
                acked.never_sent = true;
                continue;
            }
            if from > to || from <= floor {
                // Out of order or overlapping: what it adds will be reported again in order.
                continue;
            }
            floor = to;
            let mut at = from;
            while let Some(&(first, last)) = old.peek() {
                if first > to {
                    break;
                }
                if last < at {
                    join(&mut merged, (first, last));
                    old.next();
                    continue;
                }
                for tsn in at..first.max(at) {
                    self.acknowledge_one(tsn, acked);
                }
                at = at.max(last + 1);
                if last > to {
                    break;
                }
                join(&mut merged, (first, last));
                old.next();
            }
            for tsn in at..=to {
                self.acknowledge_one(tsn, acked);
            }
            join(&mut merged, (from, to));
        }
        for run in old {
            join(&mut merged, run);
        }
        let may_be_cut = blocks >= FEW_BLOCKS && blocks >= self.most_blocks;
        self.most_blocks = self.most_blocks.max(blocks);
        self.told_through = if may_be_cut { floor } else { u64::MAX };
        if may_be_cut {
            self.late_before = self.next_packet();
        }
        known.clear();
        self.scratch = known;
        self.acked = merged;
    }

    fn acknowledge_one(&mut self, tsn: u64, acked: &mut Acked) {
        let header = self.header();
        let Some(chunk) = self.get_mut(tsn) else {
            return;
        };
        let was = chunk.state;
        let (size, payload) = (chunk.size(header), chunk.data.len());
        match was {
            State::InFlight => self.in_flight -= size,
            State::Lost => acked.spurious += 1,
            State::Untold => {}
            State::Acked | State::Abandoned => return,
        }
        self.unacked_payload -= payload;
        acked.octets += size;
        if let Some(chunk) = self.get_mut(tsn) {
            chunk.state = State::Acked;
        }
        if let Some(chunk) = self.get(tsn) {
            self.note_newest(chunk, acked);
        }
    }

    /// All that gap blocks reported is to be sent again.
    fn unacknowledge(&mut self) {
        let base = self.base;
        for (from, to) in std::mem::take(&mut self.acked) {
            for tsn in from.max(base)..=to {
                let Some(chunk) = self.get_mut(tsn) else {
                    break;
                };
                if chunk.state == State::Acked {
                    chunk.state = State::Lost;
                    let payload = chunk.data.len();
                    self.unacked_payload += payload;
                    self.lost.push(Reverse(tsn));
                }
            }
        }
    }
}

fn join(runs: &mut Vec<(u64, u64)>, run: (u64, u64)) {
    match runs.last_mut() {
        Some(last) if run.0 <= last.1 + 1 => {
            last.0 = last.0.min(run.0);
            last.1 = last.1.max(run.1);
        }
        _ => runs.push(run),
    }
}
