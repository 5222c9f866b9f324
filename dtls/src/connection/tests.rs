//! What takes more records, or longer, than a test can, and what no peer of
//! ours says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use rand::{SeedableRng, rngs::StdRng};
use rustls::AlertDescription;

use super::{CloseReason, Connection, Event};
use crate::certificate::Certificate;
use crate::config::{Builder, Config, Role, Verification, VerifyPeer, Version};
use crate::crypto::aead::Algorithm;
use crate::error::{Failure, SealError};
use crate::limits::{MAX_CID, MAX_CID_REQUESTS, OLD_EPOCH_LIFETIME};
use crate::record::LAST_SEQUENCE;
use crate::wire::handshake::HandshakeType;

/// Moves what `from` has to send.
fn carry(now: Instant, from: &mut Connection, to: &mut Connection) -> usize {
    let (mut count, mut datagram) = (0, Vec::new());
    while from.poll_transmit(now, &mut datagram).is_some() {
        count += 1;
        to.handle_input(now, BytesMut::from(datagram.as_slice()))
            .expect("no error");
        datagram.clear();
    }
    count
}

/// A client and a server that have said nothing yet.
fn pair(
    version: Version,
    now: Instant,
    configure: impl Fn(Role, Builder) -> Builder,
) -> [Connection; 2] {
    let mut rng = StdRng::seed_from_u64(1);
    [Role::Client, Role::Server].map(|role| {
        let certificate = Certificate::generate(SystemTime::now()).expect("a certificate");
        let builder = Config::builder()
            .certificate(certificate)
            .verification(Verification::Any)
            .versions(version, version);
        let config = configure(role, builder).build().expect("a configuration");
        Connection::new(config, role, now, &mut rng).expect("a connection")
    })
}

/// A client and a server that have shaken hands.
fn connected(version: Version, now: Instant) -> [Connection; 2] {
    let mut ends = pair(version, now, |_, builder| builder);
    settle(now, &mut ends);
    assert!(ends.iter().all(Connection::is_connected));
    ends
}

/// The same in 1.3, with connection IDs of these lengths for client and server.
fn with_ids(now: Instant, ids: [Option<usize>; 2]) -> [Connection; 2] {
    let [client_id, server_id] = ids;
    let mut ends = pair(Version::Dtls13, now, |role, builder| match role {
        Role::Client => client_id.into_iter().fold(builder, Builder::connection_id),
        Role::Server => server_id.into_iter().fold(builder, Builder::connection_id),
    });
    settle(now, &mut ends);
    assert!(ends.iter().all(Connection::is_connected));
    ends
}

/// Lets both say all that they have to, however long that takes.
fn settle(mut now: Instant, [client, server]: &mut [Connection; 2]) {
    loop {
        while carry(now, client, server) + carry(now, server, client) > 0 {}
        let timeouts = [client.poll_timeout(), server.poll_timeout()];
        let Some(next) = timeouts.into_iter().flatten().min() else {
            return;
        };
        now = next;
        client.handle_timeout(now);
        server.handle_timeout(now);
    }
}

/// Has a message sent that the connection would not.
fn say(connection: &mut Connection, kind: HandshakeType, body: &[u8]) {
    let parts = &mut connection.parts;
    let epoch = parts.records.write_current();
    let pushed = parts.flight.push(epoch, kind, body.to_vec());
    pushed.expect("a number");
}

/// How the connection ended.
fn ended(connection: &mut Connection) -> Option<CloseReason> {
    std::iter::from_fn(|| connection.poll_event()).find_map(|event| match event {
        Event::Closed(reason) => Some(reason),
        _ => None,
    })
}

/// Data pass both ways.
fn lives(now: Instant, [client, server]: &mut [Connection; 2]) {
    let pass = |from: &mut Connection, to: &mut Connection| {
        let datagram = seal(from, b"data").expect("sealed");
        assert_eq!(open(to, now, &datagram).as_deref(), Some(&b"data"[..]));
    };
    pass(client, server);
    pass(server, client);
}

fn seal(connection: &mut Connection, data: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut out = vec![0; connection.headroom()];
    out.extend_from_slice(data);
    connection.seal_in_place(&mut out, 0).map(|()| out)
}

fn open(connection: &mut Connection, now: Instant, datagram: &[u8]) -> Option<Vec<u8>> {
    connection
        .handle_input(now, BytesMut::from(datagram))
        .expect("no error");
    connection.poll_data().map(|data| data.to_vec())
}

