//! Payload types and extension ids keep their meaning for as long as the transport lives, whatever is negotiated on it, by
//! whom and how often it is rolled back (RFC 9143 §9.1, RFC 8285 §5, RFC 3264 §8.3.2).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::jsep::{Description, IceParameters, Jsep, JsepConfig, LocalTransport};
use tincan_peer::{
    BundlePolicy, Capabilities, Direction, Kind, SdpType, SessionDescription, SignalingState,
    TransceiverInit,
};

/// What ids mean at one end, as a browser remembers it: by section while that is alive (it refuses a description that
/// gives the id of one another meaning), and whatever they ever meant.
#[derive(Default)]
struct Table {
    sections: BTreeMap<String, Vec<(u8, String)>>,
    ever: BTreeMap<u8, String>,
}

impl Table {
    fn take(&mut self, d: &Description, whose: &str, history: &[String]) {
        for s in &d.sections {
            let mid = s.mid.clone().unwrap_or_default();
            if s.rejected {
                self.sections.remove(&mid);
                continue;
            }
            for e in &s.extensions {
                for (other, active) in &self.sections {
                    let clash = active.iter().find(|(id, uri)| *id == e.id && *uri != e.uri);
                    assert!(
                        clash.is_none(),
                        "{whose}: id {} of section {mid} is {}, but {clash:?} in {other}, {history:#?}",
                        e.id,
                        e.uri
                    );
                }
                let known = self.ever.entry(e.id).or_insert_with(|| e.uri.clone());
                assert_eq!(*known, e.uri, "{whose}: id {}, {history:#?}", e.id);
            }
            let mappings = s.extensions.iter().map(|e| (e.id, e.uri.clone())).collect();
            self.sections.insert(mid, mappings);
        }
    }
}

struct End {
    name: &'static str,
    polite: bool,
    jsep: Jsep,
    transport: LocalTransport,
    rng: StdRng,
    inbox: VecDeque<SessionDescription>,
    table: Table,
    /// Our offer, which counts once the far side has answered it.
    offered: Option<Description>,
    applied: Vec<String>,
}

#[derive(Debug, Clone)]
enum Call {
    Add(Kind, Direction),
    Direct(usize, Direction),
    Stop(usize),
    Offer,
    Deliver,
    /// What is delivered is refused: rolled back, and the far side is told.
    Refuse,
}

impl End {
    fn new(name: &'static str, polite: bool, capabilities: Capabilities) -> Self {
        let mut rng = StdRng::seed_from_u64(u64::from(polite));
        let config = JsepConfig {
            capabilities: Arc::new(capabilities),
            bundle_policy: BundlePolicy::Balanced,
            ice_lite: false,
            max_message_size: 262_144,
        };
        End {
            name,
            polite,
            jsep: Jsep::new(config, &mut rng),
            transport: LocalTransport {
                ice: IceParameters {
                    ufrag: name.to_owned(),
                    pwd: "passwordpasswordpassword".to_owned(),
                },
                fingerprints: vec![format!("sha-256 {}AB", "AB:".repeat(31))],
                tls_id: "tlsidtlsidtlsidtlsid".to_owned(),
            },
            rng,
            inbox: VecDeque::new(),
            table: Table::default(),
            offered: None,
            applied: Vec::new(),
        }
    }

    fn note(&mut self, side: &str, d: &Description) {
        let sections: Vec<String> = d
            .sections
            .iter()
            .map(|s| {
                let ids: Vec<String> = s
                    .extensions
                    .iter()
                    .map(|e| format!("{}={}", e.id, e.uri.rsplit([':', '/']).next().unwrap()))
                    .collect();
                format!(
                    "{:?}{} {}",
                    s.mid,
                    if s.rejected { "-" } else { "" },
                    ids.join(" ")
                )
            })
            .collect();
        self.applied.push(format!("{side} {sections:?}"));
        self.table.take(d, self.name, &self.applied);
    }

    fn offer(&mut self) -> Option<SessionDescription> {
        if self.jsep.state() != SignalingState::Stable || self.jsep.transceivers().is_empty() {
            return None;
        }
        let sdp = self.jsep.create_offer(&self.transport).unwrap();
        self.jsep.set_local(SdpType::Offer, &sdp).unwrap();
        self.offered = self.jsep.local().cloned();
        Some(SessionDescription::offer(sdp))
    }

