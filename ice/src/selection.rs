//! Which pair to nominate and which pair carries data (RFC 8445 §8.1).
//!
//! Pure functions on a check list.

use std::time::{Duration, Instant};

use crate::checklist::CheckList;
use crate::pair::{Nomination, Pair, PairId};
use crate::role::Role;

/// How long better pairs get before a worse one is nominated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) reflexive: Duration,
    pub(crate) relay: Duration,
}

impl Patience {
    fn of(self, pair: &Pair) -> Duration {
        if pair.is_host_to_host() {
            Duration::ZERO
        } else if pair.is_relayed() {
            self.relay
        } else {
            self.reflexive
        }
    }
}

/// What a controlling agent should do about nomination now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Nothing works, or everything is settled.
    Nothing,
    /// Nominate this one.
    Nominate(PairId),
    /// Look again at this time.
    Wait(Instant),
}

/// What [`advise`] looks at.
pub(crate) struct Situation {
    pub(crate) now: Instant,
    /// When the first pair succeeded.
    pub(crate) first_valid: Option<Instant>,
    pub(crate) patience: Patience,
    /// The peer understands renomination: nominations may follow each other.
    pub(crate) renomination: bool,
}

/// A pair to choose.
fn usable(&(_, pair): &(PairId, &Pair)) -> bool {
    pair.is_valid() && !pair.avoided
}

/// Advises the controlling agent.
pub(crate) fn advise(list: &CheckList, s: &Situation) -> Advice {
    let Some((best, pair)) = list.iter().find(usable) else {
        return Advice::Nothing;
    };
    let settled = list
        .iter()
        .find(|(_, p)| p.nomination != Nomination::None && !p.avoided);
    if let Some((current, nominated)) = settled {
        let better = s.renomination && pair.priority > nominated.priority && current != best;
        return if better && pair.nomination == Nomination::None {
            Advice::Nominate(best)
        } else {
            Advice::Nothing
        };
    }
    // With renomination a better pair can follow at any time: no reason to wait.
    if s.renomination || !list.better_is_open(pair.priority) {
        return Advice::Nominate(best);
    }
    let until = s.first_valid.unwrap_or(s.now) + s.patience.of(pair);
    if s.now >= until {
        Advice::Nominate(best)
    } else {
        Advice::Wait(until)
    }
}

/// The pair that data should go by.
///
/// A nominated pair before any other; among several the order that the
/// nomination rules give; before any nomination the best that works. A silent
/// pair is better than none.
pub(crate) fn select(
    list: &CheckList,
    role: Role,
    renomination: bool,
    current: Option<PairId>,
) -> Option<PairId> {
    let nominated = list.iter().filter(usable).filter(|(_, p)| p.nominated());
    let chosen = if renomination || role == Role::Controlling {
        // The last nomination wins; a numbered one before any without number.
        nominated.max_by_key(|(_, p)| p.nominated_at)
    } else {
        // RFC 8445 allows one; of aggressive peers' several, the best.
        nominated.max_by_key(|(_, p)| p.priority)
    };
    let chosen = chosen.map(|(id, _)| id);
    chosen.or_else(|| {
        let valid = |id: &PairId| list.get(*id).is_some_and(Pair::is_valid);
        let Some((best, pair)) = list.iter().find(usable) else {
            let any = || list.iter().map(|(id, _)| id).find(valid);
            return current.filter(valid).or_else(any);
        };
        // Provisional: stay where we are unless a better one works.
        let as_good = |p: &Pair| p.is_valid() && !p.avoided && p.priority >= pair.priority;
        let stay = current.filter(|id| list.get(*id).is_some_and(as_good));
        stay.or(Some(best))
    })
}

