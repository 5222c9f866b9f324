//! The place of bandwidth estimation, pacing and FEC: one trait between a sender and its path.
//!
//! A sender asks a [`SendController`] how fast it may send and when, tells it what it sent and what
//! the far side says, and lets it add packets of its own (probes, FEC). Google congestion control
//! and SCReAM will be two of them; [`Unlimited`] is the one that does nothing.

use std::time::{Duration, Instant};

use crate::rtcp::{CongestionFeedback, ReportBlock};
use crate::send::PacketResult;
use crate::types::Ssrc;

/// What a packet is for, and so how much it may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketClass {
    /// Sound: never waits.
    Audio,
    /// A retransmission.
    Retransmission,
    /// Pictures.
    Video,
    /// Forward error correction.
    Protection,
    /// Fills up a probe; has no content.
    Padding,
}

/// A packet on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// What it is for.
    pub class: PacketClass,
    /// Its stream.
    pub ssrc: Ssrc,
    /// Octets of RTP.
    pub size: usize,
    /// Its unwrapped transport-wide number, if it has one.
    pub transport_sequence: Option<u64>,
}

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetRate {
    /// Bits a second for encoders, all streams together.
    pub media: u64,
    /// Bits a second of FEC beside it.
    pub protection: u64,
}

/// Decides how fast and when to send: bandwidth estimation, pacing and FEC behind one seam.
///
/// Calls may come in any order. Nothing here does I/O; `now` is the caller's.
pub trait SendController {
    /// A packet is sent.
    fn on_sent(&mut self, now: Instant, packet: &SentPacket);

    /// Transport-wide feedback, matched with what was sent by a
    /// [`TransportLog`](crate::send::TransportLog).
    fn on_transport_feedback(&mut self, now: Instant, results: &[PacketResult]);

    /// RFC 8888 feedback.
    fn on_congestion_feedback(&mut self, now: Instant, feedback: &CongestionFeedback<'_>);

    /// A report block on one of our streams.
    fn on_report_block(&mut self, now: Instant, block: &ReportBlock);

    /// The receiver's own estimate (REMB), in bits a second.
    fn on_receiver_estimate(&mut self, now: Instant, bits_per_second: u64);

    /// A round trip was measured.
    fn on_round_trip(&mut self, now: Instant, round_trip: Duration);

    /// How fast encoders may send.
    fn target(&self) -> TargetRate;

    /// When a packet of this class and size may go: `now` or earlier means at once.
    fn earliest_send(&self, now: Instant, class: PacketClass, size: usize) -> Instant;

    /// Appends a packet of the controller's own, a probe or FEC, if one is due.
    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<SentPacket>;

    /// When the controller wants [`handle_timeout`](Self::handle_timeout) to be called.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Time passes.
    fn handle_timeout(&mut self, now: Instant);
}

/// Sends everything at once, as fast as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlimited {
    /// What encoders are told.
    pub target: TargetRate,
}

impl SendController for Unlimited {
    fn on_sent(&mut self, _: Instant, _: &SentPacket) {}

    fn on_transport_feedback(&mut self, _: Instant, _: &[PacketResult]) {}

    fn on_congestion_feedback(&mut self, _: Instant, _: &CongestionFeedback<'_>) {}

    fn on_report_block(&mut self, _: Instant, _: &ReportBlock) {}

    fn on_receiver_estimate(&mut self, _: Instant, _: u64) {}

    fn on_round_trip(&mut self, _: Instant, _: Duration) {}

    fn target(&self) -> TargetRate {
        self.target
    }

    fn earliest_send(&self, now: Instant, _: PacketClass, _: usize) -> Instant {
        now
    }

    fn poll_transmit(&mut self, _: Instant, _: &mut Vec<u8>) -> Option<SentPacket> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}
}
