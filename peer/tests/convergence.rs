//! Perfect negotiation (W3C §10.7) with random calls on both ends and messages delivered when it pleases: both ends come to
//! rest in the same view of every section, whatever happened before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::Pair;
use tincan_peer::*;

#[derive(Debug, Clone)]
enum Call {
    Add(Kind, Direction),
    Track(Kind, u8),
    Direct(usize, Direction),
    Stop(usize),
    RemoveTrack(usize),
    Replace(usize, u8),
    Channel,
    CloseChannel(usize),
    Restart,
    Rollback,
    Nonsense(u8),
    Deliver,
    /// Some seconds pass: an idle connection puts its descriptions away.
    Rest,
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
        1 => (0..6usize).prop_map(Call::RemoveTrack),
        1 => (0..6usize, any::<u8>()).prop_map(|(n, s)| Call::Replace(n, s)),
        1 => Just(Call::Channel),
        1 => (0..3usize).prop_map(Call::CloseChannel),
        1 => Just(Call::Restart),
        1 => Just(Call::Rollback),
        1 => any::<u8>().prop_map(Call::Nonsense),
        1 => Just(Call::Rest),
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

/// A description that the far side never made, or that comes at the wrong time.
fn nonsense(n: u8) -> SessionDescription {
    match n % 4 {
        0 => SessionDescription::answer("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"),
        1 => SessionDescription::offer("no SDP at all"),
        2 => SessionDescription::pranswer(""),
        _ => SessionDescription::offer(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
        ),
    }
}

/// One call of the application's, any time.
fn perform(side: &mut Side, call: &Call, now: Instant, out: &mut VecDeque<SessionDescription>) {
    let pc = &mut side.pc;
    let nth = |pc: &PeerConnection, n: usize| pc.transceivers().nth(n).map(|t| t.id);
    let sender = |pc: &PeerConnection, n: usize| pc.transceivers().nth(n).map(|t| t.sender);
    match call {
        Call::Add(kind, direction) => {
            let init = TransceiverInit {
                direction: *direction,
                ..Default::default()
            };
            pc.add_transceiver(*kind, init).unwrap();
        }
        Call::Track(kind, n) => {
            side.tracks += 1;
            let track = format!("t{n}-{}", side.tracks);
            pc.add_track(*kind, &track, vec![format!("s{}", n % 3)])
                .unwrap();
        }
        Call::Direct(n, direction) => {
            if let Some(id) = nth(pc, *n) {
                let _ = pc.set_direction(id, *direction);
            }
        }
        Call::Stop(n) => {
            if let Some(id) = nth(pc, *n) {
                pc.stop(now, id).unwrap();
            }
        }
        Call::RemoveTrack(n) => {
            if let Some(id) = sender(pc, *n) {
                pc.remove_track(id).unwrap();
            }
        }
        Call::Replace(n, with) => {
            if let Some(id) = sender(pc, *n) {
                let track = with.is_multiple_of(2).then(|| format!("r{with}"));
                let stopped = pc.transceiver(id.transceiver()).is_some_and(|t| t.stopped);
                assert_eq!(pc.replace_track(id, track).is_err(), stopped);
                if with.is_multiple_of(3) {
                    pc.set_streams(id, vec![format!("s{with}")]).unwrap();
                }
            }
        }
        Call::Channel => {
            pc.create_data_channel(now, "x", DataChannelInit::default())
                .unwrap();
        }
        Call::CloseChannel(n) => {
            let key = pc.channels().nth(*n);
            if let Some(key) = key {
                pc.close_channel(now, key).unwrap();
            }
        }
        Call::Restart => pc.restart_ice(),
        Call::Nonsense(n) => {
            let before = (pc.signaling_state(), pc.remote_description(), view(pc));
            let error = pc.set_remote_description(now, nonsense(*n)).unwrap_err();
            assert!(!error.to_string().is_empty());
            let after = (pc.signaling_state(), pc.remote_description(), view(pc));
            assert_eq!(before, after, "{error}");
        }
        Call::Rest => pc.handle_timeout(now),
        Call::Deliver => side.deliver(now, out),
        Call::Rollback => {}
    }
}

fn view(pc: &PeerConnection) -> Vec<Transceiver> {
    pc.transceivers().collect()
}

/// Takes an offer back that the far side has not read yet: it is no longer in its inbox then.
fn withdraw(sides: &mut [Side; 2], n: usize, now: Instant) {
    if sides[n].pc.signaling_state() != SignalingState::HaveLocalOffer {
        let error = sides[n]
            .pc
            .set_local_description(now, Some(SessionDescription::rollback()));
        let legal = sides[n].pc.signaling_state() == SignalingState::HaveRemoteOffer;
        assert!(legal || error.is_err());
        return;
    }
    let far = &mut sides[1 - n].inbox;
    let Some(at) = far.iter().rposition(|d| d.type_ == SdpType::Offer) else {
        return;
    };
    far.remove(at);
    sides[n]
        .pc
        .set_local_description(now, Some(SessionDescription::rollback()))
        .unwrap();
}

fn run(calls: &[(bool, Call)]) {
    let mut now = Instant::now();
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
                now: Instant,
                f: &dyn Fn(&mut Side, &mut VecDeque<SessionDescription>)| {
        let mut out = VecDeque::new();
        f(&mut sides[n], &mut out);
        sides[n].events(now, &mut out);
        sides[1 - n].inbox.append(&mut out);
    };
    for (first, call) in calls {
        let n = usize::from(*first);
        match call {
            Call::Rest => now += Duration::from_secs(3),
            Call::Rollback => withdraw(&mut sides, n, now),
            _ => {}
        }
        turn(&mut sides, n, now, &|side, out| {
            perform(side, call, now, out)
        });
    }
    let mut rounds = 0;
    while sides.iter().any(|s| !s.inbox.is_empty()) {
        rounds += 1;
        assert!(rounds < 60, "negotiation never ends");
        for n in [0, 1] {
            turn(&mut sides, n, now, &|side, out| side.deliver(now, out));
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

/// Two connected ends with three sections; each turn one end wants another direction, both agree, and both send on all
/// of them, allowed or not.
fn follow(turns: &[(bool, usize, Direction)]) {
    let mut pair = Pair::new();
    for kind in [Kind::Audio, Kind::Video, Kind::Video] {
        pair.ends[0]
            .pc
            .add_transceiver(kind, TransceiverInit::default())
            .unwrap();
    }
    pair.negotiate(0);
    pair.run_until(Duration::from_secs(5), Pair::connected);
    let mut sequence = 0;
    for (first, nth, direction) in turns {
        let n = usize::from(*first);
        let id = pair.ends[n].pc.transceivers().nth(*nth).unwrap().id;
        pair.ends[n].pc.set_direction(id, *direction).unwrap();
        pair.negotiate(n);
        let now = pair.now;
        let mut sent = [Vec::new(), Vec::new()];
        for (end, sent) in pair.ends.iter_mut().zip(&mut sent) {
            for t in end.pc.transceivers().collect::<Vec<_>>() {
                sequence += 1;
                let payload_type = t.send_codecs.first().map_or(0, |c| c.payload_type);
                let packet = RtpPacket::new(payload_type, sequence, 0, true, vec![9; 50]);
                let taken = end.pc.send_rtp(now, t.id, packet).is_ok();
                let agreed = t.current_direction.is_some_and(Direction::sends);
                assert_eq!(taken, agreed, "{t:?}");
                if taken {
                    sent.push(t.mid.unwrap());
                }
            }
            end.events.clear();
        }
        pair.run(Duration::from_millis(50));
        for n in [0, 1] {
            let mut got = Vec::new();
            for event in pair.ends[1 - n].take() {
                if let Event::Rtp { transceiver, .. } = event {
                    let t = pair.ends[1 - n].pc.transceiver(transceiver).unwrap();
                    assert!(
                        t.current_direction.is_some_and(Direction::receives),
                        "{t:?}"
                    );
                    got.push(t.mid.unwrap());
                }
            }
            assert_eq!(got, sent[n]);
        }
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

    /// What a side said no to never reaches it once the exchange is over, and what both agreed on does.
    #[test]
    fn media_goes_where_both_said_yes(turns in prop::collection::vec((any::<bool>(), 0..3usize, direction()), 1..8)) {
        follow(&turns);
    }

    #[test]
    fn both_ends_come_to_rest_in_one_view(calls in prop::collection::vec((any::<bool>(), call()), 0..50)) {
        run(&calls);
    }
}
