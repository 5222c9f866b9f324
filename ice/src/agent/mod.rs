//! The conductor: passes bytes, time and wishes between the smaller machines.

mod inbound;
mod memory;
mod outbound;
mod progress;
mod relay;
mod report;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::bucket::Bucket;
use crate::candidate::{Candidate, CandidateAddress};
use crate::config::{Config, Policy, Server};
use crate::credentials::Credentials;
use crate::event::{ConnectionState, Event, GatheringState, ServerError};
use crate::gathering::{Gatherer, Question};
use crate::generation::{Context, Generation};
use crate::interfaces::is_forbidden;
use crate::limits;
use crate::locals::{BaseKind, Locals, normalise};
use crate::mdns_name::MdnsName;
use crate::pacing::Pacer;
use crate::pair::{BaseId, PairId};
use crate::relays::{RelayId, Relays, Wish};
use crate::replies::Replies;
use crate::role::Role;
use crate::servers::Servers;
use crate::stats::Counters;
use crate::transport::{HostTransport, LocalBase, SocketUse, Transport};

pub use inbound::Input;

/// What the peer's description says about its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoteOptions {
    /// `a=ice-lite`: we control, whatever the roles were.
    pub lite: bool,
    /// `a=ice-options:renomination`.
    pub renomination: bool,
    /// `a=ice-pacing`; the larger of both ends' values rules (RFC 8839 §5.7).
    pub pacing: Option<Duration>,
}

