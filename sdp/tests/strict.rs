//! Lines: order, endings, what must be there; and where errors point to.
#![allow(clippy::unwrap_used, clippy::panic)] // a test helper stops where it fails

use tincan_sdp::{Limits, LineKind, Rule, SdpFragment, SessionDescription};

/// Text with CR LF for every `|`.
fn text(lines: &str) -> String {
    lines.replace('|', "\r\n")
}

fn error(text: &str) -> (usize, usize, Rule) {
    let error = SessionDescription::parse_strict(text).unwrap_err();
    (error.line(), error.column(), error.rule())
}

const HEAD: &str = "v=0|o=- 1 1 IN IP4 127.0.0.1|s=-|";

#[test]
fn strict_reading_says_line_column_and_rule() {
    use LineKind::{Bandwidth, Connection, Key, Origin, Repeat, SessionName, Timing, Version};
    let cases = [
        ("", 1, 1, Rule::Missing(Version)),
        ("v=1|", 1, 3, Rule::Version),
        ("v=0|", 2, 1, Rule::Missing(Origin)),
        ("v=0|s=-|", 2, 1, Rule::Missing(Origin)),
        ("o=- 1 1 IN IP4 127.0.0.1|", 1, 1, Rule::Missing(Version)),
        (
            "v=0|o=- 1 1 IN IP4 127.0.0.1|",
            3,
            1,
            Rule::Missing(SessionName),
        ),
        (
            "v=0|o=- 1 1 IN IP4 127.0.0.1|t=0 0|",
            3,
            1,
            Rule::Missing(SessionName),
        ),
        (
            "v=0|o=- x 1 IN IP4 127.0.0.1|s=-|t=0 0|",
            2,
            5,
            Rule::Number,
        ),
        ("v=0|o=- 1 1 IN IP4|s=-|t=0 0|", 2, 15, Rule::Space),
        ("v=0|o=- 1 1 IN IP4 ::1|s=-|t=0 0|", 2, 16, Rule::Address),
        (
            "v=0|o=- 1 1 XX IP4 ::1|s=-|t=0 0|",
            2,
            9,
            Rule::ExpectedWord("IN"),
        ),
        ("v=0|o=- 1 1 IN IP4 127.0.0.1|s=|t=0 0|", 3, 3, Rule::Empty),
        ("H|", 4, 1, Rule::NotALine),
        ("Ht=0 0|x=1|", 5, 1, Rule::UnknownType('x')),
        ("H", 4, 1, Rule::Missing(Timing)),
        ("Ha=x|", 4, 1, Rule::Missing(Timing)),
        ("Hm=audio 9 RTP/AVP 0|", 4, 1, Rule::Missing(Timing)),
        ("Ht=0 0|c=IN IP4 0.0.0.0|", 5, 1, Rule::Order(Connection)),
        ("Hr=1 1 0|t=0 0|", 4, 1, Rule::Order(Repeat)),
        ("Ht=0|", 4, 4, Rule::Space),
        ("Ht=0 0|r=1d|", 5, 5, Rule::Space),
        ("Ht=0 0|t=0 0 0|", 5, 6, Rule::Trailing),
        ("Ht=0 0|a=x|k=y|", 6, 1, Rule::Order(Key)),
        ("Hi=a|i=b|t=0 0|", 5, 1, Rule::Repeated),
        ("Hb=AS|t=0 0|", 4, 5, Rule::Expected(':')),
        (
            "Ht=0 0|m=audio 9 RTP/AVP 0|",
            6,
            1,
            Rule::Missing(Connection),
        ),
        ("Hc=IN IP4 0.0.0.0|t=0 0|m=audio|", 6, 8, Rule::Space),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=audio 9 RTP/AVP|",
            6,
            18,
            Rule::Space,
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=audio 65536 RTP/AVP 0|",
            6,
            9,
            Rule::Range { min: 0, max: 65535 },
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=audio 9/0 RTP/AVP 0|",
            6,
            11,
            Rule::Range { min: 1, max: 65535 },
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=audio 9 RTP//AVP 0|",
            6,
            11,
            Rule::Token,
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=audio 9 RTP/AVP 0  8|",
            6,
            21,
            Rule::Space,
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=audio 9 RTP/AVP 0 |",
            6,
            21,
            Rule::TrailingBlank,
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=a 9 A 0|t=0 0|",
            7,
            1,
            Rule::Order(Timing),
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=a 9 A 0|a=x|b=AS:1|",
            8,
            1,
            Rule::Order(Bandwidth),
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=a 9 A 0|a=mid:1|a=mid:2|",
            8,
            3,
            Rule::Repeated,
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=a 9 A 0|a=sendrecv|a=inactive|",
            8,
            3,
            Rule::Repeated,
        ),
        (
            "Hc=IN IP4 0.0.0.0|t=0 0|m=a 9 A 0|a=setup:x|",
            7,
            9,
            Rule::UnknownValue,
        ),
        ("Ht=0 0||a=x|", 5, 1, Rule::BlankLine),
        ("Ht=0 0|  |a=x|", 5, 1, Rule::BlankLine),
    ];
    for (lines, line, column, rule) in cases {
        // "H|" stands for a head whose next line is broken.
        let lines = lines
            .replace("H|", &format!("{HEAD}broken|"))
            .replace('H', HEAD);
        assert_eq!(error(&text(&lines)), (line, column, rule), "{lines}");
    }
}

