//! The small words of the API: ids, states, directions, addresses.

use core::fmt;
use std::net::SocketAddr;

use bytes::Bytes;

/// Names a transceiver of one connection; never reused within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransceiverId(pub(crate) u32);

impl fmt::Display for TransceiverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names a data channel of one connection; never reused within it. (The SCTP stream id is reused, this is not.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKey(pub(crate) u32);

impl fmt::Display for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `m=audio`
    Audio,
    /// `m=video`
    Video,
}

impl Kind {
    /// The word in the m= line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `RTCRtpTransceiverDirection` (W3C §5.4), without `stopped`, which is a state of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Sends and receives.
    #[default]
    SendRecv,
    /// Only sends.
    SendOnly,
    /// Only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// From its two halves.
    pub const fn new(send: bool, recv: bool) -> Self {
        match (send, recv) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether it includes sending.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether it includes receiving.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same seen from the far side.
    pub const fn reversed(self) -> Self {
        Direction::new(self.receives(), self.sends())
    }

    /// What both allow.
    pub const fn intersection(self, other: Self) -> Self {
        Direction::new(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }

    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The W3C's word.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

states! {
    /// `RTCSdpType` (W3C §4.6.1).
    SdpType {
        /// An offer.
        Offer = "offer",
        /// A provisional answer.
        PrAnswer = "pranswer",
        /// An answer.
        Answer = "answer",
        /// Back to the last stable state.
        Rollback = "rollback",
    }
}

impl core::str::FromStr for SdpType {
    type Err = UnknownSdpType;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "offer" => Ok(SdpType::Offer),
            "pranswer" => Ok(SdpType::PrAnswer),
            "answer" => Ok(SdpType::Answer),
            "rollback" => Ok(SdpType::Rollback),
            _ => Err(UnknownSdpType),
        }
    }
}

/// The word is none of `RTCSdpType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not offer, pranswer, answer or rollback")]
pub struct UnknownSdpType;

states! {
    /// `RTCSignalingState` (W3C §4.3.1).
    SignalingState {
        /// No exchange in progress.
        Stable = "stable",
        /// Our offer is out.
        HaveLocalOffer = "have-local-offer",
        /// Their offer is in.
        HaveRemoteOffer = "have-remote-offer",
        /// Their offer is in, our provisional answer out.
        HaveLocalPrAnswer = "have-local-pranswer",
        /// Our offer is out, their provisional answer in.
        HaveRemotePrAnswer = "have-remote-pranswer",
        /// `close()` was called.
        Closed = "closed",
    }
}

states! {
    /// `RTCIceGatheringState` (W3C §4.3.2).
    IceGatheringState {
        /// Not begun.
        New = "new",
        /// Going on.
        Gathering = "gathering",
        /// Nothing left to gather.
        Complete = "complete",
    }
}

states! {
    /// `RTCIceConnectionState` (W3C §4.3.4).
    IceConnectionState {
        /// Waiting for remote candidates.
        New = "new",
        /// Checking pairs.
        Checking = "checking",
        /// A pair works; better ones may come.
        Connected = "connected",
        /// A pair works and no check is left.
        Completed = "completed",
        /// The pair that worked is silent.
        Disconnected = "disconnected",
        /// No pair works.
        Failed = "failed",
        /// `close()` was called.
        Closed = "closed",
    }
}

states! {
    /// `RTCPeerConnectionState` (W3C §4.3.3): ICE and DTLS together.
    PeerConnectionState {
        /// Nothing begun.
        New = "new",
        /// ICE or DTLS on the way.
        Connecting = "connecting",
        /// ICE and DTLS connected.
        Connected = "connected",
        /// ICE was connected and is silent.
        Disconnected = "disconnected",
        /// ICE or DTLS failed.
        Failed = "failed",
        /// `close()` was called.
        Closed = "closed",
    }
}

states! {
    /// `RTCDtlsTransportState` (W3C §5.5.1).
    DtlsTransportState {
        /// Handshake not begun.
        New = "new",
        /// Handshake going on.
        Connecting = "connecting",
        /// Handshake done and the certificate's fingerprint verified.
        Connected = "connected",
        /// Closed on purpose by either side.
        Closed = "closed",
        /// An error ended it, such as a fingerprint that does not match.
        Failed = "failed",
    }
}

states! {
    /// `RTCSctpTransportState` (W3C §6.1.1).
    SctpTransportState {
        /// The association is being set up.
        Connecting = "connecting",
        /// Data flows.
        Connected = "connected",
        /// Ended.
        Closed = "closed",
    }
}

states! {
    /// `RTCDataChannelState` (W3C §6.2).
    DataChannelState {
        /// Waiting for the transport.
        Connecting = "connecting",
        /// Messages flow.
        Open = "open",
        /// `close` was called by either side; what was buffered still goes out.
        Closing = "closing",
        /// Done.
        Closed = "closed",
    }
}

states! {
    /// Which side of the DTLS handshake we are (`RTCDtlsRole`).
    DtlsRole {
        /// Sends the ClientHello (`a=setup:active`).
        Client = "client",
        /// Waits for it (`a=setup:passive`).
        Server = "server",
    }
}

/// How datagrams travel. TCP carries frames (RFC 4571; to a TURN server STUN's own framing): the driver cuts them on the
/// way in, so that each call of `handle_input` gets one frame's content, and gets them framed on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    /// Datagrams.
    #[default]
    Udp,
    /// A TCP connection; on the way out the driver opens it where there is none.
    Tcp,
    /// TLS over TCP, to a TURN server only.
    Tls,
}

