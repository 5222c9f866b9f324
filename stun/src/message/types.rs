//! Attribute types by number, with the names of IANA's registry.

use core::fmt;

/// The type of an attribute. Numbers without a name survive a round trip.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u16);

impl AttributeType {
    /// Whether a receiver that does not know the type must refuse the message
    /// (types below 0x8000; RFC 8489 §14).
    pub const fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }
}

macro_rules! types {
    ($($number:literal $name:ident $text:literal $doc:literal)*) => {
        impl AttributeType {
            $(#[doc = $doc] pub const $name: AttributeType = AttributeType($number);)*

            /// The registered name, if there is one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

types! {
    0x0001 MAPPED_ADDRESS "MAPPED-ADDRESS" "RFC 8489 §14.1."
    0x0003 CHANGE_REQUEST "CHANGE-REQUEST" "RFC 5780 §7.2."
    0x0006 USERNAME "USERNAME" "RFC 8489 §14.3."
    0x0008 MESSAGE_INTEGRITY "MESSAGE-INTEGRITY" "RFC 8489 §14.5."
    0x0009 ERROR_CODE "ERROR-CODE" "RFC 8489 §14.8."
    0x000A UNKNOWN_ATTRIBUTES "UNKNOWN-ATTRIBUTES" "RFC 8489 §14.13."
    0x000C CHANNEL_NUMBER "CHANNEL-NUMBER" "RFC 8656 §18.1."
    0x000D LIFETIME "LIFETIME" "RFC 8656 §18.2."
    0x0012 XOR_PEER_ADDRESS "XOR-PEER-ADDRESS" "RFC 8656 §18.3."
    0x0013 DATA "DATA" "RFC 8656 §18.4."
    0x0014 REALM "REALM" "RFC 8489 §14.9."
    0x0015 NONCE "NONCE" "RFC 8489 §14.10."
    0x0016 XOR_RELAYED_ADDRESS "XOR-RELAYED-ADDRESS" "RFC 8656 §18.5."
    0x0017 REQUESTED_ADDRESS_FAMILY "REQUESTED-ADDRESS-FAMILY" "RFC 8656 §18.6."
    0x0018 EVEN_PORT "EVEN-PORT" "RFC 8656 §18.7."
    0x0019 REQUESTED_TRANSPORT "REQUESTED-TRANSPORT" "RFC 8656 §18.8."
    0x001A DONT_FRAGMENT "DONT-FRAGMENT" "RFC 8656 §18.9."
    0x001B ACCESS_TOKEN "ACCESS-TOKEN" "RFC 7635 §6.2."
    0x001C MESSAGE_INTEGRITY_SHA256 "MESSAGE-INTEGRITY-SHA256" "RFC 8489 §14.6."
    0x001D PASSWORD_ALGORITHM "PASSWORD-ALGORITHM" "RFC 8489 §14.12."
    0x001E USERHASH "USERHASH" "RFC 8489 §14.4."
    0x0020 XOR_MAPPED_ADDRESS "XOR-MAPPED-ADDRESS" "RFC 8489 §14.2."
    0x0022 RESERVATION_TOKEN "RESERVATION-TOKEN" "RFC 8656 §18.10."
    0x0024 PRIORITY "PRIORITY" "RFC 8445 §16.1."
    0x0025 USE_CANDIDATE "USE-CANDIDATE" "RFC 8445 §16.1."
    0x0026 PADDING "PADDING" "RFC 5780 §7.6."
    0x0027 RESPONSE_PORT "RESPONSE-PORT" "RFC 5780 §7.5."
    0x002A CONNECTION_ID "CONNECTION-ID" "RFC 6062 §6.2.1."
    0x8000 ADDITIONAL_ADDRESS_FAMILY "ADDITIONAL-ADDRESS-FAMILY" "RFC 8656 §18.11."
    0x8001 ADDRESS_ERROR_CODE "ADDRESS-ERROR-CODE" "RFC 8656 §18.12."
    0x8002 PASSWORD_ALGORITHMS "PASSWORD-ALGORITHMS" "RFC 8489 §14.11."
    0x8003 ALTERNATE_DOMAIN "ALTERNATE-DOMAIN" "RFC 8489 §14.16."
    0x8004 ICMP "ICMP" "RFC 8656 §18.13."
    0x8022 SOFTWARE "SOFTWARE" "RFC 8489 §14.14."
    0x8023 ALTERNATE_SERVER "ALTERNATE-SERVER" "RFC 8489 §14.15."
    0x8025 TRANSACTION_TRANSMIT_COUNTER "TRANSACTION-TRANSMIT-COUNTER" "RFC 7982 §3.1."
    0x8027 CACHE_TIMEOUT "CACHE-TIMEOUT" "RFC 5780 §9.1: registered, its use described nowhere."
    0x8028 FINGERPRINT "FINGERPRINT" "RFC 8489 §14.7."
    0x8029 ICE_CONTROLLED "ICE-CONTROLLED" "RFC 8445 §16.1."
    0x802A ICE_CONTROLLING "ICE-CONTROLLING" "RFC 8445 §16.1."
    0x802B RESPONSE_ORIGIN "RESPONSE-ORIGIN" "RFC 5780 §7.3."
    0x802C OTHER_ADDRESS "OTHER-ADDRESS" "RFC 5780 §7.4."
    0x802D ECN_CHECK_STUN "ECN-CHECK STUN" "RFC 6679 §7.2.2."
    0x802E THIRD_PARTY_AUTHORIZATION "THIRD-PARTY-AUTHORIZATION" "RFC 7635 §6.1."
    0x8030 MOBILITY_TICKET "MOBILITY-TICKET" "RFC 8016 §3.5."
    0xC000 CISCO_STUN_FLOWDATA "CISCO-STUN-FLOWDATA" "Registered to Cisco."
    0xC001 NOMINATION "NOMINATION" "draft-thatcher-ice-renomination, with the number that libwebrtc uses (registered as ENF-FLOW-DESCRIPTION)."
    0xC002 ENF_NETWORK_STATUS "ENF-NETWORK-STATUS" "Registered to Cisco."
    0xC003 CISCO_WEBEX_FLOW_INFO "CISCO-WEBEX-FLOW-INFO" "Registered to Cisco."
    0xC056 CITRIX_TRANSACTION_ID "CITRIX-TRANSACTION-ID" "Registered to Citrix."
    0xC057 GOOG_NETWORK_INFO "GOOG-NETWORK-INFO" "Network id and cost, libwebrtc."
    0xC058 GOOG_LAST_ICE_CHECK_RECEIVED "GOOG-LAST-ICE-CHECK-RECEIVED" "libwebrtc."
    0xC059 GOOG_MISC_INFO "GOOG-MISC-INFO" "libwebrtc."
    0xC05A GOOG_OBSOLETE_1 "GOOG-OBSOLETE-1" "libwebrtc."
    0xC05B GOOG_CONNECTION_ID "GOOG-CONNECTION-ID" "libwebrtc."
    0xC05C GOOG_DELTA "GOOG-DELTA" "libwebrtc."
    0xC05D GOOG_DELTA_ACK "GOOG-DELTA-ACK" "libwebrtc."
    0xC05E GOOG_DELTA_SYNC_REQ "GOOG-DELTA-SYNC-REQ" "libwebrtc."
    0xC060 GOOG_MESSAGE_INTEGRITY_32 "GOOG-MESSAGE-INTEGRITY-32" "Integrity cut to four octets, for GOOG_PING; libwebrtc."
    0xC070 DTLS_IN_STUN "META-DTLS-IN-STUN" "A DTLS datagram carried in a check (SPED)."
    0xC071 DTLS_IN_STUN_ACK "META-DTLS-IN-STUN-ACKNOWLEDGEMENT" "DTLS datagrams that arrived in checks (SPED)."
}

impl fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Attribute(0x{:04x})", self.0),
        }
    }
}
