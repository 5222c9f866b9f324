//! One ICE generation: everything that belongs to one pair of credentials.
//!
//! A restart makes a new one and keeps the old one alive until the new one has
//! found a path. What outlives generations (bases, gathering, role, pacing) is
//! the agent's and comes in by [`Context`].

mod settle;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rand::rngs::StdRng;
use tincan_stun::integrity::Key;

use crate::candidate::{Candidate, CandidateKind, TcpType};
use crate::checklist::{CheckList, Insertion};
use crate::config::{Config, Policy};
use crate::consent::Consent;
use crate::credentials::Credentials;
use crate::limits::{MAX_EARLY_CHECKS, MAX_PAIR_RETRIES, MAX_RETRIES};
use crate::locals::{BaseKind, Locals};
use crate::mdns_name::MdnsName;
use crate::pair::{BaseId, FailureReason, NewPair, Nomination, Pair, PairId, PairState, RemoteId};
use crate::priority::is_link_local;
use crate::relays::{Permission, Relays};
use crate::remotes::{Addition, Remote, Remotes};
use crate::role::Role;
use crate::stats::Counters;
use crate::transactions::Transactions;
use crate::transport::{SocketUse, Transport};
use crate::wire::Check;

/// What a generation needs of its agent for a moment.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut StdRng,
    pub(crate) config: &'a Config,
    pub(crate) role: Role,
    pub(crate) tie_breaker: u64,
    pub(crate) renomination: bool,
    pub(crate) locals: &'a mut Locals,
    pub(crate) relays: &'a mut Relays,
    pub(crate) counters: &'a mut Counters,
}

/// The peer's credentials and what follows from them.
pub(crate) struct RemoteAuth {
    pub(crate) credentials: Credentials,
    pub(crate) key: Key,
    /// USERNAME of our requests: `theirs:ours`.
    pub(crate) username: String,
}

/// A check that arrived before the peer's credentials (RFC 8445 §7.3).
struct Early {
    base: BaseId,
    transport: Transport,
    remote: SocketAddr,
    check: Check,
    their_ufrag: String,
}

pub(crate) struct Generation {
    /// Which one it is of its agent's.
    pub(crate) number: u32,
    pub(crate) local: Credentials,
    pub(crate) local_key: Key,
    pub(crate) remote: Option<RemoteAuth>,
    pub(crate) remotes: Remotes,
    pub(crate) list: CheckList,
    pub(crate) transactions: Transactions,
    pub(crate) selected: Option<PairId>,
    pub(crate) consent: Option<Consent>,
    pub(crate) end_of_candidates: bool,
    /// First check sent or received.
    pub(crate) started: Option<Instant>,
    /// When the last usable pair was lost, of this generation or, since it
    /// has none yet, of the one before.
    pub(crate) lost: Option<Instant>,
    /// The next generation has a nominated pair: until then this one still
    /// receives and answers (RFC 8445 §8.3.1).
    pub(crate) retired: Option<Instant>,
    pub(crate) first_valid: Option<Instant>,
    /// When nomination is to be thought over again.
    pub(crate) ponder: Option<Instant>,
    /// The selected pair is suspicious: look at it again.
    pub(crate) watch_at: Option<Instant>,
    /// Keep-alive of reserves.
    pub(crate) next_backup: Option<Instant>,
    pub(crate) probes: VecDeque<PairId>,
    early: Vec<Early>,
    retries: u32,
    nominations_sent: u32,
    nominations_received: u64,
    highest_nomination: Option<u32>,
}

impl Generation {
    pub(crate) fn new(number: u32, local: Credentials) -> Self {
        let local_key = Key::from_bytes(local.pwd.as_str().as_bytes());
        Self {
            number,
            local,
            local_key,
            remote: None,
            remotes: Remotes::default(),
            list: CheckList::default(),
            transactions: Transactions::default(),
            selected: None,
            consent: None,
            end_of_candidates: false,
            started: None,
            lost: None,
            retired: None,
            first_valid: None,
            ponder: None,
            watch_at: None,
            next_backup: None,
            probes: VecDeque::new(),
            early: Vec::new(),
            retries: 0,
            nominations_sent: 0,
            nominations_received: 0,
            highest_nomination: None,
        }
    }