#[test]
fn strict_reading_wants_cr_lf() {
    let good = text(&format!("{HEAD}t=0 0|a=x|"));
    assert!(SessionDescription::parse_strict(&good).is_ok());
    let line_feed = good.replacen("t=0 0\r\n", "t=0 0\n", 1);
    assert_eq!(error(&line_feed), (4, 6, Rule::LineEnding));
    let open = good.trim_end();
    assert_eq!(error(open), (5, 4, Rule::LineEnding));
    let bare_cr = good.replacen("a=x", "a=x:\ry", 1);
    assert_eq!(error(&bare_cr), (5, 5, Rule::ControlCharacter));
}

#[test]
fn tolerant_reading_refuses_what_is_no_description() {
    let cases = [
        ("", 1, 1, Rule::Version),
        ("o=- 1 1 IN IP4 1.2.3.4\n", 1, 1, Rule::Version),
        ("\nv=0\n", 1, 1, Rule::Version),
        ("v=0\nnonsense\n", 2, 1, Rule::NotALine),
        ("v=0\n=x\n", 2, 1, Rule::NotALine),
        ("v=0\n a=x\n", 2, 1, Rule::NotALine),
        ("v=0\né=x\n", 2, 1, Rule::NotALine),
        ("v=0\na", 2, 1, Rule::NotALine),
        ("v=0\nm=audio\n", 2, 8, Rule::Space),
        ("v=0\nm=audio x RTP/AVP 0\n", 2, 9, Rule::Number),
        ("v=0\r\nm=\r\n", 2, 3, Rule::Empty),
    ];
    for (text, line, column, rule) in cases {
        let error = SessionDescription::parse(text).unwrap_err();
        assert_eq!(
            (error.line(), error.column(), error.rule()),
            (line, column, rule),
            "{text:?}"
        );
    }
}

#[test]
fn errors_read_as_sentences() {
    let error = SessionDescription::parse("v=0\nm=audio x RTP/AVP 0\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 9: a number is expected here"
    );
    let error = SessionDescription::parse_strict("v=0\r\ns=-\r\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 1: the o= line is missing"
    );
}

#[test]
fn bytes_that_are_no_utf_8_are_pointed_at() {
    let error = SessionDescription::parse_bytes(b"v=0\ns=\xff\n").unwrap_err();
    assert_eq!(
        (error.line(), error.column(), error.rule()),
        (2, 3, Rule::NotUtf8)
    );
    assert!(SessionDescription::parse_bytes("v=0\ns=é\n".as_bytes()).is_ok());
}

