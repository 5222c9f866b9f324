//! mDNS for candidates: names for our host addresses, addresses for the
//! peer's names (draft-ietf-mmusic-mdns-ice-candidates, RFC 6762).
//!
//! One [`Responder`] serves all agents of a host. The driver gives it what
//! arrives on port 5353 and sends what it wants sent; an agent gets names by
//! [`LocalBase::with_name`](crate::LocalBase::with_name), asks by
//! [`Event::Resolve`](crate::Event::Resolve) and is answered by
//! [`Agent::name_resolved`](crate::Agent::name_resolved).
//!
//! ```
//! use std::time::{Duration, Instant};
//! use rand::SeedableRng;
//! use tincan_ice::mdns::{Event, Responder};
//!
//! let now = Instant::now();
//! let mut alice = Responder::new(&mut rand::rngs::StdRng::seed_from_u64(1));
//! let mut bob = Responder::new(&mut rand::rngs::StdRng::seed_from_u64(2));
//! let name = alice.register(now, "192.0.2.1".parse()?).ok_or("full")?;
//! bob.resolve(now, name);
//! let (mut out, from) = (Vec::new(), "192.0.2.2:5353".parse()?);
//! while let Some(transmit) = bob.poll_transmit(now, &mut out) {
//!     alice.handle_input(now, from, &out);
//!     out.clear();
//! }
//! while let Some(transmit) = alice.poll_transmit(now, &mut out) {
//!     bob.handle_input(now, "192.0.2.1:5353".parse()?, &out);
//!     out.clear();
//! }
//! // A moment later, as another host might have contradicted.
//! bob.handle_timeout(now + Duration::from_millis(20));
//! let resolved = Event::Resolved { name, ip: Some("192.0.2.1".parse()?) };
//! assert_eq!(bob.poll_event(), Some(resolved));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod message;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bucket::Bucket;
use crate::limits::{MAX_MDNS_ANSWERS, MAX_MDNS_NAMES, MAX_UNRESOLVED_NAMES};
use crate::mdns_name::MdnsName;

/// The port of mDNS.
pub const PORT: u16 = 5353;
/// The group of mDNS over IPv4.
pub const GROUP_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), PORT);
/// The group of mDNS over IPv6, on the link.
pub const GROUP_V6: SocketAddr = SocketAddr::new(
    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb)),
    PORT,
);

/// A query is repeated after these times (RFC 6762 §5.2) and given up after
/// the last: a peer on the link answers at once or never.
const QUERY_AT: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
];
/// A second announcement follows the first (RFC 6762 §8.3).
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(1);
/// A record is multicast no more often (RFC 6762 §6).
const MULTICAST_PAUSE: Duration = Duration::from_secs(1);
/// After the first answer, how long another one may contradict it: a name
/// with two addresses is ignored (§3.2.2 of the draft).
const SETTLE: Duration = Duration::from_millis(20);

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// [`Destination::Multicast`] or one host.
    pub to: Destination,
    /// Octets appended to the buffer.
    pub len: usize,
}

/// To all, or to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To [`GROUP_V4`] and [`GROUP_V6`], on every interface in use.
    Multicast,
    /// To this address.
    Unicast(SocketAddr),
}

/// News.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A name was resolved; or was not, or has several addresses: `None`.
    Resolved {
        /// The name.
        name: MdnsName,
        /// Its address.
        ip: Option<IpAddr>,
    },
}

#[derive(Debug)]
struct Registration {
    ip: IpAddr,
    announce_at: Option<Instant>,
    multicast: Option<Instant>,
}

#[derive(Debug)]
struct Query {
    started: Instant,
    /// How many were sent.
    sent: usize,
    answer: Option<(IpAddr, Instant)>,
    ambiguous: bool,
}

#[derive(Debug)]
struct Answer {
    name: MdnsName,
    ip: IpAddr,
    to: Destination,
    legacy: Option<u16>,
    goodbye: bool,
}

