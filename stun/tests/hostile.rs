//! What strangers and bad clients may do to a server, and what it costs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tincan_stun::attributes::*;
use tincan_stun::credentials::LongTerm;
use tincan_stun::integrity::Key;
use tincan_stun::limits::{
    MAX_CHANNELS, MAX_PERMISSIONS, MAX_UNKNOWN_LISTED, STRANGER_PAID_PER_SECOND,
};
use tincan_stun::message::*;
use tincan_stun::turn::ChannelData;
use tincan_stun::turn::Transport;
use tincan_stun::turn::server::{Config, Event, FiveTuple, Input, Server};

const CLIENT: &str = "198.51.100.1:4000";

struct Bench {
    host: Host,
    now: Instant,
    client: FiveTuple,
    next_id: u8,
}

impl Bench {
    fn new(config: Config) -> Bench {
        let now = Instant::now();
        let server = Server::new(config, now, &mut StdRng::seed_from_u64(1));
        Bench {
            host: Host::new(server),
            now,
            client: tuple(addr(CLIENT)),
            next_id: 0,
        }
    }

    /// Gives the server octets; what it answers, all of it.
    fn give(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        let input = self
            .host
            .server
            .handle_input(self.now, self.client, octets, &mut users());
        assert_eq!(input, Input::Consumed);
        self.host.handle_events(self.now);
        let mut answers = Vec::new();
        let mut out = Vec::new();
        while self.host.server.poll_transmit(self.now, &mut out).is_some() {
            answers.push(std::mem::take(&mut out));
        }
        answers
    }

    fn write<'a>(&mut self, out: &'a mut Vec<u8>, method: Method) -> Writer<'a> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = TransactionId::new([self.next_id; 12]);
        Writer::new(out, Class::Request, method, id)
    }

    fn bare_allocate(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, Method::ALLOCATE)
            .push(&RequestedTransport::UDP)
            .finish()
            .unwrap();
        out
    }

    /// Asks signed as alice with a nonce; the answer's code, zero for success.
    fn ask(
        &mut self,
        method: Method,
        nonce: &str,
        content: impl for<'b> FnOnce(Writer<'b>) -> Writer<'b>,
    ) -> u16 {
        let mut out = Vec::new();
        let w = content(self.write(&mut out, method));
        let key = Key::long_term_md5("alice", REALM, "wonderland");
        w.push(&Username("alice"))
            .push(&Realm(REALM))
            .push(&Nonce(nonce))
            .integrity(&key)
            .finish()
            .unwrap();
        let answers = self.give(&out);
        assert_eq!(answers.len(), 1);
        code(&answers[0])
    }

    fn nonce(&mut self) -> String {
        let request = self.bare_allocate();
        let answers = self.give(&request);
        assert_eq!(code(&answers[0]), 401);
        Message::parse(&answers[0])
            .unwrap()
            .get::<Nonce<'_>>()
            .unwrap()
            .0
            .to_owned()
    }

    fn allocate(&mut self) -> String {
        let nonce = self.nonce();
        let code = self.ask(Method::ALLOCATE, &nonce, |w| {
            w.push(&RequestedTransport::UDP)
        });
        assert_eq!(code, 0);
        nonce
    }
}

fn code(answer: &[u8]) -> u16 {
    let m = Message::parse(answer).unwrap();
    m.get::<ErrorCode<'_>>().map_or(0, |e| e.code())
}

