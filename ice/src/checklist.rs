//! The check list: pairs in order of priority, which of them is checked next,
//! what freezes and thaws (RFC 8445 §6.1.2 and §6.1.4).
//!
//! No bytes and no time here. A path, that is a local base and a remote
//! address, has at most one pair: server-reflexive candidates never form pairs
//! of their own, as RFC 8445 §6.1.2.4 would replace them by their base anyway.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::limits::MAX_PAIRS;
use crate::pair::{BaseId, FailureReason, NewPair, Pair, PairId, PairState};
use crate::priority::{PairPriority, Priority};
use crate::role::Role;
use crate::small_map::SmallMap;

/// What became of a new pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// It is in the list.
    Added(PairId),
    /// It is in the list; this other one had to leave and its slot is used again.
    Replaced(PairId),
    /// The path had a pair already.
    Known(PairId),
    /// The list is full of better ones.
    Refused,
}

#[derive(Debug, Default)]
pub(crate) struct CheckList {
    pairs: Vec<Pair>,
    /// Best first.
    order: Vec<PairId>,
    by_path: SmallMap<(BaseId, SocketAddr), PairId>,
    triggered: VecDeque<PairId>,
    /// Places of pairs that were taken out.
    free: Vec<PairId>,
}

impl CheckList {
    /// Gives back room that was kept for more.
    pub(crate) fn shrink(&mut self) {
        self.pairs.shrink_to_fit();
        self.order.shrink_to_fit();
        self.by_path.shrink();
        self.triggered.shrink_to_fit();
        self.free.shrink_to_fit();
    }

    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(crate) fn get(&self, id: PairId) -> Option<&Pair> {
        self.pairs.get(usize::from(id.0))
    }

    pub(crate) fn get_mut(&mut self, id: PairId) -> Option<&mut Pair> {
        self.pairs.get_mut(usize::from(id.0))
    }

    pub(crate) fn find(&self, base: BaseId, remote: SocketAddr) -> Option<PairId> {
        self.by_path.get(&(base, remote)).copied()
    }