    /// Gives back room that was kept for more.
    pub(crate) fn shrink(&mut self) {
        self.remotes.shrink();
        self.list.shrink();
        self.transactions.shrink();
        self.probes.shrink_to_fit();
        self.early.shrink_to_fit();
    }

    /// Takes the peer's credentials; checks that came early are triggered now.
    pub(crate) fn set_remote(&mut self, credentials: Credentials, cx: &mut Context<'_>) {
        let key = Key::from_bytes(credentials.pwd.as_str().as_bytes());
        let username = format!("{}:{}", credentials.ufrag, self.local.ufrag);
        self.remote = Some(RemoteAuth {
            credentials,
            key,
            username,
        });
        for early in std::mem::take(&mut self.early) {
            self.accept(
                cx,
                early.base,
                (early.transport, early.remote),
                &early.check,
                &early.their_ufrag,
            );
        }
    }

    /// Adds a signalled candidate. `false`: refused.
    pub(crate) fn add_remote(
        &mut self,
        candidate: Candidate,
        addr: Option<SocketAddr>,
        cx: &mut Context<'_>,
    ) -> bool {
        self.make_room(cx, false);
        match self.remotes.signal(candidate, addr) {
            Addition::New(id) => self.pair_remote(id, cx),
            Addition::Upgraded(id) => self.upgrade_remote(id, cx),
            Addition::Duplicate => {}
            Addition::Full => {
                cx.counters.candidates_refused += 1;
                return false;
            }
        }
        true
    }

    pub(crate) fn resolve(&mut self, name: MdnsName, ip: IpAddr, cx: &mut Context<'_>) {
        let (mut added, mut upgraded) = (Vec::new(), Vec::new());
        self.remotes
            .resolve(name, ip, |id| added.push(id), |id| upgraded.push(id));
        for id in added {
            self.pair_remote(id, cx);
        }
        for id in upgraded {
            self.upgrade_remote(id, cx);
        }
    }

    fn pair_remote(&mut self, id: RemoteId, cx: &mut Context<'_>) {
        let bases: Vec<BaseId> = cx.locals.bases().map(|(id, _)| id).collect();
        for base in bases {
            self.pair(base, id, cx);
        }
    }

    /// Pairs a new base with all remote candidates (RFC 8445 §6.1.2.2).
    pub(crate) fn pair_base(&mut self, base: BaseId, cx: &mut Context<'_>) {
        let remotes: Vec<RemoteId> = self.remotes.iter().map(|(id, _)| id).collect();
        for remote in remotes {
            self.pair(base, remote, cx);
        }
    }

    fn pair(&mut self, base: BaseId, remote: RemoteId, cx: &mut Context<'_>) {
        if cx.config.lite {
            return;
        }
        let fits = self
            .remotes
            .get(remote)
            .zip(cx.locals.base(base))
            .is_some_and(|(r, b)| pairable(cx.config, b, r));
        if fits {
            self.insert(base, remote, cx);
        }
    }

