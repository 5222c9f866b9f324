//! Typed attributes: every one registered for STUN, TURN and ICE, and the
//! widely deployed others.
//!
//! Each is a small value that borrows from the message it was read from.
//! [`Message::get`](crate::message::Message::get) reads one,
//! [`Writer::push`](crate::message::Writer::push) writes one.

mod address;
mod error_code;
mod structured;
#[cfg(test)]
mod tests;

pub use address::{
    AlternateServer, Family, MappedAddress, OtherAddress, ResponseOrigin, XorMappedAddress,
    XorPeerAddress, XorRelayedAddress,
};
pub(crate) use address::{write_xor_address, xor_address_len};
pub use error_code::{AddressErrorCode, ErrorCode, UnknownAttributes};
pub use structured::{
    AdditionalAddressFamily, ChangeRequest, ChannelNumber, DtlsInStunAck, EcnCheck, EvenPort,
    GoogNetworkInfo, Icmp, Nomination, PasswordAlgorithm, PasswordAlgorithmId, PasswordAlgorithms,
    RequestedAddressFamily, RequestedTransport, ReservationToken, ResponsePort,
    TransactionTransmitCounter, UserHash,
};

use crate::error::WriteError;
use crate::limits::{MAX_TEXT_LEN, MAX_USERNAME_LEN};
use crate::message::{AttributeType, TieBreaker, TransactionId};

/// A value that stands in a message as an attribute of one type.
pub trait Attribute<'a>: Sized {
    /// The type it has on the wire.
    const TYPE: AttributeType;

    /// Reads the value (without padding) in a message with this id; `None`
    /// when it is not what the type says.
    fn decode(value: &'a [u8], id: &TransactionId) -> Option<Self>;

    /// Appends the value, without header and padding.
    ///
    /// # Errors
    /// The value may not stand on the wire.
    fn encode(&self, id: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError>;
}

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident $kind:ident $max:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a>(pub &'a str);

        impl<'a> Attribute<'a> for $name<'a> {
            const TYPE: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
                if value.len() > $max {
                    return None;
                }
                core::str::from_utf8(value).ok().map($name)
            }

            #[inline]
            fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
                if self.0.len() > $max {
                    return Err(WriteError::ValueTooLong(Self::TYPE));
                }
                out.extend_from_slice(self.0.as_bytes());
                Ok(())
            }
        }
    )*};
}

text! {
    /// Whose credentials are used (RFC 8489 §14.3); in ICE `theirs:ours`.
    Username USERNAME MAX_USERNAME_LEN;
    /// The realm of a long-term credential (§14.9).
    Realm REALM MAX_TEXT_LEN;
    /// What the server wants to see again (§14.10).
    Nonce NONCE MAX_TEXT_LEN;
    /// Who sends, for people (§14.14).
    Software SOFTWARE MAX_TEXT_LEN;
    /// The name to check against the alternate server's certificate (§14.16).
    AlternateDomain ALTERNATE_DOMAIN 255;
    /// The name of the authorization server (RFC 7635 §6.1).
    ThirdPartyAuthorization THIRD_PARTY_AUTHORIZATION MAX_TEXT_LEN;
}

macro_rules! octets {
    ($($(#[$doc:meta])* $name:ident $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a>(pub &'a [u8]);

        impl<'a> Attribute<'a> for $name<'a> {
            const TYPE: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
                Some($name(value))
            }

            #[inline]
            fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
                out.extend_from_slice(self.0);
                Ok(())
            }
        }
    )*};
}

octets! {
    /// Application data in Send and Data indications (RFC 8656 §18.4).
    Data DATA;
    /// Filler to make a message large (RFC 5780 §7.6).
    Padding PADDING;
    /// What lets an allocation move to another address (RFC 8016 §3.5).
    MobilityTicket MOBILITY_TICKET;
    /// An encrypted token of an authorization server (RFC 7635 §6.2).
    AccessToken ACCESS_TOKEN;
    /// One DTLS handshake datagram inside a check (SPED).
    DtlsInStun DTLS_IN_STUN;
    /// The id of the last check received, as libwebrtc echoes it.
    GoogLastIceCheckReceived GOOG_LAST_ICE_CHECK_RECEIVED;
    /// A list of 16-bit numbers by which libwebrtc negotiates GOOG_PING and others.
    GoogMiscInfo GOOG_MISC_INFO;
    /// libwebrtc's identification of a connection.
    GoogConnectionId GOOG_CONNECTION_ID;
    /// A change of session data carried by libwebrtc's checks.
    GoogDelta GOOG_DELTA;
    /// Acknowledges [`GoogDelta`].
    GoogDeltaAck GOOG_DELTA_ACK;
    /// Asks for the whole instead of changes.
    GoogDeltaSyncReq GOOG_DELTA_SYNC_REQ;
    /// Flow metadata (registered to Cisco; opaque here).
    CiscoStunFlowdata CISCO_STUN_FLOWDATA;
    /// Network status (registered to Cisco; opaque here).
    EnfNetworkStatus ENF_NETWORK_STATUS;
    /// Flow metadata (registered to Cisco; opaque here).
    CiscoWebexFlowInfo CISCO_WEBEX_FLOW_INFO;
    /// A transaction id inside the message (registered to Citrix; opaque here).
    CitrixTransactionId CITRIX_TRANSACTION_ID;
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl<'a> Attribute<'a> for $name {
            const TYPE: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
                value.is_empty().then_some($name)
            }

            #[inline]
            fn encode(&self, _: &TransactionId, _: &mut Vec<u8>) -> Result<(), WriteError> {
                Ok(())
            }
        }
    )*};
}

flags! {
    /// The controlling agent nominates this pair (RFC 8445 §16.1).
    UseCandidate USE_CANDIDATE;
    /// Set DF on what is relayed (RFC 8656 §18.9).
    DontFragment DONT_FRAGMENT;
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty) $kind:ident $wire:ty, $make:expr, $take:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub $inner);

        impl<'a> Attribute<'a> for $name {
            const TYPE: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
                let make: fn($wire) -> $inner = $make;
                Some($name(make(<$wire>::from_be_bytes(value.try_into().ok()?))))
            }

            #[inline]
            fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
                let take: fn($inner) -> $wire = $take;
                out.extend_from_slice(&take(self.0).to_be_bytes());
                Ok(())
            }
        }
    )*};
}

numbers! {
    /// The priority a peer-reflexive candidate would have (RFC 8445 §16.1).
    Priority(u32) PRIORITY u32, |n| n, |n| n;
    /// Seconds until an allocation expires (RFC 8656 §18.2).
    Lifetime(u32) LIFETIME u32, |n| n, |n| n;
    /// Seconds a binding may be remembered (registered by RFC 5780).
    CacheTimeout(u32) CACHE_TIMEOUT u32, |n| n, |n| n;
    /// Names one peer data connection (RFC 6062 §6.2.1).
    ConnectionId(u32) CONNECTION_ID u32, |n| n, |n| n;
    /// The sender is controlled (RFC 8445 §16.1).
    IceControlled(TieBreaker) ICE_CONTROLLED u64, TieBreaker, |t| t.0;
    /// The sender is controlling (RFC 8445 §16.1).
    IceControlling(TieBreaker) ICE_CONTROLLING u64, TieBreaker, |t| t.0;
    /// HMAC-SHA1 cut to four octets, on GOOG_PING (libwebrtc).
    GoogMessageIntegrity32(u32) GOOG_MESSAGE_INTEGRITY_32 u32, |n| n, |n| n;
}