impl Protocol {
    /// The W3C's word (`RTCIceServerTransportProtocol`, §4.8.1.10).
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
            Protocol::Tls => "tls",
        }
    }
}

/// What kind of socket a local address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum HostProtocol {
    /// A UDP socket of this connection alone.
    #[default]
    Udp,
    /// A UDP socket that other connections use as well. TURN servers are not asked over UDP from there: they know a
    /// client by its address, and an address can have one allocation (RFC 8656 §7.2).
    SharedUdp,
    /// A UDP socket of this connection alone, for TURN servers only: it makes no host candidate.
    RelayUdp,
    /// Outgoing TCP connections from this address (RFC 6544 `active`; the candidate's port is then 9).
    TcpActive,
    /// A TCP listener (RFC 6544 `passive`).
    TcpPassive,
}

/// A socket of the driver's: a base for host candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalAddress {
    /// Address and port of the socket; never the unspecified address.
    pub addr: SocketAddr,
    /// UDP, or the listening or connecting side of TCP.
    pub transport: HostProtocol,
}

/// The ECN field of an IP header (RFC 3168).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ecn {
    /// Not ECN-capable.
    #[default]
    NotEct,
    /// ECT(0).
    Ect0,
    /// ECT(1).
    Ect1,
    /// Congestion experienced.
    Ce,
}

/// Where a datagram came from and to which socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Received {
    /// The address of the socket that got it (as given to `add_local_address`).
    pub local: SocketAddr,
    /// The sender's address.
    pub remote: SocketAddr,
    /// UDP or TCP.
    pub transport: Protocol,
    /// The IP header's ECN field, where the system tells.
    pub ecn: Ecn,
}

/// Datagrams that were appended to the buffer, all for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transmit {
    /// The socket to send from.
    pub local: SocketAddr,
    /// The address to send to.
    pub remote: SocketAddr,
    /// UDP or TCP.
    pub transport: Protocol,
    /// Bytes appended, of all datagrams together.
    pub len: usize,
    /// Where several datagrams were appended: the length of each but the last, which may be shorter.
    pub segment_size: Option<usize>,
    /// The ECN field to put into the IP header.
    pub ecn: Ecn,
}

impl Transmit {
    /// How many datagrams were appended.
    #[cfg(feature = "driver")]
    pub(crate) fn datagrams(&self) -> u64 {
        let segment = self.segment_size.unwrap_or(usize::MAX).max(1);
        self.len.div_ceil(segment) as u64
    }
}

/// A message of a data channel. Text is UTF-8 and is checked when it is made by [`Message::text`] and when it arrives.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// UTF-8 text.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Message::Text(Bytes::from(text.into()))
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Message::Binary(bytes.into())
    }

    /// The payload of either kind.
    pub fn as_bytes(&self) -> &Bytes {
        match self {
            Message::Text(bytes) | Message::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(bytes) => core::str::from_utf8(bytes).ok(),
            Message::Binary(_) => None,
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Text(b) => write!(f, "Text({} bytes)", b.len()),
            Message::Binary(b) => write!(f, "Binary({} bytes)", b.len()),
        }
    }
}

/// `RTCSessionDescription`: a type and its SDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    /// Offer, pranswer, answer or rollback.
    pub type_: SdpType,
    /// The text; empty for rollback.
    pub sdp: String,
}

impl SessionDescription {
    /// A description of any type.
    pub fn new(type_: SdpType, sdp: impl Into<String>) -> Self {
        SessionDescription {
            type_,
            sdp: sdp.into(),
        }
    }