#[test]
fn keys_are_replaced_before_they_are_worn_and_never_used_beyond() {
    let now = Instant::now();
    let [mut client, mut server] = connected(Version::Dtls13, now);
    let limit = Algorithm::Aes128Gcm.confidentiality_limit();
    let skip = |client: &mut Connection, server: &mut Connection, to| {
        let records = &mut client.parts.records;
        records.skip_to(&mut server.parts.records, to);
    };
    skip(&mut client, &mut server, limit - limit / 16 - 1);
    let datagram = seal(&mut client, b"before").expect("sealed");
    assert_eq!(
        open(&mut server, now, &datagram).as_deref(),
        Some(&b"before"[..])
    );
    assert!(!client.parts.flight.is_sending());
    seal(&mut client, b"at the soft limit").expect("sealed");
    assert!(client.parts.flight.is_sending(), "an update");
    // It does not get through.
    let mut lost = Vec::new();
    while client.poll_transmit(now, &mut lost).is_some() {}
    skip(&mut client, &mut server, limit - 1);
    seal(&mut client, b"the last").expect("sealed");
    let refused = seal(&mut client, b"one more");
    assert_eq!(refused, Err(SealError::Exhausted));
    // It does.
    client.handle_timeout(client.poll_timeout().expect("to be sent again"));
    assert_eq!(carry(now, &mut client, &mut server), 1);
    server.handle_timeout(server.poll_timeout().expect("to be acknowledged"));
    assert_eq!(carry(now, &mut server, &mut client), 1);
    let datagram = seal(&mut client, b"new keys").expect("sealed");
    assert_eq!(
        open(&mut server, now, &datagram).as_deref(),
        Some(&b"new keys"[..])
    );
}

#[test]
fn keys_of_1_2_last_as_long_as_their_numbers_and_the_end_is_told() {
    let now = Instant::now();
    let [mut client, mut server] = connected(Version::Dtls12, now);
    for last in [
        Algorithm::Aes128Gcm.confidentiality_limit(),
        LAST_SEQUENCE - 1,
    ] {
        let records = &mut client.parts.records;
        records.skip_to(&mut server.parts.records, last);
        let datagram = seal(&mut client, b"data").expect("sealed");
        assert_eq!(
            open(&mut server, now, &datagram).as_deref(),
            Some(&b"data"[..])
        );
    }
    let refused = seal(&mut client, b"one more");
    assert_eq!(refused, Err(SealError::Exhausted));
    assert!(client.is_closed());
    let reason = CloseReason::Failed(Failure::Exhausted);
    assert_eq!(ended(&mut client), Some(reason));
    // The last number is for the alert.
    assert_eq!(carry(now, &mut client, &mut server), 1);
    let alert = Failure::AlertReceived(AlertDescription::InternalError);
    assert_eq!(ended(&mut server), Some(CloseReason::Failed(alert)));
}

#[test]
fn a_connection_that_cannot_ask_for_new_keys_ends() {
    let now = Instant::now();
    let [mut client, mut server] = connected(Version::Dtls13, now);
    let limit = Algorithm::Aes128Gcm.confidentiality_limit();
    let records = &mut client.parts.records;
    records.skip_to(&mut server.parts.records, limit - limit / 16);
    // No number is left for a KeyUpdate.
    client.parts.flight.start_at(u16::MAX);
    say(&mut client, HandshakeType::KeyUpdate, &[0]);
    client.parts.flight.clear();
    let refused = seal(&mut client, b"data");
    assert_eq!(refused, Err(SealError::Exhausted));
    let reason = CloseReason::Failed(Failure::Exhausted);
    assert_eq!(ended(&mut client), Some(reason));
    carry(now, &mut client, &mut server);
    assert!(server.is_closed());
}

#[test]
fn close_notify_is_sent_while_a_key_update_waits() {
    let now = Instant::now();
    for role in 0..2 {
        let mut ends = connected(Version::Dtls13, now);
        ends.rotate_left(role);
        let [mut one, mut other] = ends;
        one.update_keys(now, false).expect("begun");
        one.close(now);
        assert_eq!(carry(now, &mut one, &mut other), 1);
        assert_eq!(ended(&mut other), Some(CloseReason::Peer));
    }
}