    /// Best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PairId, &Pair)> {
        self.order
            .iter()
            .filter_map(|&id| Some((id, self.get(id)?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pair> {
        self.pairs.iter_mut()
    }

    /// Adds a pair in state Waiting or Frozen (RFC 8445 §6.1.2.6, RFC 8838 §12).
    ///
    /// The list is bounded: the pair of lowest priority that neither works nor
    /// is being checked makes room for a better one; `keep` never does.
    pub(crate) fn insert(&mut self, new: NewPair, role: Role, keep: Option<PairId>) -> Insertion {
        let path = (new.base, new.remote_addr);
        if let Some(&known) = self.by_path.get(&path) {
            return Insertion::Known(known);
        }
        let mut pair = Pair::new(new, role);
        pair.state = self.initial_state(pair.foundation);
        if let Some(free) = self.free.pop() {
            self.put(free, path, pair);
            return Insertion::Replaced(free);
        }
        if self.pairs.len() < MAX_PAIRS {
            let Ok(slot) = u16::try_from(self.pairs.len()) else {
                return Insertion::Refused;
            };
            let id = PairId(slot);
            self.insert_ordered(id, pair.priority);
            self.by_path.insert(path, id);
            self.pairs.push(pair);
            return Insertion::Added(id);
        }
        let Some(victim) = self.victim(pair.priority, keep) else {
            return Insertion::Refused;
        };
        self.take_out(victim);
        self.put(victim, path, pair);
        Insertion::Replaced(victim)
    }

    /// Takes a pair out for good: its place is another's.
    pub(crate) fn remove(&mut self, id: PairId) {
        self.take_out(id);
        if let Some(pair) = self.get_mut(id) {
            pair.state = PairState::Failed;
        }
        self.free.push(id);
    }

    fn take_out(&mut self, id: PairId) {
        self.order.retain(|&other| other != id);
        self.triggered.retain(|&other| other != id);
        if let Some(path) = self.get(id).map(|p| (p.base, p.remote_addr)) {
            self.by_path.remove(&path);
        }
    }

    fn put(&mut self, id: PairId, path: (BaseId, SocketAddr), pair: Pair) {
        self.insert_ordered(id, pair.priority);
        self.by_path.insert(path, id);
        if let Some(slot) = self.pairs.get_mut(usize::from(id.0)) {
            *slot = pair;
        }
    }

    fn insert_ordered(&mut self, id: PairId, priority: PairPriority) {
        let at = self
            .order
            .partition_point(|&other| self.get(other).is_some_and(|p| p.priority >= priority));
        self.order.insert(at, id);
    }

    fn victim(&self, better_than: PairPriority, keep: Option<PairId>) -> Option<PairId> {
        let unused = |&(id, pair): &(PairId, &Pair)| {
            Some(id) != keep
                && matches!(
                    pair.state,
                    PairState::Frozen | PairState::Waiting | PairState::Failed
                )
        };
        // Failed pairs leave first, whatever their priority.
        let failed = self
            .order
            .iter()
            .rev()
            .filter_map(|&id| Some((id, self.get(id)?)))
            .filter(unused)
            .find(|(_, pair)| pair.state == PairState::Failed);
        failed
            .or_else(|| {
                self.order
                    .iter()
                    .rev()
                    .filter_map(|&id| Some((id, self.get(id)?)))
                    .find(unused)
                    .filter(|(_, pair)| pair.priority < better_than)
            })
            .map(|(id, _)| id)
    }

    /// RFC 8838 §12: a pair waits if its foundation has no pair in the list
    /// that is still to be decided, or one that succeeded.
    fn initial_state(&self, foundation: (u32, u32)) -> PairState {
        let mut blocked = false;
        for pair in self.pairs.iter().filter(|p| p.foundation == foundation) {
            match pair.state {
                PairState::Succeeded => return PairState::Waiting,
                PairState::Waiting | PairState::InProgress => blocked = true,
                PairState::Frozen | PairState::Failed => {}
            }
        }
        if blocked {
            PairState::Frozen
        } else {
            PairState::Waiting
        }
    }

    /// RFC 8445 §7.2.5.3.3: success thaws all pairs of the same foundation.
    pub(crate) fn thaw(&mut self, foundation: (u32, u32)) {
        for pair in &mut self.pairs {
            if pair.foundation == foundation && pair.state == PairState::Frozen {
                pair.state = PairState::Waiting;
            }
        }
    }

    /// Puts a pair at the end of the triggered-check queue (RFC 8445 §7.3.1.4).
    pub(crate) fn trigger(&mut self, id: PairId) {
        let Some(pair) = self.get_mut(id) else { return };
        if pair.state != PairState::Succeeded {
            pair.state = PairState::Waiting;
        }
        pair.parked = false;
        if !pair.queued {
            pair.queued = true;
            self.triggered.push_back(id);
        }
    }

    /// Whether [`next`](Self::next) would give something.
    pub(crate) fn has_work(&self) -> bool {
        !self.triggered.is_empty()
            || self.pairs.iter().any(|p| {
                p.is_checkable() && matches!(p.state, PairState::Waiting | PairState::Frozen)
            })
    }

    /// The pair to check next (RFC 8445 §6.1.4.2): triggered ones in order of
    /// arrival, then the best that waits, then the best frozen one whose
    /// foundation nobody else is testing.
    pub(crate) fn next(&mut self) -> Option<PairId> {
        while let Some(id) = self.triggered.pop_front() {
            if let Some(pair) = self.get_mut(id) {
                pair.queued = false;
                if pair.state != PairState::Failed && !pair.blocked {
                    return Some(id);
                }
            }
        }
        let waiting = self
            .iter()
            .find(|(_, p)| p.is_checkable() && p.state == PairState::Waiting);
        if let Some((id, _)) = waiting {
            return Some(id);
        }
        let busy = |foundation| {
            self.pairs
                .iter()
                .any(|p| p.foundation == foundation && p.state == PairState::InProgress)
        };
        let frozen = |&(_, p): &(PairId, &Pair)| p.is_checkable() && p.state == PairState::Frozen;
        self.iter()
            .filter(frozen)
            .find(|(_, p)| !busy(p.foundation))
            // All foundations are being tested: nothing else to do, so don't be idle.
            .or_else(|| self.iter().find(frozen))
            .map(|(id, _)| id)
    }

    /// Computes all priorities anew after a change of role (RFC 8445 §7.2.5.1).
    pub(crate) fn set_role(&mut self, role: Role) {
        for pair in &mut self.pairs {
            pair.priority = PairPriority::compute(role, pair.local_priority, pair.remote_priority);
        }
        self.reorder();
    }

    /// A peer-reflexive candidate turned out to be a signalled one.
    pub(crate) fn set_remote_priority(&mut self, id: PairId, remote: Priority, role: Role) {
        if let Some(pair) = self.get_mut(id) {
            pair.remote_priority = remote;
            pair.priority = PairPriority::compute(role, pair.local_priority, remote);
        }
        self.reorder();
    }

    fn reorder(&mut self) {
        let pairs = &self.pairs;
        self.order
            .sort_by_key(|id| std::cmp::Reverse(pairs.get(usize::from(id.0)).map(|p| p.priority)));
    }

    /// Whether a pair that is better than `priority` is worth waiting for.
    pub(crate) fn better_is_open(&self, priority: PairPriority) -> bool {
        let unlikely = |p: &Pair| p.suspicion == Some(FailureReason::Unreachable);
        self.iter()
            .take_while(|(_, p)| p.priority > priority)
            .any(|(_, p)| p.is_open() && !unlikely(p))
    }

    /// Whether any pair may still succeed.
    pub(crate) fn any_open(&self) -> bool {
        self.pairs.iter().any(Pair::is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::CandidateKind;
    use crate::pair::{LocalId, RemoteId};
    use proptest::prelude::*;

    fn new(base: u16, port: u16, priority: u32, foundation: (u32, u32)) -> NewPair {
        NewPair {
            base: BaseId(base),
            local: LocalId(base),
            local_kind: CandidateKind::Host,
            local_priority: Priority(1000),
            remote: RemoteId(port),
            remote_addr: SocketAddr::from(([192, 0, 2, 1], port)),
            remote_kind: CandidateKind::Host,
            remote_priority: Priority(priority),
            foundation,
            reliable: false,
        }
    }

    fn insert(list: &mut CheckList, pair: NewPair) -> PairId {
        match list.insert(pair, Role::Controlling, None) {
            Insertion::Added(id) | Insertion::Replaced(id) | Insertion::Known(id) => id,
            Insertion::Refused => PairId(u16::MAX),
        }
    }

    fn state(list: &CheckList, id: PairId) -> Option<PairState> {
        list.get(id).map(|p| p.state)
    }

    #[test]
    fn one_pair_of_a_foundation_waits_and_success_thaws_the_rest() {
        let mut list = CheckList::default();
        let a = insert(&mut list, new(0, 1, 10, (1, 1)));
        let b = insert(&mut list, new(0, 2, 20, (1, 1)));
        let c = insert(&mut list, new(0, 3, 30, (2, 1)));
        assert_eq!(
            [a, b, c].map(|id| state(&list, id)),
            [
                Some(PairState::Waiting),
                Some(PairState::Frozen),
                Some(PairState::Waiting)
            ]
        );
        list.thaw((1, 1));
        assert_eq!(state(&list, b), Some(PairState::Waiting));
    }

    #[test]
    fn triggered_checks_go_before_better_pairs() {
        let mut list = CheckList::default();
        let low = insert(&mut list, new(0, 1, 10, (1, 1)));
        let high = insert(&mut list, new(0, 2, 20, (2, 1)));
        list.trigger(low);
        list.trigger(low);
        assert_eq!(list.next(), Some(low));
        if let Some(p) = list.get_mut(low) {
            p.state = PairState::InProgress;
        }
        assert_eq!(list.next(), Some(high));
        if let Some(p) = list.get_mut(high) {
            p.state = PairState::InProgress;
        }
        assert_eq!(list.next(), None);
    }

    #[test]
    fn frozen_pairs_are_taken_once_their_foundation_is_idle() {
        let mut list = CheckList::default();
        let a = insert(&mut list, new(0, 1, 10, (1, 1)));
        let b = insert(&mut list, new(0, 2, 20, (1, 1)));
        if let Some(p) = list.get_mut(a) {
            p.fail(FailureReason::NoReply);
        }
        assert_eq!(list.next(), Some(b));
    }

    #[test]
    fn full_list_drops_the_failed_then_the_worst_but_never_what_works() {
        let mut list = CheckList::default();
        for n in 0..MAX_PAIRS {
            let n = u16::try_from(n).unwrap_or(0);
            insert(
                &mut list,
                new(0, n + 1, 1000 + u32::from(n), (1, u32::from(n))),
            );
        }
        let keep = PairId(0);
        assert_eq!(
            list.insert(new(0, 900, 1, (9, 9)), Role::Controlling, Some(keep)),
            Insertion::Refused
        );
        // The worst but one leaves: the worst is kept.
        assert_eq!(
            list.insert(new(0, 901, 5000, (9, 9)), Role::Controlling, Some(keep)),
            Insertion::Replaced(PairId(1))
        );
        if let Some(p) = list.get_mut(PairId(50)) {
            p.fail(FailureReason::NoReply);
        }
        assert_eq!(
            list.insert(new(0, 902, 1, (9, 9)), Role::Controlling, Some(keep)),
            Insertion::Replaced(PairId(50))
        );
        for pair in list.iter_mut() {
            pair.state = PairState::Succeeded;
        }
        assert_eq!(
            list.insert(new(0, 903, u32::MAX, (9, 9)), Role::Controlling, None),
            Insertion::Refused
        );
        assert_eq!(list.len(), MAX_PAIRS);
    }

    proptest! {
        #[test]
        fn order_and_paths_stay_consistent(ops in proptest::collection::vec((0u16..4, 1u16..60, 0u32..100, 0u32..5, any::<bool>()), 1..300)) {
            let mut list = CheckList::default();
            for (base, port, priority, foundation, flip) in ops {
                let id = insert(&mut list, new(base, port, priority, (foundation, 0)));
                if flip {
                    list.trigger(id);
                    list.set_role(Role::Controlled);
                }
                prop_assert!(list.len() <= MAX_PAIRS);
                let priorities: Vec<_> = list.iter().map(|(_, p)| p.priority).collect();
                prop_assert!(priorities.windows(2).all(|w| w[0] >= w[1]));
                prop_assert_eq!(priorities.len(), list.len());
                for (id, pair) in list.iter() {
                    prop_assert_eq!(list.find(pair.base, pair.remote_addr), Some(id));
                }
            }
        }
    }
}
