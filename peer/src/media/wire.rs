//! What two ends of a call write, packet by packet, and what they make of it.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_rtp::extension::ExtensionKind;
use tincan_rtp::rtcp::{Compound, Packet as Control, SdesKind};
use tincan_rtp::{Packet, PacketMut, SequenceNumber, Ssrc};

use super::crowd::jsep;
use super::{Delivery, Media, ReceiveStream, Reception};
use crate::event::Event;
use crate::frame::Frame;
use crate::jsep::{Jsep, LocalTransport};
use crate::limits::{KEY_FRAME_RETRY, RTCP_INTERVAL};
use crate::packet::RtpPacket;
use crate::queue::Events;
use crate::{
    Direction, Encoding, Kind, SdpType, SessionDescription, TransceiverId, TransceiverInit,
};

const MS: Duration = Duration::from_millis(1);

struct End {
    jsep: Jsep,
    transport: LocalTransport,
    media: Media,
    events: Events,
    /// Of events: what frames and packets came, and how many requests for key frames.
    frames: Vec<Frame>,
    packets: Vec<(TransceiverId, RtpPacket)>,
    requests: usize,
}

impl End {
    fn new(name: &str, now: Instant) -> Self {
        let (jsep, transport) = jsep(name);
        End {
            jsep,
            transport,
            media: Media::new(now, name, Duration::ZERO),
            events: Events::default(),
            frames: Vec::new(),
            packets: Vec::new(),
            requests: 0,
        }
    }

    fn reconcile(&mut self, delivery: Delivery) {
        let reception = Reception {
            delivery,
            ..Reception::default()
        };
        let transceivers = self.jsep.transceivers();
        let receptions: Vec<_> = transceivers.iter().map(|t| (t.id(), reception)).collect();
        self.media.reconcile(transceivers, &receptions);
    }

    fn take_events(&mut self) {
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Frame { frame, .. } => self.frames.push(frame),
                Event::Rtp {
                    transceiver,
                    packet,
                } => self.packets.push((transceiver, packet)),
                Event::KeyFrameRequest { .. } => self.requests += 1,
                _ => {}
            }
        }
    }

    fn stream(&self, ssrc: u32) -> &ReceiveStream {
        let at = self.media.router.by_ssrc(ssrc).unwrap();
        &self.media.receivers()[at]
    }
}

/// `a` sends to `b`; each datagram takes ten milliseconds.
struct Call {
    a: End,
    b: End,
    delivery: Delivery,
    now: Instant,
    rng: StdRng,
    /// RTP of `a` and RTCP of both, as written.
    rtp: Vec<Vec<u8>>,
    rtcp: [Vec<Vec<u8>>; 2],
}

impl Call {
    fn new(kinds: &[Kind], encodings: &[&str], delivery: Delivery) -> Self {
        Call::edited(kinds, encodings, delivery, |offer| offer)
    }

    fn edited(
        kinds: &[Kind],
        encodings: &[&str],
        delivery: Delivery,
        edit: impl Fn(String) -> String,
    ) -> Self {
        let now = Instant::now();
        let mut call = Call {
            a: End::new("aaaa", now),
            b: End::new("bbbb", now),
            delivery,
            now,
            rng: StdRng::seed_from_u64(3),
            rtp: Vec::new(),
            rtcp: Default::default(),
        };
        for kind in kinds {
            let init = TransceiverInit {
                direction: Direction::SendOnly,
                send_encodings: encodings.iter().map(|r| Encoding::rid(*r)).collect(),
                ..TransceiverInit::default()
            };
            let added = call.a.jsep.add_transceiver(*kind, init, &mut call.rng);
            added.unwrap();
        }
        call.negotiate(edit);
        call
    }