#[test]
fn an_ack_of_a_later_epoch_is_an_illegal_parameter() {
    let now = Instant::now();
    let [mut client, mut server] = pair(Version::Dtls13, now, |_, builder| builder);
    carry(now, &mut client, &mut server);
    carry(now, &mut server, &mut client);
    let mut ack = vec![26, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 18, 0, 16];
    ack.extend_from_slice(&2u64.to_be_bytes());
    ack.extend_from_slice(&0u64.to_be_bytes());
    server
        .handle_input(now, BytesMut::from(ack.as_slice()))
        .expect("no error");
    assert_eq!(
        ended(&mut server),
        Some(CloseReason::Failed(Failure::BadAck))
    );
    carry(now, &mut server, &mut client);
    let alert = Failure::AlertReceived(AlertDescription::IllegalParameter);
    assert_eq!(ended(&mut client), Some(CloseReason::Failed(alert)));
}

#[test]
fn nobody_follows_a_datagram_for_a_record_that_came_before_it() {
    let now = Instant::now();
    let [mut client, mut server] = pair(Version::Dtls12, now, |_, builder| {
        builder.connection_id(4).mtu(256)
    });
    carry(now, &mut client, &mut server);
    carry(now, &mut server, &mut client);
    let (mut flight, mut datagram) = (Vec::new(), Vec::new());
    while client.poll_transmit(now, &mut datagram).is_some() {
        flight.push(BytesMut::from(datagram.as_slice()));
        datagram.clear();
    }
    assert!(flight.len() > 1);
    // Finished comes first: the others are in the clear, and may be from anyone.
    for datagram in flight.into_iter().rev() {
        server.handle_input(now, datagram).expect("no error");
        assert!(!server.may_follow_address());
    }
    assert!(server.is_connected());
    assert_eq!(server.stats().records_early, 1);
}

#[test]
fn renegotiation_is_declined_and_the_connection_goes_on() {
    let now = Instant::now();
    for (place, kind, body) in [
        (1, HandshakeType::HelloRequest, &[][..]),
        (0, HandshakeType::ClientHello, &[1; 40][..]),
    ] {
        let mut ends = connected(Version::Dtls12, now);
        let ask = |ends: &mut [Connection; 2]| {
            let flight = &mut ends[place].parts.flight;
            flight.clear();
            // A new handshake counts its messages from 0 (RFC 6347 §4.2.2).
            flight.start_at(0);
            say(&mut ends[place], kind, body);
            let [client, server] = ends;
            let [asks, asked] = if place == 0 {
                [client, server]
            } else {
                [server, client]
            };
            assert_eq!(carry(now, asks, asked), 1);
            let mut answer = Vec::new();
            assert!(asked.poll_transmit(now, &mut answer).is_some());
            assert!(asked.poll_transmit(now, &mut answer).is_none());
            answer
        };
        let answer = ask(&mut ends);
        let asks = &mut ends[place];
        asks.handle_input(now, BytesMut::from(answer.as_slice()))
            .expect("no error");
        assert_eq!(asks.warnings, 1);
        lives(now, &mut ends);
        for _ in 0..10 {
            ask(&mut ends);
        }
        lives(now, &mut ends);
    }
}

#[test]
fn renegotiation_out_of_place_ends_the_connection() {
    let now = Instant::now();
    let unexpected = |kind: HandshakeType| Failure::UnexpectedMessage(kind.into());
    let (request, hello) = (HandshakeType::HelloRequest, HandshakeType::ClientHello);
    for (place, kind, body, failure) in [
        (1, request, &[0][..], Failure::Malformed),
        (0, request, &[][..], unexpected(request)),
        (1, hello, &[1; 40][..], unexpected(hello)),
    ] {
        let mut ends = connected(Version::Dtls12, now);
        ends[place].parts.flight.start_at(0);
        say(&mut ends[place], kind, body);
        ends.rotate_left(place);
        let [asks, asked] = &mut ends;
        carry(now, asks, asked);
        assert_eq!(ended(asked), Some(CloseReason::Failed(failure)));
    }
}

#[test]
fn a_connection_id_to_be_used_at_once_is_and_a_spare_one_is_not() {
    let now = Instant::now();
    let mut ends = with_ids(now, [Some(3), Some(3)]);
    let before = ends[0].headroom();
    let spare = [0, 6, 5, 9, 9, 9, 9, 9, 1];
    say(&mut ends[1], HandshakeType::NewConnectionId, &spare);
    settle(now, &mut ends);
    assert!(ends[1].parts.flight.is_empty(), "acknowledged");
    assert_eq!(ends[0].headroom(), before);
    lives(now, &mut ends);
    // The first is empty and the second too long.
    let mut at_once = vec![0, 41, 0, 33];
    at_once.resize(at_once.len() + 33, 8);
    at_once.extend_from_slice(&[5, 1, 2, 3, 4, 5, 0]);
    say(&mut ends[1], HandshakeType::NewConnectionId, &at_once);
    let [client, server] = &mut ends;
    carry(now, server, client);
    server.parts.records.cid_in = vec![1, 2, 3, 4, 5];
    let datagram = seal(client, b"data").expect("sealed");
    assert_eq!(datagram.get(1..6), Some(&[1, 2, 3, 4, 5][..]));
    assert_eq!(open(server, now, &datagram).as_deref(), Some(&b"data"[..]));
    settle(now, &mut ends);
    assert!(ends[1].parts.flight.is_empty(), "acknowledged");
    lives(now, &mut ends);
}

