//! Glue to the TURN client: which allocation is which, and what its news mean.
//!
//! One client for each host base and TURN server. A relayed candidate is a
//! base of its own: its datagrams leave wrapped, through the base it was
//! allocated from.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use rand::Rng;
use tincan_stun::turn;
use tincan_stun::turn::client::{
    self as turn_client, ChannelPolicy, Client, Event, Failure, Input,
};

use crate::config::Server;
use crate::limits::MAX_ALLOCATIONS;
use crate::locals::normalise;
use crate::pair::BaseId;
use crate::servers::{ServerId, Servers};
use crate::transport::{Transmit, Transport};

/// Number of an allocation within its agent.
pub(crate) type RelayId = u16;

/// An allocation to make, when the pacer allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) base: BaseId,
    pub(crate) local: SocketAddr,
    pub(crate) server: ServerId,
    /// How often it was tried in vain, or soon lost again.
    pub(crate) rounds: u8,
    /// Not before.
    pub(crate) due: Instant,
}

/// Pause before the third try; there is none before the second. It doubles with each, up to 32 s.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// An allocation that stood for so long was not made in vain.
const STOOD: Duration = Duration::from_secs(60);

/// A server that has not answered for so long does not know the allocation any more, or is not reached.
const SILENT: Duration = Duration::from_secs(5);

impl Wish {
    /// The same once more.
    fn again(&self, now: Instant) -> Self {
        let pause = match self.rounds {
            0 => Duration::ZERO,
            n => RETRY_PAUSE * (1 << (n - 1).min(6)),
        };
        Self {
            rounds: self.rounds.saturating_add(1),
            due: now + pause,
            ..*self
        }
    }
}

/// What an allocation leaves that is gone.
#[derive(Debug)]
pub(crate) struct Gone {
    /// What it relayed for.
    pub(crate) bases: [Option<BaseId>; 2],
    /// To make it anew.
    pub(crate) wish: Wish,
}

#[derive(Debug)]
struct Relay {
    client: Client,
    /// What asked for it: the host base underneath, its address, the server.
    wish: Wish,
    transport: Transport,
    /// What it relays for, once it does: the base for each family.
    bases: [Option<BaseId>; 2],
    settled: bool,
    /// Since when it stands.
    since: Option<Instant>,
    /// Given back: the server is being told.
    released: bool,
}

/// Whether a check may be sent through a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    Granted,
    Asked,
    Refused,
}

/// What the agent has to act upon.
#[derive(Debug)]
pub(crate) enum News {
    Allocated {
        relay: RelayId,
        relayed: SocketAddr,
        mapped: SocketAddr,
    },
    Permitted {
        base: BaseId,
        ip: IpAddr,
    },
    NotPermitted {
        base: BaseId,
        ip: IpAddr,
    },
    Unreachable {
        base: BaseId,
        peer: SocketAddr,
    },
    Closed {
        gone: Gone,
        failure: Option<Failure>,
    },
}

/// What became of a wish.
#[derive(Debug)]
pub(crate) enum Begun {
    /// The server is asked.
    Asked,
    /// Another allocation stands between the same two addresses.
    Taken(Wish),
    /// There was none, or its server is gone.
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct Relays {
    wishes: VecDeque<Wish>,
    /// Slots are used again.
    relays: Vec<Option<Relay>>,
    by_path: BTreeMap<Path, RelayId>,
}

/// Transport, our address, the server's.
type Path = (Transport, SocketAddr, SocketAddr);

fn path_to(wish: &Wish, servers: &Servers) -> Option<Path> {
    match servers.get(wish.server)? {
        Server::Turn {
            addr, transport, ..
        } => Some((*transport, normalise(wish.local), normalise(*addr))),
        Server::Stun { .. } => None,
    }
}

impl Relays {
    pub(crate) fn wish(&mut self, wish: Wish) {
        let same = |w: &&mut Wish| (w.base, w.server) == (wish.base, wish.server);
        if let Some(waiting) = self.wishes.iter_mut().find(same) {
            // One that is to be tried again later is tried at once where that is asked for.
            if wish.rounds == 0 {
                *waiting = wish;
            }
        } else if !self.has(wish.base, wish.server)
            && self.wishes.len() + self.live().count() < MAX_ALLOCATIONS
        {
            self.wishes.push_back(wish);
        }
    }