#[test]
fn what_is_no_message_gets_no_answer() {
    let mut b = Bench::new(Config::new(REALM));
    let good = b.bare_allocate();
    let mut bad: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0; 19],
        vec![0; 20],
        vec![0xFF; 100],
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0; 4]].concat(),
        vec![0x40, 0, 0, 200, 1, 2, 3],
    ];
    // A truncated attribute, an attribute after FINGERPRINT, 64 KiB of attributes.
    let mut truncated = good.clone();
    truncated[22..24].copy_from_slice(&[0, 9]);
    bad.push(truncated);
    let mut after = Vec::new();
    b.write(&mut after, Method::BINDING)
        .fingerprint()
        .finish()
        .unwrap();
    after.extend_from_slice(&[0x80, 0x22, 0, 0]);
    after[3] += 4;
    bad.push(after);
    let mut many = good.clone();
    many.resize(20 + 65_532, 0);
    many[2..4].copy_from_slice(&65_532u16.to_be_bytes());
    bad.push(many);
    // A wrong fingerprint, answers and indications that nobody asked for.
    let mut wrong = Vec::new();
    b.write(&mut wrong, Method::BINDING)
        .fingerprint()
        .finish()
        .unwrap();
    *wrong.last_mut().unwrap() ^= 1;
    bad.push(wrong);
    let id = TransactionId::new([9; 12]);
    for (class, method) in [
        (Class::Success, Method::ALLOCATE),
        (Class::Error, Method::BINDING),
        (Class::Indication, Method::DATA),
        (Class::Indication, Method::SEND),
        (Class::Request, Method::SEND),
        (Class::Request, Method::new(0xABC).unwrap()),
    ] {
        let mut out = Vec::new();
        Writer::new(&mut out, class, method, id).finish().unwrap();
        bad.push(out);
    }
    let count = bad.len() as u64;
    for octets in bad {
        assert_eq!(b.give(&octets), Vec::<Vec<u8>>::new(), "{octets:02x?}");
    }
    let stats = b.host.server.stats();
    assert_eq!(stats.malformed, count);
    assert_eq!((stats.granted, stats.refused, stats.allocations), (0, 0, 0));
}

/// Whatever a stranger sends, at most one answer comes, of a bounded size, and
/// at most so many a second.
#[test]
fn strangers_are_answered_little_and_seldom() {
    // Header, ERROR-CODE, NONCE, PASSWORD-ALGORITHMS, REALM.
    let challenge = 20 + 8 + 32 + 12 + 4 + REALM.len().next_multiple_of(4);
    assert_eq!(challenge, 76 + REALM.len().next_multiple_of(4));
    // A 420 lists at most so many types.
    let longest_answer = challenge.max(20 + 8 + 4 + 2 * MAX_UNKNOWN_LISTED);
    let limit = 50;
    let mut b = Bench::new(Config::new(REALM).strangers(limit));
    let mut rng = StdRng::seed_from_u64(5);
    let (mut answers, mut longest) = (0, 0);
    for i in 0..20_000u32 {
        let mut request = b.bare_allocate();
        if i % 3 == 0 {
            request.clear();
            let kinds: Vec<_> = (0..40).map(|_| rng.random_range(0..0x7FFF)).collect();
            let mut w = b.write(&mut request, Method::BINDING);
            for kind in kinds.into_iter().filter(|k| ![0x0008, 0x001C].contains(k)) {
                w = w.push_raw(AttributeType(kind), &[]);
            }
            w.finish().unwrap();
        }
        let port = 1 + i as u16;
        b.client.remote = SocketAddr::from(([198, 51, 100, (i % 256) as u8], port.max(1)));
        for answer in b.give(&request) {
            answers += 1;
            longest = longest.max(answer.len());
        }
    }
    println!("longest answer to a stranger: {longest}");
    assert_eq!(longest, longest_answer);
    let most = limit + STRANGER_PAID_PER_SECOND;
    assert_eq!(answers, most, "one prefix, one second");
    assert_eq!(
        b.host.server.stats().strangers_ignored,
        20_000 - u64::from(most)
    );
}

/// With no free answers, a prefix gets no octet that it did not send, and a
/// client that follows the RFC's schedule still gets its challenge.
#[test]
fn without_free_answers_nothing_is_amplified() {
    let mut b = Bench::new(Config::new(REALM).strangers(0));
    let (mut sent, mut got) = (0, 0);
    for i in 0..5_000u64 {
        b.now += Duration::from_millis(i % 7);
        let mut request = b.bare_allocate();
        if i % 3 == 0 {
            request.clear();
            b.write(&mut request, Method::BINDING).finish().unwrap();
        }
        b.client.remote = SocketAddr::from(([198, 51, 100, (i % 256) as u8], 4000));
        sent += request.len();
        got += b.give(&request).iter().map(Vec::len).sum::<usize>();
        assert!(got <= sent, "{got} octets for {sent}");
    }
    assert!(got > 0);

    let mut b = Bench::new(Config::new(REALM).strangers(0));
    let request = b.bare_allocate();
    let mut asked = 1;
    let answer = loop {
        match b.give(&request).pop() {
            Some(answer) => break answer,
            None => asked += 1,
        }
    };
    assert_eq!((code(&answer), asked), (401, 4), "{} octets", answer.len());
}

