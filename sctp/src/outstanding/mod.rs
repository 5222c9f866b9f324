//! The retransmission queue: chunks that have a TSN and are not acknowledged for good.
//!
//! A ring indexed by TSN. Each SACK costs the chunks that it newly acknowledges plus its gap
//! blocks, not the chunks in flight; losses are found in the order of sending, each chunk once.

mod partial;
mod told;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::send_queue::{Effort, OutFragment};
use crate::serial::first;
use crate::wire::{DATA_HEADER_LEN, DataHeader, FLAG_UNORDERED, I_DATA_HEADER_LEN, padded};

/// A SACK with fewer gap blocks tells of all that was received; one with more may have left some
/// out: dcSCTP reports 20, others what a packet holds.
const FEW_BLOCKS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InFlight,
    /// It should have been acknowledged by now, but the SACKs have no room to tell: arrived or
    /// lost, it is not in flight any more.
    Untold,
    /// Waits for retransmission.
    Lost,
    /// Reported in a gap block: kept, since the receiver may still drop it (RFC 9260 §6.2.1).
    Acked,
    /// Given up (RFC 3758 §3.5).
    Abandoned,
}

#[derive(Debug)]
struct OutChunk {
    data: Bytes,
    effort: Effort,
    /// Number of the packet that carried it last.
    packet: u64,
    ppid: u32,
    message: u32,
    number: u32,
    stream: u16,
    sent_times: u16,
    flags: u8,
    state: State,
}

impl OutChunk {
    fn size(&self, header: usize) -> usize {
        header + padded(self.data.len())
    }

    fn same_message(&self, other: &(u16, u32, bool)) -> bool {
        self.stream == other.0
            && self.message == other.1
            && (self.flags & FLAG_UNORDERED != 0) == other.2
    }

    fn identity(&self) -> (u16, u32, bool) {
        (self.stream, self.message, self.flags & FLAG_UNORDERED != 0)
    }
}

/// What is remembered of a packet while chunks of it are in flight.
#[derive(Clone, Copy, Debug)]
struct SentPacket {
    at: Instant,
    /// Octets that had been delivered, and when, as this one left: for the delivery rate.
    delivered: u64,
    delivered_at: Instant,
    /// When the packet had left that was acknowledged last as this one left.
    acked_left_at: Instant,
    limited: Limited,
}

/// What but the congestion window held the sender back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limited {
    /// Nothing.
    #[default]
    No,
    /// The application had less to send.
    ByApplication,
    /// The receiver had no more room.
    ByReceiver,
}

/// A retransmission that asks whether the last packets arrived (RFC 8985 §7.3).
#[derive(Clone, Copy, Debug)]
struct TailProbe {
    tsn: u64,
    at: Instant,
    /// The packet that carries it.
    packet: u64,
}

/// The rate at which data arrived, over about one round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// Octets delivered in the interval.
    pub delivered: u64,
    /// The interval.
    pub interval: Duration,
    /// Whether the path could have carried more than the sender sent.
    pub limited: Limited,
    /// SACKs had no room to tell of all that arrived, and told of it later: the rate may be
    /// overestimated.
    pub inflated: bool,
    /// Octets delivered before the packet that this sample is of was sent: a sample of a packet
    /// sent after the last round's end begins a new round.
    pub prior_delivered: u64,
}

/// What a SACK told.
#[derive(Debug, Default)]
pub(crate) struct Acked {
    /// Octets newly acknowledged, with headers.
    pub(crate) octets: usize,
    /// The cumulative TSN moved.
    pub(crate) advanced: bool,
    /// Round-trip time of the packet sent last among the newly acknowledged, if none of it was
    /// ever sent twice.
    pub(crate) rtt: Option<Duration>,
    /// That packet's number and time of sending.
    pub(crate) newest: Option<(u64, Instant)>,
    /// A tail probe repaired the loss of this TSN: nothing else will tell of it.
    pub(crate) repaired: Option<u64>,
    /// A chunk that had been sent once was acknowledged after chunks that were sent later.
    pub(crate) reordered: bool,
    /// Chunks marked lost arrived nevertheless before they were sent again.
    pub(crate) spurious: u32,
    pub(crate) rate: Option<RateSample>,
    /// The receiver took back what it had acknowledged.
    pub(crate) reneged: bool,
    /// A gap block names TSNs that were never sent; it was ignored.
    pub(crate) never_sent: bool,
}