/// Registers, answers, asks. See the [module](self).
#[derive(Debug)]
pub struct Responder {
    rng: StdRng,
    names: BTreeMap<MdnsName, Registration>,
    queries: BTreeMap<MdnsName, Query>,
    answers: VecDeque<Answer>,
    unicast: Bucket,
    events: VecDeque<Event>,
}

impl Responder {
    /// One without names.
    #[must_use]
    pub fn new(rng: &mut impl Rng) -> Self {
        Self {
            rng: StdRng::from_rng(rng),
            names: BTreeMap::new(),
            queries: BTreeMap::new(),
            answers: VecDeque::new(),
            unicast: Bucket::new(64, 64),
            events: VecDeque::new(),
        }
    }

    /// The name of this address: a fresh one, announced without probing
    /// (§3.1.1), or the one it has already. Origins that must not learn that
    /// they run on one host want a responder each (§3.3.3). `None`: the table is full.
    pub fn register(&mut self, now: Instant, ip: IpAddr) -> Option<MdnsName> {
        let ip = ip.to_canonical();
        if let Some((name, _)) = self.names.iter().find(|(_, r)| r.ip == ip) {
            return Some(*name);
        }
        if self.names.len() >= MAX_MDNS_NAMES {
            return None;
        }
        let name = MdnsName::random(&mut self.rng);
        let again = Some(now + ANNOUNCE_AGAIN);
        self.names.insert(
            name,
            Registration {
                ip,
                announce_at: again,
                multicast: Some(now),
            },
        );
        self.queue(name, ip, Destination::Multicast, None, false);
        Some(name)
    }

    /// Says goodbye to a name.
    pub fn unregister(&mut self, name: MdnsName) {
        if let Some(registration) = self.names.remove(&name) {
            self.queue(name, registration.ip, Destination::Multicast, None, true);
        }
    }

    /// Asks for a name; [`Event::Resolved`] follows, at the latest after 5 s.
    pub fn resolve(&mut self, now: Instant, name: MdnsName) {
        if let Some(own) = self.names.get(&name) {
            // The peer is on this very host.
            let ip = Some(own.ip);
            self.events.push_back(Event::Resolved { name, ip });
        } else if self.queries.len() >= MAX_UNRESOLVED_NAMES && !self.queries.contains_key(&name) {
            self.events.push_back(Event::Resolved { name, ip: None });
        } else {
            let fresh = Query {
                started: now,
                sent: 0,
                answer: None,
                ambiguous: false,
            };
            self.queries.entry(name).or_insert(fresh);
        }
    }

    /// Takes a packet that arrived on the mDNS port; the driver has made sure
    /// that it came from the local link (RFC 6762 §11).
    pub fn handle_input(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) {
        let Some(content) = message::parse(packet) else {
            return;
        };
        for question in content.questions {
            let Some(registration) = self.names.get_mut(&question.name) else {
                continue;
            };
            let (name, ip) = (question.name, registration.ip);
            if !question.kind.fits(ip) {
                continue;
            }
            let legacy = (from.port() != PORT).then_some(content.id);
            if legacy.is_some() || question.unicast {
                if self.unicast.take(now) {
                    self.queue(name, ip, Destination::Unicast(from), legacy, false);
                }
                continue;
            }
            let recent = registration
                .multicast
                .is_some_and(|at| now.saturating_duration_since(at) < MULTICAST_PAUSE);
            if !recent {
                registration.multicast = Some(now);
                self.queue(name, ip, Destination::Multicast, None, false);
            }
        }
        for (name, ip, ttl) in content.answers {
            let Some(query) = self.queries.get_mut(&name).filter(|_| ttl > 0) else {
                continue;
            };
            match query.answer {
                None => query.answer = Some((ip, now)),
                Some((known, _)) if known != ip => query.ambiguous = true,
                Some(_) => {}
            }
        }
        self.settle(now);
    }