    /// Whether there is no allocation at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    fn live(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter().flatten()
    }

    /// Whether there is an allocation of this server on this base.
    fn has(&self, base: BaseId, server: ServerId) -> bool {
        self.live()
            .any(|r| (r.wish.base, r.wish.server) == (base, server) && !r.released)
    }

    /// Whether anything hangs on this server.
    pub(crate) fn uses(&self, server: ServerId) -> bool {
        self.wishes.iter().any(|w| w.server == server)
            || self.live().any(|r| r.wish.server == server)
    }

    /// Whether allocations are still to be made or under way that gathering
    /// waits for.
    pub(crate) fn is_busy(&self) -> bool {
        self.wishes.iter().any(|w| w.rounds == 0)
            || self.live().any(|r| !r.settled && r.wish.rounds == 0)
    }

    /// The allocations that stand, with the bases of what they relay.
    pub(crate) fn standing(
        &self,
    ) -> impl Iterator<Item = (RelayId, ServerId, [Option<BaseId>; 2])> {
        (0..).zip(&self.relays).filter_map(|(id, relay)| {
            let relay = relay.as_ref().filter(|r| r.settled && !r.released)?;
            Some((id, relay.wish.server, relay.bases))
        })
    }

    /// Gives an allocation back to its server; the bases it relayed for.
    pub(crate) fn release(&mut self, now: Instant, id: RelayId) -> [Option<BaseId>; 2] {
        let Some(relay) = self.get_mut(id) else {
            return [None; 2];
        };
        relay.released = true;
        relay.client.close(now);
        std::mem::take(&mut relay.bases)
    }

    /// Wishes for servers that are none any more are forgotten.
    pub(crate) fn forget_servers(&mut self, is_active: impl Fn(ServerId) -> bool) {
        self.wishes.retain(|w| is_active(w.server));
    }

    /// Asks the server whether this allocation still stands.
    pub(crate) fn question(&mut self, now: Instant, id: RelayId) {
        if let Some(relay) = self.get_mut(id) {
            relay.client.refresh(now);
        }
    }

    /// Asks the servers whether the allocations still stand. Those that nothing `used` relies on and whose servers
    /// are silent, and those asked for so in vain, are not worth waiting for: their numbers.
    pub(crate) fn question_all(&mut self, now: Instant, used: &[BaseId]) -> Vec<RelayId> {
        let mut silent = Vec::new();
        for (id, relay) in (0..).zip(&mut self.relays) {
            let Some(relay) = relay.as_mut().filter(|r| !r.released) else {
                continue;
            };
            let in_use = relay.bases.iter().flatten().any(|b| used.contains(b));
            if !in_use && relay.client.unanswered_for(now) >= Some(SILENT) {
                silent.push(id);
            } else {
                relay.client.refresh(now);
            }
        }
        silent
    }

    /// What an allocation relays for that stands and is reached by datagrams: that one was not sent means little.
    pub(crate) fn stands_by_udp(&self, id: RelayId) -> Option<[Option<BaseId>; 2]> {
        let relay = self.get(id)?;
        (relay.settled && !relay.released && relay.transport == Transport::Udp)
            .then_some(relay.bases)
    }

    /// When an allocation can be begun.
    pub(crate) fn next_due(&self, servers: &Servers) -> Option<Instant> {
        self.free(servers).map(|(_, wish)| wish.due).min()
    }

    /// Wishes whose paths are free of an allocation that is being given back: a server knows allocations by
    /// their paths (RFC 8656 §3.2), and would end the new one in the old one's stead.
    fn free(&self, servers: &Servers) -> impl Iterator<Item = (usize, &Wish)> {
        self.wishes.iter().enumerate().filter(|(_, wish)| {
            !path_to(wish, servers)
                .and_then(|path| self.get(*self.by_path.get(&path)?))
                .is_some_and(|relay| relay.released)
        })
    }