/// Why a remote candidate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddCandidateError {
    /// Its `ufrag` is not that of the peer's current credentials.
    #[error("candidate of another ICE generation")]
    StaleUfrag,
    /// The bound on remote candidates is reached.
    #[error("too many remote candidates")]
    TooMany,
    /// Its component is not 1: RTCP is multiplexed.
    #[error("component is not 1")]
    Component,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why a local address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddHostError {
    /// The address is unspecified, multicast, site-local or an IPv4-compatible
    /// one (RFC 8445 §5.1.1.1).
    #[error("not an address that a peer could reach")]
    Unusable,
    /// The agent has this address already.
    #[error("known already, or too many")]
    KnownOrTooMany,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// An ICE agent for one data stream of one component (RTP, RTCP and DTLS
/// multiplexed, as WebRTC does it).
///
/// See the [crate's first page](crate) for a program.
pub struct Agent {
    config: Config,
    /// What counts from the next gathering phase on.
    next_policy: Policy,
    rng: StdRng,
    role: Role,
    tie_breaker: u64,
    role_switches: u32,
    remote_options: RemoteOptions,
    locals: Locals,
    gatherer: Gatherer,
    relays: Relays,
    servers: Servers,
    /// Bases that came after gathering was complete and wait for a restart.
    postponed: Vec<LocalBase>,
    /// When allocations that nothing uses are given back.
    tidy_at: Option<Instant>,
    clock: Instant,
    hosts_complete: bool,
    current: Generation,
    /// The one before: kept while data go by it, for some seconds more, and
    /// for `cancel_restart`.
    previous: Option<Box<Generation>>,
    /// Data stay with the previous generation: the current one has no
    /// nominated pair yet (RFC 8445 §12.1).
    stay: bool,
    /// The generation and pair that was told to be selected.
    told: Option<(u32, PairId)>,
    pacer: Pacer,
    replies: Replies,
    events: VecDeque<Event>,
    state: ConnectionState,
    gathering: GatheringState,
    patience_over: bool,
    error_bucket: Bucket,
    integrity_bucket: Bucket,
    counters: Counters,
    selected_pair_changes: u64,
    server_errors: Vec<ServerError>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("gathering", &self.gathering)
            .field("pairs", &self.current.list.len())
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// A new agent with fresh credentials. `now` is when it was made; nothing
    /// is sent before there are candidates.
    #[must_use]
    pub fn new(config: Config, now: Instant, rng: &mut impl Rng) -> Self {
        let mut rng = StdRng::from_rng(rng);
        let role = if config.lite {
            Role::Controlled
        } else {
            config.role
        };
        let current = Generation::new(0, Credentials::random(&mut rng));
        let mut servers = Servers::default();
        servers.set(config.servers.iter().cloned(), |_| false);
        Self {
            role,
            tie_breaker: rng.random(),
            role_switches: 0,
            remote_options: RemoteOptions::default(),
            locals: Locals::new(config.policy != Policy::All),
            gatherer: Gatherer::default(),
            relays: Relays::default(),
            servers,
            postponed: Vec::new(),
            tidy_at: None,
            clock: now,
            hosts_complete: false,
            current,
            previous: None,
            stay: false,
            told: None,
            pacer: Pacer::new(config.pacing, config.burst),
            replies: Replies::default(),
            events: VecDeque::new(),
            state: ConnectionState::New,
            gathering: GatheringState::New,
            patience_over: false,
            error_bucket: Bucket::new(
                limits::ERROR_REPLIES_BURST,
                limits::ERROR_REPLIES_PER_SECOND,
            ),
            integrity_bucket: Bucket::new(
                limits::BAD_INTEGRITY_BURST,
                limits::BAD_INTEGRITY_PER_SECOND,
            ),
            counters: Counters::default(),
            selected_pair_changes: 0,
            server_errors: Vec::new(),
            next_policy: config.policy,
            config,
            rng,
        }
    }

    /// Our credentials of the current generation, to be signalled.
    #[must_use]
    pub fn local_credentials(&self) -> &Credentials {
        &self.current.local
    }

    /// The peer's, once they are known.
    #[must_use]
    pub fn remote_credentials(&self) -> Option<&Credentials> {
        self.current.remote.as_ref().map(|r| &r.credentials)
    }

    /// The user name fragments by which a demultiplexer should route checks to
    /// this agent: the current one and, while restarting and for three seconds
    /// after, the previous one.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current)
            .chain(self.previous.as_deref())
            .map(|g| g.local.ufrag.as_str())
    }

    /// Our role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Sets the role, as offer and answer decide it (RFC 8445 §6.1.1). A lite
    /// agent stays controlled, an agent that faces a lite one controlling.
    pub fn set_role(&mut self, role: Role) {
        let role = match (self.config.lite, self.remote_options.lite) {
            (true, false) => Role::Controlled,
            (false, true) => Role::Controlling,
            _ => role,
        };
        if role != self.role {
            self.role = role;
            self.current.list.set_role(role);
        }
    }

    /// Whether we are a lite agent.
    #[must_use]
    pub fn is_lite(&self) -> bool {
        self.config.lite
    }

    /// What the peer's description says; before its credentials.
    pub fn set_remote_options(&mut self, options: RemoteOptions) {
        self.remote_options = options;
        let theirs = options.pacing.unwrap_or(Duration::ZERO);
        self.pacer.set_ta(self.config.pacing.max(theirs));
        self.set_role(self.role);
    }

    /// Whether both ends offered renomination.
    fn renomination(&self) -> bool {
        self.config.renomination && self.remote_options.renomination
    }

    /// Takes the peer's credentials; checks may start. The same ones again
    /// change nothing; other ones are a restart by the peer and want
    /// [`restart`](Self::restart) first (RFC 8445 §9).
    pub fn set_remote_credentials(&mut self, now: Instant, credentials: Credentials) {
        if self.is_closed() || self.remote_credentials() == Some(&credentials) {
            return;
        }
        self.with_current(now, |generation, cx| generation.set_remote(credentials, cx));
        self.settle(now);
    }

    /// Adds a local address, that is a socket the driver has bound. Its host
    /// candidate is reported by [`Event::Candidate`], and servers are asked.
    ///
    /// # Errors
    /// An address no peer could reach, one known already, one too many.
    pub fn add_host(&mut self, now: Instant, base: LocalBase) -> Result<(), AddHostError> {
        if self.is_closed() {
            return Err(AddHostError::Closed);
        }
        let ip = normalise(base.addr).ip();
        if ip.is_unspecified() || ip.is_multicast() || is_forbidden(ip) {
            return Err(AddHostError::Unusable);
        }
        if !self.config.families.allow(ip) {
            return Ok(());
        }
        if !self.config.continual && self.gathering == GatheringState::Complete {
            let key = (base.transport, normalise(base.addr));
            let known = self.locals.find(key.0.transport(), key.1).is_some()
                || self
                    .postponed
                    .iter()
                    .any(|p| (p.transport, normalise(p.addr)) == key);
            if known || self.postponed.len() >= limits::MAX_BASES {
                return Err(AddHostError::KnownOrTooMany);
            }
            self.postponed.push(base);
            return Ok(());
        }
        self.add_base(now, base)
    }

    fn add_base(&mut self, now: Instant, base: LocalBase) -> Result<(), AddHostError> {
        let signalled = self.config.policy == Policy::All && base.used_for != SocketUse::Relay;
        let id = self
            .locals
            .add_host(&base, signalled)
            .ok_or(AddHostError::KnownOrTooMany)?;
        let candidate = self
            .locals
            .base(id)
            .and_then(|b| self.locals.candidate(b.candidate));
        if let Some(candidate) = candidate
            .filter(|c| c.signalled)
            .map(|c| c.candidate.clone())
        {
            self.announce(candidate);
        }
        if !self.config.lite {
            self.ask_servers(id);
        }
        self.update_gathering();
        self.with_current(now, |generation, cx| generation.pair_base(id, cx));
        self.settle(now);
        Ok(())
    }

    /// Says that all addresses the host has now were added: gathering is
    /// complete as soon as all servers have answered. More may be added later.
    pub fn end_of_hosts(&mut self) {
        self.hosts_complete = true;
        self.update_gathering();
    }

    /// Removes a local address: its interface or network is gone. Pairs on it
    /// fail; if the selected one is among them, another one that works takes
    /// its place, or the state becomes Disconnected.
    pub fn remove_host(&mut self, now: Instant, addr: SocketAddr, transport: HostTransport) {
        let key = (transport.transport(), normalise(addr));
        self.postponed
            .retain(|p| (p.transport, normalise(p.addr)) != (transport, key.1));
        let Some(id) = self.locals.find(key.0, key.1) else {
            return;
        };
        self.drop_base(id);
        self.settle(now);
    }

    fn drop_base(&mut self, id: BaseId) {
        self.gatherer.remove_base(id);
        self.relays.forget_wishes(id);
        for relay in self.relays.on_base(id) {
            if let Some(gone) = self.relays.lose(self.clock, relay) {
                self.relay_gone(gone, false);
            }
        }
        for candidate in self.locals.remove_base(id) {
            self.push_event(Event::CandidateRemoved(candidate));
        }
        self.current.base_removed(id);
        if let Some(previous) = &mut self.previous {
            previous.base_removed(id);
        }
        self.update_gathering();
    }

    /// Adds a server whose name was resolved only now: it is asked from all
    /// bases. Before [`end_of_hosts`](Self::end_of_hosts), or gathering may be
    /// complete meanwhile. One beyond [`MAX_SERVERS`](limits::MAX_SERVERS) is
    /// left out.
    pub fn add_server(&mut self, server: Server) {
        if self.is_closed() {
            return;
        }
        let mut all: Vec<Server> = self.servers.active().map(|(_, s)| s.clone()).collect();
        all.push(server.clone());
        self.set_servers(all);
        let id = self.servers.active().find(|(_, s)| **s == server);
        let Some(id) = id.map(|(id, _)| id).filter(|_| !self.config.lite) else {
            return;
        };
        let bases: Vec<BaseId> = self.locals.bases().map(|(id, _)| id).collect();
        for base in bases {
            self.ask_server(base, id);
        }
        self.update_gathering();
    }

    fn ask_servers(&mut self, base: BaseId) {
        let ids: Vec<_> = self.servers.active().map(|(id, _)| id).collect();
        for id in ids {
            self.ask_server(base, id);
        }
    }

    fn ask_server(&mut self, id: BaseId, index: crate::servers::ServerId) {
        let (Some(base), Some(server)) = (self.locals.base(id), self.servers.get(index)) else {
            return;
        };
        let to = server.addr();
        let reachable = to.is_ipv4() == base.addr.is_ipv4()
            // Nothing beyond the host is reached from loopback.
            && (to.ip().is_loopback() || !base.addr.ip().is_loopback());
        let BaseKind::Host(host) = base.kind else {
            return;
        };
        // RFC 6544 §5.2. The port of an active one is known only when it connects.
        let tcp = match host {
            HostTransport::Udp => false,
            HostTransport::TcpPassive | HostTransport::TcpSimultaneousOpen => true,
            HostTransport::TcpActive => return,
        };
        if !reachable || (tcp && !self.config.tcp_reflexive) {
            return;
        }
        match (server, base.used_for) {
            (Server::Turn { .. }, _) if tcp => {}
            (Server::Stun { .. }, SocketUse::Relay) => {}
            (Server::Stun { .. }, _) if self.config.policy == Policy::Relay => {}
            (Server::Stun { .. }, _) if self.gatherer.asks(id, index) => {}
            (Server::Stun { .. }, _) => self.gatherer.ask(Question {
                base: id,
                server: index,
                addr: normalise(to),
                rounds: 0,
                again: false,
                stream: tcp,
            }),
            (Server::Turn { transport, .. }, used_for) => {
                let fits = match used_for {
                    SocketUse::All => true,
                    SocketUse::Shared => *transport != Transport::Udp,
                    SocketUse::Relay => *transport == Transport::Udp,
                };
                if fits {
                    let local = base.addr;
                    self.relays.wish(Wish {
                        base: id,
                        local,
                        server: index,
                        rounds: 0,
                        due: self.clock,
                    });
                }
            }
        }
    }

    /// Takes other STUN and TURN servers, the first
    /// [`MAX_SERVERS`](limits::MAX_SERVERS) of them, as W3C's
    /// `setConfiguration` does. Bases that come later ask them, and all bases
    /// with the next restart; what was gathered stands until then.
    pub fn set_servers(&mut self, servers: impl IntoIterator<Item = Server>) {
        let (gatherer, relays) = (&self.gatherer, &self.relays);
        self.servers
            .set(servers, |id| gatherer.uses(id) || relays.uses(id));
    }

    /// Takes another policy with the next gathering phase, that is with the next
    /// restart (RFC 9429 §4.1.18, W3C's `setConfiguration`), or at once if
    /// there is no address yet; what was gathered and the pair in use stand
    /// until then.
    pub fn set_policy(&mut self, policy: Policy) {
        self.next_policy = policy;
        if self.locals.bases().next().is_none() {
            self.adopt_policy();
        }
    }

    /// The gathering phase begins only now; candidates were gathered ahead of
    /// it and the peer was told of none. If
    /// [`set_policy`](Self::set_policy) was called meanwhile, its policy
    /// counts for them, and they are reported again: returns whether.
    pub fn open_pool(&mut self, now: Instant) -> bool {
        if self.is_closed() || !self.adopt_policy() {
            return false;
        }
        self.events.retain(|e| !matches!(e, Event::Candidate(_)));
        self.gather_again(now);
        self.announce_again();
        self.settle(now);
        true
    }

    /// Whether the policy that was set last is another.
    fn adopt_policy(&mut self) -> bool {
        let policy = self.next_policy;
        if policy == self.config.policy {
            return false;
        }
        self.config.policy = policy;
        self.locals.set_policy(policy);
        true
    }

    /// Asks all servers again, from all bases: their answers may be others now.
    /// Allocations that stand are kept, but for those of servers that are none
    /// any more and that no data go by; their servers are asked whether they do.
    fn gather_again(&mut self, now: Instant) {
        let servers = &self.servers;
        self.gatherer.begin_anew(|id| servers.is_active(id));
        self.relays.forget_servers(|id| servers.is_active(id));
        let used = self.relayed_bases_in_use();
        let idle: Vec<RelayId> = self
            .relays
            .standing()
            .filter(|(_, server, bases)| {
                let in_use = bases.iter().flatten().any(|b| used.contains(b));
                !self.servers.is_active(*server) && !in_use
            })
            .map(|(id, ..)| id)
            .collect();
        for id in idle {
            self.release(now, id);
        }
        for id in self.relays.question_all(now, &used) {
            if let Some(gone) = self.relays.lose(now, id) {
                self.relay_gone(gone, false);
            }
        }
        for base in std::mem::take(&mut self.postponed) {
            // Checked when it came; it may be one too many by now.
            let _ = self.add_base(now, base);
        }
        if self.config.lite {
            return;
        }
        let bases: Vec<BaseId> = self.locals.bases().map(|(id, _)| id).collect();
        for id in bases {
            self.ask_servers(id);
        }
        self.update_gathering();
    }

    /// Adds a candidate that the peer signalled.
    ///
    /// # Errors
    /// It belongs to another generation, has another component, or is one too many.
    pub fn add_remote_candidate(
        &mut self,
        now: Instant,
        candidate: Candidate,
    ) -> Result<(), AddCandidateError> {
        if self.is_closed() {
            return Err(AddCandidateError::Closed);
        }
        if candidate.component != 1 {
            return Err(AddCandidateError::Component);
        }
        if let (Some(theirs), Some(remote)) = (&candidate.ufrag, self.remote_credentials())
            && *theirs != remote.ufrag
        {
            return Err(AddCandidateError::StaleUfrag);
        }
        let addr = match candidate.address {
            CandidateAddress::Ip(ip) => Some(SocketAddr::new(ip.to_canonical(), candidate.port)),
            CandidateAddress::Name(_) => {
                // §3.2.1 of the draft: of no use with relayed candidates only.
                if self.config.policy == Policy::Relay {
                    return Ok(());
                }
                None
            }
        };
        let name = match candidate.address {
            CandidateAddress::Name(name) => Some(name),
            CandidateAddress::Ip(_) => None,
        };
        let fits = self.with_current(now, |generation, cx| {
            generation.add_remote(candidate, addr, cx)
        });
        if let Some(name) = name.filter(|_| fits) {
            self.push_event(Event::Resolve(name));
        }
        self.settle(now);
        if fits {
            Ok(())
        } else {
            Err(AddCandidateError::TooMany)
        }
    }

    /// The peer will send no more candidates of this generation (RFC 8838 §14).
    pub fn end_of_remote_candidates(&mut self, now: Instant) {
        self.current.end_of_candidates = true;
        self.settle(now);
    }

    /// Answers [`Event::Resolve`]; `None` if the name has no address, or more
    /// than one: its candidates are ignored.
    pub fn name_resolved(&mut self, now: Instant, name: MdnsName, ip: Option<IpAddr>) {
        let Some(ip) = ip.filter(|_| !self.is_closed()) else {
            return;
        };
        self.with_current(now, |generation, cx| {
            generation.resolve(name, ip.to_canonical(), cx)
        });
        self.settle(now);
    }

    /// Restarts ICE: new credentials, all local candidates again, checks from
    /// the start. Data keep going by the old pair until a new one is nominated,
    /// or works while the old one is silent or the peer sends by it; from
    /// another of the old pairs if the selected one dies. What comes there is
    /// taken for three seconds more.
    pub fn restart(&mut self, now: Instant) {
        let credentials = Credentials::random(&mut self.rng);
        self.restart_with(now, credentials);
    }

    /// [`restart`](Self::restart) with credentials that were told to the peer
    /// already, as an offer tells them before it is applied.
    pub fn restart_with(&mut self, now: Instant, credentials: Credentials) {
        if self.is_closed() {
            return;
        }
        let mut fresh = Generation::new(self.current.number.wrapping_add(1), credentials);
        if self.data_pair().is_none() && self.state != ConnectionState::New {
            fresh.lost = Some(now);
        }
        let mut old = std::mem::replace(&mut self.current, fresh);
        // It nominates no more.
        old.ponder = None;
        // A generation that works is kept until the new one does; one that does
        // not is kept for `cancel_restart`, but never in place of one that does.
        let works = self.previous.as_ref().is_some_and(|p| p.selected.is_some());
        if old.selected.is_some() || (!works && old.remote.is_some()) {
            self.previous = Some(Box::new(old));
        }
        self.tie_breaker = self.rng.random();
        self.role_switches = 0;
        self.patience_over = false;
        self.pacer.restart();
        self.gathering = GatheringState::New;
        self.tidy_at = None;
        self.adopt_policy();
        self.gather_again(now);
        self.announce_again();
        self.settle(now);
    }

    /// Takes a restart back that the peer never learned of, as when an offer
    /// is rolled back: the generation before it is the current one again. Does
    /// nothing once the new generation works.
    pub fn cancel_restart(&mut self, now: Instant) {
        if self.is_closed() || self.current.selected.is_some() {
            return;
        }
        if let Some(previous) = self.previous.take_if(|p| p.retired.is_none()) {
            self.current = *previous;
            self.announce_again();
            self.settle(now);
        }
    }

    fn announce_again(&mut self) {
        let candidates: Vec<Candidate> = self
            .locals
            .candidates()
            .filter(|l| l.signalled)
            .map(|l| l.candidate.clone())
            .collect();
        for candidate in candidates {
            self.announce(candidate);
        }
        self.update_gathering();
    }

    /// Closes: nothing is checked, answered or reported any more. Only TURN
    /// servers are told, by what [`poll_transmit`](Self::poll_transmit) gives
    /// right after, that their allocations may go.
    pub fn close(&mut self) {
        if self.is_closed() {
            return;
        }
        self.replies.clear();
        self.relays.close(self.clock);
        self.current = Generation::new(self.current.number, self.current.local.clone());
        self.previous = None;
        self.gatherer = Gatherer::default();
        self.set_state(ConnectionState::Closed);
    }

    fn is_closed(&self) -> bool {
        self.state == ConnectionState::Closed
    }

    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// The state of gathering.
    #[must_use]
    pub fn gathering_state(&self) -> GatheringState {
        self.gathering
    }

    /// Gives back the room that tables and queues kept for more than they hold. For a moment of rest, such as some
    /// seconds after the connection was made: of some kilobytes an agent grew in the first seconds, most go.
    pub fn shrink(&mut self) {
        self.locals.shrink();
        self.gatherer.shrink();
        self.current.shrink();
        if let Some(previous) = &mut self.previous {
            previous.shrink();
        }
        self.replies.shrink();
        self.events.shrink_to_fit();
        self.server_errors.shrink_to_fit();
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn announce(&mut self, mut candidate: Candidate) {
        candidate.ufrag = Some(self.current.local.ufrag.clone());
        self.push_event(Event::Candidate(candidate));
    }

    fn push_event(&mut self, event: Event) {
        if self.events.len() >= limits::MAX_QUEUED_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) fn update_gathering(&mut self) {
        let busy = self.gatherer.is_busy() || self.relays.is_busy();
        let next = match (busy, self.hosts_complete) {
            (false, true) => GatheringState::Complete,
            (false, false) if self.locals.bases().next().is_none() => return,
            _ => GatheringState::Gathering,
        };
        if next != self.gathering {
            self.gathering = next;
            self.push_event(Event::GatheringState(next));
        }
    }

    /// Runs something on the current generation with what it needs of us.
    fn with_current<R>(
        &mut self,
        now: Instant,
        work: impl FnOnce(&mut Generation, &mut Context<'_>) -> R,
    ) -> R {
        let renomination = self.renomination();
        let mut cx = Context {
            now,
            rng: &mut self.rng,
            config: &self.config,
            role: self.role,
            tie_breaker: self.tie_breaker,
            renomination,
            locals: &mut self.locals,
            relays: &mut self.relays,
            counters: &mut self.counters,
        };
        work(&mut self.current, &mut cx)
    }

    /// As [`with_current`](Self::with_current), on either generation.
    fn with_generation<R>(
        &mut self,
        now: Instant,
        previous: bool,
        work: impl FnOnce(&mut Generation, &mut Context<'_>) -> R,
    ) -> Option<R> {
        if !previous {
            return Some(self.with_current(now, work));
        }
        let renomination = self.renomination();
        let mut cx = Context {
            now,
            rng: &mut self.rng,
            config: &self.config,
            role: self.role,
            tie_breaker: self.tie_breaker,
            renomination,
            locals: &mut self.locals,
            relays: &mut self.relays,
            counters: &mut self.counters,
        };
        self.previous
            .as_deref_mut()
            .map(|generation| work(generation, &mut cx))
    }

    fn generation(&self, previous: bool) -> Option<&Generation> {
        if previous {
            self.previous.as_deref()
        } else {
            Some(&self.current)
        }
    }

    /// The base of a socket.
    fn find_base(&self, transport: Transport, local: SocketAddr) -> Option<BaseId> {
        self.locals.find(transport, local)
    }
}
