//! Typed header extensions: layouts octet for octet, and values that read back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use proptest::prelude::*;
use tincan_rtp::extension::{
    AbsoluteCaptureTime, AbsoluteSendTime, AudioLevel, ColorSpace, CorruptionDetection,
    CorruptionSamples, Extension, ExtensionKind, ExtensionMap, FeedbackRequest, HdrMetadata,
    InbandComfortNoise, LayerResolution, Mid, MixerAudioLevels, PlayoutDelay, RepairedRtpStreamId,
    Rotation, RtpStreamId, SpatialLayer, TransmissionOffset, TransportSequence,
    TransportSequenceV2, VideoContentType, VideoFrameTrackingId, VideoLayersAllocation,
    VideoOrientation, VideoTiming,
};
use tincan_rtp::{
    Header, NtpTime, Packet, PacketWriter, ParseError, SequenceNumber, ShortList, Ssrc,
};

fn check<'a, E: Extension<'a> + PartialEq + std::fmt::Debug>(value: &E, octets: &'a [u8]) {
    let mut out = vec![0xee];
    value.encode(&mut out);
    assert_eq!(&out[1..], octets);
    assert_eq!(value.encoded_len(), octets.len());
    assert_eq!(E::parse(octets).as_ref(), Ok(value));
}

#[test]
fn values_have_the_layouts_of_their_texts() {
    check(
        &AudioLevel {
            voice: true,
            level: 5,
        },
        &[0x85],
    );
    check(
        &MixerAudioLevels {
            levels: &[1, 2, 127],
        },
        &[1, 2, 127],
    );
    check(&InbandComfortNoise { level: Some(60) }, &[0x80 | 60]);
    check(&InbandComfortNoise { level: None }, &[0]);
    check(&Mid("audio"), b"audio");
    check(&RtpStreamId("hi"), b"hi");
    check(&RepairedRtpStreamId("lo"), b"lo");
    check(&TransmissionOffset { ticks: -2 }, &[0xff, 0xff, 0xfe]);
    check(&AbsoluteSendTime(0x01_0203), &[1, 2, 3]);
    check(
        &AbsoluteCaptureTime {
            capture: NtpTime(0x0102_0304_0506_0708),
            clock_offset: None,
        },
        &[1, 2, 3, 4, 5, 6, 7, 8],
    );
    check(
        &AbsoluteCaptureTime {
            capture: NtpTime(1),
            clock_offset: Some(-1),
        },
        &[
            0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255,
        ],
    );
    check(&TransportSequence(SequenceNumber(0x1234)), &[0x12, 0x34]);
    check(
        &TransportSequenceV2 {
            sequence: SequenceNumber(0x1234),
            request: Some(FeedbackRequest {
                timed: true,
                count: 0x0102,
            }),
        },
        &[0x12, 0x34, 0x81, 0x02],
    );
    check(
        &PlayoutDelay {
            min: Duration::from_millis(100),
            max: Duration::from_millis(40_950),
        },
        &[0x00, 0xaf, 0xff],
    );
    check(
        &VideoOrientation {
            back_camera: true,
            flipped: false,
            rotation: Rotation::Clockwise270,
        },
        &[0b1011],
    );
    check(&VideoContentType::Screenshare, &[1]);
    check(&VideoContentType::Other(9), &[9]);
    check(&VideoFrameTrackingId(0x0506), &[5, 6]);
    check(
        &VideoTiming {
            by_timer: true,
            by_size: false,
            encode_start: 1,
            encode_finish: 2,
            packetized: 3,
            paced: 4,
            network: [5, 6],
        },
        &[1, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6],
    );
    let mut color = ColorSpace {
        primaries: 1,
        transfer: 16,
        matrix: 9,
        range: 2,
        chroma_horizontal: 1,
        chroma_vertical: 2,
        hdr: None,
    };
    check(&color, &[1, 16, 9, 0b10_0110]);
    color.hdr = Some(HdrMetadata {
        luminance_max: 0x0102,
        luminance_min: 0x0304,
        chromaticity: [[5, 6], [7, 8], [9, 10], [11, 12]],
        max_content_light_level: 13,
        max_frame_average_light_level: 14,
    });
    let mut want = vec![1, 16, 9, 0b10_0110, 1, 2, 3, 4];
    (5..=14).for_each(|n| want.extend_from_slice(&[0, n]));
    check(&color, &want);
    let samples = CorruptionSamples {
        deviation: 7,
        luma_error: 1,
        chroma_error: 2,
        values: &[9, 8],
    };
    let mut corruption = CorruptionDetection {
        high_bits: true,
        sequence_index: 3,
        samples: Some(samples),
    };
    check(&corruption, &[0x83, 7, 0x12, 9, 8]);
    corruption.samples = None;
    check(&corruption, &[0x83]);
}

#[test]
fn wrong_lengths_are_refused() {
    let two = [0u8; 2];
    assert_eq!(AudioLevel::parse(&two), Err(ParseError::ExtensionValue(2)));
    assert_eq!(
        AbsoluteSendTime::parse(&two),
        Err(ParseError::ExtensionValue(2))
    );
    assert!(CorruptionDetection::parse(&two).is_err());
    assert!(Mid::parse(b"").is_err());
    assert!(Mid::parse(b"a b").is_err());
    assert!(Mid::parse(&[0xff]).is_err());
    assert_eq!(Mid::parse(b"a\0\0"), Ok(Mid("a")));
    assert!(PlayoutDelay::parse(&[0xff, 0xf0, 0x00]).is_err());
}

