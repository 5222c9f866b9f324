//! Two ends with random sequences of API calls and a signalling channel between them.
//!
//! Polite runs keep to the handlers of W3C §10.7: both ends come to rest in one view of every section. Rude runs call
//! anything at any time and drop, double and bend what is signalled: an error changes nothing, what is made can be
//! read, and `close` ends it.
#![no_main]

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::{Instant, UNIX_EPOCH};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_fuzz::Memory;
use tincan_peer::*;

#[derive(Arbitrary, Debug)]
struct Input {
    rude: bool,
    bundle: [u8; 2],
    lite: bool,
    calls: Vec<(bool, Call)>,
}

#[derive(Arbitrary, Debug)]
enum Call {
    Add(bool, u8, u8),
    Track(bool, u8),
    RemoveTrack(u8),
    Direct(u8, u8),
    Streams(u8, u8),
    Encodings(u8, u8),
    Prefer(u8, u64),
    Stop(u8),
    Channel(u16),
    CloseChannel(u8),
    Restart,
    Deliver,
    Rude(Rude),
}

/// What no well-behaved application does.
#[derive(Arbitrary, Debug)]
enum Rude {
    Create(bool),
    SetLocal(u8, u8),
    SetRemote(u8, u8),
    DeleteLine(u8),
    DoubleLine(u8, u8),
    Bend(u16, u8),
    Text(u8, String),
    Lose,
    Repeat,
    Swap,
    Candidate(String, u8),
    Close,
}

struct Side {
    pc: PeerConnection,
    polite: bool,
    rude: bool,
    inbox: VecDeque<SessionDescription>,
    made: Vec<SessionDescription>,
    tracks: usize,
}

fn kind(video: bool) -> Kind {
    if video { Kind::Video } else { Kind::Audio }
}

fn direction(n: u8) -> Direction {
    [
        Direction::SendRecv,
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ][usize::from(n % 4)]
}

fn type_of(n: u8) -> SdpType {
    [
        SdpType::Offer,
        SdpType::PrAnswer,
        SdpType::Answer,
        SdpType::Rollback,
    ][usize::from(n % 4)]
}

fn encodings(bits: u8) -> Vec<Encoding> {
    let count = bits % 5;
    if count < 2 {
        return vec![Encoding::new()];
    }
    (0..count)
        .map(|n| {
            let mut one = Encoding::rid(format!("r{n}"));
            one.active = bits >> (3 + n) & 1 == 0;
            one
        })
        .collect()
}

impl Side {
    fn sender(&self, n: u8) -> Option<SenderId> {
        self.pc.transceivers().nth(usize::from(n)).map(|t| t.sender)
    }

    fn nth(&self, n: u8) -> Option<TransceiverId> {
        self.pc.transceivers().nth(usize::from(n)).map(|t| t.id)
    }

    /// Everything of negotiation that an error must leave alone.
    fn view(&self) -> String {
        let transceivers: Vec<_> = self.pc.transceivers().collect();
        format!(
            "{:?} {:?} {:?} {transceivers:?}",
            self.pc.signaling_state(),
            self.pc.local_description(),
            self.pc.remote_description()
        )
    }

    fn events(&mut self, now: Instant, to: &mut VecDeque<SessionDescription>) {
        let mut news = 0;
        while let Some(event) = self.pc.poll_event() {
            news += 1;
            assert!(news < 10_000, "events without end");
            if event == Event::NegotiationNeeded
                && self.pc.signaling_state() == SignalingState::Stable
            {
                let made = self.pc.set_local_description(now, None);
                assert!(self.rude || made.is_ok(), "{made:?}");
                if made.is_ok() {
                    to.extend(self.pc.local_description());
                }
            }
        }
    }

    fn deliver(&mut self, now: Instant, to: &mut VecDeque<SessionDescription>) {
        let Some(description) = self.inbox.pop_front() else {
            return;
        };
        let offer = description.type_ == SdpType::Offer;
        let collision = offer && self.pc.signaling_state() != SignalingState::Stable;
        if collision && !self.polite && !self.rude {
            return;
        }
        let before = self.rude.then(|| self.view());
        match self.pc.set_remote_description(now, description) {
            Ok(()) if offer => {
                let made = self.pc.set_local_description(now, None);
                assert!(self.rude || made.is_ok(), "{made:?}");
                if made.is_ok() {
                    to.extend(self.pc.local_description());
                }
            }
            Ok(()) => {}
            Err(error) => {
                // The answer to an offer that glare rolled back.
                assert!(
                    self.rude || error.kind() == ErrorKind::InvalidState,
                    "{error}"
                );
                if let Some(before) = before {
                    assert_eq!(before, self.view(), "{error}: an error changes nothing");
                }
            }
        }
    }