    /// Begins the next allocation.
    pub(crate) fn start(&mut self, now: Instant, rng: &mut impl Rng, servers: &Servers) -> Begun {
        let next = self.free(servers).find(|(_, wish)| wish.due <= now);
        let next = next.map(|(at, _)| at);
        let Some(wish) = next.and_then(|at| self.wishes.remove(at)) else {
            return Begun::Nothing;
        };
        let Some(path) = path_to(&wish, servers) else {
            return Begun::Nothing;
        };
        if self.by_path.contains_key(&path) {
            // The same server under another name, or with other credentials: it would refuse (RFC 8656 §7.2).
            return Begun::Taken(wish);
        }
        let Some(Server::Turn {
            addr,
            transport,
            username,
            password,
            ..
        }) = servers.get(wish.server)
        else {
            return Begun::Nothing;
        };
        let families = if addr.is_ipv4() {
            turn_client::Families::V4
        } else {
            turn_client::Families::V6
        };
        let config = turn_client::Config::new(*addr, username, password)
            .transport(match transport {
                Transport::Udp => turn::Transport::Udp,
                Transport::Tcp | Transport::Tls => turn::Transport::Tcp,
            })
            .families(families)
            .channels(ChannelPolicy::OnDemand);
        let free = self.relays.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.relays.push(None);
            self.relays.len() - 1
        });
        let Ok(id) = RelayId::try_from(slot) else {
            return Begun::Nothing;
        };
        let relay = Relay {
            client: Client::new(config, now, rng),
            wish,
            transport: *transport,
            bases: [None; 2],
            settled: false,
            since: None,
            released: false,
        };
        if let Some(slot) = self.relays.get_mut(slot) {
            *slot = Some(relay);
        }
        self.by_path.insert(path, id);
        Begun::Asked
    }

    fn get_mut(&mut self, id: RelayId) -> Option<&mut Relay> {
        self.relays.get_mut(usize::from(id))?.as_mut()
    }

    fn get(&self, id: RelayId) -> Option<&Relay> {
        self.relays.get(usize::from(id))?.as_ref()
    }

    /// The allocation whose server sends on this path.
    pub(crate) fn find(
        &self,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<RelayId> {
        if self.by_path.is_empty() {
            return None;
        }
        self.by_path.get(&(transport, local, remote)).copied()
    }

    /// What a server sent. `Ok`: payload of a peer on a relayed base.
    pub(crate) fn input(
        &mut self,
        now: Instant,
        id: RelayId,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(BaseId, SocketAddr, Range<usize>), Input> {
        let slot = self.relays.get_mut(usize::from(id));
        let Some(relay) = slot.and_then(Option::as_mut) else {
            return Err(Input::NotMine);
        };
        let before = relay.client.server();
        let input = relay.client.handle_input(now, from, datagram);
        let server = relay.client.server();
        if server != before {
            // It sends us to another one (RFC 8489 §10), whose answers come from there.
            let path = (
                relay.transport,
                normalise(relay.wish.local),
                normalise(server),
            );
            self.by_path.entry(path).or_insert(id);
        }
        match input {
            Input::Data { peer, range } => {
                let base = relay.bases[usize::from(peer.is_ipv6())];
                base.map(|base| (base, peer, range)).ok_or(Input::Consumed)
            }
            other => Err(other),
        }
    }

    /// Remembers the base of what was allocated.
    pub(crate) fn set_base(&mut self, id: RelayId, relayed: SocketAddr, base: BaseId) {
        if let Some(relay) = self.get_mut(id) {
            relay.bases[usize::from(relayed.is_ipv6())] = Some(base);
        }
    }

    /// Base, address and transport underneath, and the server's place in the configuration.
    pub(crate) fn origin(&self, id: RelayId) -> Option<(BaseId, SocketAddr, Transport, ServerId)> {
        self.get(id)
            .map(|r| (r.wish.base, r.wish.local, r.transport, r.wish.server))
    }

    /// Asks that this peer may be reached.
    pub(crate) fn permit(&mut self, now: Instant, id: RelayId, ip: IpAddr) -> Permission {
        let Some(relay) = self.get_mut(id) else {
            return Permission::Refused;
        };
        if relay.client.is_permitted(now, ip) {
            Permission::Granted
        } else if relay.client.permit(now, ip).is_ok() {
            Permission::Asked
        } else {
            Permission::Refused
        }
    }

    /// Data will go to this peer: take the short header.
    pub(crate) fn bind(&mut self, now: Instant, id: RelayId, peer: SocketAddr) {
        if let Some(relay) = self.get_mut(id) {
            // Too many channels: indications do as well.
            let _ = relay.client.bind_channel(now, peer);
        }
    }

    pub(crate) fn headroom(&self, now: Instant, id: RelayId, peer: SocketAddr) -> Option<usize> {
        self.get(id)?.client.data_headroom(now, &peer)
    }

    /// Wraps what stands behind the headroom.
    pub(crate) fn frame(
        &mut self,
        now: Instant,
        id: RelayId,
        peer: SocketAddr,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Option<Transmit> {
        let relay = self.get_mut(id)?;
        let headroom = relay.client.data_headroom(now, &peer)?;
        relay
            .client
            .frame_data(now, peer, out, start, headroom)
            .ok()?;
        Some(Transmit {
            local: relay.wish.local,
            remote: relay.client.server(),
            transport: relay.transport,
            len: out.len().checked_sub(start)?,
        })
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        self.relays.iter_mut().flatten().find_map(|relay| {
            let sent = relay.client.poll_transmit(now, out)?;
            Some(Transmit {
                local: relay.wish.local,
                remote: sent.remote,
                transport: relay.transport,
                len: sent.len,
            })
        })
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.live().filter_map(|r| r.client.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for relay in self.relays.iter_mut().flatten() {
            if relay.client.poll_timeout().is_some_and(|at| at <= now) {
                relay.client.handle_timeout(now);
            }
        }
    }

    /// The next thing the agent has to act upon.
    pub(crate) fn poll_news(&mut self, now: Instant) -> Option<News> {
        for index in 0..self.relays.len() {
            let Ok(id) = RelayId::try_from(index) else {
                continue;
            };
            while let Some(event) = self.get_mut(id).and_then(|r| r.client.poll_event()) {
                if let Some(news) = self.news(now, id, event) {
                    return Some(news);
                }
            }
        }
        None
    }

    fn news(&mut self, now: Instant, id: RelayId, event: Event) -> Option<News> {
        let relay = self.relays.get_mut(usize::from(id))?.as_mut()?;
        let bases = relay.bases;
        let base_of = |ip: &IpAddr| bases[usize::from(ip.is_ipv6())];
        match event {
            Event::Allocated(allocation) => {
                relay.settled = true;
                relay.since = Some(now);
                let relayed = allocation.relayed_v4.or(allocation.relayed_v6)?;
                Some(News::Allocated {
                    relay: id,
                    relayed,
                    mapped: allocation.mapped,
                })
            }
            Event::Permitted(ip) => Some(News::Permitted {
                base: base_of(&ip)?,
                ip,
            }),
            Event::NotPermitted(ip, _) => Some(News::NotPermitted {
                base: base_of(&ip)?,
                ip,
            }),
            Event::Icmp(peer, _) => Some(News::Unreachable {
                base: base_of(&peer.ip())?,
                peer,
            }),
            Event::Closed(failure) => {
                let gone = self.lose(now, id)?;
                Some(News::Closed { gone, failure })
            }
            _ => None,
        }
    }

    /// The allocation is gone: by the server's word, with its host base, or
    /// with the connection to the server.
    pub(crate) fn lose(&mut self, now: Instant, id: RelayId) -> Option<Gone> {
        let relay = self.relays.get_mut(usize::from(id))?.take()?;
        self.by_path.retain(|_, at| *at != id);
        let stood = relay
            .since
            .is_some_and(|since| now.saturating_duration_since(since) >= STOOD);
        let wish = Wish {
            rounds: if stood { 0 } else { relay.wish.rounds },
            ..relay.wish
        };
        Some(Gone {
            bases: relay.bases,
            wish: wish.again(now),
        })
    }

    /// The allocations that stand on this base.
    pub(crate) fn on_base(&self, base: BaseId) -> Vec<RelayId> {
        (0..)
            .zip(&self.relays)
            .filter(|(_, r)| r.as_ref().is_some_and(|r| r.wish.base == base))
            .map(|(id, _)| id)
            .collect()
    }

    pub(crate) fn forget_wishes(&mut self, base: BaseId) {
        self.wishes.retain(|w| w.base != base);
    }

    /// Gives all allocations up.
    pub(crate) fn close(&mut self, now: Instant) {
        self.wishes.clear();
        for relay in self.relays.iter_mut().flatten() {
            relay.settled = true;
            relay.client.close(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tincan_stun::attributes::{AlternateServer, ErrorCode};
    use tincan_stun::message::{Class, Message, Method, Writer};

    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 3478))
    }

    struct Bench {
        relays: Relays,
        servers: Servers,
        now: Instant,
        rng: StdRng,
    }

    const UDP: Transport = Transport::Udp;

    impl Bench {
        fn new() -> Self {
            let mut servers = Servers::default();
            servers.set([Server::turn(address(1), UDP, "u", "p")], |_| false);
            Self {
                relays: Relays::default(),
                servers,
                now: Instant::now(),
                rng: StdRng::seed_from_u64(1),
            }
        }

        fn wish(&mut self) {
            self.relays.wish(Wish {
                base: BaseId(0),
                local: address(100),
                server: 0,
                rounds: 0,
                due: self.now,
            });
        }

        fn has_work(&self) -> bool {
            self.relays.next_due(&self.servers).is_some()
        }

        fn start(&mut self) -> bool {
            let begun = self.relays.start(self.now, &mut self.rng, &self.servers);
            matches!(begun, Begun::Asked)
        }
    }

    #[test]
    fn another_server_that_is_named_instead_is_heard() {
        let mut bench = Bench::new();
        bench.wish();
        assert!(bench.start());
        let mut out = Vec::new();
        let asked = bench.relays.poll_transmit(bench.now, &mut out).unwrap();
        assert_eq!(asked.remote, address(1));
        let request = Message::parse(&out).unwrap();
        let mut answer = Vec::new();
        Writer::new(
            &mut answer,
            Class::Error,
            Method::ALLOCATE,
            request.transaction_id(),
        )
        .push(&ErrorCode::new(300, "try another").unwrap())
        .push(&AlternateServer(address(2)))
        .finish()
        .unwrap();
        let heard = bench.relays.input(bench.now, 0, address(1), &answer);
        assert!(matches!(heard, Err(Input::Consumed)), "{heard:?}");
        out.clear();
        let asked = bench.relays.poll_transmit(bench.now, &mut out).unwrap();
        assert_eq!(asked.remote, address(2));
        assert_eq!(bench.relays.find(UDP, address(100), address(2)), Some(0));
    }

    #[test]
    fn tries_follow_each_other_ever_slower() {
        let now = Instant::now();
        let mut wish = Wish {
            base: BaseId(0),
            local: address(100),
            server: 0,
            rounds: 0,
            due: now,
        };
        let mut pauses = Vec::new();
        for _ in 0..300 {
            wish = wish.again(now);
            pauses.push((wish.due - now).as_millis());
        }
        assert_eq!(
            pauses[..9],
            [0, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 32_000]
        );
        assert_eq!(pauses.last(), Some(&32_000));
    }

    /// A server knows an allocation by its path: what ends the old one would end the new one.
    #[test]
    fn an_allocation_waits_until_the_one_before_it_is_given_back() {
        let mut bench = Bench::new();
        bench.wish();
        assert!(bench.start());
        bench.relays.release(bench.now, 0);
        bench.wish();
        assert!(!bench.has_work() && !bench.start());
        assert!(bench.relays.is_busy(), "it is only put off");
        let mut out = Vec::new();
        for _ in 0..1_000 {
            while bench.relays.poll_transmit(bench.now, &mut out).is_some() {}
            if let Some(News::Closed { .. }) = bench.relays.poll_news(bench.now) {
                break;
            }
            assert!(!bench.has_work());
            bench.now += Duration::from_millis(100);
            bench.relays.handle_timeout(bench.now);
        }
        assert!(bench.has_work() && bench.start());
    }
}
