//! What holds for every description: read and write are inverse, edits touch what they name,
//! nothing panics.
#![allow(clippy::unwrap_used, clippy::panic)] // a test helper stops where it fails

mod common;

use common::corpus;
use proptest::prelude::*;
use tincan_sdp::codec::CodecParameters;
use tincan_sdp::{
    Attribute, Candidate, DescriptionView, Direction, LineKind, MediaDescription, MediaLine, Mid,
    Origin, PayloadType, RtpMap, SdpFragment, SessionDescription,
};

/// Cases a property runs: more with `TINCAN_CASES`.
fn config() -> ProptestConfig {
    let cases = std::env::var("TINCAN_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|text| text.parse().ok()).unwrap_or(200),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Everything that may be asked of a text from anywhere.
fn look_at_all(text: &str) {
    let _ = SessionDescription::parse_strict(text);
    let _ = SdpFragment::parse_strict(text);
    let _ = text.parse::<Candidate>();
    let _ = CodecParameters::read("H264", text);
    let _ = CodecParameters::read("red", text);
    let _ = CodecParameters::read("telephone-event", text);
    if let Ok(fragment) = SdpFragment::parse(text) {
        assert_eq!(fragment.to_string(), text);
        let _ = fragment.candidates().count();
        let _ = fragment.credentials(0);
    }
    if let Ok(view) = DescriptionView::parse(text) {
        for media in view.media() {
            let _ = (media.kind(), media.port(), media.formats().count());
            let _ = media.section().attributes().count();
        }
    }
    let Ok(description) = SessionDescription::parse(text) else {
        return;
    };
    // Whatever can be read is written as it was.
    assert_eq!(description.to_string(), text);
    let _ = (
        description.origin(),
        description.time_zones(),
        description.timings().count(),
    );
    let _ = (description.repeats().count(), format!("{description:?}"));
    for index in 0..description.media.len() {
        let effective = description.effective(index).unwrap();
        let _ = (
            effective.setup(),
            effective.fingerprints(),
            effective.connection_ip(),
        );
    }
    for media in &description.media {
        for typed in media.typed_attributes().flatten() {
            // What a typed value writes, it reads again as the same.
            let text = typed.to_string();
            let (name, value) = match text.split_once(':') {
                Some((name, value)) => (name, Some(value)),
                None => (text.as_str(), None),
            };
            assert_eq!(Attribute::parse(name, value).as_ref(), Ok(&typed), "{text}");
        }
        for codec in media.codecs() {
            let text = codec.parameters.to_string();
            assert_eq!(
                CodecParameters::read(&codec.map.encoding, &text),
                codec.parameters
            );
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9+/-]{1,12}"
}

/// An attribute with a sound value of every type, or of none.
fn attribute() -> impl Strategy<Value = String> {
    let number = any::<u32>();
    prop_oneof![
        (0..128u8, word(), number).prop_map(|(pt, name, rate)| {
            format!("rtpmap:{pt} {}/{rate}", name.replace('/', "-"))
        }),
        (0..128u8, word(), word()).prop_map(|(pt, key, value)| format!("fmtp:{pt} {key}={value}")),
        (0..128u8, word()).prop_map(|(pt, word)| format!("rtcp-fb:{pt} nack {word}")),
        (1..255u16, word()).prop_map(|(id, word)| format!("extmap:{id} urn:{word}")),
        (number, word()).prop_map(|(ssrc, word)| format!("ssrc:{ssrc} cname:{word}")),
        (number, number).prop_map(|(a, b)| format!("ssrc-group:FID {a} {b}")),
        (number, any::<u16>(), any::<[u8; 4]>(), word(), word()).prop_map(
            |(priority, port, ip, key, value)| {
                let ip = std::net::Ipv4Addr::from(ip);
                let priority = priority.clamp(1, i32::MAX as u32);
                format!("candidate:f 1 udp {priority} {ip} {port} typ host x{key} {value}")
            }
        ),
        proptest::collection::vec(any::<u8>(), 32).prop_map(|digest| {
            let digest: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("fingerprint:sha-256 {}", digest.join(":"))
        }),
        (word(), word()).prop_map(|(a, b)| format!(
            "msid:{} {}",
            a.replace('/', "-"),
            b.replace('/', "-")
        )),
        (word(), "[ -~é世]{1,30}").prop_map(|(name, value)| {
            format!(
                "x-{}:{}",
                name.replace('/', "-"),
                value.trim_end_matches(' ').to_owned() + "x"
            )
        }),
        word().prop_map(|name| format!("x-{}", name.replace('/', "-"))),
    ]
}

/// A strictly sound description as text.
fn description() -> impl Strategy<Value = String> {
    let section = (
        word(),
        any::<u16>(),
        proptest::collection::vec(0..128u8, 1..8),
        proptest::collection::vec(attribute(), 0..12),
        0..4usize,
    );
    let sections = proptest::collection::vec(section, 0..5);
    (any::<u64>(), any::<u64>(), sections).prop_map(|(id, version, sections)| {
        let mut text = format!("v=0\r\no=- {id} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
        for (index, (kind, port, formats, attributes, direction)) in
            sections.into_iter().enumerate()
        {
            let formats: Vec<_> = formats.iter().map(u8::to_string).collect();
            text += &format!(
                "m={} {port} UDP/TLS/RTP/SAVPF {}\r\n",
                kind.replace('/', "-"),
                formats.join(" ")
            );
            text += "c=IN IP4 0.0.0.0\r\n";
            text += &format!("a=mid:{index}\r\n");
            for attribute in attributes {
                text += &format!("a={attribute}\r\n");
            }
            let direction = ["sendrecv", "sendonly", "recvonly", "inactive"][direction];
            text += &format!("a={direction}\r\n");
        }
        text
    })
}

/// An edit of one section.
#[derive(Clone, Debug)]
enum Edit {
    Push(String),
    Insert(usize, String),
    Set(String),
    Replace(usize, String),
    Remove(usize),
    RemoveName(&'static str),
    Direction(Direction),
    Information(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let direction = prop_oneof![
        Just(Direction::SendRecv),
        Just(Direction::SendOnly),
        Just(Direction::RecvOnly),
        Just(Direction::Inactive)
    ];
    prop_oneof![
        4 => attribute().prop_map(Edit::Push),
        2 => (0..40usize, attribute()).prop_map(|(index, text)| Edit::Insert(index, text)),
        2 => attribute().prop_map(Edit::Set),
        2 => (0..40usize, attribute()).prop_map(|(index, text)| Edit::Replace(index, text)),
        2 => (0..40usize).prop_map(Edit::Remove),
        1 => prop_oneof![Just("ssrc"), Just("candidate"), Just("rtpmap"), Just("mid")]
            .prop_map(Edit::RemoveName),
        1 => direction.prop_map(Edit::Direction),
        1 => word().prop_map(Edit::Information),
    ]
}

fn name_of(line: &str) -> Option<&str> {
    line.strip_prefix("a=")?.split(':').next()
}

/// The same edit on a list of lines.
fn edit_model(model: &mut Vec<String>, edit: &Edit) {
    let is_direction = |line: &String| {
        ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"].contains(&line.as_str())
    };
    match edit {
        Edit::Push(text) => model.push(format!("a={text}")),
        Edit::Insert(index, text) => {
            let index = (*index).min(model.len());
            model.insert(index, format!("a={text}"));
        }
        Edit::Set(text) => {
            let line = format!("a={text}");
            let same = |other: &String| name_of(other) == name_of(&line);
            let place = model.iter().position(same);
            model.retain(|other| !same(other));
            model.insert(place.unwrap_or(model.len()), line);
        }
        Edit::Replace(index, text) => {
            if let Some(line) = model.get_mut(*index) {
                *line = format!("a={text}");
            }
        }
        Edit::Remove(index) => {
            if *index < model.len() {
                model.remove(*index);
            }
        }
        Edit::RemoveName(name) => model.retain(|line| name_of(line) != Some(name)),
        Edit::Direction(direction) => {
            let place = model.iter().position(is_direction);
            model.retain(|line| !is_direction(line));
            model.insert(place.unwrap_or(model.len()), format!("a={direction}"));
        }
        Edit::Information(text) => {
            let line = format!("i={text}");
            match model.iter_mut().find(|line| line.starts_with("i=")) {
                Some(old) => *old = line,
                None => model.insert(0, line),
            }
        }
    }
}

fn parse_attribute(text: &str) -> Attribute {
    match text.split_once(':') {
        Some((name, value)) => Attribute::parse(name, Some(value)).unwrap(),
        None => Attribute::parse(text, None).unwrap(),
    }
}

fn edit_section(media: &mut MediaDescription, edit: &Edit) {
    match edit {
        Edit::Push(text) => media.push_attribute(parse_attribute(text)),
        Edit::Insert(index, text) => media.insert_attribute(*index, parse_attribute(text)),
        Edit::Set(text) => media.set_attribute(parse_attribute(text)),
        Edit::Replace(index, text) => {
            media.replace(*index, parse_attribute(text));
        }
        Edit::Remove(index) => {
            media.remove(*index);
        }
        Edit::RemoveName(name) => {
            media.remove_attribute(name);
        }
        Edit::Direction(direction) => media.set_direction(*direction),
        Edit::Information(text) => media.set_information(text),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn sound_descriptions_survive_the_round_trip(text in description()) {
        let strict = SessionDescription::parse_strict(&text);
        let description = strict.unwrap_or_else(|e| panic!("{e}\n{text}"));
        prop_assert_eq!(description.to_string(), &text[..]);
        look_at_all(&text);
        // Built anew from typed values, it is the same again.
        let mut built = SessionDescription::new(&description.origin().unwrap().unwrap());
        for media in &description.media {
            let line: MediaLine = media.line.to_string().parse().unwrap();
            let mut copy = MediaDescription::new(line);
            copy.set_connection(&media.connection().unwrap().unwrap());
            for attribute in media.typed_attributes() {
                copy.push_attribute(attribute.unwrap());
            }
            built.media.push(copy);
        }
        prop_assert_eq!(built.to_string(), text);
        prop_assert_eq!(built, description);
    }

    #[test]
    fn any_text_at_all_does_no_harm(text in "(v=0\r?\n)?([a-z]=[ -~é\t]{0,20}\r?\n?|\\PC{0,10}){0,20}") {
        look_at_all(&text);
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = SessionDescription::parse_bytes(&bytes);
        look_at_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn mutated_corpus_does_no_harm(
        which in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0..4usize, "[ -~\r\n\t]{0,6}|é"), 1..6),
    ) {
        let corpus = corpus_once();
        let mut text = which.get(corpus).1.clone();
        for (place, drop, put) in cuts {
            let mut start = place.index(text.len());
            let mut end = (start + drop * drop * drop).min(text.len());
            while !text.is_char_boundary(start) { start -= 1; }
            while !text.is_char_boundary(end) { end += 1; }
            text.replace_range(start..end, &put);
        }
        look_at_all(&text);
    }

    #[test]
    fn edits_change_what_they_name_and_nothing_else(
        start in proptest::collection::vec(attribute(), 0..10),
        ending in prop_oneof![Just("\r\n"), Just("\n"), Just("")],
        edits in proptest::collection::vec(edit(), 0..60),
    ) {
        // As parsed; its last line may be open.
        let mut text = String::from("v=0\r\nm=a 9 B 0\r\n");
        let mut model: Vec<String> = start.iter().map(|line| format!("a={line}")).collect();
        text += &model.join("\r\n");
        if !model.is_empty() { text += ending; }
        let mut description = SessionDescription::parse(&text).unwrap();
        for edit in &edits {
            edit_model(&mut model, edit);
            edit_section(&mut description.media[0], edit);
            let media = &description.media[0];
            let lines: Vec<String> = media
                .lines()
                .map(|line| format!("{}={}", line.kind().letter().unwrap(), line.value()))
                .collect();
            prop_assert_eq!(&lines, &model);
            // What is written reads the same again.
            let again = SessionDescription::parse(&description.to_string()).unwrap();
            let read: Vec<&str> = again.media[0].lines().map(|line| line.value()).collect();
            let kept: Vec<&str> = model.iter().map(|line| &line[2..]).collect();
            prop_assert_eq!(read, kept);
        }
    }

    #[test]
    fn values_never_break_out_of_their_line(name in "\\PC{0,8}", value in "[\\PC\r\n\0]{0,40}") {
        let mut description = SessionDescription::new(&Origin::new(1, 1));
        description.session.push_attribute(Attribute::other(name, Some(&value)));
        description.session.push_attribute(Attribute::other("last", Some(&value)));
        description.set_session_name(&value);
        let text = description.to_string();
        let again = SessionDescription::parse(&text).unwrap();
        prop_assert_eq!(again.session.len(), 6);
        prop_assert!(again.media.is_empty());
    }

    #[test]
    fn m_lines_are_put_together_as_they_are_taken_apart(
        kind in word(), port in any::<u16>(), count in 1..9u16,
        formats in proptest::collection::vec(word(), 0..9),
    ) {
        let mut line = MediaLine::new(&kind, port, "UDP/TLS/RTP/SAVPF", &formats);
        line.set_port_count(count);
        let again: MediaLine = line.to_string().parse().unwrap();
        prop_assert_eq!(&again, &line);
        prop_assert_eq!((again.kind(), again.port(), again.port_count()), (&kind[..], port, count));
        let read: Vec<&str> = again.formats().collect();
        prop_assert_eq!(read, formats);
    }

    #[test]
    fn payload_types_have_seven_bits(number in any::<u16>()) {
        let read = number.to_string().parse::<PayloadType>();
        prop_assert_eq!(read.is_ok(), number < 128);
        if let Ok(payload_type) = read {
            prop_assert_eq!(u16::from(payload_type.get()), number);
            prop_assert!(RtpMap::of_static(payload_type).is_none_or(|map| map.clock_rate > 0));
        }
    }
}

/// The corpus, read once.
fn corpus_once() -> &'static [(String, String)] {
    static CORPUS: std::sync::OnceLock<Vec<(String, String)>> = std::sync::OnceLock::new();
    CORPUS.get_or_init(corpus)
}

#[test]
fn line_kinds_and_letters_are_one_to_one() {
    for letter in 'a'..='z' {
        let text = format!("v=0\r\n{letter}=x 9 y\r\n");
        let description = SessionDescription::parse(&text).unwrap();
        let kind = match description.media.first() {
            Some(_) => LineKind::Media,
            None => description.session.line(1).unwrap().kind(),
        };
        assert_eq!(kind.letter(), Some(letter));
    }
    assert_eq!(Mid::from(7).as_str(), "7");
}
