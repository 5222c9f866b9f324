//! Which names are asked for by multicast, on whose behalf, and whose are next.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use tincan_ice::MdnsName;
use tincan_ice::limits::MAX_UNRESOLVED_NAMES;

use super::slot::PeerId;
use crate::limits::{MAX_LOOKUPS, MAX_NAMES_A_PEER};

/// What becomes of a wish to know a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To be asked for now.
    Ask,
    /// An answer comes later.
    Waits,
    /// The peer has too many.
    Refused,
}

/// The names of one peer.
#[derive(Debug, Default)]
struct Wanted {
    /// Asked for now, by this peer or by another: at most [`MAX_UNRESOLVED_NAMES`].
    asked: Vec<MdnsName>,
    /// At most [`MAX_LOOKUPS`].
    later: VecDeque<MdnsName>,
    /// In [`Names::turns`].
    in_turns: bool,
}

impl Wanted {
    /// Gives the peer a turn, if it may have another name asked for, and wishes it.
    fn line_up(&mut self, peer: PeerId, turns: &mut VecDeque<PeerId>) {
        if !self.in_turns && self.asked.len() < MAX_NAMES_A_PEER && !self.later.is_empty() {
            self.in_turns = true;
            turns.push_back(peer);
        }
    }
}

/// All names that peers wait for. Who signals many waits for his own: peers take turns, each has few at once.
#[derive(Debug, Default)]
pub(super) struct Names {
    asked: HashMap<MdnsName, Vec<PeerId>>,
    peers: HashMap<PeerId, Wanted>,
    /// Peers that may have another name asked for.
    turns: VecDeque<PeerId>,
}

impl Names {
    /// A peer wants to know a name.
    pub(super) fn want(&mut self, name: MdnsName, peer: PeerId) -> Wish {
        let wanted = self.peers.entry(peer).or_default();
        if wanted.asked.contains(&name) || wanted.later.contains(&name) {
            return Wish::Waits;
        }
        if let Some(peers) = self.asked.get_mut(&name) {
            peers.push(peer);
            wanted.asked.push(name);
            return Wish::Waits;
        }
        if self.asked.len() < MAX_UNRESOLVED_NAMES && wanted.asked.len() < MAX_NAMES_A_PEER {
            self.asked.insert(name, vec![peer]);
            wanted.asked.push(name);
            return Wish::Ask;
        }
        if wanted.later.len() >= MAX_LOOKUPS {
            return Wish::Refused;
        }
        wanted.later.push_back(name);
        wanted.line_up(peer, &mut self.turns);
        Wish::Waits
    }

    /// A name is decided: who waits for it.
    pub(super) fn decided(&mut self, name: MdnsName) -> Vec<PeerId> {
        let peers = self.asked.remove(&name).unwrap_or_default();
        for peer in &peers {
            let Entry::Occupied(mut entry) = self.peers.entry(*peer) else {
                continue;
            };
            let wanted = entry.get_mut();
            wanted.asked.retain(|asked| *asked != name);
            wanted.line_up(*peer, &mut self.turns);
            if wanted.asked.is_empty() && wanted.later.is_empty() {
                entry.remove();
            }
        }
        peers
    }

    /// The next name to be asked for, if there is room.
    pub(super) fn next(&mut self) -> Option<MdnsName> {
        while self.asked.len() < MAX_UNRESOLVED_NAMES {
            let peer = self.turns.pop_front()?;
            let Some(wanted) = self.peers.get_mut(&peer) else {
                continue;
            };
            wanted.in_turns = false;
            // It may have got what others asked for meanwhile.
            if wanted.asked.len() >= MAX_NAMES_A_PEER {
                continue;
            }
            let Some(name) = wanted.later.pop_front() else {
                continue;
            };
            wanted.asked.push(name);
            wanted.line_up(peer, &mut self.turns);
            match self.asked.entry(name) {
                Entry::Occupied(mut others) => others.get_mut().push(peer),
                Entry::Vacant(place) => {
                    place.insert(vec![peer]);
                    return Some(name);
                }
            }
        }
        None
    }

