//! What can be known of an association at any time.

use std::time::Duration;

/// Counters since the association began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Packets written.
    pub packets_sent: u64,
    /// Packets taken in.
    pub packets_received: u64,
    /// Octets written.
    pub bytes_sent: u64,
    /// Octets taken in.
    pub bytes_received: u64,
    /// Packets dropped for their ports, tag, checksum or length.
    pub packets_rejected: u64,
    /// Packets with a malformed chunk; what came before it was used.
    pub packets_malformed: u64,
    /// Chunks that make no sense in the state they came in, or of unknown type.
    pub chunks_ignored: u64,
    /// DATA chunks taken in.
    pub data_chunks_received: u64,
    /// DATA chunks received more than once.
    pub duplicates_received: u64,
    /// DATA chunks refused for lack of buffer or beyond what can be reported.
    pub data_refused: u64,
    /// SACKs that acknowledged what was never sent.
    pub bogus_sacks: u64,
    /// SACKs that came out of order.
    pub stale_sacks: u64,
    /// SACKs by which the peer took back what it had reported.
    pub reneged_sacks: u64,
    /// FORWARD-TSNs that were not believed.
    pub bogus_forwards: u64,
    /// State cookies that were not ours, or too old.
    pub bad_cookies: u64,
    /// INITs answered.
    pub inits_received: u64,
    /// DATA chunks sent, without retransmissions.
    pub data_chunks_sent: u64,
    /// DATA chunks sent again.
    pub retransmissions: u64,
    /// Times the retransmission timer ran out.
    pub timeouts: u64,
    /// Tail-loss probes sent.
    pub tail_probes: u64,
    /// Losses that only a tail probe's acknowledgement told of.
    pub tail_losses: u64,
    /// Congestion events: losses and marks that reduced the window.
    pub congestion_events: u64,
    /// Losses that turned out not to be.
    pub spurious_losses: u64,
    /// Packets received with a congestion mark.
    pub ce_received: u64,
    /// Congestion echoes received.
    pub ecn_echoes: u64,
    /// SACKs sent only because the window opened.
    pub window_updates: u64,
    /// SACKs sent.
    pub sacks_sent: u64,
    /// SACKs taken in.
    pub sacks_received: u64,
    /// Replies dropped because too many waited.
    pub replies_dropped: u64,
    /// Path-MTU probes sent.
    pub path_probes: u64,
}

/// Counters and estimates at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Counters since the beginning.
    pub counters: Counters,
    /// The smoothed round-trip time.
    pub smoothed_rtt: Option<Duration>,
    /// The least round-trip time of the last minute.
    pub min_rtt: Option<Duration>,
    /// Octets that may be in flight.
    pub congestion_window: usize,
    /// Octets in flight, chunk headers included.
    pub bytes_in_flight: usize,
    /// DATA chunks not acknowledged for good.
    pub chunks_outstanding: usize,
    /// Octets queued that were not sent once.
    pub bytes_queued: usize,
    /// Received octets that wait for missing ones, with overhead.
    pub bytes_waiting: usize,
    /// Received octets that the application has not taken, with overhead.
    pub bytes_unread: usize,
    /// Size of the receive buffer.
    pub receive_window: usize,
    /// The peer's last advertised window.
    pub peer_window: usize,
    /// Octets of the largest packet that is sent.
    pub mtu: usize,
    /// Messages given up after some of them was sent.
    pub messages_abandoned: u64,
    /// Messages given up before anything of them was sent.
    pub messages_expired: u64,
    /// Octets acknowledged, chunk headers included.
    pub bytes_delivered: u64,
}