/// USERHASH in place of the name, when the server says that it knows hashes.
#[test]
fn a_name_need_not_be_seen_on_the_wire() {
    let mut b = Bench::new(Config::new(REALM).user_hashes(true));
    let request = b.bare_allocate();
    let challenge = b.give(&request).remove(0);
    let mut credentials = LongTerm::new("alice", "wonderland");
    credentials
        .challenged(&Message::parse(&challenge).unwrap(), false)
        .unwrap();
    let mut out = Vec::new();
    let w = b.write(&mut out, Method::ALLOCATE);
    credentials
        .sign(w.push(&RequestedTransport::UDP))
        .finish()
        .unwrap();
    let m = Message::parse(&out).unwrap();
    assert!(m.has(AttributeType::USERHASH) && !m.has(AttributeType::USERNAME));
    assert!(!out.windows(5).any(|w| w == b"alice"));
    let answer = b.give(&out).remove(0);
    assert_eq!(code(&answer), 0);
    credentials
        .verify(&Message::parse(&answer).unwrap())
        .unwrap();
    // A hash of nobody.
    let mut stranger = LongTerm::new("mallory", "wonderland");
    stranger
        .challenged(&Message::parse(&challenge).unwrap(), false)
        .unwrap();
    out.clear();
    let w = b.write(&mut out, Method::REFRESH);
    stranger.sign(w).finish().unwrap();
    let answer = b.give(&out).remove(0);
    assert_eq!(code(&answer), 401);
}

#[test]
fn a_wrong_password_never_gets_anywhere_and_changes_nothing() {
    let mut b = Bench::new(Config::new(REALM));
    let nonce = b.nonce();
    let mut out = Vec::new();
    b.write(&mut out, Method::ALLOCATE)
        .push(&RequestedTransport::UDP)
        .push(&Username("alice"))
        .push(&Realm(REALM))
        .push(&Nonce(&nonce))
        .integrity(&Key::long_term_md5("alice", REALM, "guess"))
        .finish()
        .unwrap();
    let answers = b.give(&out);
    assert_eq!(code(&answers[0]), 401);
    let stats = b.host.server.stats();
    assert_eq!((stats.wrong_credentials, stats.allocations), (1, 0));
    assert!(b.host.relays.is_empty());
}

#[test]
fn nonces_are_for_one_client_and_one_while() {
    let config = Config::new(REALM).nonce_lifetime(Duration::from_secs(60));
    let mut b = Bench::new(config);
    let nonce = b.allocate();
    let refresh = |b: &mut Bench, nonce: &str| b.ask(Method::REFRESH, nonce, |w| w);
    assert_eq!(refresh(&mut b, &nonce), 0);
    // Replayed from elsewhere.
    b.client.remote = addr("198.51.100.2:4000");
    assert_eq!(refresh(&mut b, &nonce), 438);
    b.client.remote = addr(CLIENT);
    b.now += Duration::from_secs(60);
    assert_eq!(refresh(&mut b, &nonce), 0);
    b.now += Duration::from_secs(1);
    assert_eq!(refresh(&mut b, &nonce), 438);
    // Made up, and with features talked away.
    let fresh = b.nonce();
    assert_eq!(refresh(&mut b, &fresh), 0);
    for forged in [
        &fresh[1..],
        "obMatJos2AAAA",
        "",
        &fresh.replacen("gAAA", "AAAA", 1),
    ] {
        assert_eq!(refresh(&mut b, forged), 438, "{forged}");
    }
    assert_eq!(b.host.server.stats().stale_nonces, 6);
}