    fn rude(&mut self, now: Instant, call: Rude) {
        let before = self.view();
        let edit = |inbox: &mut VecDeque<SessionDescription>, f: &mut dyn FnMut(&mut Vec<u8>)| {
            if let Some(front) = inbox.front_mut() {
                let mut text = front.sdp.clone().into_bytes();
                f(&mut text);
                front.sdp = String::from_utf8_lossy(&text).into_owned();
            }
        };
        let lines = |text: &[u8]| -> Vec<Vec<u8>> {
            text.split_inclusive(|b| *b == b'\n')
                .map(<[u8]>::to_vec)
                .collect()
        };
        let result = match call {
            Rude::Create(offer) => {
                let made = if offer {
                    self.pc.create_offer(OfferOptions { ice_restart: true })
                } else {
                    self.pc.create_answer(AnswerOptions::default())
                };
                if let Ok(made) = &made
                    && self.made.len() < 8
                {
                    tincan_sdp::SessionDescription::parse(&made.sdp).expect("what we made");
                    self.made.push(made.clone());
                }
                made.map(drop)
            }
            Rude::SetLocal(n, type_) => {
                let made = self.made.get(usize::from(n)).map(|m| m.sdp.clone());
                let made = made.map(|sdp| SessionDescription::new(type_of(type_), sdp));
                self.pc.set_local_description(now, made)
            }
            Rude::SetRemote(n, type_) => match self.made.get(usize::from(n)) {
                Some(made) => {
                    let sdp = made.sdp.clone();
                    let made = SessionDescription::new(type_of(type_), sdp);
                    self.pc.set_remote_description(now, made)
                }
                None => Ok(()),
            },
            Rude::DeleteLine(n) => {
                edit(&mut self.inbox, &mut |text| {
                    let mut all = lines(text);
                    if usize::from(n) < all.len() {
                        all.remove(usize::from(n));
                    }
                    *text = all.concat();
                });
                return;
            }
            Rude::DoubleLine(n, to) => {
                edit(&mut self.inbox, &mut |text| {
                    let mut all = lines(text);
                    if let Some(line) = all.get(usize::from(n)).cloned() {
                        all.insert(usize::from(to).min(all.len()), line);
                    }
                    *text = all.concat();
                });
                return;
            }
            Rude::Bend(at, to) => {
                edit(&mut self.inbox, &mut |text| {
                    if !text.is_empty() {
                        let at = usize::from(at) % text.len();
                        text[at] = to;
                    }
                });
                return;
            }
            Rude::Text(type_, text) => self
                .pc
                .set_remote_description(now, SessionDescription::new(type_of(type_), text)),
            Rude::Lose => {
                self.inbox.pop_front();
                return;
            }
            Rude::Repeat => {
                self.inbox.extend(self.inbox.front().cloned());
                return;
            }
            Rude::Swap => {
                if let Some(first) = self.inbox.pop_front() {
                    self.inbox.push_back(first);
                }
                return;
            }
            Rude::Candidate(candidate, index) => {
                let init = IceCandidateInit {
                    candidate,
                    sdp_m_line_index: Some(index.into()),
                    ..Default::default()
                };
                let _ = self.pc.add_ice_candidate(now, Some(init));
                return;
            }
            Rude::Close => {
                self.pc.close(now);
                return;
            }
        };
        if let Err(error) = result {
            assert_eq!(before, self.view(), "{error}: an error changes nothing");
        }
    }