    /// Moves time on.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut again = Vec::new();
        for (name, registration) in &mut self.names {
            if registration.announce_at.is_some_and(|at| now >= at) {
                registration.announce_at = None;
                registration.multicast = Some(now);
                again.push((*name, registration.ip));
            }
        }
        for (name, ip) in again {
            self.queue(name, ip, Destination::Multicast, None, false);
        }
        self.settle(now);
    }

    /// Reports queries that are decided.
    fn settle(&mut self, now: Instant) {
        let events = &mut self.events;
        self.queries.retain(|name, query| {
            let ip = match (query.ambiguous, query.answer) {
                (true, _) => None,
                (false, Some((ip, at))) if now >= at + SETTLE || SETTLE.is_zero() => Some(ip),
                (false, Some(_)) => return true,
                (false, None) if now >= query.started + QUERY_AT[2] => None,
                (false, None) => return true,
            };
            events.push_back(Event::Resolved { name: *name, ip });
            false
        });
    }

    fn queue(
        &mut self,
        name: MdnsName,
        ip: IpAddr,
        to: Destination,
        legacy: Option<u16>,
        goodbye: bool,
    ) {
        if self.answers.len() < MAX_MDNS_ANSWERS {
            self.answers.push_back(Answer {
                name,
                ip,
                to,
                legacy,
                goodbye,
            });
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) or
    /// [`poll_transmit`](Self::poll_transmit) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let announcements = self.names.values().filter_map(|r| r.announce_at);
        let queries = self.queries.values().map(|q| match q.answer {
            Some((_, at)) => at + SETTLE,
            None => q.next(),
        });
        announcements.chain(queries).min()
    }

    /// Appends the next packet to `out`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        while let Some(answer) = self.answers.pop_front() {
            let Answer {
                name,
                ip,
                to,
                legacy,
                goodbye,
            } = answer;
            if let Some(len) = message::write_response(name, ip, legacy, goodbye, out) {
                return Some(Transmit { to, len });
            }
        }
        let due = self.queries.iter_mut().find(|(_, q)| q.is_due(now));
        let (name, query) = due?;
        // RFC 6762 §15.1: where several programs of a host have the port, a unicast
        // response may reach another one. The repetition is answered to all.
        let unicast = query.sent == 0;
        query.sent += 1;
        let len = message::write_query(*name, unicast, out)?;
        Some(Transmit {
            to: Destination::Multicast,
            len,
        })
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