    fn insert(
        &mut self,
        base_id: BaseId,
        remote_id: RemoteId,
        cx: &mut Context<'_>,
    ) -> Option<PairId> {
        let base = cx.locals.base(base_id)?;
        let local = cx.locals.candidate(base.candidate)?;
        let remote = self.remotes.get(remote_id)?;
        let new = NewPair {
            base: base_id,
            local: base.candidate,
            local_kind: local.candidate.kind,
            local_priority: local.candidate.priority,
            remote: remote_id,
            remote_addr: remote.addr?,
            remote_kind: remote.candidate.kind,
            remote_priority: remote.candidate.priority,
            foundation: (local.foundation, remote.foundation),
            reliable: base.transport() != Transport::Udp,
        };
        let (kind, remote_addr) = (base.kind, new.remote_addr);
        let id = match self.list.insert(new, cx.role, self.selected) {
            Insertion::Known(id) => return Some(id),
            Insertion::Added(id) => id,
            Insertion::Replaced(id) => {
                self.transactions.forget(id);
                self.probes.retain(|p| *p != id);
                id
            }
            Insertion::Refused => {
                cx.counters.pairs_refused += 1;
                return None;
            }
        };
        if let (BaseKind::Relay(relay), Some(pair)) = (kind, self.list.get_mut(id)) {
            match cx.relays.permit(cx.now, relay, remote_addr.ip()) {
                Permission::Granted => {}
                Permission::Asked => pair.blocked = true,
                Permission::Refused => pair.fail(FailureReason::NoPermission),
            }
        }
        Some(id)
    }

    /// The TURN server answered about peers of this address.
    pub(crate) fn permission(&mut self, base: BaseId, ip: IpAddr, granted: bool) {
        let asked: Vec<PairId> = self
            .list
            .iter()
            .filter(|(_, p)| p.base == base && p.remote_addr.ip() == ip)
            .map(|(id, _)| id)
            .collect();
        for id in asked {
            if !granted {
                self.fail(id, FailureReason::NoPermission);
            } else if let Some(pair) = self.list.get_mut(id) {
                pair.blocked = false;
            }
        }
    }

    fn upgrade_remote(&mut self, id: RemoteId, cx: &mut Context<'_>) {
        let Some(remote) = self.remotes.get(id) else {
            return;
        };
        let (kind, priority) = (remote.candidate.kind, remote.candidate.priority);
        let pairs: Vec<PairId> = self
            .list
            .iter()
            .filter(|(_, p)| p.remote == id)
            .map(|(id, _)| id)
            .collect();
        for pair in pairs {
            if let Some(pair) = self.list.get_mut(pair) {
                pair.remote_kind = kind;
            }
            self.list.set_remote_priority(pair, priority, cx.role);
        }
        // It may now pair with bases it had not reached by itself.
        self.pair_remote(id, cx);
    }

    /// Acts on an authentic check that was answered with success
    /// (RFC 8445 §7.3.1.3 to §7.3.1.5, §7.3.2).
    pub(crate) fn accept(
        &mut self,
        cx: &mut Context<'_>,
        base: BaseId,
        from: (Transport, SocketAddr),
        check: &Check,
        their_ufrag: &str,
    ) {
        let Some(remote) = &self.remote else {
            if self.early.len() < MAX_EARLY_CHECKS {
                self.early.push(Early {
                    base,
                    transport: from.0,
                    remote: from.1,
                    check: *check,
                    their_ufrag: their_ufrag.to_owned(),
                });
            }
            return;
        };
        if remote.credentials.ufrag.as_str() != their_ufrag {
            // Another generation or a fork of the peer's: not ours to follow.
            return;
        }
        self.started.get_or_insert(cx.now);
        let Some(id) = self.find_or_learn(cx, base, from, check) else {
            return;
        };
        let Some(pair) = self.list.get_mut(id) else {
            return;
        };
        pair.heard(cx.now);
        pair.counters.requests_received += 1;
        pair.counters.responses_sent += 1;
        if self.selected == Some(id)
            && let Some(consent) = &mut self.consent
        {
            consent.heard();
        }
        if cx.config.lite {
            pair.state = PairState::Succeeded;
        } else {
            // It speaks again: does it answer, too?
            if pair.avoided && !self.probes.contains(&id) {
                self.probes.push_back(id);
            }
            self.trigger(cx, id);
        }
        if check.use_candidate && cx.role == Role::Controlled {
            self.nominated_by_peer(id, check.nomination);
        }
    }