    /// `edit` changes what `b` reads of `a`'s offer.
    fn negotiate(&mut self, edit: impl Fn(String) -> String) {
        let (a, b) = (&mut self.a, &mut self.b);
        let offer = a.jsep.create_offer(&a.transport).unwrap();
        a.jsep.set_local(SdpType::Offer, &offer).unwrap();
        let offer = SessionDescription::offer(edit(offer));
        b.jsep.set_remote(&offer, &mut self.rng).unwrap();
        let answer = b.jsep.create_answer(&b.transport).unwrap();
        b.jsep.set_local(SdpType::Answer, &answer).unwrap();
        let answer = SessionDescription::new(SdpType::Answer, answer);
        a.jsep.set_remote(&answer, &mut self.rng).unwrap();
        a.reconcile(self.delivery);
        b.reconcile(self.delivery);
    }

    fn sender(&self, at: usize) -> TransceiverId {
        self.a.jsep.transceivers()[at].id()
    }

    fn receiver(&self, at: usize) -> TransceiverId {
        self.b.jsep.transceivers()[at].id()
    }

    fn payload_type(&self, at: usize, codec: &str) -> u8 {
        let codecs = &self.a.media.tracks()[at].parameters.send_codecs;
        codecs.iter().find(|c| c.is(codec)).unwrap().payload_type
    }

    /// A frame of VP8 of three packets.
    fn send_frame(&mut self, encoding: u8, timestamp: u32, key: bool) {
        let mut frame = Frame::new(
            self.payload_type(0, "VP8"),
            timestamp,
            [&[u8::from(!key)][..], &[encoding + 1; 2_500]].concat(),
        );
        frame.encoding = encoding;
        let (now, id) = (self.now, self.sender(0));
        self.a.media.send_frame(now, id, &frame, 1_000).unwrap();
    }

    /// Lets time pass; `edit` changes RTP on its way or loses it.
    fn run(&mut self, time: Duration, mut edit: impl FnMut(&mut Vec<u8>) -> bool) {
        let end = self.now + time;
        loop {
            let now = self.now;
            for end in [&mut self.a, &mut self.b] {
                if end.media.poll_timeout().is_some_and(|at| at <= now) {
                    end.media.handle_timeout(now, &mut end.events);
                }
            }
            let mut out = Vec::new();
            while self.a.media.poll_rtp(now, &mut out) {
                self.rtp.push(out.clone());
                if edit(&mut out) {
                    self.give(&out);
                }
                out.clear();
            }
            for from in 0..2 {
                let mut ends = [&mut self.a, &mut self.b];
                ends.rotate_left(from);
                let [one, other] = ends;
                while one.media.poll_rtcp(now, &mut out) {
                    other.media.handle_rtcp(now, &out, &mut other.events);
                    self.rtcp[from].push(std::mem::take(&mut out));
                }
            }
            self.a.take_events();
            self.b.take_events();
            if self.now >= end {
                break;
            }
            self.now += 10 * MS;
        }
    }

    /// A packet for `b`.
    fn give(&mut self, packet: &[u8]) {
        let datagram = BytesMut::from(packet);
        let b = &mut self.b;
        b.media
            .handle_rtp(self.now, crate::Ecn::NotEct, datagram, &mut b.events);
        b.take_events();
    }

    /// The first packet that `a` sends on a transceiver.
    fn packet(&mut self, at: usize, codec: &str) -> Vec<u8> {
        let (now, id) = (self.now, self.sender(at));
        let packet = RtpPacket::new(self.payload_type(at, codec), 100, 0, true, vec![0x10; 50]);
        self.a.media.send(now, id, packet).unwrap();
        let mut out = Vec::new();
        assert!(self.a.media.poll_rtp(now, &mut out));
        out
    }
}

fn id(call: &Call, kind: ExtensionKind) -> u8 {
    call.a.media.tracks()[0].extensions.id(kind).unwrap()
}