impl Query {
    /// When the next packet, or the end, is due.
    fn next(&self) -> Instant {
        match self.sent.checked_sub(1) {
            None => self.started,
            Some(at) => self.started + QUERY_AT.get(at).copied().unwrap_or(QUERY_AT[2]),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.answer.is_none() && self.sent < QUERY_AT.len() && now >= self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Link {
        ends: [Responder; 2],
        now: Instant,
        packets: usize,
    }

    fn addr(n: usize) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, if n == 0 { 1 } else { 2 }], PORT))
    }

    impl Link {
        fn new() -> Self {
            let new = |seed| Responder::new(&mut StdRng::seed_from_u64(seed));
            Self {
                ends: [new(1), new(2)],
                now: Instant::now(),
                packets: 0,
            }
        }

        /// Delivers for so long; `lose` decides what is lost.
        fn run(&mut self, time: Duration, lose: impl Fn(usize) -> bool) {
            let end = self.now + time;
            loop {
                for n in [0, 1] {
                    let mut out = Vec::new();
                    while self.ends[n].poll_transmit(self.now, &mut out).is_some() {
                        self.packets += 1;
                        if !lose(self.packets) {
                            self.ends[1 - n].handle_input(self.now, addr(n), &out);
                        }
                        out.clear();
                    }
                }
                let next = self.ends.iter().filter_map(Responder::poll_timeout).min();
                let Some(next) = next.filter(|at| *at <= end) else {
                    break;
                };
                self.now = self.now.max(next);
                for responder in &mut self.ends {
                    responder.handle_timeout(self.now);
                }
            }
            self.now = end;
        }
    }

    #[test]
    fn a_lost_query_is_repeated() {
        let mut link = Link::new();
        let Some(name) = link.ends[0].register(link.now, addr(0).ip()) else {
            return;
        };
        link.run(Duration::from_secs(5), |_| true);
        link.ends[1].resolve(link.now, name);
        let first = link.packets + 1;
        link.run(Duration::from_secs(6), |n| n == first);
        assert_eq!(
            link.ends[1].poll_event(),
            Some(Event::Resolved {
                name,
                ip: Some(addr(0).ip())
            })
        );
    }

    #[test]
    fn a_name_of_nobody_is_given_up_after_three_queries() {
        let mut link = Link::new();
        let name = MdnsName::random(&mut StdRng::seed_from_u64(9));
        link.ends[1].resolve(link.now, name);
        link.run(Duration::from_secs(20), |_| false);
        assert_eq!(
            link.ends[1].poll_event(),
            Some(Event::Resolved { name, ip: None })
        );
        assert_eq!((link.packets, link.ends[1].poll_timeout()), (3, None));
    }

    #[test]
    fn a_name_with_two_addresses_is_ignored() {
        let mut link = Link::new();
        let name = MdnsName::random(&mut StdRng::seed_from_u64(9));
        link.ends[1].resolve(link.now, name);
        for last in [1, 9] {
            let mut out = Vec::new();
            message::write_response(name, IpAddr::from([192, 0, 2, last]), None, false, &mut out);
            link.ends[1].handle_input(link.now, addr(0), &out);
        }
        link.run(Duration::from_secs(1), |_| false);
        assert_eq!(
            link.ends[1].poll_event(),
            Some(Event::Resolved { name, ip: None })
        );
    }

    #[test]
    fn one_name_an_address_announced_twice_and_bounded() {
        let mut link = Link::new();
        let ip = addr(0).ip();
        let name = link.ends[0].register(link.now, ip);
        assert_eq!(link.ends[0].register(link.now, ip), name);
        link.run(Duration::from_secs(60), |_| false);
        assert_eq!(link.packets, 2);
        let more = (0..1000u32).filter(|n| {
            let ip = IpAddr::from((n + 0x0a00_0000).to_be_bytes());
            link.ends[0].register(link.now, ip).is_some()
        });
        assert_eq!(more.count(), MAX_MDNS_NAMES - 1);
    }

    #[test]
    fn multicast_answers_are_a_second_apart_and_unicast_ones_rationed() {
        let mut link = Link::new();
        let Some(name) = link.ends[0].register(link.now, addr(0).ip()) else {
            return;
        };
        link.run(Duration::from_secs(5), |_| false);
        let before = link.packets;
        let mut query = Vec::new();
        message::write_query(name, true, &mut query);
        for _ in 0..10_000 {
            link.ends[0].handle_input(link.now, addr(1), &query);
        }
        link.run(Duration::ZERO, |_| true);
        assert!(link.packets - before <= 64, "{}", link.packets - before);
    }

    #[test]
    fn too_many_questions_of_ours_are_refused_at_once() {
        let mut link = Link::new();
        for seed in 0..100 {
            let name = MdnsName::random(&mut StdRng::seed_from_u64(seed));
            link.ends[1].resolve(link.now, name);
        }
        let refused = std::iter::from_fn(|| link.ends[1].poll_event()).count();
        assert_eq!(refused, 100 - MAX_UNRESOLVED_NAMES);
    }
    /// An interface that goes up and down with nobody polling.
    #[test]
    fn answers_that_nobody_takes_are_bounded() {
        let mut link = Link::new();
        let responder = &mut link.ends[0];
        for n in 0..1000u32 {
            let ip = IpAddr::from((n + 0x0a00_0000).to_be_bytes());
            if let Some(name) = responder.register(link.now, ip) {
                responder.unregister(name);
            }
        }
        let mut out = Vec::new();
        let polled = std::iter::from_fn(|| {
            out.clear();
            responder.poll_transmit(link.now, &mut out)
        });
        assert_eq!(polled.count(), MAX_MDNS_ANSWERS);
    }
}