    fn find_or_learn(
        &mut self,
        cx: &mut Context<'_>,
        base: BaseId,
        from: (Transport, SocketAddr),
        check: &Check,
    ) -> Option<PairId> {
        if let Some(id) = self.list.find(base, from.1) {
            return Some(id);
        }
        let known = self.remotes.find(from.0, from.1);
        let remote = known.or_else(|| {
            self.make_room(cx, true);
            let priority = check.priority.unwrap_or(crate::Priority(0));
            self.remotes.learn(from.0, from.1, priority)
        });
        if remote.is_none() {
            cx.counters.candidates_refused += 1;
        }
        self.insert(base, remote?, cx)
    }

    /// Where no more candidates can be signalled, or learned: forgets the one of them that was heard and checked
    /// last the longest ago, if all its pairs have been silent and left alone for as long as consent lasts. In a
    /// long call the peer changes its address more often than a table has places; one that only wants us to send
    /// checks to strangers gains no more than a table of them each time.
    fn make_room(&mut self, cx: &Context<'_>, learned: bool) {
        if !self.remotes.is_full(learned) {
            return;
        }
        let of = |id: RemoteId| self.list.iter().filter(move |(_, p)| p.remote == id);
        let idle = |(id, p): (PairId, &Pair)| {
            let last = p.last_received.max(p.last_checked);
            let recent = last.is_some_and(|at| cx.now < at + cx.config.consent_expiry);
            let decided = p.parked && learned || !p.is_open() && !p.parked;
            self.selected != Some(id) && decided && !recent
        };
        let spare = self
            .remotes
            .iter()
            .filter(|(_, r)| r.learned == learned)
            // What a signalled one without pairs waits for may come yet.
            .filter(|(id, _)| learned || of(*id).next().is_some())
            .filter(|(id, _)| of(*id).all(idle))
            .min_by_key(|(id, _)| {
                of(*id)
                    .map(|(_, p)| p.last_received.max(p.last_checked))
                    .max()
            })
            .map(|(id, _)| id);
        let Some(spare) = spare else { return };
        let pairs: Vec<PairId> = of(spare).map(|(id, _)| id).collect();
        for id in pairs {
            self.transactions.forget(id);
            self.probes.retain(|p| *p != id);
            self.list.remove(id);
        }
        self.remotes.forget(spare);
    }

    /// RFC 8445 §7.3.1.4.
    fn trigger(&mut self, cx: &Context<'_>, id: PairId) {
        let Some(pair) = self.list.get(id) else {
            return;
        };
        match pair.state {
            PairState::Succeeded => {}
            PairState::InProgress => {
                // Between plain host addresses nothing was closed when our check
                // passed: the response is just not here yet. Ask again only if
                // it had time to come.
                let sent = self.transactions.check_sent_at(id);
                let young = sent
                    .is_some_and(|at| cx.now.saturating_duration_since(at) < HOST_CHECK_PATIENCE);
                if pair.is_host_to_host() && young {
                    return;
                }
                self.transactions.cancel(id);
                self.list.trigger(id);
            }
            PairState::Waiting | PairState::Frozen | PairState::Failed => {
                if let Some(pair) = self.list.get_mut(id) {
                    pair.failure = None;
                    pair.suspicion = None;
                }
                self.list.trigger(id);
            }
        }
    }

    /// RFC 8445 §7.3.1.5, draft-thatcher-ice-renomination §4.
    fn nominated_by_peer(&mut self, id: PairId, value: Option<u32>) {
        if value < self.highest_nomination {
            return; // overtaken on the way
        }
        self.highest_nomination = value;
        self.nominations_received += 1;
        let order = (value, self.nominations_received);
        // The selected pair is silent: whatever the peer nominates now is better.
        let dying = self
            .consent
            .as_ref()
            .is_some_and(|c| c.suspect_since().is_some());
        let selected = self.selected;
        if dying
            && selected != Some(id)
            && let Some(old) = selected.and_then(|s| self.list.get_mut(s))
        {
            old.nomination = Nomination::None;
            old.nominated_at = None;
        }
        // What the peer nominated before and does not work now is superseded.
        for other in self.list.iter_mut() {
            if other.nomination == Nomination::None {
                other.nominated_at = None;
            }
        }
        let Some(pair) = self.list.get_mut(id) else {
            return;
        };
        pair.nominated_at = Some(order);
        pair.nomination = if pair.is_valid() {
            Nomination::Done
        } else {
            Nomination::Pending
        };
    }

