//! What the server's answers mean.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::config::{Allocation, Event, Failure, Families, Input, Port};
use super::requests::{Ask, Refusal, Request};
use super::{
    ALLOCATION_MISMATCH, Client, GIVE_BACK, MIN_REFRESH_PAUSE, MISMATCH_PAUSE, State, next_refresh,
};
use crate::attributes::{
    AlternateDomain, AlternateServer, ConnectionId, ErrorCode, Lifetime, MobilityTicket,
    ReservationToken, UnknownAttributes, XorMappedAddress, XorRelayedAddress,
};
use crate::limits::{MAX_ALLOCATION_MISMATCHES, MAX_AUTH_RETRIES, MAX_REDIRECTS};
use crate::message::{AttributeType, Class, Message, TransactionId};
use crate::turn::Transport;

impl Client {
    pub(super) fn handle_response(&mut self, now: Instant, message: &Message<'_>) -> Input {
        let id = message.transaction_id();
        let Some(request) = self.requests.get(id) else {
            return Input::NotMine;
        };
        let error = match message.class() {
            Class::Error => message.get::<ErrorCode<'_>>(),
            _ => None,
        };
        let bare = !message.has_integrity() && !message.has_integrity_sha256();
        let acceptable = message.method() == request.ask.method()
            && (message.class() == Class::Success || error.is_some());
        let acceptable = acceptable
            && match error {
                _ if !request.signed => true,
                Some(error) if bare => self.believes_bare(id, error),
                _ => self.credentials.verify(message).is_ok(),
            };
        let Some(request) = Some(())
            .filter(|()| acceptable)
            .and_then(|()| self.requests.take(id))
        else {
            self.stats.dropped += 1;
            return Input::Consumed;
        };
        self.stats.responses += 1;
        self.unanswered_since = None;
        if let Some(rtt) = request.transaction.rtt(now) {
            self.stats.rtt = Some(rtt);
            self.rto.sample(now, rtt);
        }
        match error {
            None => {
                self.credentials.take_nonce(message);
                self.granted(now, request.ask, message);
            }
            Some(error) if matches!(error.code(), 401 | 438) => {
                self.challenged(now, request, message);
            }
            Some(error) => self.refused(now, request.ask, error, message),
        }
        if self.allocation().is_some() && self.peers.wants_requests(now) {
            self.wake = Some(now);
        }
        Input::Consumed
    }

    /// Whether a refusal without integrity ends a signed request. RFC 8489 §9.2.5 has it discarded, but for those
    /// that a server gives before it knows the key; and there are servers that sign no refusal at all. Of these
    /// the second that says the same is believed: a signed answer would have come before it. On a stream nobody
    /// off the path can forge one.
    fn believes_bare(&mut self, id: TransactionId, error: ErrorCode<'_>) -> bool {
        matches!(error.code(), 400 | 401 | 420 | 438)
            || self.config.transport == Transport::Tcp
            || self.requests.note_refusal(id, error)
    }

    fn challenged(&mut self, now: Instant, request: Request, message: &Message<'_>) {
        if request.challenged >= MAX_AUTH_RETRIES {
            return self.failed(now, request.ask, Failure::ChallengeLoop);
        }
        match self.credentials.challenged(message, request.signed) {
            Ok(_) => self.ask(now, request.ask, request.challenged + 1),
            Err(error) => self.failed(now, request.ask, Failure::Authentication(error)),
        }
    }

    fn refused(&mut self, now: Instant, ask: Ask, error: ErrorCode<'_>, message: &Message<'_>) {
        if ask == Ask::Allocate {
            if error.code() == 300
                && let Some(AlternateServer(server)) = message.get()
            {
                return self.redirected(now, server, message);
            }
            let unknown = message.get::<UnknownAttributes<'_>>();
            if error.code() == 420
                && self.config.dont_fragment
                && unknown.is_some_and(|u| u.types().any(|t| t == AttributeType::DONT_FRAGMENT))
            {
                self.config.dont_fragment = false;
                return self.ask(now, ask, 0);
            }
            if error.code() == ALLOCATION_MISMATCH && self.mismatches < MAX_ALLOCATION_MISMATCHES {
                return self.mismatched(now);
            }
        } else if error.code() == ALLOCATION_MISMATCH && self.allocation().is_some() {
            // RFC 8656 §5: it no longer exists.
            return self.end(Some(Failure::Lost));
        }
        self.failed(now, ask, Refusal::from(error).into());
    }

    fn redirected(&mut self, now: Instant, server: SocketAddr, message: &Message<'_>) {
        self.redirects += 1;
        let same_family = server.is_ipv4() == self.config.server.is_ipv4();
        if self.config.transport == Transport::Udp
            && same_family
            && server != self.config.server
            && self.redirects <= MAX_REDIRECTS
        {
            self.config.server = server;
            self.credentials.reset();
            self.ask(now, Ask::Allocate, 0);
        } else {
            let domain = message.get::<AlternateDomain<'_>>().map(|d| d.0.to_owned());
            self.end(Some(Failure::Redirected { server, domain }));
        }
    }