    fn call(&mut self, now: Instant, call: Call, out: &mut VecDeque<SessionDescription>) {
        // A conference of some size is enough: what grows here grows by the caller.
        let full = self.pc.transceivers().count() >= 12;
        match call {
            Call::Add(..) | Call::Track(..) if full => {}
            Call::Add(video, to, simulcast) => {
                let init = TransceiverInit {
                    direction: direction(to),
                    send_encodings: if video {
                        encodings(simulcast)
                    } else {
                        Vec::new()
                    },
                    ..Default::default()
                };
                let _ = self.pc.add_transceiver(kind(video), init);
            }
            Call::Track(video, n) => {
                self.tracks += 1;
                let track = format!("t{n}-{}", self.tracks);
                let _ = self
                    .pc
                    .add_track(kind(video), &track, vec![format!("s{}", n % 3)]);
            }
            Call::RemoveTrack(n) => drop(self.sender(n).map(|id| self.pc.remove_track(id))),
            Call::Direct(n, to) => {
                drop(
                    self.nth(n)
                        .map(|id| self.pc.set_direction(id, direction(to))),
                );
            }
            Call::Streams(n, bits) => {
                let streams = (0..bits % 4).map(|n| format!("m{n}")).collect();
                drop(self.sender(n).map(|id| self.pc.set_streams(id, streams)));
            }
            Call::Encodings(n, bits) => {
                if let Some(id) = self.sender(n)
                    && let Ok(mut parameters) = self.pc.parameters(id)
                {
                    parameters.encodings = encodings(bits);
                    let _ = self.pc.set_parameters(id, parameters);
                }
            }
            Call::Prefer(n, bits) => {
                let Some(t) = self.pc.transceivers().nth(usize::from(n)) else {
                    return;
                };
                let all = Capabilities::browser();
                let mut codecs: Vec<Codec> = all
                    .codecs(t.kind)
                    .iter()
                    .enumerate()
                    .filter(|(n, _)| bits >> (n % 63) & 1 != 0)
                    .map(|(_, c)| c.clone())
                    .collect();
                let len = codecs.len().max(1);
                codecs.rotate_left(bits as usize % len);
                let _ = self.pc.set_codec_preferences(t.id, codecs);
            }
            Call::Stop(n) => drop(self.nth(n).map(|id| self.pc.stop(now, id))),
            Call::Channel(bits) => {
                if self.pc.channels().count() < 16 {
                    let init = DataChannelInit {
                        ordered: bits & 1 == 0,
                        negotiated: bits & 2 != 0,
                        id: (bits & 4 != 0).then_some(bits >> 4),
                        ..Default::default()
                    };
                    let _ = self.pc.create_data_channel(now, "x", init);
                }
            }
            Call::CloseChannel(n) => {
                let key = self.pc.channels().nth(usize::from(n));
                drop(key.map(|key| self.pc.close_channel(now, key)));
            }
            Call::Restart => self.pc.restart_ice(),
            Call::Deliver => self.deliver(now, out),
            Call::Rude(call) if self.rude => self.rude(now, call),
            Call::Rude(_) => {}
        }
    }
}

fuzz_target!(|input: Input| {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate =
        CERTIFICATE.get_or_init(|| Certificate::generate(UNIX_EPOCH).expect("a certificate"));
    let _ = Configuration::default();
    let memory = Memory::watch();
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut sides = [0, 1].map(|n| {
        let config = Configuration {
            certificates: vec![certificate.clone()],
            ice_lite: input.lite && n == 1,
            bundle_policy: [
                BundlePolicy::Balanced,
                BundlePolicy::MaxCompat,
                BundlePolicy::MaxBundle,
            ][usize::from(input.bundle[n] % 3)],
            ..Default::default()
        };
        Side {
            pc: PeerConnection::new(config, now, &mut rng).expect("a peer"),
            polite: n == 0,
            rude: input.rude,
            inbox: VecDeque::new(),
            made: Vec::new(),
            tracks: 0,
        }
    });
    for (second, call) in input.calls.into_iter().take(100) {
        let n = usize::from(second);
        let mut out = VecDeque::new();
        sides[n].call(now, call, &mut out);
        sides[n].events(now, &mut out);
        sides[1 - n].inbox.append(&mut out);
        sides[1 - n].inbox.truncate(32);
    }
    let mut rounds = 0;
    while sides.iter().any(|s| !s.inbox.is_empty()) {
        rounds += 1;
        if input.rude && rounds > 12 {
            break;
        }
        assert!(rounds < 100, "negotiation never ends");
        for n in [0, 1] {
            let mut out = VecDeque::new();
            sides[n].deliver(now, &mut out);
            sides[n].events(now, &mut out);
            sides[1 - n].inbox.append(&mut out);
        }
    }
    if !input.rude {
        let view = |s: &Side| {
            assert_eq!(s.pc.signaling_state(), SignalingState::Stable);
            let mut list: Vec<_> =
                s.pc.transceivers()
                    .filter_map(|t| Some((t.mid?, t.kind, t.current_direction, t.stopped)))
                    .collect();
            list.sort_by(|x, y| x.0.cmp(&y.0));
            list
        };
        let mut theirs = view(&sides[1]);
        for t in &mut theirs {
            t.2 = t.2.map(Direction::reversed);
        }
        assert_eq!(view(&sides[0]), theirs, "two views of one session");
        for s in &sides {
            assert!(
                s.pc.transceivers().all(|t| t.mid.is_some()),
                "a transceiver was never negotiated"
            );
        }
    }
    let mut out = Vec::new();
    for side in &mut sides {
        for description in [side.pc.local_description(), side.pc.remote_description()]
            .into_iter()
            .flatten()
        {
            tincan_sdp::SessionDescription::parse(&description.sdp).expect("a stored description");
        }
        side.pc.close(now);
        assert_eq!(side.pc.signaling_state(), SignalingState::Closed);
        while side.pc.poll_event().is_some() {}
        let mut sent = 0;
        while side.pc.poll_transmit(now, &mut out, 4).is_some() {
            out.clear();
            sent += 1;
            assert!(sent < 100, "a closed peer goes on");
        }
        assert_eq!(side.pc.poll_timeout(), None);
    }
    memory.at_most(32 << 20);
});