    /// A response proved the pair (RFC 8445 §7.2.5.3).
    pub(crate) fn succeed(
        &mut self,
        cx: &mut Context<'_>,
        id: PairId,
        mapped: SocketAddr,
        nominating: Option<u32>,
    ) {
        let Some(pair) = self.list.get_mut(id) else {
            return;
        };
        let (base, foundation) = (pair.base, pair.foundation);
        let first = pair.state != PairState::Succeeded;
        pair.state = PairState::Succeeded;
        pair.failure = None;
        pair.suspicion = None;
        pair.parked = false;
        let acknowledged = match cx.role {
            Role::Controlling => nominating.is_some(),
            Role::Controlled => true,
        };
        if pair.nomination == Nomination::Pending && acknowledged {
            pair.nomination = Nomination::Done;
        }
        self.reinstate(id, cx.role);
        let known = cx.locals.find_candidate(base, mapped);
        let mapped = known.or_else(|| {
            let is_base = cx.locals.base(base).is_some_and(|b| {
                crate::locals::normalise(b.addr) == mapped || b.transport() != Transport::Udp
            });
            if is_base {
                return cx.locals.base(base).map(|b| b.candidate);
            }
            cx.locals
                .add_reflexive(CandidateKind::PeerReflexive, base, mapped, None)
        });
        if let Some(pair) = self.list.get_mut(id) {
            pair.mapped = mapped;
        }
        if !self.transactions.is_nominating(id) {
            // What else is under way on this pair has nothing more to tell.
            self.transactions.cancel(id);
        }
        self.first_valid.get_or_insert(cx.now);
        if first {
            self.list.thaw(foundation);
        }
    }

    /// A pair that was passed over because it was silent has answered: it may be
    /// chosen again, and if the peer nominated it, that holds.
    pub(crate) fn reinstate(&mut self, id: PairId, role: Role) {
        let Some(pair) = self.list.get_mut(id) else {
            return;
        };
        pair.avoided = false;
        if role == Role::Controlled
            && pair.nomination == Nomination::None
            && pair.nominated_at.is_some()
            && pair.is_valid()
        {
            pair.nomination = Nomination::Done;
        }
    }

    /// A check failed; while nothing works and patience lasts, it gets more tries.
    pub(crate) fn check_timed_out(&mut self, cx: &Context<'_>, id: PairId, retry: bool) {
        let Some(pair) = self.list.get_mut(id) else {
            return;
        };
        if pair.state == PairState::Succeeded {
            // A nominating check on a pair that worked. Where the peer is still
            // heard only the messages were lost: nominate again.
            if pair.nomination == Nomination::Pending && cx.role == Role::Controlling {
                let silence = pair
                    .last_received
                    .map(|at| cx.now.saturating_duration_since(at));
                if silence.is_none_or(|s| s > cx.config.consent_interval * 2) {
                    pair.fail(FailureReason::NoReply);
                } else {
                    pair.nomination = Nomination::None;
                    pair.nominated_at = None;
                }
            }
            return;
        }
        if pair.state != PairState::InProgress {
            return;
        }
        let reason = pair.timeout_reason();
        let again = retry
            && (!pair.reliable || cx.locals.opens_simultaneously(pair.base))
            && pair.retries < MAX_PAIR_RETRIES
            && self.retries < MAX_RETRIES;
        if again {
            self.retries += 1;
            pair.retries += 1;
            pair.failure = Some(reason);
            pair.state = PairState::Waiting;
        } else {
            pair.fail(reason);
        }
    }

