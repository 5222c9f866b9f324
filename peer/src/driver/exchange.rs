//! What loops that share a port tell each other.
//!
//! The system spreads datagrams over the sockets of one port by a hash of their addresses; it knows nothing of peers.
//! Whoever gets a datagram of another loop's peer hands it over by that loop's bounded queue. Who has which peer stands
//! in a directory: username fragments, for checks from new addresses, transactions of checks, for their answers, and
//! addresses, for everything after. A loop asks it once for each foreign address and remembers the answer, until some peer
//! leaves; what is at home takes no part in any of this, but for STUN messages that name nobody there.
//!
//! TCP connections are spread over the loops' listeners as well. The fragment of the first check says whose one is; the
//! task that carries it stays in the runtime that accepted it, and speaks to the loop that has the peer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use tokio::sync::mpsc;

use super::links::News;
use super::slot::PeerId;
use crate::demux::{Claim, Packet, Routes, classify};
use crate::limits::MAX_HANDED_OVER;
use crate::types::Received;

/// Datagrams taken from the queue in a round.
const HANDED_A_TURN: usize = 1_024;

/// A peer and the loop it lives in.
type Owner = (usize, PeerId);

/// Who has which peer, for all loops.
#[derive(Debug, Default)]
struct Directory {
    owners: RwLock<Routes<Owner>>,
    /// Grows when an entry leaves or changes hands.
    version: AtomicU64,
    /// Paths of each loop's peers that others' have now, for it to forget.
    moved: Vec<Mutex<Vec<PathKey>>>,
}

/// Its addresses, ours first.
type PathKey = (SocketAddr, SocketAddr);

/// Where connections go that one loop accepted and another has the peer of.
#[derive(Debug, Clone)]
pub(super) struct Homes {
    me: usize,
    directory: Arc<Directory>,
    /// Each loop's queue of news, from when it has started.
    news: Arc<[OnceLock<mpsc::Sender<News>>]>,
    /// Names of connections, the same for all loops.
    ids: Arc<AtomicU64>,
}

impl Homes {
    /// This loop takes connections from now on.
    pub(super) fn settle(&self, news: mpsc::Sender<News>) {
        if let Some(place) = self.news.get(self.me) {
            // Called once a loop.
            let _ = place.set(news);
        }
    }

    pub(super) fn ids(&self) -> Arc<AtomicU64> {
        self.ids.clone()
    }

    /// The queue of the loop that has this fragment's peer.
    pub(super) fn find(&self, ufrag: &str) -> Option<mpsc::Sender<News>> {
        let owners = self.directory.owners.read();
        let owners = owners.unwrap_or_else(PoisonError::into_inner);
        let (owner, _) = owners.peer_of_ufrag(ufrag)?;
        self.news.get(owner)?.get().cloned()
    }
}

/// A datagram for another loop.
pub(super) type Handed = (Received, BytesMut);

/// What became of a datagram that is none of this loop's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    HandedOver,
    /// The other loop's queue is full.
    Dropped,
    /// It belongs to no loop's peer.
    Nobodys,
}

/// One loop's end.
#[derive(Debug)]
pub(super) struct Exchange {
    me: usize,
    directory: Arc<Directory>,
    queues: Vec<mpsc::Sender<Handed>>,
    queue: mpsc::Receiver<Handed>,
    /// What was taken from the queue and not yet looked at.
    pub(super) taken: Vec<Handed>,
    /// Never more than the directory has addresses.
    foreign: HashMap<PathKey, usize>,
    version: u64,
    /// What [`Directory::moved`] had for this loop.
    moved: Vec<PathKey>,
    homes: Homes,
}