    fn granted(&mut self, now: Instant, ask: Ask, message: &Message<'_>) {
        match ask {
            Ask::Allocate => self.allocated(now, message),
            Ask::Refresh { .. } if matches!(self.state, State::Releasing) => self.end(None),
            Ask::Refresh { .. } if matches!(self.state, State::Allocating) => self.made_room(now),
            Ask::Refresh { .. } => {
                self.take_ticket(message);
                let lifetime = message.get::<Lifetime>().map_or(0, |l| l.0);
                if let State::Allocated {
                    allocation,
                    refresh_at,
                } = &mut self.state
                {
                    allocation.expires = now + Duration::from_secs(lifetime.into());
                    *refresh_at = next_refresh(now, lifetime);
                }
            }
            Ask::Permit(ips) => {
                for ip in ips {
                    if self.peers.permitted(now, ip) {
                        self.events.push_back(Event::Permitted(ip));
                    }
                }
            }
            Ask::Bind(peer, _) => {
                if self.peers.bound(now, &peer) {
                    self.events.push_back(Event::ChannelBound(peer));
                }
                if self.peers.permitted(now, peer.ip()) {
                    self.events.push_back(Event::Permitted(peer.ip()));
                }
                self.sent_to.retain(|(p, _)| *p != peer);
            }
            Ask::Connect(peer) => self.events.push_back(match message.get::<ConnectionId>() {
                Some(id) => Event::Connected(peer, id),
                None => Event::ConnectFailed(peer, Failure::Malformed),
            }),
            Ask::ConnectionBind(_) => {}
        }
    }

    /// RFC 8656 §7.4 wants another port then, and that is not ours to take. What stands on this one is what a client
    /// before us left behind here, or a try of ours whose answer was lost: give it back.
    fn mismatched(&mut self, now: Instant) {
        self.mismatches += 1;
        match self.mismatches {
            1 => self.ask(now, GIVE_BACK, 0),
            _ if self.close_wanted => self.end(None),
            n => self.ask(now + MISMATCH_PAUSE * (1 << (n - 2)), Ask::Allocate, 0),
        }
    }

    /// What stood on our 5-tuple is gone.
    fn made_room(&mut self, now: Instant) {
        if self.close_wanted {
            self.end(None);
        } else {
            self.ask(now, Ask::Allocate, 0);
        }
    }

    fn take_ticket(&mut self, message: &Message<'_>) {
        if let Some(MobilityTicket(ticket)) = message.get() {
            self.ticket = Some(ticket.to_vec()).filter(|t| !t.is_empty());
        }
    }

    fn allocated(&mut self, now: Instant, message: &Message<'_>) {
        let mapped = message.get::<XorMappedAddress>().map(|m| m.0);
        let lifetime = message.get::<Lifetime>().map(|l| l.0);
        let (Some(mapped), Some(lifetime)) = (mapped, lifetime) else {
            return self.end(Some(Failure::Malformed));
        };
        let relayed = |v4: bool| {
            message
                .get_all::<XorRelayedAddress>()
                .map(|r| r.0)
                .find(|r| r.is_ipv4() == v4)
        };
        let (relayed_v4, relayed_v6) = (relayed(true), relayed(false));
        let asked_for = match self.config.families {
            // With a token the family is the server's choice.
            _ if matches!(self.config.port, Port::Reserved(_)) => relayed_v4.or(relayed_v6),
            Families::V4 => relayed_v4,
            Families::V6 => relayed_v6,
            Families::Both => relayed_v4.or(relayed_v6),
        };
        let allocation = Allocation {
            relayed_v4,
            relayed_v6,
            mapped,
            expires: now + Duration::from_secs(lifetime.into()),
            reservation: message.get::<ReservationToken>(),
        };
        self.take_ticket(message);
        self.state = State::Allocated {
            allocation,
            refresh_at: next_refresh(now, lifetime),
        };
        if asked_for.is_none() {
            // RFC 8656 §7.3: give it back.
            self.close(now);
            self.events
                .push_back(Event::Closed(Some(Failure::Malformed)));
            return;
        }
        if self.close_wanted {
            return self.close(now);
        }
        self.events.push_back(Event::Allocated(allocation));
        self.wake = Some(now);
    }

