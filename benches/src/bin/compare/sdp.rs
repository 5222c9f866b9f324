//! `compare -- sdp`: reading and writing a browser's offer.
//!
//! The offer is Chromium's for audio, video and data with its candidates: about 200 lines. What
//! the contenders do differs: sdp-types and rtc-sdp split lines and keep attributes as text,
//! webrtc-sdp and str0m turn every attribute into a typed value; ours keeps the text and reads
//! values when asked. So there is a case for each: `parse` into the owned model as it comes, and
//! `parse-typed` in which ours reads every attribute as well.

use std::io::Cursor;

use str0m::change::SdpOffer;
use tincan_benches::{Better, Comparison, measure_heap};
use tincan_sdp::{DescriptionView, SessionDescription};

/// Audio, video and data with candidates, as Chromium 156 offers them.
const OFFER: &str = include_str!("../../../../sdp/tests/corpus/chromium/everything-offer.sdp");

/// Runs every case of the area.
pub(crate) fn run() {
    println!(
        "# sdp: an offer of {} lines, {} bytes",
        OFFER.lines().count(),
        OFFER.len()
    );
    parse();
    write();
    hostile();
    heap();
}

/// Hostile texts of 1 MiB: the bar is 20 times the time of a copy. "Theirs" is the copy, so a ratio
/// above 0.05 passes.
fn hostile() {
    const LEN: usize = 1 << 20;
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    let lines = |line: &str| format!("{head}{}", line.repeat(LEN / line.len()));
    let sections = format!("m=audio 9 RTP/AVP 0\r\n{}", "a=x\r\n".repeat(1000));
    let cases = [
        ("short-lines", lines("b=\n")),
        ("blank-lines", lines("\r\n")),
        ("attributes", lines("a=\r\n")),
        ("m-lines", lines("m=a 1 B\r\n")),
        ("sections", lines(&sections)),
        (
            "blanks-at-ends",
            lines(&format!("b={}\r\n", " ".repeat(250))),
        ),
        ("one-line", format!("{head}a={}", "x".repeat(LEN))),
        ("no-description", "x".repeat(LEN)),
    ];
    for (name, text) in cases {
        Comparison::new("sdp", format!("hostile-{name}"), "ns", Better::Less)
            .time("tincan", || SessionDescription::parse(&text).is_ok())
            .time("copy", || text.clone())
            .run();
    }
}

fn rtc(text: &str) -> Option<rtc_sdp::SessionDescription> {
    rtc_sdp::SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes())).ok()
}

/// Reads all attributes as typed values; says how many there were.
fn parse_typed(text: &str) -> usize {
    let Ok(description) = SessionDescription::parse(text) else {
        return 0;
    };
    let session = description.session.typed_attributes().flatten().count();
    let media = description.media.iter();
    session
        + media
            .map(|m| m.typed_attributes().flatten().count())
            .sum::<usize>()
}

fn parse() {
    // A contender that cannot read the offer would look quick.
    let readable = [
        ("tincan", SessionDescription::parse(OFFER).is_ok()),
        (
            "sdp-types",
            sdp_types::Session::parse(OFFER.as_bytes()).is_ok(),
        ),
        ("rtc-sdp", rtc(OFFER).is_some()),
        ("webrtc-sdp", webrtc_sdp::parse_sdp(OFFER, false).is_ok()),
        ("str0m", SdpOffer::from_sdp_string(OFFER).is_ok()),
    ];
    for (name, readable) in readable {
        if !readable {
            println!("# sdp: {name} does not read the offer: its figures are of a failure");
        }
    }
    Comparison::new("sdp", "parse", "ns", Better::Less)
        .time("tincan", || SessionDescription::parse(OFFER).is_ok())
        .time("sdp-types", || {
            sdp_types::Session::parse(OFFER.as_bytes()).is_ok()
        })
        .time("rtc-sdp", || rtc(OFFER).is_some())
        .time("webrtc-sdp", || webrtc_sdp::parse_sdp(OFFER, false).is_ok())
        .time("str0m", || SdpOffer::from_sdp_string(OFFER).is_ok())
        .run();
    Comparison::new("sdp", "parse-typed", "ns", Better::Less)
        .time("tincan", || parse_typed(OFFER))
        .time("webrtc-sdp", || webrtc_sdp::parse_sdp(OFFER, false).is_ok())
        .time("str0m", || SdpOffer::from_sdp_string(OFFER).is_ok())
        .run();
    Comparison::new("sdp", "view", "ns", Better::Less)
        .time("tincan", || {
            DescriptionView::parse(OFFER).map(|view| view.media().count())
        })
        .run();
}

fn write() {
    let (Ok(mut ours), Ok(types), Some(rtc), Ok(webrtc), Ok(str0m)) = (
        SessionDescription::parse(OFFER),
        sdp_types::Session::parse(OFFER.as_bytes()),
        rtc(OFFER),
        webrtc_sdp::parse_sdp(OFFER, false),
        SdpOffer::from_sdp_string(OFFER),
    ) else {
        println!("# sdp: somebody does not read the offer: no figures of writing");
        return;
    };
    let write_types = || {
        let mut out = Vec::new();
        let _ = types.write(&mut out);
        out
    };
    Comparison::new("sdp", "write", "ns", Better::Less)
        .time("tincan", || ours.to_sdp())
        .time("sdp-types", write_types)
        .time("rtc-sdp", || rtc.marshal())
        .time("webrtc-sdp", || webrtc.to_string())
        .time("str0m", || str0m.to_sdp_string())
        .run();
    // After an edit in each section the lines are gathered one by one.
    for media in &mut ours.media {
        media.remove_attribute("candidate");
        media.set_direction(tincan_sdp::Direction::RecvOnly);
    }
    Comparison::new("sdp", "write-edited", "ns", Better::Less)
        .time("tincan", || ours.to_sdp())
        .time("sdp-types", write_types)
        .time("rtc-sdp", || rtc.marshal())
        .time("webrtc-sdp", || webrtc.to_string())
        .time("str0m", || str0m.to_sdp_string())
        .run();
}

/// Bytes allocated to read the offer; only in builds that count.
fn heap() {
    let bytes = |work: &dyn Fn()| measure_heap(work).1;
    let contenders: [(&str, &dyn Fn()); 5] = [
        ("tincan", &|| drop(SessionDescription::parse(OFFER))),
        ("sdp-types", &|| {
            drop(sdp_types::Session::parse(OFFER.as_bytes()));
        }),
        ("rtc-sdp", &|| drop(rtc(OFFER))),
        ("webrtc-sdp", &|| drop(webrtc_sdp::parse_sdp(OFFER, false))),
        ("str0m", &|| drop(SdpOffer::from_sdp_string(OFFER))),
    ];
    for (name, work) in contenders {
        if let Some(heap) = bytes(work) {
            println!(
                "# sdp parse: {name} allocates {} bytes in {} allocations, at most {} at a time",
                heap.bytes, heap.allocations, heap.peak_bytes
            );
        }
    }
}