#[test]
fn algorithms_cannot_be_talked_down() {
    let mut b = Bench::new(Config::new(REALM));
    let nonce = b.allocate();
    // One of the two attributes without the other, and a shortened list.
    let one = b.ask(Method::REFRESH, &nonce, |w| w.push(&PasswordAlgorithm::MD5));
    let only_md5 = [PasswordAlgorithm::MD5];
    let list = PasswordAlgorithms::List(&only_md5);
    let short = b.ask(Method::REFRESH, &nonce, |w| {
        w.push(&list).push(&PasswordAlgorithm::MD5)
    });
    assert_eq!((one, short), (400, 400));
}

#[test]
fn requests_that_make_no_sense_are_refused_by_number() {
    let mut b = Bench::new(Config::new(REALM));
    let nonce = b.nonce();
    let udp = RequestedTransport::UDP;
    let ask = |b: &mut Bench, f: fn(Writer<'_>) -> Writer<'_>| b.ask(Method::ALLOCATE, &nonce, f);
    assert_eq!(ask(&mut b, |w| w), 400, "no transport");
    assert_eq!(ask(&mut b, |w| w.push(&RequestedTransport(33))), 442);
    assert_eq!(
        ask(&mut b, |w| w.push(&RequestedTransport::TCP)),
        442,
        "not configured"
    );
    let both = ask(&mut b, |w| {
        w.push(&RequestedTransport::UDP)
            .push(&RequestedAddressFamily(Family::V4))
            .push(&AdditionalAddressFamily(Family::V6))
    });
    assert_eq!(both, 400);
    let token = ask(&mut b, |w| {
        w.push(&RequestedTransport::UDP)
            .push(&ReservationToken([1; 8]))
    });
    assert_eq!(token, 508);
    let unknown = ask(&mut b, |w| w.push_raw(AttributeType(0x7ABC), &[]));
    assert_eq!(unknown, 420);
    assert_eq!(
        ask(&mut b, |w| w
            .push(&RequestedTransport::UDP)
            .push(&DontFragment)),
        420
    );
    let peer = XorPeerAddress(addr("203.0.113.7:9"));
    let before = b.ask(Method::CREATE_PERMISSION, &nonce, |w| w.push(&peer));
    assert_eq!(before, 437, "no allocation");
    assert_eq!(b.ask(Method::ALLOCATE, &nonce, |w| w.push(&udp)), 0);
    assert_eq!(
        b.ask(Method::ALLOCATE, &nonce, |w| w.push(&udp)),
        437,
        "a second one"
    );
    assert_eq!(b.ask(Method::CREATE_PERMISSION, &nonce, |w| w), 400);
    let v6 = XorPeerAddress(addr("[2001:db8::1]:9"));
    assert_eq!(
        b.ask(Method::CREATE_PERMISSION, &nonce, |w| w
            .push(&peer)
            .push(&v6)),
        443
    );
    let bind = |b: &mut Bench, number, peer| {
        let number = ChannelNumber::new(number).unwrap();
        b.ask(Method::CHANNEL_BIND, &nonce, |w| {
            w.push(&number).push(&XorPeerAddress(peer))
        })
    };
    assert_eq!(bind(&mut b, 0x4000, peer.0), 0);
    assert_eq!(bind(&mut b, 0x4000, peer.0), 0, "refreshed");
    assert_eq!(bind(&mut b, 0x4001, peer.0), 400, "peer has a channel");
    assert_eq!(
        bind(&mut b, 0x4000, addr("203.0.113.7:10")),
        400,
        "channel has a peer"
    );
    let reserved = b.ask(Method::CHANNEL_BIND, &nonce, |w| {
        w.push_raw(AttributeType::CHANNEL_NUMBER, &[0x80, 0, 0, 0])
            .push(&peer)
    });
    assert_eq!(reserved, 400);
    // Another user does not touch it.
    let mut out = Vec::new();
    b.write(&mut out, Method::REFRESH)
        .push(&Lifetime(0))
        .push(&Username("bob"))
        .push(&Realm(REALM))
        .push(&Nonce(&nonce))
        .integrity(&Key::long_term_md5("bob", REALM, "builder"))
        .finish()
        .unwrap();
    assert_eq!(code(&b.give(&out)[0]), 441);
    assert_eq!(b.host.server.stats().allocations, 1);
}

#[test]
fn a_420_lists_a_bounded_number_of_types() {
    let mut b = Bench::new(Config::new(REALM));
    let mut out = Vec::new();
    let mut w = b.write(&mut out, Method::BINDING);
    for kind in 0..60 {
        w = w.push_raw(AttributeType(0x7000 + kind), &[]);
    }
    w.finish().unwrap();
    let answers = b.give(&out);
    let m = Message::parse(&answers[0]).unwrap();
    let listed = m.get::<UnknownAttributes<'_>>().unwrap().types().count();
    assert_eq!(listed, MAX_UNKNOWN_LISTED);
    assert!(answers[0].len() <= out.len());
}

#[test]
fn tables_of_an_allocation_are_bounded() {
    let mut b = Bench::new(Config::new(REALM));
    let nonce = b.allocate();
    let mut refused = 0;
    for i in 0..MAX_PERMISSIONS as u32 + 20 {
        let peer = XorPeerAddress(SocketAddr::from(((0xCB00_0000 + i).to_be_bytes(), 9)));
        refused += u32::from(b.ask(Method::CREATE_PERMISSION, &nonce, |w| w.push(&peer)) == 508);
    }
    assert_eq!(refused, 20);
    // Those that are there are refreshed, and bound: that takes no more room (RFC 8656 §9, §12).
    b.now += Duration::from_secs(200);
    let peers = |from: u32, to: u32| {
        (from..to).map(|i| XorPeerAddress(SocketAddr::from(((0xCB00_0000 + i).to_be_bytes(), 9))))
    };
    let sixteen = b.ask(Method::CREATE_PERMISSION, &nonce, |w| {
        peers(0, 16).fold(w, |w, peer| w.push(&peer))
    });
    assert_eq!(sixteen, 0);
    let bound = b.ask(Method::CHANNEL_BIND, &nonce, |w| {
        let w = w.push(&ChannelNumber::MIN);
        peers(16, 17).fold(w, |w, peer| w.push(&peer))
    });
    assert_eq!(bound, 0);
    let one_more = b.ask(Method::CREATE_PERMISSION, &nonce, |w| {
        peers(10, 12)
            .chain(peers(9_000, 9_001))
            .fold(w, |w, peer| w.push(&peer))
    });
    assert_eq!(one_more, 508);
    b.now += Duration::from_secs(600);
    // Once they have run out there is room again.
    b.now += Duration::from_secs(301);
    let mut bound = 0;
    for i in 0..MAX_CHANNELS as u32 + 20 {
        let peer = XorPeerAddress(SocketAddr::from(((0xCB00_0000 + i).to_be_bytes(), 9)));
        let number = ChannelNumber::new(0x4000 + i as u16).unwrap();
        let code = b.ask(Method::CHANNEL_BIND, &nonce, |w| {
            w.push(&number).push(&peer)
        });
        bound += usize::from(code == 0);
    }
    assert_eq!(bound, MAX_CHANNELS);
}

/// Random octets, and good messages with random damage, thousands of them:
/// never more than one answer each, nothing relayed, nothing allocated.
#[test]
fn damage_never_allocates_or_relays() {
    let mut b = Bench::new(Config::new(REALM).strangers(u32::MAX));
    let mut rng = StdRng::seed_from_u64(77);
    let nonce = b.nonce();
    let mut good = Vec::new();
    b.write(&mut good, Method::ALLOCATE)
        .push(&RequestedTransport::UDP)
        .push(&Username("alice"))
        .push(&Realm(REALM))
        .push(&Nonce(&nonce))
        .integrity(&Key::long_term_md5("alice", REALM, "wonderland"))
        .finish()
        .unwrap();
    for _ in 0..5_000 {
        let mut octets = good.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..octets.len());
            octets[at] ^= 1 << rng.random_range(0..8);
        }
        if octets != good {
            assert!(b.give(&octets).len() <= 1);
        }
        let mut noise = vec![0; rng.random_range(0..80)];
        rng.fill_bytes(&mut noise);
        if ChannelData::parse(&noise).is_none() {
            assert!(b.give(&noise).len() <= 1);
        }
    }
    let stats = b.host.server.stats();
    assert_eq!((stats.allocations_made, stats.granted), (0, 0), "{stats:?}");
    assert!(
        b.give(&good).len() == 1 && b.host.server.stats().allocations == 1,
        "undamaged"
    );
}