#[test]
fn each_limit_has_its_error() {
    let text = "v=0\na=1\na=2\na=3\nm=a 1 A\nm=b 1 B\n";
    let read = |limits: Limits| {
        let error = SessionDescription::parse_with(text, &limits).unwrap_err();
        (error.line(), error.rule())
    };
    let all = Limits::new();
    assert!(SessionDescription::parse_with(text, &all).is_ok());
    let len = text.len() - 1;
    assert_eq!(
        read(all.with_description_len(len)),
        (1, Rule::DescriptionTooLong(len))
    );
    assert_eq!(read(all.with_lines(5)), (6, Rule::TooManyLines(5)));
    assert_eq!(read(all.with_line_len(6)), (5, Rule::LineTooLong(6)));
    assert_eq!(read(all.with_media(1)), (6, Rule::TooManyMedia(1)));
    assert_eq!(
        read(all.with_attributes(2)),
        (4, Rule::TooManyAttributes(2))
    );
    let exact = all
        .with_lines(6)
        .with_line_len(7)
        .with_media(2)
        .with_attributes(3);
    assert!(SessionDescription::parse_with(text, &exact).is_ok());
    let long = format!(
        "v=0\na=x:{}\n",
        "y".repeat(tincan_sdp::limits::MAX_LINE_LEN)
    );
    assert_eq!(
        SessionDescription::parse(&long).unwrap_err().rule(),
        Rule::LineTooLong(tincan_sdp::limits::MAX_LINE_LEN)
    );
}

#[test]
fn lists_in_values_are_bounded() {
    let max = tincan_sdp::limits::MAX_LIST;
    let group =
        |members: usize| format!("BUNDLE{}", " 1".repeat(members)).parse::<tincan_sdp::Group>();
    assert!(group(max).is_ok());
    assert_eq!(group(max + 1).unwrap_err().rule(), Rule::ListTooLong(max));
    let simulcast = format!("send 1{}", ",1".repeat(max));
    assert!(simulcast.parse::<tincan_sdp::Simulcast>().is_err());
}

#[test]
fn fragments_have_rules_of_their_own() {
    let good = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=group:BUNDLE 0\r\n\
                m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n";
    let fragment = SdpFragment::parse_strict(good).unwrap();
    assert_eq!(fragment.to_string(), good);
    assert!(fragment.end_of_candidates());
    let (ufrag, pwd) = fragment.credentials(0).unwrap();
    assert_eq!(ufrag.unwrap().as_str(), "EsAw");
    assert!(pwd.is_some());
    assert!(SdpFragment::parse_strict("v=0\r\n").is_err());
    assert!(SdpFragment::parse_strict("a=mid:0\n").is_err());
    assert!(SdpFragment::parse("a=mid:0\n").is_ok());
    assert!(SdpFragment::parse("").unwrap().media.is_empty());
}

#[test]
fn fragments_are_built_section_by_section() {
    let mut fragment = SdpFragment::new(
        "EsAw".parse().unwrap(),
        "P2uYro0UCOQ4zxjKXaWCBui1".parse().unwrap(),
    );
    let candidate = "1 1 udp 1 192.0.2.1 9 typ host";
    for mid in ["0", "1", "0"] {
        fragment.push_candidate("audio", &mid.parse().unwrap(), candidate.parse().unwrap());
    }
    fragment.push_end_of_candidates("audio", &"0".parse().unwrap());
    let text = fragment.to_string();
    assert_eq!(SdpFragment::parse_strict(&text).unwrap(), fragment);
    let places: Vec<_> = fragment
        .candidates()
        .map(|(place, c)| (place.mid, c.unwrap().port))
        .collect();
    assert_eq!(places, [(Some("0"), 9), (Some("0"), 9), (Some("1"), 9)]);
    assert!(!fragment.end_of_candidates());
}