    pub(crate) fn fail(&mut self, id: PairId, reason: FailureReason) {
        self.transactions.forget(id);
        self.probes.retain(|p| *p != id);
        if let Some(pair) = self.list.get_mut(id) {
            pair.fail(reason);
        }
    }

    /// Fails all pairs of a base that is gone.
    pub(crate) fn base_removed(&mut self, base: BaseId) {
        let pairs: Vec<PairId> = self
            .list
            .iter()
            .filter(|(_, p)| p.base == base)
            .map(|(id, _)| id)
            .collect();
        for id in pairs {
            self.fail(id, FailureReason::BaseRemoved);
        }
    }

    /// The next generation has taken over.
    pub(crate) fn retire(&mut self, until: Instant) {
        if self.retired.is_none() {
            self.retired = Some(until);
            self.selected = None;
            self.consent = None;
            self.probes.clear();
        }
    }

    /// Whether data are best left where they go: the selected pair is not
    /// suspicious.
    pub(crate) fn is_well(&self) -> bool {
        self.selected.is_some()
            && self
                .consent
                .as_ref()
                .is_none_or(|c| c.suspect_since().is_none())
    }

    /// Whether the selected pair is only the best so far: neither nominated
    /// nor used by the peer.
    pub(crate) fn is_provisional(&self) -> bool {
        self.selected
            .and_then(|id| self.list.get(id))
            .is_some_and(|p| !p.nominated() && p.counters.packets_received == 0)
    }

    /// Since when a pair that works is looked for.
    pub(crate) fn searching_since(&self) -> Option<Instant> {
        self.started.max(self.lost)
    }

    /// Whether the peer proved on this path that it knows our password,
    /// before we had its credentials and could make a pair of it.
    pub(crate) fn expects(&self, base: BaseId, remote: SocketAddr) -> bool {
        self.early
            .iter()
            .any(|early| early.base == base && early.remote == remote)
    }

    /// Data or an authenticated message arrived on a path. `None`: no such pair.
    pub(crate) fn heard(
        &mut self,
        now: Instant,
        base: BaseId,
        remote: SocketAddr,
    ) -> Option<PairId> {
        let id = match self.selected.and_then(|id| Some((id, self.list.get(id)?))) {
            Some((id, pair)) if pair.base == base && pair.remote_addr == remote => id,
            _ => self.list.find(base, remote)?,
        };
        self.list.get_mut(id)?.heard(now);
        if self.selected == Some(id)
            && let Some(consent) = &mut self.consent
        {
            consent.heard();
        }
        Some(id)
    }
}

/// How long a check between plain host addresses may be under way before a
/// request from the other side makes us send another one.
const HOST_CHECK_PATIENCE: std::time::Duration = std::time::Duration::from_millis(100);

/// RFC 8445 §6.1.2.2, RFC 6544 §6.2, draft-ietf-mmusic-mdns-ice-candidates §3.3.2.
fn pairable(config: &Config, base: &crate::locals::Base, remote: &Remote) -> bool {
    let Some(addr) = remote.addr else {
        return false;
    };
    let relay = matches!(base.kind, BaseKind::Relay(_));
    let ip = addr.ip();
    let transports = match (base.tcp_type(), remote.candidate.tcp_type()) {
        (None, None) => true,
        // Passive ones wait for the connection.
        (Some(TcpType::Passive), _) | (_, Some(TcpType::Active)) => false,
        (Some(ours), Some(theirs)) => ours.counterpart() == theirs,
        _ => false,
    };
    transports
        && !base.removed
        && base.used_for != SocketUse::Relay
        && remote.candidate.component == 1
        && base.addr.is_ipv4() == ip.is_ipv4()
        && (ip.is_ipv4() || is_link_local(base.addr.ip()) == is_link_local(ip))
        && config.families.allow(ip)
        && (config.policy != Policy::Relay || relay)
        && !(relay && remote.by_name)
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && addr.port() != 0
}