#[test]
fn what_is_lost_of_an_upper_simulcast_layer_is_sent_again_for_that_layer() {
    // Some senders have a copy of the rid on the retransmission.
    for copied in [false, true] {
        let mut call = Call::new(&[Kind::Video], &["q", "h", "f"], Delivery::Frames);
        let (rid, repaired) = (
            id(&call, ExtensionKind::RtpStreamId),
            id(&call, ExtensionKind::RepairedRtpStreamId),
        );
        let rtx = call.payload_type(0, "rtx");
        for n in 0..20 {
            for encoding in 0..3 {
                call.send_frame(encoding, n * 3_000, n == 0);
            }
            let mut sent = 0;
            call.run(30 * MS, |packet| {
                if PacketMut::parse(packet)
                    .unwrap()
                    .view()
                    .payload_type()
                    .get()
                    == rtx
                {
                    if copied {
                        let mut packet = PacketMut::parse(packet).unwrap();
                        packet.rename_extension(repaired, rid);
                    }
                    return true;
                }
                sent += 1;
                // The second packet of the frame of "h".
                n % 3 != 1 || sent != 5
            });
        }
        call.run(200 * MS, |_| true);
        for encoding in 0..3 {
            let of = |f: &&Frame| f.encoding == encoding;
            assert_eq!(call.b.frames.iter().filter(of).count(), 20, "{encoding}");
        }
        assert!(call.b.frames.iter().all(|f| f.lost_before == 0));
        assert_eq!(call.a.requests, 0);
        let again: Vec<_> = call.rtp.iter().map(|p| Packet::parse(p).unwrap()).collect();
        let again: Vec<_> = again
            .iter()
            .filter(|p| p.payload_type().get() == rtx)
            .collect();
        assert_eq!(again.len(), 7);
        for packet in again {
            assert_eq!(packet.extension(rid), None);
            assert_eq!(packet.extension(repaired), Some(&b"h"[..]));
        }
        let repairs = call.b.media.repairs();
        let repaired: Vec<_> = repairs
            .iter()
            .map(|(at, sum)| (call.b.media.receivers()[*at].encoding, sum.packets))
            .collect();
        assert_eq!(repaired, [(1, 7)]);
    }
}

/// RFC 3550 §6.5: a CNAME for each SSRC. Some receivers look at the first report of a datagram only.
#[test]
fn each_of_our_streams_has_a_report_with_its_name() {
    let mut call = Call::new(&[Kind::Audio, Kind::Video], &[], Delivery::Packets);
    for n in 0..100u16 {
        for (at, codec) in [(0, "opus"), (1, "VP8")] {
            let payload_type = call.payload_type(at, codec);
            let packet = RtpPacket::new(payload_type, n, u32::from(n) * 960, false, vec![1; 20]);
            let (now, id) = (call.now, call.sender(at));
            call.a.media.send(now, id, packet).unwrap();
        }
        call.run(20 * MS, |_| true);
    }
    let mut reported = Vec::new();
    for datagram in &call.rtcp[0] {
        let (mut senders, mut named) = (Vec::new(), Vec::new());
        for packet in Compound::parse(datagram).unwrap().packets() {
            match packet.unwrap() {
                Control::SenderReport(report) => senders.push(report.ssrc),
                Control::SourceDescription(description) => {
                    let chunks = description.chunks();
                    let cname = chunks
                        .filter(|c| c.items().any(|i| i.kind == SdesKind::Cname))
                        .map(|c| c.ssrc);
                    named.extend(cname);
                }
                _ => {}
            }
        }
        assert_eq!(senders, named);
        assert_eq!(senders.len(), 1);
        reported.extend(senders);
    }
    let tracks = call.a.media.tracks();
    let ours: Vec<_> = tracks.iter().map(|t| Ssrc(t.senders[0].ssrc)).collect();
    let rounds = reported.len() / 2;
    assert!(
        rounds >= 2 && reported == ours.repeat(rounds),
        "{reported:?}"
    );
}