/// Why a SACK is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadSack {
    /// Older than one seen before.
    Stale,
    /// It acknowledges what was never sent.
    NeverSent,
}

/// Losses found in one go.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Losses {
    pub(crate) octets: usize,
    /// The highest TSN lost.
    pub(crate) highest: Option<u64>,
    /// Whether a message was given up.
    pub(crate) abandoned: bool,
}

#[derive(Debug)]
pub(crate) struct Outstanding {
    /// TSN of the front of the ring.
    base: u64,
    ring: VecDeque<OutChunk>,
    interleaved: bool,
    /// Runs of TSNs that gap blocks reported: sorted, disjoint, above `base`.
    acked: Vec<(u64, u64)>,
    scratch: Vec<(u64, u64)>,
    lost: BinaryHeap<Reverse<u64>>,
    /// Chunks in the order of sending: packet number, TSN. Entries of chunks that were
    /// acknowledged or sent again since are skipped.
    order: VecDeque<(u64, u64)>,
    /// The same of chunks in [`State::Untold`].
    untold: VecDeque<(u64, u64)>,
    /// Those of them that were sent once only.
    unsure: VecDeque<(u64, u64)>,
    /// The front of the ring was sent again.
    front_sent_again: bool,
    packets: VecDeque<SentPacket>,
    /// Number of the front of `packets`.
    packet_base: u64,
    /// The highest packet number that was acknowledged.
    newest_acked: u64,
    /// Of TSNs above this one the last SACK may not have had room to tell.
    told_through: u64,
    /// The most gap blocks a SACK had.
    most_blocks: usize,
    /// Packets sent before this one may have been acknowledged late, for the same reason.
    late_before: u64,
    /// Octets in flight, with chunk headers.
    in_flight: usize,
    /// Octets of user data that the receiver may have to hold.
    unacked_payload: usize,
    delivered: u64,
    delivered_at: Instant,
    /// When the packet had left that was acknowledged last.
    acked_left_at: Instant,
    tail_probe: Option<TailProbe>,
    /// When the SACK came that is being taken in, and the least round-trip time before it.
    sack_at: Instant,
    least_rtt: Duration,
    lost_octets: u64,
    /// RFC 3758's Advanced.Peer.Ack.Point.
    advanced: u64,
    abandoned_chunks: usize,
    abandoned_messages: u64,
    /// Messages given up whose end has no TSN yet: the send queue must drop their rest.
    cut_short: Vec<(u16, u32, bool)>,
}

impl Outstanding {
    pub(crate) fn new(now: Instant, initial_tsn: u32) -> Self {
        let base = first(initial_tsn);
        Self {
            base,
            ring: VecDeque::new(),
            interleaved: false,
            acked: Vec::new(),
            scratch: Vec::new(),
            lost: BinaryHeap::new(),
            order: VecDeque::new(),
            untold: VecDeque::new(),
            unsure: VecDeque::new(),
            front_sent_again: false,
            packets: VecDeque::new(),
            packet_base: 1,
            newest_acked: 0,
            told_through: u64::MAX,
            most_blocks: 0,
            late_before: 0,
            in_flight: 0,
            unacked_payload: 0,
            delivered: 0,
            delivered_at: now,
            acked_left_at: now,
            tail_probe: None,
            sack_at: now,
            least_rtt: Duration::ZERO,
            lost_octets: 0,
            advanced: base - 1,
            abandoned_chunks: 0,
            abandoned_messages: 0,
            cut_short: Vec::new(),
        }
    }

    pub(crate) fn set_interleaved(&mut self, interleaved: bool) {
        self.interleaved = interleaved;
    }

    fn header(&self) -> usize {
        if self.interleaved {
            I_DATA_HEADER_LEN
        } else {
            DATA_HEADER_LEN
        }
    }