#[test]
fn connection_ids_that_cannot_be_used_end_the_connection() {
    let now = Instant::now();
    let mut too_long = vec![0, MAX_CID as u8 + 2, MAX_CID as u8 + 1];
    too_long.resize(too_long.len() + MAX_CID + 1, 8);
    too_long.push(0);
    for (body, alert) in [
        (&[0, 0, 0][..], AlertDescription::IllegalParameter),
        (&[0, 1, 0, 0], AlertDescription::IllegalParameter),
        (&too_long, AlertDescription::IllegalParameter),
        (&[0, 2, 1, 7, 2], AlertDescription::IllegalParameter),
        (&[0, 2, 1, 7, 0, 0], AlertDescription::DecodeError),
        (&[0, 2, 2, 7, 0], AlertDescription::DecodeError),
    ] {
        let mut ends = with_ids(now, [Some(3), Some(3)]);
        say(&mut ends[1], HandshakeType::NewConnectionId, body);
        settle(now, &mut ends);
        let alert = Failure::AlertReceived(alert);
        assert_eq!(ended(&mut ends[1]), Some(CloseReason::Failed(alert)));
    }
}

#[test]
fn connection_ids_are_not_spoken_of_where_none_were_agreed_on() {
    let now = Instant::now();
    let (new, request) = (
        HandshakeType::NewConnectionId,
        HandshakeType::RequestConnectionId,
    );
    for (ids, place, kind) in [
        ([None, None], 0, new),
        ([None, None], 1, request),
        // The client's is empty: it has no new ones, and the server wants none.
        ([Some(0), Some(3)], 0, new),
        ([Some(0), Some(3)], 1, request),
    ] {
        let mut ends = with_ids(now, ids);
        let body = if kind == new {
            &[0, 2, 1, 7, 1][..]
        } else {
            &[1]
        };
        say(&mut ends[place], kind, body);
        settle(now, &mut ends);
        let alert = Failure::AlertReceived(AlertDescription::UnexpectedMessage);
        let reason = Some(CloseReason::Failed(alert));
        assert_eq!(ended(&mut ends[place]), reason, "{ids:?} {kind:?}");
    }
}

#[test]
fn who_asks_for_connection_ids_is_told_that_there_are_none() {
    let now = Instant::now();
    let mut ends = with_ids(now, [Some(3), Some(3)]);
    let epochs =
        |ends: &[Connection; 2]| [0, 1].map(|place| ends[place].parts.records.write_current());
    for place in [0, 1] {
        say(&mut ends[place], HandshakeType::RequestConnectionId, &[4]);
        ends.rotate_left(place);
        let [asks, asked] = &mut ends;
        carry(now, asks, asked);
        assert!(asked.parts.flight.is_sending(), "the answer");
        ends.rotate_left(place);
        settle(now, &mut ends);
        lives(now, &mut ends);
    }
    assert_eq!(epochs(&ends), [3, 3]);
    // Asked while a key update is under way.
    ends[1].update_keys(now, true).expect("begun");
    say(&mut ends[0], HandshakeType::RequestConnectionId, &[1]);
    settle(now, &mut ends);
    assert_eq!(epochs(&ends), [4, 4]);
    lives(now, &mut ends);
    // A key update while the answer is.
    say(&mut ends[0], HandshakeType::RequestConnectionId, &[1]);
    let [client, server] = &mut ends;
    carry(now, client, server);
    server.update_keys(now, true).expect("begun");
    settle(now, &mut ends);
    assert_eq!(epochs(&ends), [5, 5]);
    assert!(ends.iter().all(|end| end.parts.flight.is_empty()));
    lives(now, &mut ends);
}