    /// A peer is gone. What is asked for on its behalf keeps its place until it is decided.
    pub(super) fn forget(&mut self, peer: PeerId) {
        let Some(wanted) = self.peers.remove(&peer) else {
            return;
        };
        if wanted.in_turns {
            self.turns.retain(|other| *other != peer);
        }
        for name in wanted.asked {
            if let Some(peers) = self.asked.get_mut(&name) {
                peers.retain(|other| *other != peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn peer(index: u32) -> PeerId {
        PeerId {
            index,
            generation: 0,
        }
    }

    fn random(count: usize) -> Vec<MdnsName> {
        let mut rng = StdRng::seed_from_u64(1);
        (0..count).map(|_| MdnsName::random(&mut rng)).collect()
    }

    /// Nobody has any of the names: decides all that are asked for, and gives those that are asked for then.
    fn round(names: &mut Names) -> Vec<MdnsName> {
        let asked: Vec<_> = names.asked.keys().copied().collect();
        for name in asked {
            names.decided(name);
        }
        std::iter::from_fn(|| names.next()).collect()
    }

    #[test]
    fn those_of_crowds_do_not_crowd_out_those_of_others() {
        let mut names = Names::default();
        let hostile = random(20 * MAX_LOOKUPS);
        for (n, name) in hostile.iter().enumerate() {
            let wish = names.want(*name, peer((n / MAX_LOOKUPS) as u32));
            assert_ne!(wish, Wish::Refused);
        }
        assert_eq!(names.asked.len(), MAX_UNRESOLVED_NAMES);
        let honest = MdnsName::random(&mut StdRng::seed_from_u64(2));
        assert_eq!(names.want(honest, peer(99)), Wish::Waits);
        // It is behind one name of each other.
        assert!(round(&mut names).contains(&honest));
        assert_eq!(names.decided(honest), [peer(99)]);
        // All are asked for in the end, and nothing is left.
        while !names.asked.is_empty() {
            round(&mut names);
        }
        assert!(names.peers.is_empty() && names.turns.is_empty());
    }

    #[test]
    fn a_name_that_is_wanted_again_and_again_takes_one_place() {
        let mut names = Names::default();
        let all = random(MAX_NAMES_A_PEER + 1);
        for _ in 0..10_000 {
            for name in &all {
                names.want(*name, peer(1));
            }
        }
        let wanted = &names.peers[&peer(1)];
        assert_eq!((wanted.asked.len(), wanted.later.len()), (4, 1));
        assert_eq!(names.decided(all[0]), [peer(1)]);
        assert_eq!(names.next(), Some(all[MAX_NAMES_A_PEER]));
    }

    #[test]
    fn a_peer_has_so_many_at_most() {
        let mut names = Names::default();
        let most = MAX_NAMES_A_PEER + MAX_LOOKUPS;
        let refused = random(10_000)
            .into_iter()
            .filter(|name| names.want(*name, peer(1)) == Wish::Refused);
        assert_eq!(refused.count(), 10_000 - most);
    }

    #[test]
    fn those_who_leave_leave_nothing_behind() {
        let mut names = Names::default();
        for (n, name) in random(10_000).into_iter().enumerate() {
            let peer = peer((n / 10) as u32);
            names.want(name, peer);
            if n % 10 == 9 {
                names.forget(peer);
            }
        }
        assert!(names.peers.is_empty() && names.turns.is_empty());
        assert_eq!(names.asked.len(), MAX_UNRESOLVED_NAMES);
        let honest = MdnsName::random(&mut StdRng::seed_from_u64(2));
        assert_eq!(names.want(honest, peer(0)), Wish::Waits);
        assert!(round(&mut names).contains(&honest));
    }

    #[test]
    fn peers_that_want_the_same_name_share_a_question() {
        let mut names = Names::default();
        let name = random(1)[0];
        assert_eq!(names.want(name, peer(1)), Wish::Ask);
        assert_eq!(names.want(name, peer(2)), Wish::Waits);
        names.forget(peer(1));
        assert_eq!(names.decided(name), [peer(2)]);
        assert!(names.peers.is_empty());
    }
}
