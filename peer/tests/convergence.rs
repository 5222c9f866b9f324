//! Perfect negotiation (W3C §10.7) with random calls on both ends and messages delivered when it pleases: both ends come to
//! rest in the same view of every section, whatever happened before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::VecDeque;
use std::time::Instant;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::*;

#[derive(Debug, Clone)]
enum Call {
    Add(Kind, Direction),
    Track(Kind, u8),
    Direct(usize, Direction),
    Stop(usize),
    Channel,
    Restart,
    Deliver,
}

struct Side {
    pc: PeerConnection,
    polite: bool,
    inbox: VecDeque<SessionDescription>,
    tracks: usize,
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::SendRecv),
        Just(Direction::SendOnly),
        Just(Direction::RecvOnly),
        Just(Direction::Inactive)
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Audio), Just(Kind::Video)]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => (kind(), direction()).prop_map(|(k, d)| Call::Add(k, d)),
        1 => (kind(), any::<u8>()).prop_map(|(k, n)| Call::Track(k, n)),
        2 => (0..6usize, direction()).prop_map(|(n, d)| Call::Direct(n, d)),
        1 => (0..6usize).prop_map(Call::Stop),
        1 => Just(Call::Channel),
        1 => Just(Call::Restart),
        6 => Just(Call::Deliver),
    ]
}

/// The handlers of W3C §10.7: what an application does with events and messages.
impl Side {
    fn events(&mut self, now: Instant, to: &mut VecDeque<SessionDescription>) {
        while let Some(event) = self.pc.poll_event() {
            if event == Event::NegotiationNeeded
                && self.pc.signaling_state() == SignalingState::Stable
            {
                self.pc.set_local_description(now, None).unwrap();
                to.push_back(self.pc.local_description().unwrap());
            }
        }
    }

    fn deliver(&mut self, now: Instant, to: &mut VecDeque<SessionDescription>) {
        let Some(description) = self.inbox.pop_front() else {
            return;
        };
        let offer = description.type_ == SdpType::Offer;
        let collision = offer && self.pc.signaling_state() != SignalingState::Stable;
        if collision && !self.polite {
            return;
        }
        match self.pc.set_remote_description(now, description) {
            Ok(()) if offer => {
                self.pc.set_local_description(now, None).unwrap();
                to.push_back(self.pc.local_description().unwrap());
            }
            Ok(()) => {}
            // The answer to an offer that glare rolled back.
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidState, "{error}"),
        }
    }
}

fn run(calls: &[(bool, Call)]) {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let certificate = Certificate::generate(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let mut sides = [true, false].map(|polite| {
        let config = Configuration {
            certificates: vec![certificate.clone()],
            ..Default::default()
        };
        Side {
            pc: PeerConnection::new(config, now, &mut rng).unwrap(),
            polite,
            inbox: VecDeque::new(),
            tracks: 0,
        }
    });
    let turn = |sides: &mut [Side; 2],
                n: usize,
                f: &dyn Fn(&mut Side, &mut VecDeque<SessionDescription>)| {
        let mut out = VecDeque::new();
        f(&mut sides[n], &mut out);
        sides[n].events(now, &mut out);
        sides[1 - n].inbox.append(&mut out);
    };
    for (first, call) in calls {
        let n = usize::from(*first);
        turn(&mut sides, n, &|side, out| {
            let nth = |side: &Side, n: usize| side.pc.transceivers().nth(n).map(|t| t.id);
            match call {
                Call::Add(kind, direction) => {
                    let init = TransceiverInit {
                        direction: *direction,
                        ..Default::default()
                    };
                    side.pc.add_transceiver(*kind, init).unwrap();
                }
                Call::Track(kind, n) => {
                    side.tracks += 1;
                    let track = format!("t{n}-{}", side.tracks);
                    side.pc
                        .add_track(*kind, &track, vec![format!("s{}", n % 3)])
                        .unwrap();
                }
                Call::Direct(n, direction) => {
                    if let Some(id) = nth(side, *n) {
                        let _ = side.pc.set_direction(id, *direction);
                    }
                }
                Call::Stop(n) => {
                    if let Some(id) = nth(side, *n) {
                        side.pc.stop(now, id).unwrap();
                    }
                }
                Call::Channel => {
                    side.pc
                        .create_data_channel(now, "x", DataChannelInit::default())
                        .unwrap();
                }
                Call::Restart => side.pc.restart_ice(),
                Call::Deliver => side.deliver(now, out),
            }
        });
    }
    let mut rounds = 0;
    while sides.iter().any(|s| !s.inbox.is_empty()) {
        rounds += 1;
        assert!(rounds < 60, "negotiation never ends");
        for n in [0, 1] {
            turn(&mut sides, n, &|side, out| side.deliver(now, out));
        }
    }
    let [a, b] = &sides;
    assert_eq!(a.pc.signaling_state(), SignalingState::Stable);
    assert_eq!(b.pc.signaling_state(), SignalingState::Stable);
    let by_mid = |s: &Side| -> Vec<(String, Kind, Option<Direction>, bool)> {
        let mut list: Vec<_> =
            s.pc.transceivers()
                .filter_map(|t| Some((t.mid?, t.kind, t.current_direction, t.stopped)))
                .collect();
        list.sort_by(|x, y| x.0.cmp(&y.0));
        list
    };
    let (va, vb) = (by_mid(a), by_mid(b));
    let turned: Vec<_> = vb
        .into_iter()
        .map(|(m, k, d, s)| (m, k, d.map(Direction::reversed), s))
        .collect();
    assert_eq!(va, turned);
    for s in &sides {
        assert!(
            s.pc.transceivers().all(|t| t.mid.is_some()),
            "every transceiver was negotiated"
        );
    }
}

/// 96, or as many as `TINCAN_SEEDS` says.
fn cases() -> u32 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ends_come_to_rest_in_one_view(calls in prop::collection::vec((any::<bool>(), call()), 0..50)) {
        run(&calls);
    }
}