impl Exchange {
    /// The ends of `count` loops.
    pub(super) fn new(count: usize) -> Vec<Self> {
        let directory = Arc::new(Directory {
            moved: (0..count).map(|_| Mutex::default()).collect(),
            ..Directory::default()
        });
        let news: Arc<[_]> = (0..count).map(|_| OnceLock::new()).collect();
        let ids = Arc::new(AtomicU64::new(0));
        let (queues, ends): (Vec<_>, Vec<_>) =
            (0..count).map(|_| mpsc::channel(MAX_HANDED_OVER)).unzip();
        let end = |(me, queue)| Self {
            me,
            directory: directory.clone(),
            queues: queues.clone(),
            queue,
            taken: Vec::new(),
            foreign: HashMap::new(),
            version: 0,
            moved: Vec::new(),
            homes: Homes {
                me,
                directory: directory.clone(),
                news: news.clone(),
                ids: ids.clone(),
            },
        };
        ends.into_iter().enumerate().map(end).collect()
    }

    pub(super) fn homes(&self) -> Homes {
        self.homes.clone()
    }

    /// To be called once a round, before anything is handed over.
    pub(super) fn begin_turn(&mut self) {
        let version = self.directory.version.load(Ordering::Acquire);
        if version != self.version {
            self.version = version;
            self.foreign.clear();
            if let Some(moved) = self.directory.moved.get(self.me) {
                let mut moved = moved.lock().unwrap_or_else(PoisonError::into_inner);
                self.moved = std::mem::take(&mut *moved);
            }
            let owners = self.directory.owners.read();
            let owners = owners.unwrap_or_else(PoisonError::into_inner);
            // It may have come back meanwhile.
            self.moved.retain(|(local, remote)| {
                let owner = owners.owner(*local, *remote);
                owner.is_none_or(|(owner, _)| owner != self.me)
            });
        }
        while self.taken.len() < HANDED_A_TURN {
            match self.queue.try_recv() {
                Ok(handed) => self.taken.push(handed),
                Err(_) => break,
            }
        }
    }

    /// Paths that this loop must forget, which peers of others have now.
    pub(super) fn moved(&mut self) -> Vec<PathKey> {
        std::mem::take(&mut self.moved)
    }

    /// Whether a datagram is a STUN message that names a peer of another loop, and none of this.
    pub(super) fn names(&self, here: &Routes<PeerId>, datagram: &[u8]) -> bool {
        if classify(datagram) != Packet::Stun || here.named(datagram).is_some() {
            return false;
        }
        let owners = self.directory.owners.read();
        let owners = owners.unwrap_or_else(PoisonError::into_inner);
        owners
            .named(datagram)
            .is_some_and(|(owner, _)| owner != self.me)
    }

