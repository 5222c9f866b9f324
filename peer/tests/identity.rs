//! Identity assertions (RFC 8827 §5, §7; W3C Identity for WebRTC §5, §6, §9): made, carried, believed and refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use support::Pair;
use tincan_peer::*;

/// A provider that remembers what it asserted.
#[derive(Default)]
struct Directory {
    asserted: Vec<(String, String)>,
    /// What it says instead of the user's own domain.
    domain: Option<String>,
    asked: usize,
}

impl IdentityProvider for Directory {
    fn generate_assertion(
        &mut self,
        contents: &str,
        options: &IdentityProviderOptions,
    ) -> Result<GeneratedAssertion, IdentityFault> {
        let user = options
            .username_hint
            .clone()
            .ok_or(IdentityFault::NeedLogin)?;
        self.asserted.push((user, contents.to_owned()));
        let number = (self.asserted.len() - 1).to_string();
        Ok(GeneratedAssertion::new(&options.provider, number))
    }

    fn validate_assertion(
        &mut self,
        domain: &str,
        protocol: &str,
        assertion: &str,
    ) -> Result<ValidatedAssertion, IdentityFault> {
        assert_eq!(protocol, "default");
        self.asked += 1;
        let number: usize = assertion.parse().map_err(|_| IdentityFault::TokenInvalid)?;
        let (user, contents) = self
            .asserted
            .get(number)
            .cloned()
            .ok_or(IdentityFault::TokenInvalid)?;
        let domain = self.domain.as_deref().unwrap_or(domain);
        Ok(ValidatedAssertion {
            identity: format!("{user}@{domain}"),
            contents,
        })
    }
}

fn provider(user: &str) -> IdentityProviderOptions {
    IdentityProviderOptions {
        username_hint: Some(user.to_owned()),
        ..IdentityProviderOptions::new("idp.example")
    }
}

fn peer(seed: u64, peer_identity: Option<&str>) -> PeerConnection {
    let config = Configuration {
        peer_identity: peer_identity.map(str::to_owned),
        ..Default::default()
    };
    PeerConnection::new(config, Instant::now(), &mut StdRng::seed_from_u64(seed)).unwrap()
}

/// An end with a channel to be negotiated and an identity.
fn somebody(seed: u64, user: &str, directory: &mut Directory) -> PeerConnection {
    let mut pc = peer(seed, None);
    pc.create_data_channel(Instant::now(), "x", DataChannelInit::default())
        .unwrap();
    pc.set_identity_provider(provider(user)).unwrap();
    pc.serve_identity(directory).unwrap();
    pc
}

fn offer(pc: &mut PeerConnection) -> SessionDescription {
    pc.set_local_description(Instant::now(), None).unwrap();
    pc.local_description().unwrap()
}

fn events(pc: &mut PeerConnection) -> Vec<Event> {
    std::iter::from_fn(|| pc.poll_event()).collect()
}

/// The description without the line, or with another.
fn altered(d: &SessionDescription, line: &str, with: &str) -> SessionDescription {
    let kept = d
        .sdp
        .split_inclusive("\r\n")
        .filter(|l| !l.starts_with(line));
    let mut sdp: String = kept.collect();
    let at = sdp.find("m=").unwrap();
    sdp.insert_str(at, with);
    SessionDescription::new(d.type_, sdp)
}

#[test]
fn both_ends_are_known_and_connect() {
    let mut directory = Directory::default();
    let mut pair = Pair::new();
    pair.channel("x");
    for (n, user) in ["alice", "bob"].iter().enumerate() {
        pair.ends[n]
            .pc
            .set_identity_provider(provider(user))
            .unwrap();
        pair.ends[n].pc.serve_identity(&mut directory).unwrap();
    }
    pair.negotiate(0);
    for end in &mut pair.ends {
        end.pc.serve_identity(&mut directory).unwrap();
    }
    let name = |pc: &PeerConnection| pc.peer_identity().unwrap().clone();
    assert_eq!(name(&pair.a().pc).name, "bob@idp.example");
    assert_eq!(name(&pair.b().pc).name, "alice@idp.example");
    assert_eq!(name(&pair.b().pc).idp, "idp.example");
    pair.run_until(Duration::from_secs(5), Pair::connected);
    // The same assertion again is not looked at again.
    let asked = directory.asked;
    pair.negotiate(1);
    for end in &mut pair.ends {
        end.pc.serve_identity(&mut directory).unwrap();
    }
    assert_eq!(directory.asked, asked);
}