/// Working pairs to keep as reserves: one on another base, one to another
/// remote address, then the next best.
pub(crate) fn backups(list: &CheckList, selected: PairId, count: usize) -> Vec<PairId> {
    let Some(current) = list.get(selected) else {
        return Vec::new();
    };
    // Most connections have no reserves, and are asked for them all their life.
    let mut chosen: Vec<PairId> = Vec::new();
    let valid = || {
        list.iter()
            .filter(|(id, p)| p.is_valid() && *id != selected)
    };
    let other_base = valid().find(|(_, p)| p.base != current.base);
    let other_remote = valid().find(|(id, p)| {
        p.remote_addr.ip() != current.remote_addr.ip() && Some(*id) != other_base.map(|(id, _)| id)
    });
    for (id, _) in other_base.into_iter().chain(other_remote).chain(valid()) {
        if chosen.len() < count && !chosen.contains(&id) {
            chosen.push(id);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::CandidateKind;
    use crate::checklist::Insertion;
    use crate::pair::{BaseId, LocalId, NewPair, PairState, RemoteId};
    use crate::priority::Priority;

    fn add(list: &mut CheckList, kind: CandidateKind, priority: u32, state: PairState) -> PairId {
        let n = u16::try_from(list.len()).unwrap_or(0);
        let pair = NewPair {
            base: BaseId(n),
            local: LocalId(n),
            local_kind: kind,
            local_priority: Priority(priority),
            remote: RemoteId(n),
            remote_addr: ([192, 0, 2, 1], 1000 + n).into(),
            remote_kind: CandidateKind::Host,
            remote_priority: Priority(priority),
            foundation: (u32::from(n), 0),
            reliable: false,
        };
        let Insertion::Added(id) = list.insert(pair, Role::Controlling, None) else {
            return PairId(u16::MAX);
        };
        if let Some(p) = list.get_mut(id) {
            p.state = state;
        }
        id
    }

    fn situation(now: Instant) -> Situation {
        Situation {
            now,
            first_valid: Some(now),
            patience: Patience {
                reflexive: Duration::from_millis(100),
                relay: Duration::from_millis(500),
            },
            renomination: false,
        }
    }

    #[test]
    fn the_best_possible_pair_is_nominated_at_once() {
        let mut list = CheckList::default();
        let best = add(&mut list, CandidateKind::Relayed, 20, PairState::Succeeded);
        add(&mut list, CandidateKind::Host, 10, PairState::Waiting);
        assert_eq!(
            advise(&list, &situation(Instant::now())),
            Advice::Nominate(best)
        );
    }

    #[test]
    fn a_relay_waits_for_better_ones_but_not_for_ever() {
        let mut list = CheckList::default();
        let now = Instant::now();
        let relay = add(&mut list, CandidateKind::Relayed, 10, PairState::Succeeded);
        add(&mut list, CandidateKind::Host, 20, PairState::InProgress);
        let mut s = situation(now);
        let until = now + Duration::from_millis(500);
        assert_eq!(advise(&list, &s), Advice::Wait(until));
        s.now = until;
        assert_eq!(advise(&list, &s), Advice::Nominate(relay));
    }

    #[test]
    fn a_better_pair_is_nominated_again_only_if_the_peer_knows_how() {
        let mut list = CheckList::default();
        let relay = add(&mut list, CandidateKind::Relayed, 10, PairState::Succeeded);
        if let Some(p) = list.get_mut(relay) {
            p.nomination = Nomination::Done;
        }
        let host = add(&mut list, CandidateKind::Host, 20, PairState::Succeeded);
        let mut s = situation(Instant::now());
        assert_eq!(advise(&list, &s), Advice::Nothing);
        s.renomination = true;
        assert_eq!(advise(&list, &s), Advice::Nominate(host));
    }

    #[test]
    fn last_nomination_wins_with_renomination_and_priority_without() {
        let mut list = CheckList::default();
        let high = add(&mut list, CandidateKind::Host, 20, PairState::Succeeded);
        let low = add(&mut list, CandidateKind::Host, 10, PairState::Succeeded);
        for (id, at) in [(high, 1), (low, 2)] {
            if let Some(p) = list.get_mut(id) {
                p.nomination = Nomination::Done;
                p.nominated_at = Some((None, at));
            }
        }
        let chosen =
            |list: &CheckList, renomination| select(list, Role::Controlled, renomination, None);
        assert_eq!(chosen(&list, true), Some(low));
        assert_eq!(chosen(&list, false), Some(high));
        if let Some(p) = list.get_mut(high) {
            p.avoided = true;
        }
        assert_eq!(chosen(&list, false), Some(low));
        // Where all are silent, the best of them.
        if let Some(p) = list.get_mut(low) {
            p.avoided = true;
        }
        assert_eq!(chosen(&list, false), Some(high));
        assert_eq!(
            select(&list, Role::Controlled, false, Some(low)),
            Some(low),
            "no reason to move"
        );
    }

    #[test]
    fn reserves_differ_from_the_selected_pair() {
        let mut list = CheckList::default();
        let a = add(&mut list, CandidateKind::Host, 30, PairState::Succeeded);
        let b = add(&mut list, CandidateKind::Host, 20, PairState::Succeeded);
        add(&mut list, CandidateKind::Host, 10, PairState::Failed);
        assert_eq!(backups(&list, a, 2), [b]);
    }
}