    /// Whether something was handed to this loop.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.taken.is_empty() {
            return Poll::Ready(());
        }
        self.queue
            .poll_recv_many(cx, &mut self.taken, HANDED_A_TURN)
            .map(|_| ())
    }

    /// Hands a datagram that is none of this loop's to the loop that has its peer.
    pub(super) fn forward(&mut self, received: Received, datagram: BytesMut) -> Fate {
        let address = (received.local, received.remote);
        let kind = classify(&datagram);
        let known = match kind {
            Packet::NotMine | Packet::Zrtp => return Fate::Nobodys,
            Packet::Stun => None,
            _ => self.foreign.get(&address).copied(),
        };
        let owner = known.or_else(|| {
            let owners = self.directory.owners.read();
            let owners = owners.unwrap_or_else(PoisonError::into_inner);
            let (owner, _) = owners.route(received.local, received.remote, &datagram)?;
            Some(owner)
        });
        let Some(owner) = owner.filter(|owner| *owner != self.me) else {
            return Fate::Nobodys;
        };
        if kind != Packet::Stun {
            self.foreign.insert(address, owner);
        }
        let queue = self.queues.get(owner);
        match queue.map(|queue| queue.try_send((received, datagram))) {
            Some(Ok(())) => Fate::HandedOver,
            _ => Fate::Dropped,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Routes<Owner>)) {
        let owners = self.directory.owners.write();
        change(&mut owners.unwrap_or_else(PoisonError::into_inner));
    }

    fn outdate(&self) {
        self.directory.version.fetch_add(1, Ordering::AcqRel);
    }

    /// A peer of this loop claims a path: whether it is the peer's now. `None`: the directory is full, which costs the
    /// path its hand-over; datagrams that hash to this loop still arrive.
    pub(super) fn claim(
        &self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        peer: PeerId,
        claim: Claim,
    ) -> Option<bool> {
        let mut old = None;
        let mut taken = None;
        self.change(|owners| {
            old = owners.owner(local, remote);
            let owner = (self.me, peer);
            taken = owners.claim_address(now, local, remote, owner, claim).ok();
        });
        // Nobody remembers an owner of a path that had none.
        if let Some((owner, _)) = old.filter(|(owner, _)| taken == Some(true) && *owner != self.me)
        {
            if let Some(moved) = self.directory.moved.get(owner) {
                let mut moved = moved.lock().unwrap_or_else(PoisonError::into_inner);
                moved.push((local, remote));
            }
            self.outdate();
        }
        taken
    }

    /// A check of this loop's peer, whose answer may arrive at another loop.
    pub(super) fn learn_request(&self, request: &[u8], peer: PeerId) {
        self.change(|owners| owners.insert_request(request, (self.me, peer)));
    }

    /// The fragments of a peer of this loop.
    pub(super) fn learn_ufrags<'a>(&self, peer: PeerId, ufrags: impl Iterator<Item = &'a str>) {
        self.change(|owners| {
            for ufrag in ufrags {
                // As above.
                let _ = owners.insert_ufrag(ufrag, (self.me, peer));
            }
        });
    }

    pub(super) fn forget_ufrag(&self, ufrag: &str) {
        self.change(|owners| owners.remove_ufrag(ufrag));
    }

    /// A peer of this loop is gone.
    pub(super) fn forget(&self, peer: PeerId) {
        self.change(|owners| owners.remove_peer((self.me, peer)));
        self.outdate();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Ecn, Protocol};

    fn received(port: u16) -> Received {
        Received {
            local: "127.0.0.1:1".parse().unwrap(),
            remote: SocketAddr::from(([127, 0, 0, 1], port)),
            transport: Protocol::Udp,
            ecn: Ecn::NotEct,
        }
    }

    fn peer(index: u32) -> PeerId {
        PeerId {
            index,
            generation: 0,
        }
    }

    fn claim(end: &Exchange, at: Received, peer_index: u32, claim: Claim) -> bool {
        end.claim(Instant::now(), at.local, at.remote, peer(peer_index), claim)
            .unwrap()
    }

    fn dtls() -> BytesMut {
        BytesMut::from(&[22, 254, 253, 0][..])
    }

    #[test]
    fn a_datagram_goes_to_the_loop_that_has_its_peer() {
        let mut ends = Exchange::new(3);
        let at = received(7);
        assert!(claim(&ends[1], at, 4, Claim::Answered));
        ends[0].begin_turn();
        assert_eq!(ends[0].forward(at, dtls()), Fate::HandedOver);
        assert_eq!(ends[0].forward(received(8), dtls()), Fate::Nobodys);
        ends[1].begin_turn();
        ends[2].begin_turn();
        assert_eq!(ends[1].taken, [(at, dtls())]);
        assert!(ends[2].taken.is_empty());
        // The one that has it does not hand it to itself.
        assert_eq!(ends[1].forward(at, dtls()), Fate::Nobodys);
    }

    #[test]
    fn what_a_loop_remembers_ends_when_a_peer_leaves() {
        let mut ends = Exchange::new(3);
        let at = received(7);
        assert!(claim(&ends[1], at, 4, Claim::Answered));
        ends[0].begin_turn();
        assert_eq!(ends[0].forward(at, dtls()), Fate::HandedOver);
        ends[1].forget(peer(4));
        assert!(claim(&ends[2], at, 0, Claim::Answered));
        ends[0].begin_turn();
        assert_eq!(ends[0].forward(at, dtls()), Fate::HandedOver);
        ends[2].begin_turn();
        assert_eq!(ends[2].taken.len(), 1);
        ends[2].forget(peer(0));
        ends[0].begin_turn();
        assert_eq!(ends[0].forward(at, dtls()), Fate::Nobodys);
    }

    #[test]
    fn a_full_queue_drops_and_blocks_nobody() {
        let mut ends = Exchange::new(2);
        let at = received(7);
        assert!(claim(&ends[1], at, 4, Claim::Answered));
        let fates: Vec<_> = (0..MAX_HANDED_OVER + 2)
            .map(|_| ends[0].forward(at, dtls()))
            .collect();
        assert!(
            fates[..MAX_HANDED_OVER]
                .iter()
                .all(|f| *f == Fate::HandedOver)
        );
        assert_eq!(fates[MAX_HANDED_OVER..], [Fate::Dropped; 2]);
    }

    #[test]
    fn an_answer_goes_to_the_loop_that_asked() {
        let mut ends = Exchange::new(3);
        let message = |class: u8| {
            let mut message = vec![class, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
            message.extend([5; 12]);
            BytesMut::from(&message[..])
        };
        // Of strangers' answers nobody hears.
        assert_eq!(ends[0].forward(received(7), message(1)), Fate::Nobodys);
        // A peer here has the path: it is not asked.
        let at = received(7);
        let mut here = Routes::new();
        here.insert_address(at.local, at.remote, peer(1)).unwrap();
        assert!(claim(&ends[0], at, 1, Claim::Answered));
        ends[2].learn_request(&message(0), peer(4));
        assert!(ends[0].names(&here, &message(1)));
        assert!(!ends[0].names(&here, &message(0)));
        assert_eq!(ends[0].forward(at, message(1)), Fate::HandedOver);
        for (n, end) in ends.iter_mut().enumerate() {
            end.begin_turn();
            assert_eq!(end.taken.len(), usize::from(n == 2));
        }
    }

    #[test]
    fn a_check_goes_to_whom_it_names_wherever_it_comes_from() {
        let ends = Exchange::new(2);
        let at = received(7);
        let mut here = Routes::new();
        here.insert_address(at.local, at.remote, peer(1)).unwrap();
        here.insert_ufrag("here", peer(1)).unwrap();
        ends[1].learn_ufrags(peer(4), ["there"].into_iter());
        let check = |ufrag: &[u8]| {
            let mut check = vec![0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
            check.extend([5; 12]);
            check.extend([0, 6, 0, ufrag.len() as u8 + 2]);
            check.extend([ufrag, b":x"].concat());
            check.resize(check.len().next_multiple_of(4), 0);
            check
        };
        assert!(ends[0].names(&here, &check(b"there")));
        assert!(!ends[0].names(&here, &check(b"here")));
        assert!(!ends[0].names(&here, &check(b"nowhere")));
        assert!(!ends[0].names(&here, &dtls()));
    }

    #[test]
    fn a_path_that_changes_hands_is_forgotten_by_the_loop_that_had_it() {
        let mut ends = Exchange::new(3);
        let at = received(7);
        assert!(claim(&ends[0], at, 1, Claim::Selected));
        assert!(claim(&ends[1], at, 4, Claim::Selected));
        for (n, end) in ends.iter_mut().enumerate() {
            end.begin_turn();
            let expected = if n == 0 {
                vec![(at.local, at.remote)]
            } else {
                vec![]
            };
            assert_eq!(end.moved(), expected);
        }
        // There and back before the loop looks.
        assert!(claim(&ends[0], at, 1, Claim::Selected));
        assert!(claim(&ends[1], at, 4, Claim::Selected));
        assert!(claim(&ends[0], at, 2, Claim::Selected));
        assert!(!claim(&ends[1], at, 4, Claim::Answered));
        assert!(claim(&ends[0], at, 2, Claim::Answered));
        ends[0].begin_turn();
        assert!(ends[0].moved().is_empty());
        ends[1].begin_turn();
        assert!(ends[1].moved().contains(&(at.local, at.remote)));
    }

    #[test]
    fn a_path_of_a_new_peer_costs_others_nothing() {
        let ends = Exchange::new(2);
        for port in 1..100 {
            assert!(claim(&ends[0], received(port), 1, Claim::Answered));
        }
        assert_eq!(ends[1].directory.version.load(Ordering::Relaxed), 0);
    }
}
