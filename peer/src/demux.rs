//! Demultiplexing of one socket: what kind of datagram (RFC 7983, RFC 9443), and whose.
//!
//! A server has many peers on one port. [`classify`] looks at the first byte and answers "not mine" for what is left to
//! others, such as QUIC. [`Routes`] finds the peer: by 5-tuple once a connectivity check has passed, and by the
//! username fragment of a STUN request before. Neither trusts anything in the datagram: a wrong guess ends in a failed
//! integrity check of the peer that gets it.
//!
//! ```
//! use tincan_peer::demux::{Claim, Packet, Routes, classify};
//!
//! let mut routes: Routes<&str> = Routes::new();
//! routes.insert_ufrag("F7gI", "alice").unwrap();
//! let local = "10.0.0.1:3478".parse().unwrap();
//! let remote = "192.0.2.7:50000".parse().unwrap();
//!
//! // A DTLS record of somebody unknown: nobody's.
//! assert_eq!(classify(&[22, 254, 253, 0]), Packet::Dtls);
//! assert_eq!(routes.route(local, remote, &[22, 254, 253, 0]), None);
//!
//! // After a check has named alice, her address is known.
//! let now = std::time::Instant::now();
//! routes.claim_address(now, local, remote, "alice", Claim::Answered).unwrap();
//! assert_eq!(routes.route(local, remote, &[22, 254, 253, 0]), Some("alice"));
//! ```

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Instant;

use crate::limits::{
    MAX_DEMUX_ROUTES, MAX_ROUTES_A_PEER, MAX_SERVER_TRANSACTIONS, PATH_PROOF_TIME,
};

/// What a datagram is by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Packet {
    /// 0–3.
    Stun,
    /// 16–19, ZRTP: nobody's here, but known not to be QUIC.
    Zrtp,
    /// 20–63.
    Dtls,
    /// 64–79 of a known TURN server; else it may be QUIC.
    TurnChannel,
    /// 128–191 with a second byte outside of 192–223 (RFC 5761 §4).
    Rtp,
    /// 128–191 with a second byte of 192–223.
    Rtcp,
    /// Anything else, such as QUIC's long headers (192–255) and short headers (80–127, and 64–79 when not from a TURN
    /// server), or an empty datagram.
    NotMine,
}

/// The kind of a datagram, by its first two bytes (RFC 7983 §7 as updated by RFC 9443 §3; RFC 5761 §4).
pub fn classify(datagram: &[u8]) -> Packet {
    match datagram {
        [0..=3, ..] => Packet::Stun,
        [16..=19, ..] => Packet::Zrtp,
        [20..=63, ..] => Packet::Dtls,
        [64..=79, ..] => Packet::TurnChannel,
        [128..=191, 192..=223, ..] => Packet::Rtcp,
        [128..=191, ..] => Packet::Rtp,
        _ => Packet::NotMine,
    }
}

/// The local username fragment that a STUN request is addressed to: what stands before the colon in its USERNAME
/// (RFC 8445 §7.2.2). `None` if there is no USERNAME or the bytes are no STUN.
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    const USERNAME: u16 = 0x0006;
    const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    let (header, mut attributes) = datagram.split_at_checked(20)?;
    if header.get(4..8)? != MAGIC {
        return None;
    }
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let kind = u16::from_be_bytes([*head.first()?, *head.get(1)?]);
        let len = usize::from(u16::from_be_bytes([*head.get(2)?, *head.get(3)?]));
        let value = rest.get(..len)?;
        if kind == USERNAME {
            let ufrag = value.split(|b| *b == b':').next()?;
            return core::str::from_utf8(ufrag).ok();
        }
        attributes = rest.get(len.next_multiple_of(4)..)?;
    }
    None
}

fn transaction_id(datagram: &[u8]) -> Option<[u8; 12]> {
    datagram.get(8..20)?.try_into().ok()
}

/// What a peer's claim to a path rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// It answered a check there: the far side knows the password, and may have written any source address.
    Answered,
    /// Its data go there: the far side has answered a check of its own from there. (An ICE-lite agent makes none: its
    /// selection proves no more than an answer.)
    Selected,
}

