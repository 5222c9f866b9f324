//! How often reading and writing touch the heap: a view never, a description a few times a section whatever its length.
#![allow(clippy::unwrap_used)]

mod common;

use std::hint::black_box;

use allocation_counter::measure;
use common::corpus;
use tincan_sdp::{DescriptionView, LineKind, Mid, SessionDescription};

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(black_box(vec![1u8; 100]))).count_total > 0);
}

/// All that a server asks of a description to route it.
fn look(text: &str) -> usize {
    let view = DescriptionView::parse(text).unwrap();
    let mut found = usize::from(view.session().has("group"));
    for media in view.media() {
        let section = media.section();
        found += media.kind().len() + media.proto().len() + usize::from(media.port());
        found += media.formats().count() + section.attributes().count();
        found += section.value("mid").map_or(0, str::len);
        found += section.values("candidate").count();
        found += section.line_value(LineKind::Connection).map_or(0, str::len);
        found += usize::from(section.direction().is_some());
    }
    found
}

#[test]
fn a_view_of_any_description_allocates_nothing() {
    for (name, text) in corpus() {
        if DescriptionView::parse(&text).is_err() {
            continue;
        }
        let mut found = 0;
        let heap = measure(|| found = look(&text));
        assert!(found > 0, "{name}");
        assert_eq!(heap.count_total, 0, "{name}");
    }
}

#[test]
fn writing_into_a_buffer_with_room_allocates_nothing() {
    for (name, text) in corpus() {
        let Ok(description) = SessionDescription::parse(&text) else {
            continue;
        };
        let mut out = String::with_capacity(2 * text.len() + 100);
        let heap = measure(|| description.write_to(&mut out));
        assert_eq!(out, text, "{name}");
        assert_eq!(heap.count_total, 0, "{name}");
    }
}

/// Text and lines of a section are kept in one piece each.
#[test]
fn reading_allocates_by_sections_and_not_by_lines() {
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    let description = |sections: usize, lines: usize| {
        let line = "a=ssrc:1 cname:abcdefgh\r\n".repeat(lines);
        let section = format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n{line}");
        format!("{head}{}", section.repeat(sections))
    };
    let count = |text: &str| {
        let mut read = None;
        let heap = measure(|| read = SessionDescription::parse(text).ok());
        assert!(read.is_some());
        heap
    };
    let few = count(&description(1, 10));
    let many = count(&description(1, 10_000));
    println!(
        "10 lines: {} allocations, 10 000: {}",
        few.count_total, many.count_total
    );
    // A list that grows takes its room anew as often as it doubles.
    assert!(many.count_total <= few.count_total + 2 * 10, "{many:?}");

    let ten = count(&description(10, 10)).count_total;
    let hundred = count(&description(100, 10)).count_total;
    println!("10 sections: {ten} allocations, 100: {hundred}");
    assert!(hundred <= 100 * 6, "{hundred}");
    assert!(hundred <= 10 * ten, "{ten} {hundred}");
}

#[test]
fn memory_of_a_description_is_near_that_of_its_text() {
    let corpus = corpus();
    for (name, text) in &corpus {
        let mut read = None;
        let heap = measure(|| read = SessionDescription::parse(text).ok());
        if read.is_none() {
            continue;
        }
        let bound = 3 * text.len() as i64 + 4_000;
        assert!(heap.bytes_current <= bound, "{name}: {heap:?}");
        assert!(heap.bytes_max <= 2 * bound as u64, "{name}: {heap:?}");
    }
}

#[test]
fn a_typed_value_without_text_allocates_nothing() {
    let text = "a=rtcp-mux\r\na=sctp-port:5000\r\na=max-message-size:262144\r\na=mid:0\r\n";
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{text}"
    );
    let description = SessionDescription::parse(&text).unwrap();
    let media = &description.media[0];
    let heap = measure(|| {
        assert_eq!(media.sctp_port().unwrap().unwrap().0, 5000);
        assert_eq!(media.max_message_size().unwrap().unwrap().0, 262_144);
    });
    assert_eq!(heap.count_total, 0);
    // One with text takes one piece for it.
    let heap = measure(|| {
        let mid: Option<Mid> = media.get().unwrap();
        assert!(mid.is_some());
    });
    assert!(heap.count_total <= 1, "{heap:?}");
}