/// So do the connections through that half (RFC 6062 §5.1: they are the allocation's).
#[test]
fn connections_end_with_the_half_that_they_go_through() {
    let config = Config::new(REALM).families(true, true).tcp_relay(true);
    let mut b = Bench::new(config);
    b.client.transport = Transport::Tcp;
    let nonce = b.nonce();
    let both = b.ask(Method::ALLOCATE, &nonce, |w| {
        w.push(&RequestedTransport::TCP)
            .push(&AdditionalAddressFamily(Family::V6))
    });
    assert_eq!(both, 0);
    let relays = b.host.relays.clone();
    let mut connections = Vec::new();
    for peer in ["203.0.113.7:9", "[2001:db8::7]:9"].map(addr) {
        let permitted = b.ask(Method::CREATE_PERMISSION, &nonce, |w| {
            w.push(&XorPeerAddress(peer))
        });
        assert_eq!(permitted, 0);
        let relay = relays.iter().find(|(at, _)| at.is_ipv4() == peer.is_ipv4());
        let connection = b.host.server.peer_incoming(b.now, *relay.unwrap().1, peer);
        connections.push(connection.unwrap());
        // The client is told.
        while b
            .host
            .server
            .poll_transmit(b.now, &mut Vec::new())
            .is_some()
        {}
    }
    let half = b.ask(Method::REFRESH, &nonce, |w| {
        w.push(&Lifetime(0))
            .push(&RequestedAddressFamily(Family::V4))
    });
    assert_eq!(half, 0);
    let closed = |e: &Event| match e {
        Event::ClosePeer(connection) => Some(*connection),
        _ => None,
    };
    let closed: Vec<_> = b.host.news.iter().filter_map(closed).collect();
    assert_eq!(closed, connections[..1]);
}