    /// Something asked for was not granted.
    pub(super) fn failed(&mut self, now: Instant, ask: Ask, failure: Failure) {
        match ask {
            Ask::Allocate => self.end(Some(failure)),
            Ask::Refresh { .. } if matches!(self.state, State::Releasing) => self.end(None),
            Ask::Refresh { .. } if matches!(self.state, State::Allocating) => match failure {
                Failure::Refused {
                    code: ALLOCATION_MISMATCH,
                    ..
                } => self.made_room(now),
                _ => self.end(Some(failure)),
            },
            // It stands until its end; try again meanwhile.
            Ask::Refresh { .. } => match failure {
                Failure::Authentication(_) | Failure::Unwritable => self.end(Some(failure)),
                _ => {
                    if let State::Allocated { refresh_at, .. } = &mut self.state {
                        *refresh_at = now + MIN_REFRESH_PAUSE;
                    }
                }
            },
            Ask::Permit(ips) if ips.len() > 1 && matches!(failure, Failure::Refused { .. }) => {
                // One bad address refuses all (RFC 8656 §10.2): find it.
                for ip in ips {
                    self.ask(now, Ask::Permit(vec![ip]), 0);
                }
            }
            Ask::Permit(ips) => {
                for ip in ips {
                    self.peers.not_permitted(ip);
                    self.events
                        .push_back(Event::NotPermitted(ip, failure.clone()));
                }
            }
            Ask::Bind(peer, _) => {
                self.peers.not_bound(&peer);
                self.events.push_back(Event::ChannelRefused(peer, failure));
            }
            Ask::Connect(peer) => self.events.push_back(Event::ConnectFailed(peer, failure)),
            Ask::ConnectionBind(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::attributes::{Nonce, Realm};
    use crate::integrity::Key;
    use crate::message::Writer;
    use crate::turn::client::Config;

    const REALM: &str = "tincan.test";

    /// A client whose Allocate request was challenged and signed, and what the test is to answer.
    struct Bench {
        client: Client,
        server: SocketAddr,
        now: Instant,
        asked: TransactionId,
    }

    impl Bench {
        fn new(transport: Transport) -> Self {
            let server = SocketAddr::from(([192, 0, 2, 1], 3478));
            let config = Config::new(server, "alice", "wonderland").transport(transport);
            let now = Instant::now();
            let client = Client::new(config, now, &mut StdRng::seed_from_u64(1));
            let asked = TransactionId::new([0; 12]);
            let mut bench = Self {
                client,
                server,
                now,
                asked,
            };
            assert!(bench.transmitted());
            bench.answer(|w| {
                w.push(&ErrorCode::new(401, "").unwrap())
                    .push(&Realm(REALM))
                    .push(&Nonce("once"))
            });
            assert!(bench.transmitted());
            bench
        }

        fn transmitted(&mut self) -> bool {
            let mut out = Vec::new();
            self.client.handle_timeout(self.now);
            let sent = self.client.poll_transmit(self.now, &mut out).is_some();
            if sent {
                self.asked = Message::parse(&out).unwrap().transaction_id();
            }
            sent
        }

        /// Waits for the next repetition.
        fn repeated(&mut self) -> bool {
            self.now = self.client.poll_timeout().unwrap();
            self.transmitted()
        }

        fn answer(&mut self, fill: impl for<'a> Fn(Writer<'a>) -> Writer<'a>) {
            let mut out = Vec::new();
            let writer = Writer::new(
                &mut out,
                Class::Error,
                crate::message::Method::ALLOCATE,
                self.asked,
            );
            fill(writer).finish().unwrap();
            let input = self.client.handle_input(self.now, self.server, &out);
            assert_eq!(input, Input::Consumed);
        }

        fn refuse(&mut self, code: u16) {
            self.answer(|w| w.push(&ErrorCode::new(code, "no").unwrap()));
        }

        fn code(&mut self) -> Option<u16> {
            match self.client.poll_event()? {
                Event::Closed(Some(Failure::Refused { code, .. })) => Some(code),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_refusal_that_nobody_signed_is_believed_when_it_is_repeated() {
        let mut bench = Bench::new(Transport::Udp);
        let begin = bench.now;
        bench.refuse(486);
        assert_eq!(bench.code(), None, "anybody on the path could have said it");
        assert!(bench.repeated());
        bench.refuse(508);
        assert_eq!(bench.code(), None, "another one");
        assert!(bench.repeated());
        bench.refuse(508);
        assert_eq!(bench.code(), Some(508));
        assert_eq!(bench.now - begin, Duration::from_millis(1500));
    }

    #[test]
    fn a_refusal_that_nobody_signed_tells_at_least_why_time_ran_out() {
        let mut bench = Bench::new(Transport::Udp);
        bench.refuse(486);
        while bench.repeated() {}
        assert_eq!(bench.code(), Some(486));
    }

    #[test]
    fn a_signed_answer_counts_more_than_a_refusal_that_nobody_signed() {
        let mut bench = Bench::new(Transport::Udp);
        bench.refuse(486);
        assert!(bench.repeated());
        let mut out = Vec::new();
        let method = crate::message::Method::ALLOCATE;
        Writer::new(&mut out, Class::Success, method, bench.asked)
            .push(&XorRelayedAddress(bench.server))
            .push(&XorMappedAddress(bench.server))
            .push(&Lifetime(600))
            .integrity(&Key::long_term_md5("alice", REALM, "wonderland"))
            .finish()
            .unwrap();
        bench.client.handle_input(bench.now, bench.server, &out);
        let event = bench.client.poll_event();
        assert!(matches!(event, Some(Event::Allocated(_))), "{event:?}");
    }

    #[test]
    fn on_a_stream_a_refusal_that_nobody_signed_counts_at_once() {
        let mut bench = Bench::new(Transport::Tcp);
        bench.refuse(486);
        assert_eq!(bench.code(), Some(486));
    }
}
