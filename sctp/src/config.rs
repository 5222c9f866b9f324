//! What an association is told before it begins.

use std::time::Duration;

use crate::congestion::Algorithm;
use crate::limits::{MAX_MTU, MAX_TIME, MIN_MTU, MIN_RTO};
use crate::scheduler::Scheduler;

/// Settings of an association. All fields have defaults that suit WebRTC: change those you need.
/// What is out of its range counts as the nearest value in it. Times are a year at most, and
/// retransmission timeouts a millisecond at least.
///
/// ```
/// let config = tincan_sctp::Config { mtu: 1_160, ..Default::default() };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Our SCTP port. Default 5000 (RFC 8841 §5).
    pub local_port: u16,
    /// The peer's SCTP port. Default 5000.
    pub remote_port: u16,
    /// Octets of the largest packet that surely passes, SCTP header included, lower layers'
    /// not: 256 to 65 000. Default 1160: 1200 of UDP payload less DTLS's.
    pub mtu: usize,
    /// The largest packet to look for by path-MTU discovery (RFC 8899); no search unless it is
    /// larger than `mtu`. Default 0.
    pub max_mtu: usize,
    /// How many streams to ask for, 1 to 65 535. Default 65 535.
    pub outbound_streams: u16,
    /// How many streams the peer may use, 1 to 65 535. Default 65 535.
    pub inbound_streams: u16,
    /// Octets of the receive buffer to begin with. Default 1 MiB.
    pub receive_window: usize,
    /// Octets the receive buffer may grow to as the path's bandwidth × delay needs it. Default
    /// 64 MiB. Memory is taken only for data that waits. Unfinished messages may take twice as much, or with
    /// interleaving what 64 of the largest size take up to 16 MiB, if that is more; a peer that goes on beyond is not waited for: the association
    /// ends.
    pub max_receive_window: usize,
    /// Octets of the largest message that is handed over whole; larger ones are refused. Default
    /// 256 KiB.
    pub max_message_size: usize,
    /// Hand messages over in pieces of about this many octets as they arrive, whatever their
    /// size. Default `None`: whole.
    pub piece_size: Option<usize>,
    /// Offer message interleaving (RFC 8260). Default true.
    pub interleaving: bool,
    /// Offer partial reliability (RFC 3758). Default true.
    pub partial_reliability: bool,
    /// DTLS protects the packets: offer to accept them without checksum and send them so when
    /// the peer offers it too (RFC 9653 §6). Default false.
    pub zero_checksum: bool,
    /// Offer explicit congestion notification (RFC 9260 appendix B): only if the driver can mark
    /// packets and report marks. Default false.
    pub ecn: bool,
    /// How streams share the capacity. Default weighted fair queueing.
    pub scheduler: Scheduler,
    /// The congestion controller. Default CUBIC.
    pub congestion: Algorithm,
    /// Spread packets over the round trip. Default true.
    pub pacing: bool,
    /// Retransmission timeout before the first measurement. Default 1 s (RFC 9260 §16).
    pub rto_initial: Duration,
    /// Least retransmission timeout. Default 250 ms: above the peer's delayed acknowledgements.
    /// RFC 9260's 1 s is for when there is no tail-loss probe.
    pub rto_min: Duration,
    /// Largest retransmission timeout. Default 60 s (RFC 9260 §16). Shutting down may be without progress for five
    /// times as long (§9.2).
    pub rto_max: Duration,
    /// How often INIT and COOKIE ECHO are repeated, and how often the handshake begins again because the peer finds our
    /// cookie stale; `None`: for ever. Default 8 (RFC 9260 §16).
    pub max_init_retransmissions: Option<u32>,
    /// How many timeouts in a row end the association; `None`: none, when something else, such
    /// as ICE consent, tells. Default 10 (RFC 9260 §16).
    pub max_retransmissions: Option<u32>,
    /// How often an idle path is probed; `None`: never. Default 30 s (RFC 9260 §16).
    pub heartbeat_interval: Option<Duration>,
    /// How long an acknowledgement waits for a second packet, at most 500 ms. Default 200 ms
    /// (RFC 9260 §6.2).
    pub ack_delay: Duration,
    /// How long a state cookie is good for. Default 60 s (RFC 9260 §16).
    pub cookie_lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            local_port: 5000,
            remote_port: 5000,
            mtu: 1_160,
            max_mtu: 0,
            outbound_streams: u16::MAX,
            inbound_streams: u16::MAX,
            receive_window: 1 << 20,
            max_receive_window: 64 << 20,
            max_message_size: 256 << 10,
            piece_size: None,
            interleaving: true,
            partial_reliability: true,
            zero_checksum: false,
            ecn: false,
            scheduler: Scheduler::default(),
            congestion: Algorithm::default(),
            pacing: true,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(250),
            rto_max: Duration::from_secs(60),
            max_init_retransmissions: Some(8),
            max_retransmissions: Some(10),
            heartbeat_interval: Some(Duration::from_secs(30)),
            ack_delay: Duration::from_millis(200),
            cookie_lifetime: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// The same with every value brought into its range.
    pub(crate) fn sane(mut self) -> Self {
        self.mtu = self.mtu.clamp(MIN_MTU, MAX_MTU) & !3;
        self.max_mtu = self.max_mtu.min(MAX_MTU) & !3;
        self.outbound_streams = self.outbound_streams.max(1);
        self.inbound_streams = self.inbound_streams.max(1);
        // A message that is handed over whole must fit the buffer.
        let whole = if self.piece_size.is_some() {
            0
        } else {
            self.max_message_size
        };
        let needed = whole
            .saturating_mul(2)
            .clamp(4 * self.mtu, u32::MAX as usize);
        self.max_receive_window = self.max_receive_window.clamp(needed, u32::MAX as usize);
        self.receive_window = self
            .receive_window
            .clamp(4 * self.mtu, self.max_receive_window);
        self.ack_delay = self.ack_delay.min(Duration::from_millis(500));
        self.rto_min = self.rto_min.clamp(MIN_RTO, MAX_TIME);
        self.rto_max = self.rto_max.clamp(self.rto_min, MAX_TIME);
        self.rto_initial = self.rto_initial.clamp(MIN_RTO, MAX_TIME);
        self.heartbeat_interval = self.heartbeat_interval.map(|time| time.min(MAX_TIME));
        self
    }
}