#[test]
fn send_times_compare_the_short_way_round() {
    let early = AbsoluteSendTime(0xff_ff00);
    let late = AbsoluteSendTime(0x00_0100);
    let (negative, d) = late.signed_difference(early);
    assert_eq!(
        (negative, d),
        (false, Duration::from_nanos((512 * 1_000_000_000) >> 18))
    );
    assert!(early.signed_difference(late).0);
    assert_eq!(
        AbsoluteSendTime::from_ntp(NtpTime(0x0000_0041_8000_0000)),
        AbsoluteSendTime(0x06_0000)
    );
}

fn layer(stream: u8, spatial_id: u8, rates: &[u64], size: Option<u32>) -> SpatialLayer {
    SpatialLayer {
        stream,
        spatial_id,
        bitrates: ShortList::from_slice(rates).unwrap(),
        resolution: size.map(|s| LayerResolution {
            width: s,
            height: s / 2,
            max_framerate: 30,
        }),
    }
}

#[test]
fn layer_allocations_follow_the_drawing() {
    // One stream, two spatial layers of one and two temporal layers, no sizes.
    let layers = [layer(0, 0, &[100], None), layer(0, 1, &[200, 300], None)];
    let allocation = VideoLayersAllocation::new(0, 1, &layers).unwrap();
    check(
        &allocation,
        &[0b0000_0011, 0b0001_0000, 100, 200, 1, 0xac, 2],
    );
    // Three simulcast streams, the second without layers: masks one by one.
    let layers = [
        layer(0, 0, &[50, 80], Some(320)),
        layer(2, 0, &[900], Some(65_536)),
    ];
    let allocation = VideoLayersAllocation::new(2, 3, &layers).unwrap();
    let mut want = vec![0b1010_0000, 0x10, 0x10, 0b0100_0000, 50, 80, 0x84, 7];
    want.extend_from_slice(&[0x01, 0x3f, 0, 159, 30, 0xff, 0xff, 0x7f, 0xff, 30]);
    check(&allocation, &want);
    check(&VideoLayersAllocation::new(0, 1, &[]).unwrap(), &[0]);
    // However the absence of layers is written, it is the same nothing.
    let nothing = VideoLayersAllocation::new(0, 1, &[]);
    assert_eq!(VideoLayersAllocation::new(2, 3, &[]), nothing);
    assert_eq!(VideoLayersAllocation::parse(&[0x40, 0]).ok(), nothing.ok());
    let unordered = [layer(0, 1, &[1], None), layer(0, 0, &[1], None)];
    assert!(VideoLayersAllocation::new(0, 1, &unordered).is_err());
}

#[test]
fn a_packet_carries_typed_values_under_negotiated_identifiers() {
    let mut map = ExtensionMap::new();
    for (id, kind) in (1..).zip(ExtensionKind::ALL) {
        map.insert_kind(id, *kind).unwrap();
        assert_eq!(ExtensionKind::from_uri(kind.uri()), Some(*kind));
        assert_eq!(map.kind(id), Some(*kind));
    }
    map.remove(ExtensionKind::PlayoutDelay.uri());
    let mut out = Vec::new();
    let header = Header::new(96.try_into().unwrap(), SequenceNumber(1), 2, Ssrc(3));
    let mut writer = PacketWriter::new(&mut out, &header);
    let mid = Mid("v1");
    let level = AudioLevel {
        voice: true,
        level: 3,
    };
    let delay = PlayoutDelay {
        min: Duration::ZERO,
        max: Duration::ZERO,
    };
    assert_eq!(writer.typed_extension(&map, &mid), Ok(true));
    assert_eq!(writer.typed_extension(&map, &delay), Ok(false));
    assert_eq!(writer.typed_extension(&map, &level), Ok(true));
    writer.finish();
    let packet = Packet::parse(&out).unwrap();
    assert_eq!(packet.typed_extension::<Mid<'_>>(&map), Some(mid));
    assert_eq!(packet.typed_extension::<AudioLevel>(&map), Some(level));
    assert_eq!(packet.typed_extension::<PlayoutDelay>(&map), None);
    assert_eq!(packet.extensions().count(), 2);
}

proptest! {
    #[test]
    fn arbitrary_values_never_panic_and_read_back(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        fn again<'a, E: Extension<'a> + PartialEq + std::fmt::Debug>(value: &'a [u8]) {
            let Ok(read) = E::parse(value) else { return };
            let mut out = Vec::new();
            read.encode(&mut out);
            assert_eq!(out.len(), read.encoded_len());
            // Reserved bits may differ; the value may not.
            let leaked: &'static [u8] = Box::leak(out.into_boxed_slice());
            assert_eq!(format!("{:?}", E::parse(leaked)), format!("{:?}", Ok::<_, ParseError>(read)));
        }
        again::<AudioLevel>(&value);
        again::<AbsoluteCaptureTime>(&value);
        again::<TransmissionOffset>(&value);
        again::<TransportSequenceV2>(&value);
        again::<PlayoutDelay>(&value);
        again::<VideoTiming>(&value);
        again::<VideoOrientation>(&value);
        again::<ColorSpace>(&value);
        again::<Mid<'_>>(&value);
        again::<CorruptionDetection<'_>>(&value);
        again::<VideoLayersAllocation>(&value);
    }
}