    /// An offer.
    pub fn offer(sdp: impl Into<String>) -> Self {
        Self::new(SdpType::Offer, sdp)
    }

    /// An answer.
    pub fn answer(sdp: impl Into<String>) -> Self {
        Self::new(SdpType::Answer, sdp)
    }

    /// A provisional answer.
    pub fn pranswer(sdp: impl Into<String>) -> Self {
        Self::new(SdpType::PrAnswer, sdp)
    }

    /// A rollback.
    pub fn rollback() -> Self {
        Self::new(SdpType::Rollback, "")
    }
}

/// `RTCIceCandidate` and `RTCLocalIceCandidateInit` (W3C §4.8.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IceCandidateInit {
    /// The candidate-attribute, with or without `candidate:`; empty means end of candidates of this generation.
    pub candidate: String,
    /// The mid of the media section.
    pub sdp_mid: Option<String>,
    /// The index of the media section.
    pub sdp_m_line_index: Option<u16>,
    /// The generation it belongs to.
    pub username_fragment: Option<String>,
    /// Of a relayed candidate of ours: how the TURN server is reached. Not for the far side.
    pub relay_protocol: Option<Protocol>,
    /// Of a reflexive or relayed candidate of ours: the server that it comes from. Not for the far side.
    pub url: Option<String>,
}

impl IceCandidateInit {
    /// The attributes of `RTCIceCandidate` (W3C §4.8.1): foundation, component, priority, address, protocol, port, type,
    /// related address and TCP type.
    ///
    /// # Errors
    /// [`Error::CandidateMalformed`](crate::Error::CandidateMalformed), also for the empty text that ends candidates.
    pub fn parsed(&self) -> Result<tincan_ice::Candidate, crate::Error> {
        let text = self.candidate.trim_start_matches("a=");
        text.parse().map_err(|_| crate::Error::CandidateMalformed)
    }
}

/// A gathered candidate as the application sends it over: [`IceCandidateInit`] with every field filled.
pub type IceCandidate = IceCandidateInit;

/// `RTCOfferOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfferOptions {
    /// New ICE credentials for all sections, so that ICE starts over.
    pub ice_restart: bool,
}

/// `RTCAnswerOptions`: nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerOptions {}

/// `RTCDataChannelInit` (W3C §6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataChannelInit {
    /// Whether messages come in order.
    pub ordered: bool,
    /// Give up a message after this time. Excludes `max_retransmits`. Milliseconds up to 65535.
    pub max_packet_life_time: Option<core::time::Duration>,
    /// Give up a message after so many retransmissions. Excludes `max_packet_life_time`.
    pub max_retransmits: Option<u16>,
    /// Sub-protocol, at most 65535 bytes.
    pub protocol: String,
    /// Both sides make the channel by themselves with the same `id`; nothing is said in band.
    pub negotiated: bool,
    /// The SCTP stream id, 0–65534; needed with `negotiated`, ignored without.
    pub id: Option<u16>,
    /// RFC 8831 §6.4: 128 below normal, 256 normal, 512 high, 1024 extra high.
    pub priority: u16,
}

impl Default for DataChannelInit {
    fn default() -> Self {
        DataChannelInit {
            ordered: true,
            max_packet_life_time: None,
            max_retransmits: None,
            protocol: String::new(),
            negotiated: false,
            id: None,
            priority: 256,
        }
    }
}

/// What is known of a data channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its key.
    pub key: ChannelKey,
    /// Its label.
    pub label: String,
    /// Its options; `id` is filled once known.
    pub init: DataChannelInit,
    /// Its state.
    pub state: DataChannelState,
    /// Whether the far side opened it in band.
    pub remote: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_reverse_and_intersect() {
        for a in [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ] {
            assert_eq!(a.reversed().reversed(), a);
            assert_eq!(a.intersection(Direction::SendRecv), a);
            assert_eq!(a.intersection(Direction::Inactive), Direction::Inactive);
        }
        assert_eq!(Direction::SendOnly.reversed(), Direction::RecvOnly);
        assert_eq!(
            Direction::SendOnly.intersection(Direction::RecvOnly),
            Direction::Inactive
        );
    }

    #[test]
    fn sdp_types_round_trip() {
        for t in [
            SdpType::Offer,
            SdpType::PrAnswer,
            SdpType::Answer,
            SdpType::Rollback,
        ] {
            assert_eq!(t.as_str().parse(), Ok(t));
        }
        assert_eq!("Offer".parse::<SdpType>(), Err(UnknownSdpType));
    }
}
