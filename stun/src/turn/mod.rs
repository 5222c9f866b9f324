//! TURN (RFC 8656, RFC 6062): a relay's client and the relay.
//!
//! [`client::Client`] keeps one allocation on one server; [`server::Server`]
//! keeps thousands. Neither touches a socket.

pub mod channel_data;
pub mod client;
pub mod server;

pub use channel_data::ChannelData;

/// What carries STUN messages between a client and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams: UDP, DTLS over UDP.
    Udp,
    /// A stream: TCP, TLS over TCP.
    Tcp,
}

impl Transport {
    pub(crate) fn reliability(self) -> crate::transaction::Reliability {
        match self {
            Transport::Udp => crate::transaction::Reliability::Unreliable,
            Transport::Tcp => crate::transaction::Reliability::Reliable,
        }
    }
}

/// Octets that the header of a Send or Data indication takes in front of the
/// payload, for a peer of this address: message header, XOR-PEER-ADDRESS and
/// the header of DATA.
pub(crate) fn indication_head_len(peer: &std::net::SocketAddr) -> usize {
    use crate::attributes::xor_address_len;
    crate::limits::HEADER_LEN + 4 + xor_address_len(peer) + 4
}

/// Room in front of a payload that is enough for either form of either family.
pub const MAX_DATA_HEADROOM: usize = 48;

/// Fills `head` (exactly [`indication_head_len`] octets) for a payload of
/// `len` octets. XOR-PEER-ADDRESS stands first so that DATA can be last and
/// the payload need not move.
pub(crate) fn write_indication_head(
    method: crate::message::Method,
    id: &crate::message::TransactionId,
    peer: &std::net::SocketAddr,
    len: u16,
    head: &mut [u8],
) {
    use crate::attributes::{write_xor_address, xor_address_len};
    use crate::message::{Class, MAGIC_COOKIE, encode_type};
    let address_len = xor_address_len(peer);
    let padded = (u32::from(len) + 3) & !3;
    let total = padded + (4 + address_len + 4) as u32;
    let [t0, t1] = encode_type(Class::Indication, method).to_be_bytes();
    let [l0, l1] = (total as u16).to_be_bytes();
    let [c0, c1, c2, c3] = MAGIC_COOKIE.to_be_bytes();
    let Some((fixed, rest)) = head.split_first_chunk_mut::<8>() else {
        return;
    };
    *fixed = [t0, t1, l0, l1, c0, c1, c2, c3];
    let Some((id_slot, rest)) = rest.split_first_chunk_mut::<12>() else {
        return;
    };
    *id_slot = *id.as_bytes();
    let Some((address_head, rest)) = rest.split_first_chunk_mut::<4>() else {
        return;
    };
    *address_head = [0x00, 0x12, 0, address_len as u8];
    let Some((address, data_head)) = rest.split_at_mut_checked(address_len) else {
        return;
    };
    write_xor_address(peer, id, address);
    let [d0, d1] = len.to_be_bytes();
    if data_head.len() == 4 {
        data_head.copy_from_slice(&[0x00, 0x13, d0, d1]);
    }
}
