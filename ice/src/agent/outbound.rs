//! What is sent.

use std::net::{SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use tincan_stun::framing::finish_rfc4571;
use tincan_stun::transaction::{Reliability, Schedule};

use super::Agent;
use crate::generation::{Context, Generation};
use crate::locals::BaseKind;
use crate::pair::{BaseId, Nomination, PairId, PairState};
use crate::priority::is_link_local;
use crate::relays::Begun;
use crate::replies::{Kind, Reply};
use crate::role::Role;
use crate::transactions::{Purpose, Request, Slot};
use crate::transport::{Transmit, Transport};
use crate::wire;

/// Length field of RFC 4571.
const TCP_HEADER: usize = 2;

impl Agent {
    /// Appends one datagram to `out`, of at most
    /// [`MAX_DATAGRAM`](crate::limits::MAX_DATAGRAM) bytes, and says where it
    /// goes. Call until `None`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        self.clock = self.clock.max(now);
        if let Some(transmit) = self.relays.poll_transmit(now, out) {
            return Some(transmit);
        }
        if self.is_closed() {
            return None;
        }
        while let Some(reply) = self.replies.pop() {
            if let Some(transmit) = self.write_reply(now, &reply, out) {
                return Some(transmit);
            }
        }
        for previous in [false, true] {
            while let Some(slot) = self.next_due(now, previous) {
                if let Some(transmit) = self.write_request(now, previous, slot, out) {
                    return Some(transmit);
                }
            }
        }
        while let Some((question, id)) = self.gatherer.next_resend() {
            if let Some(t) = self.write_question(now, question.base, question.addr, id, out) {
                return Some(t);
            }
        }
        self.paced(now, out)
    }

    /// Requests whose time has come regardless of pacing: retransmissions,
    /// consent, reserves.
    fn next_due(&mut self, now: Instant, previous: bool) -> Option<Slot> {
        let is_lite = self.config.lite;
        self.with_generation(now, previous, |generation, cx| {
            if let Some(slot) = generation.transactions.next_resend() {
                let pair = generation.transactions.get(slot).map(|o| o.request.pair);
                if let Some(pair) = pair.and_then(|id| generation.list.get_mut(id)) {
                    pair.counters.retransmissions_sent += 1;
                }
                return Some(slot);
            }
            if is_lite {
                return None;
            }
            generation
                .next_consent(cx)
                .or_else(|| generation.next_probe(cx))
        })
        .flatten()
    }

    /// A new check or question, if the pacer allows.
    fn paced(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        while self.pacer.ready(now) {
            let ta = self.pacer.ta();
            let check = self.with_current(now, |generation, cx| generation.start_check(cx, ta));
            if let Some(slot) = check {
                self.pacer.spend(now);
                match self.write_request(now, false, slot, out) {
                    Some(transmit) => return Some(transmit),
                    None => continue,
                }
            }
            let rto = self.config.initial_rto;
            let question = self.gatherer.start(now, &mut self.rng, rto);
            let Some((question, id)) = question else {
                if self
                    .relays
                    .next_due(&self.servers)
                    .is_none_or(|at| now < at)
                {
                    return None;
                }
                match self.relays.start(now, &mut self.rng, &self.servers) {
                    Begun::Asked => {
                        self.pacer.spend(now);
                        return self.relays.poll_transmit(now, out);
                    }
                    Begun::Taken(wish) => self.relay_is_taken(&wish),
                    Begun::Nothing => {}
                }
                // It was given up: gathering does not wait for it.
                self.update_gathering();
                continue;
            };
            self.pacer.spend(now);
            if let Some(t) = self.write_question(now, question.base, question.addr, id, out) {
                return Some(t);
            }
        }
        None
    }

    fn write_request(
        &mut self,
        now: Instant,
        previous: bool,
        slot: Slot,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let generation = self.generation(previous)?;
        let outstanding = generation.transactions.get(slot)?;
        let (request, id) = (outstanding.request, outstanding.id());
        let pair = generation.list.get(request.pair)?;
        let (base, to) = (pair.base, pair.remote_addr);
        let network = self.locals.base(base).map(|b| (b.network, b.cost));
        let network = network.filter(|n| *n != (0, 0));
        self.send(now, base, to, out, |agent, out| {
            let remote = agent.generation(previous)?.remote.as_ref()?;
            wire::write_request(out, id, &remote.username, &request, network, &remote.key)
        })
    }

    fn write_reply(&mut self, now: Instant, reply: &Reply, out: &mut Vec<u8>) -> Option<Transmit> {
        self.send(now, reply.base, reply.to, out, |agent, out| {
            let key = |previous| agent.generation(previous).map(|g| &g.local_key);
            match &reply.kind {
                Kind::Success { previous } => {
                    wire::write_success(out, reply.id, reply.to, key(*previous)?)
                }
                Kind::Refusal { code, previous } => {
                    wire::write_error(out, reply.id, *code, &[], key(*previous))
                }
                Kind::Stranger { code } => wire::write_error(out, reply.id, *code, &[], None),
                Kind::Unknown { types, previous } => {
                    wire::write_error(out, reply.id, 420, types, key(*previous))
                }
            }
        })
    }

    fn write_question(
        &mut self,
        now: Instant,
        base: BaseId,
        to: SocketAddr,
        id: tincan_stun::message::TransactionId,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let from = self.locals.base(base).filter(|b| !b.removed)?;
        let (local, transport) = (from.addr, from.transport());
        if transport == Transport::Udp {
            return self.send(now, base, to, out, |_, out| {
                wire::write_plain_request(out, id)
            });
        }
        // STUN's own length frames it (RFC 8489 §6.2.2); RFC 4571 is for peers.
        Some(Transmit {
            local,
            remote: scoped(to, local),
            transport,
            len: wire::write_plain_request(out, id)?,
        })
    }

    /// Writes a message and what its path puts around it.
    fn send(
        &mut self,
        now: Instant,
        base: BaseId,
        to: SocketAddr,
        out: &mut Vec<u8>,
        write: impl FnOnce(&Self, &mut Vec<u8>) -> Option<usize>,
    ) -> Option<Transmit> {
        let start = out.len();
        let headroom = self.headroom(now, base, to)?;
        out.resize(start + headroom, 0);
        let written = write(self, out);
        let transmit = written.and_then(|_| self.frame(now, base, to, out, start));
        if transmit.is_none() {
            out.truncate(start);
        }
        transmit
    }

    /// `None`: nothing can be sent there now.
    fn headroom(&self, now: Instant, base: BaseId, to: SocketAddr) -> Option<usize> {
        let base = self.locals.base(base).filter(|b| !b.removed)?;
        match base.kind {
            BaseKind::Relay(relay) => self.relays.headroom(now, relay, to),
            BaseKind::Host(host) => Some(match host.transport() {
                Transport::Tcp => TCP_HEADER,
                _ => 0,
            }),
        }
    }

    /// Fills the headroom of what was written from `start` on.
    fn frame(
        &mut self,
        now: Instant,
        base: BaseId,
        to: SocketAddr,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Option<Transmit> {
        let base = self.locals.base(base).filter(|b| !b.removed)?;
        let host = match base.kind {
            BaseKind::Relay(relay) => return self.relays.frame(now, relay, to, out, start),
            BaseKind::Host(host) => host,
        };
        let transport = host.transport();
        if transport == Transport::Tcp && !finish_rfc4571(out, start) {
            return None;
        }
        let len = out.len().checked_sub(start)?;
        Some(Transmit {
            local: base.addr,
            remote: scoped(to, base.addr),
            transport,
            len,
        })
    }

    /// The generation and pair that data go by.
    pub(super) fn data_pair(&self) -> Option<(bool, PairId)> {
        [self.stay, !self.stay]
            .into_iter()
            .find_map(|previous| Some((previous, self.generation(previous)?.selected?)))
    }

    /// Whether data may be sent now (RFC 8445 §12.1, RFC 7675 §5.1).
    #[must_use]
    pub fn can_send(&self) -> bool {
        !self.is_closed() && self.data_pair().is_some()
    }

    /// Bytes to leave free in front of data for
    /// [`frame_data`](Self::frame_data); it may change with any call.
    #[must_use]
    pub fn data_headroom(&self) -> usize {
        self.data_pair()
            .and_then(|(previous, id)| self.generation(previous)?.list.get(id))
            .and_then(|pair| self.headroom(self.clock, pair.base, pair.remote_addr))
            .unwrap_or_default()
    }

    /// Frames the data in `out[start + data_headroom()..]` for the selected
    /// pair and says where they go. `None`: there is no path; `out` is as before.
    pub fn frame_data(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Option<Transmit> {
        if self.is_closed() {
            return None;
        }
        let (previous, id) = self.data_pair()?;
        let pair = self.generation(previous)?.list.get(id)?;
        let (base, to) = (pair.base, pair.remote_addr);
        // By the clock that `data_headroom` went by: between the two calls no
        // channel may come or go.
        let clock = self.clock;
        let payload = out
            .len()
            .checked_sub(start + self.headroom(clock, base, to)?)?;
        let transmit = self.frame(clock, base, to, out, start)?;
        let generation = if previous {
            self.previous.as_deref_mut()?
        } else {
            &mut self.current
        };
        generation.data_sent(now, id, payload);
        Some(transmit)
    }
}

/// Link-local addresses are reached through the interface of the base.
fn scoped(to: SocketAddr, base: SocketAddr) -> SocketAddr {
    match (to, base) {
        (SocketAddr::V6(to), SocketAddr::V6(base))
            if is_link_local(std::net::IpAddr::V6(*to.ip())) =>
        {
            SocketAddr::V6(SocketAddrV6::new(*to.ip(), to.port(), 0, base.scope_id()))
        }
        _ => to,
    }
}

impl Generation {
    /// Opens the next connectivity check (RFC 8445 §6.1.4.2).
    fn start_check(&mut self, cx: &mut Context<'_>, ta: Duration) -> Option<Slot> {
        self.remote.as_ref()?;
        loop {
            let id = self.list.next()?;
            let busy = self
                .list
                .iter()
                .filter(|(_, p)| {
                    !p.parked && matches!(p.state, PairState::Waiting | PairState::InProgress)
                })
                .count();
            let Some(pair) = self.list.get_mut(id) else {
                continue;
            };
            let nominate = cx.role == Role::Controlling && pair.nomination == Nomination::Pending;
            if pair.state == PairState::Succeeded && !nominate {
                continue;
            }
            // RFC 8445 §14.3.
            let rto = cx
                .config
                .initial_rto
                .max(ta * u32::try_from(busy).unwrap_or(u32::MAX));
            // Each repetition is another attempt to open the connection.
            let attempts = cx.locals.opens_simultaneously(pair.base);
            let reliability = if pair.reliable && !attempts {
                Reliability::Reliable
            } else {
                Reliability::Unreliable
            };
            let schedule = Schedule::DEFAULT
                .with_rto(rto)
                .with_rc(cx.config.transmissions)
                .with_rm(if cx.config.transmissions == 7 { 16 } else { 4 });
            pair.state = match pair.state {
                PairState::Succeeded => PairState::Succeeded,
                _ => PairState::InProgress,
            };
            pair.asks(cx.now);
            pair.counters.requests_sent += 1;
            let mut request = request(pair, id, Purpose::Check, cx);
            let value = pair.nominated_at.and_then(|(value, _)| value);
            request.nominate = nominate.then(|| value.unwrap_or_default());
            request.renomination = cx.renomination;
            self.started.get_or_insert(cx.now);
            return self
                .transactions
                .start(cx.now, cx.rng, request, schedule, reliability);
        }
    }

    fn next_consent(&mut self, cx: &mut Context<'_>) -> Option<Slot> {
        let id = self.selected?;
        if !self.consent.as_ref()?.due(cx.now) {
            return None;
        }
        let rtt = self.list.get(id)?.rtt.smoothed;
        let consent = self.consent.as_mut()?;
        let suspicious = consent.suspect_since().is_some();
        consent.sent(cx.now, rtt);
        if suspicious {
            // The reserves may be needed in a moment: are they alive?
            self.watch_at = Some(cx.now);
            self.probe_reserves(id, MAX_PROBED_RESERVES);
            // So may another allocation, if a NAT or the server forgot this one.
            let base = self.list.get(id).and_then(|p| cx.locals.base(p.base));
            if let Some(BaseKind::Relay(relay)) = base.map(|b| b.kind) {
                cx.relays.question(cx.now, relay);
            }
        }
        self.ask_once(cx, id)
    }

    fn next_probe(&mut self, cx: &mut Context<'_>) -> Option<Slot> {
        if let (Some(selected), Some(at)) = (self.selected, self.next_backup)
            && cx.now >= at
        {
            self.next_backup =
                Some(cx.now + crate::consent::randomised(cx.config.backup_interval, cx.rng));
            self.probe_reserves(selected, cx.config.backups);
        }
        let id = self.probes.pop_front()?;
        self.ask_once(cx, id)
    }

    fn probe_reserves(&mut self, selected: PairId, count: usize) {
        for id in crate::selection::backups(&self.list, selected, count) {
            if !self.probes.contains(&id) {
                self.probes.push_back(id);
            }
        }
    }

    /// A request that is not sent again (RFC 7675 §5.1).
    fn ask_once(&mut self, cx: &mut Context<'_>, id: PairId) -> Option<Slot> {
        let pair = self.list.get_mut(id)?;
        pair.asks(cx.now);
        pair.counters.consent_requests_sent += 1;
        let request = request(pair, id, Purpose::Consent, cx);
        let schedule = Schedule::DEFAULT.with_rc(1).with_rm(CONSENT_WAIT);
        self.transactions
            .start(cx.now, cx.rng, request, schedule, Reliability::Unreliable)
    }

    fn data_sent(&mut self, now: Instant, id: PairId, payload: usize) {
        let Some(pair) = self.list.get_mut(id) else {
            return;
        };
        pair.counters.packets_sent += 1;
        pair.counters.bytes_sent += payload as u64;
        pair.counters.last_data_sent = Some(now);
        let silence = pair
            .last_received
            .map(|at| now.saturating_duration_since(at));
        if let Some(consent) = &mut self.consent {
            consent.data_sent(now, silence.unwrap_or_default());
        }
    }
}

/// Reserves asked when the selected pair is silent.
const MAX_PROBED_RESERVES: usize = 8;
/// A consent request's answer is awaited for so many times 500 ms.
const CONSENT_WAIT: u32 = 20;

fn request(pair: &crate::pair::Pair, id: PairId, purpose: Purpose, cx: &Context<'_>) -> Request {
    Request {
        pair: id,
        purpose,
        role: cx.role,
        tie_breaker: cx.tie_breaker,
        priority: if pair.reliable {
            pair.local_priority.as_tcp_peer_reflexive()
        } else {
            pair.local_priority.as_peer_reflexive()
        },
        nominate: None,
        renomination: false,
    }
}