/// RFC 9143 §9.2.
#[test]
fn a_stream_moves_to_the_section_that_its_packets_name() {
    let mut call = Call::new(&[Kind::Video, Kind::Video], &[], Delivery::Packets);
    let mid = id(&call, ExtensionKind::Mid);
    let mut packet = call.packet(0, "VP8");
    let ssrc = Packet::parse(&packet).unwrap().ssrc().0;
    let mut give = |call: &mut Call, number, section: &[u8]| {
        let mut changed = PacketMut::parse(&mut packet).unwrap();
        changed.set_sequence_number(SequenceNumber(number));
        assert!(changed.set_extension(mid, section));
        call.give(&packet);
        let (transceiver, _) = call.b.packets.pop().unwrap();
        transceiver
    };
    let [first, second] = [0, 1].map(|at| call.receiver(at));
    assert_eq!(give(&mut call, 100, b"0"), first);
    assert_eq!(give(&mut call, 102, b"1"), second);
    // What came late says what was, and a name that nobody has says nothing.
    assert_eq!(give(&mut call, 101, b"0"), second);
    assert_eq!(give(&mut call, 103, b"7"), second);
    assert_eq!(give(&mut call, 104, b"1"), second);
    assert_eq!(call.b.stream(ssrc).packets, 4);
    assert_eq!(call.b.media.receivers().len(), 1);
    assert_eq!(give(&mut call, 105, b"0"), first);
    assert_eq!(call.b.stream(ssrc).number, 2);
}

#[test]
fn a_stream_moves_to_the_section_that_announces_it() {
    let mut call = Call::new(&[Kind::Video, Kind::Video], &[], Delivery::Packets);
    let packet = call.packet(0, "VP8");
    let ssrcs = [0, 1].map(|at| call.a.media.tracks()[at].senders[0].ssrc.to_string());
    call.give(&packet);
    assert_eq!(call.b.packets.pop().unwrap().0, call.receiver(0));
    let id = call.sender(0);
    call.a.jsep.set_direction(id, Direction::Inactive).unwrap();
    call.negotiate(|offer| offer.replace(&ssrcs[1], &ssrcs[0]));
    assert!(call.b.media.receivers().is_empty());
    // Without a mid.
    let mut packet = packet;
    let mid = call.a.media.tracks()[1].extensions.id(ExtensionKind::Mid);
    let mid = mid.unwrap();
    PacketMut::parse(&mut packet)
        .unwrap()
        .rename_extension(mid, 0);
    call.give(&packet);
    assert_eq!(call.b.packets.pop().unwrap().0, call.receiver(1));
}

/// RFC 5104 §7.1: only feedback that was agreed on is sent.
#[test]
fn key_frames_are_asked_for_as_was_agreed() {
    let without = |offer: String, feedback: &[&str]| {
        let lines = offer.split_inclusive("\r\n");
        let kept = lines.filter(|l| !feedback.iter().any(|f| l.trim_end().ends_with(f)));
        kept.collect::<String>()
    };
    for (left_out, delivery) in [
        (&[][..], Delivery::Frames),
        (&["nack pli"], Delivery::Frames),
        (&["nack pli"], Delivery::Packets),
        (&["nack pli", "ccm fir"], Delivery::Frames),
        (&["nack pli", "ccm fir"], Delivery::Packets),
    ] {
        let edit = |offer| without(offer, left_out);
        let mut call = Call::edited(&[Kind::Video], &[], delivery, edit);
        let receiver = call.receiver(0);
        call.send_frame(0, 0, false);
        call.run(2 * KEY_FRAME_RETRY, |_| true);
        call.b.media.request_key_frame(receiver);
        call.run(10 * MS, |_| true);
        let mut asked = (0, Vec::new());
        for datagram in &call.rtcp[1] {
            for packet in Compound::parse(datagram).unwrap().packets() {
                match packet.unwrap() {
                    Control::PictureLoss(_) => asked.0 += 1,
                    Control::FullIntraRequest(r) => asked.1.extend(r.entries().map(|e| e.sequence)),
                    _ => {}
                }
            }
        }
        let frames = delivery == Delivery::Frames;
        let expected = match left_out.len() {
            0 => (4, vec![]),
            // Repetitions have the same number, the application's request is a new one.
            1 if frames => (0, vec![1, 1, 1, 2]),
            1 => (0, vec![1]),
            _ => (0, vec![]),
        };
        assert_eq!(asked, expected, "{left_out:?} {delivery:?}");
        let stream = &call.b.media.receivers()[0];
        assert_eq!((stream.plis, stream.firs), (asked.0, asked.1.len() as u64));
        let idle = call.b.media.poll_timeout().unwrap() - call.now;
        assert!(idle > Duration::ZERO && idle <= RTCP_INTERVAL);
    }
}