#[test]
fn offers_wait_for_the_assertion() {
    let now = Instant::now();
    let mut pc = peer(1, None);
    pc.set_identity_provider(provider("alice")).unwrap();
    pc.create_data_channel(now, "x", DataChannelInit::default())
        .unwrap();
    assert_eq!(events(&mut pc), [Event::IdentityRequest]);
    assert_eq!(
        pc.set_local_description(now, None),
        Err(Error::IdentityPending)
    );
    assert_eq!(pc.signaling_state(), SignalingState::Stable);
    let request = pc.poll_identity().unwrap();
    assert_eq!(pc.poll_identity(), None);
    let IdentityRequest::Generate { contents, options } = request else {
        panic!("{request:?}");
    };
    assert_eq!(options, provider("alice"));
    // RFC 8827 §7.4: every fingerprint of ours, in the words of its SDP attribute.
    for fingerprint in pc.certificates()[0].fingerprints() {
        let (algorithm, digest) = fingerprint.split_once(' ').unwrap();
        let wanted = format!(r#"{{"algorithm":"{algorithm}","digest":"{digest}"}}"#);
        assert!(contents.contains(&wanted), "{contents}");
    }
    let generated = GeneratedAssertion::new("idp.example", "signed");
    pc.identity_generated(Ok(generated.clone())).unwrap();
    assert_eq!(
        events(&mut pc),
        [Event::IdentityAssertion, Event::NegotiationNeeded]
    );
    assert!(offer(&mut pc).sdp.contains(&format!(
        "a=identity:{}\r\n",
        pc.identity_assertion().unwrap()
    )));
    assert_eq!(
        pc.identity_generated(Ok(generated)),
        Err(Error::IdentityNotAsked)
    );
}

#[test]
fn a_provider_that_fails_is_told_and_another_may_do() {
    let now = Instant::now();
    let mut directory = Directory::default();
    let mut pc = peer(1, None);
    let slash = IdentityProviderOptions {
        protocol: "../evil".into(),
        ..provider("alice")
    };
    let error = pc.set_identity_provider(slash).unwrap_err();
    assert_eq!(
        (&error, error.kind()),
        (&Error::IdentityProtocol, ErrorKind::Syntax)
    );
    let nobody = IdentityProviderOptions::new("idp.example");
    pc.set_identity_provider(nobody).unwrap();
    pc.serve_identity(&mut directory).unwrap();
    assert!(events(&mut pc).contains(&Event::IdentityFailed(IdentityFault::NeedLogin)));
    let error = pc.create_offer(OfferOptions::default()).unwrap_err();
    assert_eq!(error, Error::Identity(IdentityFault::NeedLogin));
    assert_eq!(error.kind(), ErrorKind::NotReadable);
    pc.set_identity_provider(provider("alice")).unwrap();
    pc.serve_identity(&mut directory).unwrap();
    pc.create_offer(OfferOptions::default()).unwrap();
    pc.close(now);
    assert_eq!(
        pc.set_identity_provider(provider("bob")),
        Err(Error::Closed)
    );
}

#[test]
fn with_a_target_nobody_else_gets_in() {
    let now = Instant::now();
    let mut directory = Directory::default();
    let eve = offer(&mut somebody(2, "eve", &mut directory));
    let mut alice = somebody(1, "alice", &mut directory);
    let alice = offer(&mut alice);
    let mut bob = peer(3, Some("alice@idp.example"));
    let mut refused = |bob: &mut PeerConnection, d: &SessionDescription| {
        let error = match bob.set_remote_description(now, d.clone()) {
            Err(Error::IdentityPending) => {
                bob.serve_identity(&mut directory).unwrap();
                bob.set_remote_description(now, d.clone()).unwrap_err()
            }
            other => other.unwrap_err(),
        };
        // W3C Identity §9: rejected, and as if it never came.
        assert_eq!(bob.signaling_state(), SignalingState::Stable);
        assert_eq!(bob.remote_description(), None);
        match error {
            Error::Identity(fault) => fault,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(&mut bob, &eve), IdentityFault::NotThePeer);
    let nameless = altered(&alice, "a=identity", "");
    assert_eq!(refused(&mut bob, &nameless), IdentityFault::Missing);
    let garbled = altered(&alice, "a=identity", "a=identity:AAAA\r\n");
    assert_eq!(refused(&mut bob, &garbled), IdentityFault::Malformed);
    // Eve's transport under Alice's name.
    let stolen = alice
        .sdp
        .lines()
        .find(|l| l.starts_with("a=identity"))
        .unwrap();
    let mixed = altered(&eve, "a=identity", &format!("{stolen}\r\n"));
    assert_eq!(refused(&mut bob, &mixed), IdentityFault::Fingerprints);
    // And one fingerprint more than was asserted.
    let more = format!("a=fingerprint:sha-256 {}AB\r\n", "AB:".repeat(31));
    let widened = altered(&alice, "nothing", &more);
    if refused(&mut bob, &widened) != IdentityFault::Fingerprints {
        panic!("a fingerprint that was never asserted");
    }
    assert_eq!(
        bob.set_remote_description(now, alice.clone()),
        Err(Error::IdentityPending)
    );
    bob.serve_identity(&mut directory).unwrap();
    bob.set_remote_description(now, alice).unwrap();
    assert_eq!(bob.peer_identity().unwrap().name, "alice@idp.example");
}

#[test]
fn without_a_target_the_call_goes_on_and_the_first_one_believed_stays() {
    let now = Instant::now();
    let mut directory = Directory::default();
    let mut alice = somebody(1, "alice", &mut directory);
    let mut bob = peer(3, None);
    let first = offer(&mut alice);
    let bad = altered(
        &first,
        "a=identity",
        "a=identity:eyJpZHAiOnsiZG9tYWluIjoiaWRwLmV4YW1wbGUifSwiYXNzZXJ0aW9uIjoieCJ9\r\n",
    );
    bob.set_remote_description(now, bad).unwrap();
    bob.serve_identity(&mut directory).unwrap();
    assert!(events(&mut bob).contains(&Event::PeerIdentityFailed(IdentityFault::TokenInvalid)));
    assert_eq!(bob.peer_identity(), None);
    bob.set_remote_description(now, SessionDescription::rollback())
        .unwrap();
    bob.set_remote_description(now, first.clone()).unwrap();
    bob.serve_identity(&mut directory).unwrap();
    assert!(
        events(&mut bob)
            .iter()
            .any(|e| matches!(e, Event::PeerIdentity(p) if p.name == "alice@idp.example"))
    );
    // It is the target now: the same fingerprints need no new assertion (RFC 8827 §5.1), others do.
    bob.set_remote_description(now, SessionDescription::rollback())
        .unwrap();
    bob.set_remote_description(now, altered(&first, "a=identity", ""))
        .unwrap();
    bob.set_remote_description(now, SessionDescription::rollback())
        .unwrap();
    let eve = offer(&mut somebody(2, "eve", &mut directory));
    assert_eq!(
        bob.set_remote_description(now, altered(&eve, "a=identity", "")),
        Err(Error::Identity(IdentityFault::Missing))
    );
    assert_eq!(
        bob.set_remote_description(now, eve.clone()),
        Err(Error::IdentityPending)
    );
    bob.serve_identity(&mut directory).unwrap();
    assert_eq!(
        bob.set_remote_description(now, eve),
        Err(Error::Identity(IdentityFault::NotThePeer))
    );
    assert_eq!(bob.peer_identity().unwrap().name, "alice@idp.example");
}

#[test]
fn a_provider_for_another_domain_has_to_be_trusted() {
    let now = Instant::now();
    let mut directory = Directory::default();
    let offer = offer(&mut somebody(1, "alice", &mut directory));
    directory.domain = Some("example.org".into());
    for trusted in [false, true] {
        let config = Configuration {
            third_party_identity: trusted
                .then(|| ThirdPartyIdentity {
                    provider: "idp.example".into(),
                    domain: "example.org".into(),
                })
                .into_iter()
                .collect(),
            ..Default::default()
        };
        let mut bob = PeerConnection::new(config, now, &mut StdRng::seed_from_u64(3)).unwrap();
        bob.set_remote_description(now, offer.clone()).unwrap();
        bob.serve_identity(&mut directory).unwrap();
        let failed = events(&mut bob).contains(&Event::PeerIdentityFailed(IdentityFault::Domain));
        assert_eq!(failed, !trusted);
        assert_eq!(bob.peer_identity().is_some(), trusted);
    }
}

#[test]
fn whom_a_connection_is_for_does_not_change() {
    let now = Instant::now();
    let mut directory = Directory::default();
    let target = |name: Option<&str>| Configuration {
        peer_identity: name.map(str::to_owned),
        ..Default::default()
    };
    let mut bob = peer(3, None);
    bob.set_configuration(target(Some("alice@idp.example")))
        .unwrap();
    let error = bob
        .set_configuration(target(Some("eve@idp.example")))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModification);
    bob.set_configuration(target(None)).unwrap();
    assert_eq!(
        bob.configuration().peer_identity.as_deref(),
        Some("alice@idp.example")
    );
    // Nobody is made the target of a connection that has somebody else already.
    let mut bob = peer(3, None);
    let offer = offer(&mut somebody(2, "eve", &mut directory));
    bob.set_remote_description(now, offer).unwrap();
    assert!(
        bob.set_configuration(target(Some("alice@idp.example")))
            .is_err()
    );
}