    pub(crate) fn next_tsn(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    pub(crate) fn cumulative(&self) -> u64 {
        self.base - 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn unacked_payload(&self) -> usize {
        self.unacked_payload
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Octets that counted as lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_octets
    }

    pub(crate) fn abandoned_messages(&self) -> u64 {
        self.abandoned_messages
    }

    pub(crate) fn has_lost(&mut self) -> bool {
        self.peek_lost().is_some()
    }

    fn get(&self, tsn: u64) -> Option<&OutChunk> {
        self.ring
            .get(usize::try_from(tsn.checked_sub(self.base)?).ok()?)
    }

    fn get_mut(&mut self, tsn: u64) -> Option<&mut OutChunk> {
        self.ring
            .get_mut(usize::try_from(tsn.checked_sub(self.base)?).ok()?)
    }

    /// The number that the next packet with data will have.
    pub(crate) fn next_packet(&self) -> u64 {
        self.packet_base + self.packets.len() as u64
    }

    /// A packet with data goes out; the chunks written from now on are of it.
    pub(crate) fn start_packet(&mut self, now: Instant, limited: Limited) -> u64 {
        if self.in_flight == 0 {
            // Idle time is not delivery time.
            self.delivered_at = now;
            self.acked_left_at = now;
        }
        self.packets.push_back(SentPacket {
            at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            acked_left_at: self.acked_left_at,
            limited,
        });
        self.next_packet() - 1
    }

    /// Nothing was written into the packet begun last.
    pub(crate) fn cancel_packet(&mut self) {
        self.packets.pop_back();
    }

    /// Gives a fragment its TSN and appends its chunk.
    #[inline]
    pub(crate) fn send_new(
        &mut self,
        fragment: OutFragment,
        packet: u64,
        flags: u8,
        out: &mut Vec<u8>,
    ) {
        let tsn = self.next_tsn();
        let chunk = OutChunk {
            data: fragment.data,
            effort: fragment.effort,
            packet,
            ppid: fragment.ppid,
            message: fragment.message,
            number: fragment.number,
            stream: fragment.stream,
            sent_times: 1,
            flags: fragment.flags,
            state: State::InFlight,
        };
        write(&chunk, tsn, self.interleaved, flags, out);
        self.in_flight += chunk.size(self.header());
        self.unacked_payload += chunk.data.len();
        self.order.push_back((packet, tsn));
        self.ring.push_back(chunk);
    }

    fn peek_lost(&mut self) -> Option<u64> {
        while let Some(Reverse(tsn)) = self.lost.peek().copied() {
            if self.get(tsn).is_some_and(|c| c.state == State::Lost) {
                return Some(tsn);
            }
            self.lost.pop();
        }
        None
    }

    /// Octets that the next retransmission takes with its header.
    pub(crate) fn next_retransmission(&mut self) -> Option<usize> {
        let tsn = self.peek_lost()?;
        let header = self.header();
        self.get(tsn).map(|chunk| chunk.size(header))
    }

    /// Appends the lost chunk with the lowest TSN, if it is not out of time by now.
    pub(crate) fn retransmit(&mut self, now: Instant, packet: u64, out: &mut Vec<u8>) -> bool {
        let Some(tsn) = self.peek_lost() else {
            return false;
        };
        if self.get(tsn).is_some_and(|c| c.effort.expired(now)) {
            self.abandon(tsn);
            return false;
        }
        self.lost.pop();
        self.send_again(tsn, packet, out)
    }

    /// Octets that the next chunk takes of which the SACKs have no room to tell whether it
    /// arrived, and which was sent once only.
    pub(crate) fn next_unsure(&mut self) -> Option<usize> {
        while let Some(&(number, tsn)) = self.unsure.front() {
            if self.is_at(tsn, number, State::Untold) {
                let header = self.header();
                return self.get(tsn).map(|chunk| chunk.size(header));
            }
            self.unsure.pop_front();
        }
        None
    }

    /// Appends that chunk, if it is not out of time by now.
    ///
    /// A SACK holds some hundred gap blocks. Once a queue that overflowed has dropped thousands
    /// of packets, each round trip tells of the lowest hundreds only: repairing just these leaves
    /// the path idle for dozens of round trips while the receiver's window is full of the rest.
    pub(crate) fn send_unsure(&mut self, now: Instant, packet: u64, out: &mut Vec<u8>) -> bool {
        if self.next_unsure().is_none() {
            return false;
        }
        let Some((_, tsn)) = self.unsure.pop_front() else {
            return false;
        };
        if self.get(tsn).is_some_and(|c| c.effort.expired(now)) {
            self.abandon(tsn);
            return false;
        }
        self.send_again(tsn, packet, out)
    }

    /// The least round-trip time seen: what acknowledges a retransmission sooner acknowledges the
    /// first sending of it.
    pub(crate) fn set_least_rtt(&mut self, rtt: Duration) {
        self.least_rtt = rtt;
    }

    /// Appends the chunk with the highest TSN that is in flight: the probe of RFC 8985 §7.3.
    pub(crate) fn probe(&mut self, now: Instant, packet: u64, out: &mut Vec<u8>) -> bool {
        let position = self.ring.iter().rposition(|c| c.state == State::InFlight);
        let Some(position) = position else {
            return false;
        };
        let tsn = self.base + position as u64;
        let header = self.header();
        if let Some(chunk) = self.ring.get(position) {
            self.in_flight -= chunk.size(header);
            self.tail_probe = Some(TailProbe {
                tsn,
                at: now,
                packet,
            });
        }
        self.send_again(tsn, packet, out)
    }

    /// Whether the chunk with the lowest TSN was sent again since the last call: then its timer
    /// begins anew (RFC 9260 §7.2.4 (4)).
    pub(crate) fn take_front_sent_again(&mut self) -> bool {
        std::mem::take(&mut self.front_sent_again)
    }

    /// Size with its header of what [`probe`](Self::probe) would send.
    pub(crate) fn probe_size(&self) -> Option<usize> {
        let header = self.header();
        self.ring
            .iter()
            .rev()
            .find(|c| c.state == State::InFlight)
            .map(|c| c.size(header))
    }

    fn send_again(&mut self, tsn: u64, packet: u64, out: &mut Vec<u8>) -> bool {
        let interleaved = self.interleaved;
        let header = self.header();
        let Some(chunk) = self.get_mut(tsn) else {
            return false;
        };
        chunk.state = State::InFlight;
        chunk.packet = packet;
        chunk.sent_times = chunk.sent_times.saturating_add(1);
        write(chunk, tsn, interleaved, 0, out);
        let size = chunk.size(header);
        self.in_flight += size;
        self.order.push_back((packet, tsn));
        self.front_sent_again |= tsn == self.base;
        true
    }

    fn packet(&self, number: u64) -> Option<&SentPacket> {
        self.packets
            .get(usize::try_from(number.checked_sub(self.packet_base)?).ok()?)
    }

    /// Marks the chunks as lost of which `is_lost` says so, given their packet's number and time
    /// of sending, among those sent before the newest acknowledged one. Returns also the time of
    /// sending of the first that is not lost yet.
    pub(crate) fn detect_losses(
        &mut self,
        mut is_lost: impl FnMut(u64, Instant) -> bool,
    ) -> (Losses, Option<Instant>) {
        let mut losses = Losses::default();
        let mut next = None;
        while let Some(&(number, tsn)) = self.untold.front() {
            if self.is_at(tsn, number, State::Untold) {
                if tsn > self.told_through {
                    break;
                }
                self.mark_lost(tsn, &mut losses);
            }
            self.untold.pop_front();
        }
        while let Some(&(number, tsn)) = self.order.front() {
            if self.is_at(tsn, number, State::InFlight) {
                if number >= self.newest_acked {
                    break;
                }
                let Some(at) = self.packet(number).map(|p| p.at) else {
                    break;
                };
                if !is_lost(number, at) {
                    next = Some(at);
                    break;
                }
                if tsn > self.told_through {
                    self.mark_untold(number, tsn);
                } else {
                    self.mark_lost(tsn, &mut losses);
                }
            }
            self.order.pop_front();
        }
        self.forget_packets();
        if losses.abandoned {
            self.advance();
        }
        (losses, next)
    }

    /// Whether the chunk is in this state since this packet.
    fn is_at(&self, tsn: u64, packet: u64, state: State) -> bool {
        self.get(tsn)
            .is_some_and(|c| c.state == state && c.packet == packet)
    }

    fn mark_untold(&mut self, number: u64, tsn: u64) {
        let header = self.header();
        let Some(chunk) = self.get_mut(tsn) else {
            return;
        };
        chunk.state = State::Untold;
        let size = chunk.size(header);
        let once = chunk.sent_times == 1;
        self.in_flight -= size;
        self.untold.push_back((number, tsn));
        if once {
            self.unsure.push_back((number, tsn));
        }
    }

    fn mark_lost(&mut self, tsn: u64, losses: &mut Losses) {
        let header = self.header();
        let Some(chunk) = self.get_mut(tsn) else {
            return;
        };
        let size = chunk.size(header);
        let was = std::mem::replace(&mut chunk.state, State::Lost);
        let spent = chunk
            .effort
            .retransmissions
            .is_some_and(|max| chunk.sent_times > max);
        if was == State::InFlight {
            self.in_flight -= size;
        }
        self.lost_octets += size as u64;
        losses.octets += size;
        losses.highest = losses.highest.max(Some(tsn));
        if spent {
            self.abandon(tsn);
            losses.abandoned = true;
        } else {
            self.lost.push(Reverse(tsn));
        }
    }

    /// T3 ran out: everything in flight is lost (RFC 9260 §6.3.3).
    pub(crate) fn all_lost(&mut self) -> Losses {
        let mut losses = Losses::default();
        let mut order = std::mem::take(&mut self.order);
        for (number, tsn) in self.untold.drain(..).collect::<Vec<_>>() {
            if self.is_at(tsn, number, State::Untold) {
                self.mark_lost(tsn, &mut losses);
            }
        }
        for (number, tsn) in order.drain(..) {
            if self.is_at(tsn, number, State::InFlight) {
                self.mark_lost(tsn, &mut losses);
            }
        }
        self.order = order;
        self.tail_probe = None;
        self.forget_packets();
        self.advance();
        losses
    }

    fn forget_packets(&mut self) {
        while let Some(&(number, tsn)) = self.order.front() {
            if self.is_at(tsn, number, State::InFlight) {
                break;
            }
            self.order.pop_front();
        }
        let keep = self
            .order
            .front()
            .map_or(self.next_packet(), |(number, _)| *number);
        while self.packet_base < keep && self.packets.pop_front().is_some() {
            self.packet_base += 1;
        }
    }

    /// Gives back what is not used, if nothing is outstanding.
    pub(crate) fn slim(&mut self) {
        if !self.ring.is_empty() {
            return;
        }
        // What they hold is of chunks that are gone.
        self.packet_base = self.next_packet();
        self.ring = VecDeque::new();
        self.order = VecDeque::new();
        self.untold = VecDeque::new();
        self.unsure = VecDeque::new();
        self.packets = VecDeque::new();
        self.lost = BinaryHeap::new();
        self.acked = Vec::new();
        self.scratch = Vec::new();
        self.cut_short.shrink_to_fit();
    }

    /// Everything is dropped: the association is over. What was delivered stays so, and what was not is not.
    pub(crate) fn clear(&mut self) {
        self.ring.clear();
        self.slim();
        self.in_flight = 0;
        self.unacked_payload = 0;
        self.abandoned_chunks = 0;
        self.tail_probe = None;
        self.cut_short = Vec::new();
    }

    /// The peer restarted: what is outstanding is sent again with new TSNs by nobody; it is
    /// given up (RFC 9260 §5.2.4.1 leaves it to the implementation).
    pub(crate) fn restart(&mut self, now: Instant, initial_tsn: u32) {
        let interleaved = self.interleaved;
        let delivered = self.delivered;
        *self = Self::new(now, initial_tsn);
        self.interleaved = interleaved;
        self.delivered = delivered;
    }
}

#[inline]
fn write(chunk: &OutChunk, tsn: u64, interleaved: bool, flags: u8, out: &mut Vec<u8>) {
    let header = DataHeader {
        interleaved,
        flags: chunk.flags | flags,
        tsn: tsn as u32,
        stream: chunk.stream,
        message: chunk.message,
        fragment: chunk.number,
        ppid: chunk.ppid,
    };
    header.write(out, &chunk.data);
}

#[cfg(test)]
mod tests;