#[test]
fn who_only_asks_for_connection_ids_is_turned_away() {
    let now = Instant::now();
    let mut ends = with_ids(now, [Some(3), Some(3)]);
    for _ in 0..2 {
        for _ in 0..MAX_CID_REQUESTS {
            say(&mut ends[0], HandshakeType::RequestConnectionId, &[1]);
            settle(now, &mut ends);
        }
        lives(now, &mut ends);
    }
    for _ in 0..=MAX_CID_REQUESTS {
        say(&mut ends[0], HandshakeType::RequestConnectionId, &[1]);
        settle(now, &mut ends);
    }
    // too_many_cids_requested
    let alert = Failure::AlertReceived(AlertDescription::from(52));
    assert_eq!(ended(&mut ends[0]), Some(CloseReason::Failed(alert)));
}

#[test]
fn the_level_of_an_alert_says_nothing_in_1_3() {
    let now = Instant::now();
    let [mut client, mut server] = connected(Version::Dtls13, now);
    client.alert = Some((2, AlertDescription::UserCanceled));
    carry(now, &mut client, &mut server);
    assert!(server.is_connected());
    client.alert = Some((2, AlertDescription::CloseNotify));
    carry(now, &mut client, &mut server);
    assert_eq!(ended(&mut server), Some(CloseReason::Peer));
}

#[test]
fn datagrams_without_a_limit_are_sent() {
    let now = Instant::now();
    for version in [Version::Dtls12, Version::Dtls13] {
        let [mut client, _] = pair(version, now, |_, builder| builder.mtu(usize::MAX));
        let mut out = vec![0];
        let length = client.poll_transmit(now, &mut out).expect("a hello");
        assert_eq!(out.len(), 1 + length);
        client.set_mtu(usize::MAX);
        client.handle_timeout(client.poll_timeout().expect("a timer"));
        assert_eq!(client.poll_transmit(now, &mut out), Some(length));
    }
}

#[test]
fn a_fingerprint_is_asked_for_once() {
    let now = Instant::now();
    let [mut client, mut server] = pair(Version::Dtls13, now, |role, builder| match role {
        Role::Client => builder.verification(Verification::Fingerprints(Vec::new())),
        Role::Server => builder,
    });
    while carry(now, &mut client, &mut server) + carry(now, &mut server, &mut client) > 0 {}
    assert_eq!(client.poll_event(), Some(Event::FingerprintNeeded));
    let ticket = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 7, 0, 0];
    server.parts.end_flight();
    say(&mut server, HandshakeType::NewSessionTicket, &ticket);
    assert_eq!(carry(now, &mut server, &mut client), 1);
    assert_eq!(client.poll_event(), None);
}

/// Takes anyone, and counts.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl VerifyPeer for Counting {
    fn verify(&self, _: &[Vec<u8>]) -> Result<(), AlertDescription> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn who_was_judged_otherwise_is_not_judged_by_fingerprints() {
    let now = Instant::now();
    let judge = Arc::new(Counting::default());
    let mut ends = pair(Version::Dtls13, now, |_, builder| {
        builder.verification(Verification::Custom(judge.clone()))
    });
    settle(now, &mut ends);
    ends[0].set_remote_fingerprints(Vec::new());
    lives(now, &mut ends);
    assert_eq!(judge.0.load(Ordering::Relaxed), 2);
}

#[test]
fn old_keys_stay_until_the_peer_uses_the_new_ones() {
    let mut now = Instant::now();
    let [mut client, mut server] = connected(Version::Dtls13, now);
    client.update_keys(now, false).expect("begun");
    carry(now, &mut client, &mut server);
    // The ACK is lost, and all that the client sends again.
    now += OLD_EPOCH_LIFETIME + Duration::from_secs(60);
    let old = seal(&mut client, b"old keys").expect("sealed");
    let kept_back = seal(&mut client, b"older than its keys").expect("sealed");
    assert_eq!(
        open(&mut server, now, &old).as_deref(),
        Some(&b"old keys"[..])
    );
    server.handle_timeout(now);
    assert_eq!(carry(now, &mut server, &mut client), 1);
    let new = seal(&mut client, b"new keys").expect("sealed");
    assert_eq!(
        open(&mut server, now, &new).as_deref(),
        Some(&b"new keys"[..])
    );
    // Once those are in use the old ones go when their time is over.
    now += OLD_EPOCH_LIFETIME;
    assert_eq!(open(&mut server, now, &kept_back), None);
    let new = seal(&mut client, b"and on").expect("sealed");
    assert_eq!(
        open(&mut server, now, &new).as_deref(),
        Some(&b"and on"[..])
    );
}