/// One half of a dual allocation is given back: its relay may be another client's next (RFC 8656 §8.1).
#[test]
fn nothing_goes_through_a_relay_that_was_given_back() {
    let mut b = Bench::new(Config::new(REALM).families(true, true));
    let nonce = b.nonce();
    let both = b.ask(Method::ALLOCATE, &nonce, |w| {
        w.push(&RequestedTransport::UDP)
            .push(&AdditionalAddressFamily(Family::V6))
    });
    assert_eq!(both, 0);
    assert_eq!(b.host.relays.len(), 2);
    let peer = XorPeerAddress(addr("203.0.113.7:9"));
    let number = ChannelNumber::new(0x4000).unwrap();
    let bound = b.ask(Method::CHANNEL_BIND, &nonce, |w| {
        w.push(&number).push(&peer)
    });
    assert_eq!(bound, 0);
    let data = [0x40, 0, 0, 4, 1, 2, 3, 4];
    let mut indication = Vec::new();
    Writer::new(
        &mut indication,
        Class::Indication,
        Method::SEND,
        TransactionId::new([9; 12]),
    )
    .push(&peer)
    .push(&Data(b"data"))
    .finish()
    .unwrap();
    let relayed = |b: &mut Bench, octets: &[u8]| {
        let (now, client) = (b.now, b.client);
        let input = b
            .host
            .server
            .handle_input(now, client, octets, &mut users());
        matches!(input, Input::Relay { .. })
    };
    assert!(relayed(&mut b, &data) && relayed(&mut b, &indication));
    let half = b.ask(Method::REFRESH, &nonce, |w| {
        w.push(&Lifetime(0))
            .push(&RequestedAddressFamily(Family::V4))
    });
    assert_eq!(half, 0);
    assert_eq!(b.host.relays.len(), 1);
    assert!(!relayed(&mut b, &data) && !relayed(&mut b, &indication));
}