/// The table is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the demultiplexer has no room for another route")]
pub struct RoutesFull;

/// Who gets a datagram: 5-tuples of paths that work, and username fragments for those that don't yet.
///
/// `K` is the caller's name for a peer. Work for each datagram is one hash look-up, two for a STUN request from a new address.
#[derive(Debug, Clone)]
pub struct Routes<K> {
    addresses: HashMap<(SocketAddr, SocketAddr), Owner<K>>,
    ufrags: HashMap<Box<str>, K>,
    /// What each peer has in the tables above, so that a peer that goes costs its own routes and not a search.
    own: HashMap<K, Own>,
    /// Requests to STUN servers by their transaction ids, and in which order they came.
    transactions: HashMap<[u8; 12], K>,
    order: VecDeque<[u8; 12]>,
}

/// Whose a path is.
#[derive(Debug, Clone, Copy)]
struct Owner<K> {
    peer: K,
    /// When the far side last proved it, where somebody says so.
    proved: Option<Instant>,
}

/// The routes of one peer: a few addresses, one fragment or two.
#[derive(Debug, Clone, Default)]
struct Own {
    addresses: Vec<(SocketAddr, SocketAddr)>,
    ufrags: Vec<Box<str>>,
}

impl<K> Default for Routes<K> {
    fn default() -> Self {
        Routes {
            addresses: HashMap::new(),
            ufrags: HashMap::new(),
            own: HashMap::new(),
            transactions: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Routes<K> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Routes STUN requests for this local username fragment to `peer`.
    ///
    /// # Errors
    /// [`RoutesFull`] beyond [`MAX_DEMUX_ROUTES`].
    pub fn insert_ufrag(&mut self, ufrag: &str, peer: K) -> Result<(), RoutesFull> {
        if self.ufrags.len() >= MAX_DEMUX_ROUTES && !self.ufrags.contains_key(ufrag) {
            return Err(RoutesFull);
        }
        match self.ufrags.insert(ufrag.into(), peer) {
            Some(old) if old == peer => return Ok(()),
            Some(old) => self.disown(old, |own| own.ufrags.retain(|u| **u != *ufrag)),
            None => {}
        }
        self.own.entry(peer).or_default().ufrags.push(ufrag.into());
        Ok(())
    }

    /// Whom a fragment is of.
    pub fn peer_of_ufrag(&self, ufrag: &str) -> Option<K> {
        self.ufrags.get(ufrag).copied()
    }

    /// Forgets a fragment, as after an ICE restart.
    pub fn remove_ufrag(&mut self, ufrag: &str) {
        if let Some(peer) = self.ufrags.remove(ufrag) {
            self.disown(peer, |own| own.ufrags.retain(|u| **u != *ufrag));
        }
    }

    fn disown(&mut self, peer: K, forget: impl FnOnce(&mut Own)) {
        if let Some(own) = self.own.get_mut(&peer) {
            forget(own);
            if own.addresses.is_empty() && own.ufrags.is_empty() {
                self.own.remove(&peer);
            }
        }
    }

    /// Routes everything between these two addresses to `peer` if the claim is good: to be called when it answers a check
    /// from there (so that the far side has proved to know the password) and when it selects the pair. Returns whether the
    /// path is the peer's now.
    ///
    /// [`Claim::Answered`] takes a path that is nobody's or was not claimed for [`PATH_PROOF_TIME`]: if it took others, two
    /// peers that live between the same addresses would take it from each other with every renewal of consent, and a
    /// request with another's source address would take his. [`Claim::Selected`] takes it from everybody. Who had it before
    /// loses it. Beyond [`MAX_ROUTES_A_PEER`] the peer's address is forgotten that was not claimed for longest.
    ///
    /// # Errors
    /// [`RoutesFull`] beyond [`MAX_DEMUX_ROUTES`].
    pub fn claim_address(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        peer: K,
        claim: Claim,
    ) -> Result<bool, RoutesFull> {
        let stands = |owner: &Owner<K>| {
            owner.peer != peer
                && owner
                    .proved
                    .is_none_or(|at| now.saturating_duration_since(at) < PATH_PROOF_TIME)
        };
        let owner = self.addresses.get(&(local, remote));
        if claim == Claim::Answered && owner.is_some_and(stands) {
            return Ok(false);
        }
        let proved = Some(now);
        self.insert(local, remote, Owner { peer, proved })?;
        Ok(true)
    }

    /// Routes everything between these two addresses to `peer`, whoever had it before, and until somebody else selects
    /// it: for what is known by other means than checks.
    ///
    /// # Errors
    /// [`RoutesFull`] beyond [`MAX_DEMUX_ROUTES`].
    pub fn insert_address(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        peer: K,
    ) -> Result<(), RoutesFull> {
        let proved = None;
        self.insert(local, remote, Owner { peer, proved })
    }

    fn insert(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        owner: Owner<K>,
    ) -> Result<(), RoutesFull> {
        let peer = owner.peer;
        let own = self.own.get(&peer);
        let swaps = own.is_some_and(|own| own.addresses.len() >= MAX_ROUTES_A_PEER);
        if self.addresses.len() >= MAX_DEMUX_ROUTES
            && !swaps
            && !self.addresses.contains_key(&(local, remote))
        {
            return Err(RoutesFull);
        }
        // One that is heard again is its peer's newest.
        if let Some(old) = self.addresses.insert((local, remote), owner) {
            self.disown(old.peer, |own| {
                own.addresses.retain(|a| *a != (local, remote))
            });
        }
        let own = self.own.entry(peer).or_default();
        if own.addresses.len() >= MAX_ROUTES_A_PEER {
            self.addresses.remove(&own.addresses.remove(0));
        }
        own.addresses.push((local, remote));
        Ok(())
    }

    /// Routes the response to this STUN request to `peer`: for requests to STUN servers, which all peers of a socket have
    /// in common, and to addresses that are another peer's as far as is known. Beyond [`MAX_SERVER_TRANSACTIONS`] the
    /// oldest request is forgotten. What is no STUN changes nothing.
    pub fn insert_request(&mut self, request: &[u8], peer: K) {
        let Some(id) = transaction_id(request) else {
            return;
        };
        if self.transactions.insert(id, peer).is_none() {
            self.order.push_back(id);
            if self.order.len() > MAX_SERVER_TRANSACTIONS
                && let Some(oldest) = self.order.pop_front()
            {
                self.transactions.remove(&oldest);
            }
        }
    }

    /// Forgets all routes of a peer. Costs as much as it has routes, however many others there are.
    pub fn remove_peer(&mut self, peer: K) {
        let Some(own) = self.own.remove(&peer) else {
            return;
        };
        for address in &own.addresses {
            self.addresses.remove(address);
        }
        for ufrag in &own.ufrags {
            self.ufrags.remove(ufrag);
        }
    }

    /// Forgets an address.
    pub fn remove_address(&mut self, local: SocketAddr, remote: SocketAddr) {
        if let Some(old) = self.addresses.remove(&(local, remote)) {
            self.disown(old.peer, |own| {
                own.addresses.retain(|a| *a != (local, remote))
            });
        }
    }

    /// Whom a STUN message names, wherever it comes from: by the transaction of a request, or by its fragment.
    pub fn named(&self, datagram: &[u8]) -> Option<K> {
        self.answered(datagram)
            .or_else(|| self.ufrags.get(local_ufrag(datagram)?))
            .copied()
    }

    /// Whose everything between these two addresses is, whatever a STUN message's fragment may say.
    pub fn owner(&self, local: SocketAddr, remote: SocketAddr) -> Option<K> {
        Some(self.addresses.get(&(local, remote))?.peer)
    }

    /// The addresses between which everything is routed to `peer`.
    pub fn addresses_of(&self, peer: K) -> impl Iterator<Item = (SocketAddr, SocketAddr)> + '_ {
        let own = self.own.get(&peer);
        own.into_iter()
            .flat_map(|own| own.addresses.iter().copied())
    }

    /// Whose datagram this is; `None` if nobody's.
    ///
    /// A STUN request goes by its username fragment first: after a restart or when two peers sit behind one address,
    /// the address alone would name the wrong one. A response goes by its transaction id first, if that of a request to
    /// a server.
    pub fn route(&self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> Option<K> {
        match classify(datagram) {
            Packet::NotMine | Packet::Zrtp => None,
            Packet::Stun => self.named(datagram).or_else(|| self.owner(local, remote)),
            _ => self.owner(local, remote),
        }
    }

    fn answered(&self, datagram: &[u8]) -> Option<&K> {
        // Success and error responses have the bit 0x0100.
        if self.transactions.is_empty() || datagram.first()? & 1 == 0 {
            return None;
        }
        self.transactions.get(&transaction_id(datagram)?)
    }

    /// Number of addresses and of fragments routed.
    pub fn len(&self) -> (usize, usize) {
        (self.addresses.len(), self.ufrags.len())
    }

    /// Whether nothing is routed.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.ufrags.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: &[u8]) -> Vec<u8> {
        let mut m = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        m.extend([7; 12]);
        // An attribute of three bytes before, to see the padding skipped.
        m.extend([0x80, 0x22, 0, 3, 1, 2, 3, 0]);
        m.extend([0, 6, 0, username.len() as u8]);
        m.extend(username);
        m.resize(m.len().next_multiple_of(4), 0);
        m
    }

    #[test]
    fn every_first_byte_is_classified_as_rfc_9443_says() {
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => Packet::Stun,
                4..=15 => Packet::NotMine,
                16..=19 => Packet::Zrtp,
                20..=63 => Packet::Dtls,
                64..=79 => Packet::TurnChannel,
                80..=127 => Packet::NotMine,
                128..=191 => Packet::Rtp,
                192..=255 => Packet::NotMine,
            };
            assert_eq!(classify(&[first, 96, 0, 0]), expected, "{first}");
        }
        assert_eq!(classify(&[]), Packet::NotMine);
        for second in 192..=223 {
            assert_eq!(classify(&[128, second]), Packet::Rtcp);
        }
    }

    #[test]
    fn a_path_is_whose_selection_or_first_answer_it_was() {
        let mut routes = Routes::new();
        let [local, remote] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let t0 = Instant::now();
        let mut claim = |seconds, peer, claim| {
            let now = t0 + std::time::Duration::from_secs(seconds);
            routes
                .claim_address(now, local, remote, peer, claim)
                .unwrap()
        };
        assert!(claim(0, 1, Claim::Answered));
        assert!(!claim(1, 2, Claim::Answered));
        assert!(claim(2, 2, Claim::Selected));
        // Consent of both is renewed: it stays with the newer.
        for n in 1..20 {
            assert!(!claim(5 * n, 1, Claim::Answered));
            assert!(claim(5 * n, 2, Claim::Answered));
        }
        // The newer falls silent, or never was there.
        assert!(!claim(109, 1, Claim::Answered));
        assert!(claim(110, 1, Claim::Answered));
        assert!(!claim(111, 2, Claim::Answered));
        assert_eq!(routes.owner(local, remote), Some(1));
    }

    #[test]
    fn request_goes_by_ufrag_before_address() {
        let local = "10.0.0.1:1".parse().unwrap();
        let remote = "10.0.0.2:2".parse().unwrap();
        let mut routes = Routes::new();
        routes.insert_ufrag("one", 1).unwrap();
        routes.insert_address(local, remote, 2).unwrap();
        assert_eq!(routes.route(local, remote, &request(b"one:far")), Some(1));
        assert_eq!(routes.route(local, remote, &request(b"other:far")), Some(2));
        assert_eq!(routes.route(remote, local, &request(b"other:far")), None);
        routes.remove_peer(2);
        routes.remove_ufrag("one");
        assert!(routes.is_empty());
    }

    #[test]
    fn a_peer_with_ever_new_addresses_leaves_room_for_others() {
        let address = |n: u16| SocketAddr::from(([10, 0, 0, 2], n));
        let local = "10.0.0.1:1".parse().unwrap();
        let mut routes = Routes::new();
        let all = 3 * MAX_ROUTES_A_PEER as u16;
        for n in 0..all {
            routes.insert_address(local, address(n), 1).unwrap();
        }
        assert_eq!(routes.len(), (MAX_ROUTES_A_PEER, 0));
        assert_eq!(routes.addresses_of(1).count(), MAX_ROUTES_A_PEER);
        assert_eq!(routes.route(local, address(0), &[22]), None);
        assert_eq!(routes.route(local, address(all - 1), &[22]), Some(1));
        // The oldest is in use, and stays.
        let first = all - MAX_ROUTES_A_PEER as u16;
        routes.insert_address(local, address(first), 1).unwrap();
        routes.insert_address(local, address(all), 1).unwrap();
        assert_eq!(routes.route(local, address(first), &[22]), Some(1));
        assert_eq!(routes.route(local, address(first + 1), &[22]), None);
        assert_eq!(routes.len(), (MAX_ROUTES_A_PEER, 0));
        routes.remove_peer(1);
        assert!(routes.is_empty() && routes.own.is_empty());
    }

    #[test]
    fn routes_that_changed_hands_leave_with_the_peer_that_has_them() {
        let address = |n: u16| SocketAddr::from(([10, 0, 0, 2], n));
        let local = "10.0.0.1:1".parse().unwrap();
        let mut routes = Routes::new();
        for peer in 0..100u16 {
            for path in 0..3 {
                routes
                    .insert_address(local, address(peer * 3 + path), peer)
                    .unwrap();
            }
            routes.insert_ufrag(&format!("u{peer}"), peer).unwrap();
        }
        // Peer 1 takes over an address and a fragment of peer 0, twice.
        for _ in 0..2 {
            routes.insert_address(local, address(0), 1).unwrap();
            routes.insert_ufrag("u0", 1).unwrap();
        }
        assert_eq!(routes.addresses_of(0).count(), 2);
        assert_eq!(routes.addresses_of(1).count(), 4);
        routes.remove_peer(0);
        assert_eq!(routes.route(local, address(0), &[22]), Some(1));
        assert_eq!(routes.route(local, address(1), &[22]), None);
        assert_eq!(routes.len(), (298, 100));
        for peer in 1..100 {
            routes.remove_peer(peer);
        }
        assert!(routes.is_empty() && routes.own.is_empty());
    }

    #[test]
    fn response_of_a_server_goes_to_who_asked() {
        let local = "10.0.0.1:1".parse().unwrap();
        let server = "192.0.2.2:3478".parse().unwrap();
        let mut routes = Routes::new();
        let message = |class: u8, id: u8| {
            let mut m = vec![class, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
            m.extend([id; 12]);
            m
        };
        routes.insert_request(&message(0, 1), "one");
        routes.insert_request(&message(0, 2), "two");
        routes.insert_request(&[0, 1, 0], "nobody");
        assert_eq!(routes.route(local, server, &message(1, 1)), Some("one"));
        assert_eq!(routes.route(local, server, &message(1, 2)), Some("two"));
        // A request with the same id, or an unknown one, is no answer.
        assert_eq!(routes.route(local, server, &message(0, 1)), None);
        assert_eq!(routes.route(local, server, &message(1, 3)), None);
        for n in 0..MAX_SERVER_TRANSACTIONS as u32 {
            let mut m = message(0, 9);
            m[8..12].copy_from_slice(&n.to_be_bytes());
            routes.insert_request(&m, "many");
        }
        assert_eq!(routes.route(local, server, &message(1, 1)), None);
    }

    #[test]
    fn ufrag_survives_any_bytes() {
        assert_eq!(local_ufrag(&request(b"abcd:efgh")), Some("abcd"));
        let whole = request(b"abcd:efgh");
        for cut in 0..whole.len() {
            let _ = local_ufrag(&whole[..cut]);
        }
        assert_eq!(local_ufrag(&request(b"\xff\xfe:x")), None);
    }
}