    fn deliver(&mut self, refuse: bool) -> Option<SessionDescription> {
        let d = self.inbox.pop_front()?;
        if d.type_ == SdpType::Rollback {
            if self.jsep.state() == SignalingState::HaveLocalOffer {
                self.jsep.set_local(SdpType::Rollback, "").unwrap();
                // The far side has seen it: it counts.
                let offered = self.offered.take().unwrap();
                self.note("local", &offered);
            }
            return None;
        }
        if d.type_ == SdpType::Answer {
            if self.jsep.state() == SignalingState::HaveLocalOffer {
                self.jsep.set_remote(&d, &mut self.rng).unwrap();
                let offered = self.offered.take().unwrap();
                self.note("local", &offered);
                let answer = self.jsep.remote().cloned().unwrap();
                self.note("remote", &answer);
            }
            return None;
        }
        if self.jsep.state() != SignalingState::Stable && !self.polite {
            return None;
        }
        self.jsep.set_remote(&d, &mut self.rng).unwrap();
        let offer = self.jsep.remote().cloned().unwrap();
        self.note("remote", &offer);
        if refuse {
            self.jsep.set_local(SdpType::Rollback, "").unwrap();
            return Some(SessionDescription::rollback());
        }
        let sdp = self.jsep.create_answer(&self.transport).unwrap();
        self.jsep.set_local(SdpType::Answer, &sdp).unwrap();
        let answer = self.jsep.local().cloned().unwrap();
        self.note("local", &answer);
        Some(SessionDescription::answer(sdp))
    }
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::SendRecv),
        Just(Direction::SendOnly),
        Just(Direction::RecvOnly),
        Just(Direction::Inactive)
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let kind = prop_oneof![Just(Kind::Audio), Just(Kind::Video)];
    prop_oneof![
        2 => (kind, direction()).prop_map(|(k, d)| Call::Add(k, d)),
        1 => (0..6usize, direction()).prop_map(|(n, d)| Call::Direct(n, d)),
        2 => (0..6usize).prop_map(Call::Stop),
        4 => Just(Call::Offer),
        5 => Just(Call::Deliver),
        1 => Just(Call::Refuse),
    ]
}

/// The same codecs and extensions under other numbers.
fn renumbered(by: usize) -> Capabilities {
    let mut caps = Capabilities::browser();
    let mut ids: Vec<u8> = caps
        .header_extensions
        .iter()
        .map(|e| e.preferred_id)
        .collect();
    let by_ids = by % ids.len();
    ids.rotate_left(by_ids);
    for (extension, id) in caps.header_extensions.iter_mut().zip(ids) {
        extension.preferred_id = id;
    }
    caps
}

fn run(by: usize, calls: &[(bool, Call)]) {
    let mut ends = [
        End::new("polite", true, Capabilities::browser()),
        End::new("impolite", false, renumbered(by)),
    ];
    for (first, call) in calls {
        let at = usize::from(*first);
        let end = &mut ends[at];
        let nth = |end: &End, n: usize| end.jsep.transceivers().get(n).map(|t| t.id());
        let said = match call {
            Call::Add(kind, direction) => {
                let init = TransceiverInit {
                    direction: *direction,
                    ..Default::default()
                };
                if end.jsep.transceivers().len() < 8 {
                    end.jsep.add_transceiver(*kind, init, &mut end.rng).unwrap();
                }
                None
            }
            Call::Direct(n, direction) => {
                if let Some(id) = nth(end, *n) {
                    let _ = end.jsep.set_direction(id, *direction);
                }
                None
            }
            Call::Stop(n) => {
                if let Some(id) = nth(end, *n) {
                    end.jsep.stop(id).unwrap();
                }
                None
            }
            Call::Offer => end.offer(),
            Call::Deliver => end.deliver(false),
            Call::Refuse => end.deliver(true),
        };
        ends[1 - at].inbox.extend(said);
    }
}

/// 256, or as many as `TINCAN_SEEDS` says.
fn cases() -> u32 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// In all that either end ever applied, but for offers of its own that nobody has read, an id has one meaning.
    #[test]
    fn an_id_never_gets_a_second_meaning(
        by in 0..14usize,
        calls in prop::collection::vec((any::<bool>(), call()), 0..120),
    ) {
        run(by, &calls);
    }
}
