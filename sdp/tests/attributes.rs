//! Each attribute's grammar: what it writes again, and what it refuses in which mode.
#![allow(clippy::unwrap_used, clippy::panic)] // a test helper stops where it fails

use tincan_sdp::{
    Attribute, Candidate, CandidateAddress, CandidateKind, CandidateTransport, Direction,
    FeedbackKind, Fingerprint, Group, GroupSemantics, HashFunction, ImageAttr, ImageSets, Mid,
    MsidSemantic, PayloadType, Rid, RidRestriction, RtpMap, Rule, SctpInit, SessionDescription,
    Simulcast, Span, TcpKind, ValueError,
};

/// Reads one attribute in a description where everything else is right.
fn strict(line: &str, session: bool) -> Result<(), Rule> {
    let (above, below) = if session { (line, "") } else { ("", line) };
    let end = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("{text}\r\n")
        }
    };
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n{}\
         m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{}",
        end(above),
        end(below),
    );
    match SessionDescription::parse_strict(&text) {
        Ok(description) => {
            assert_eq!(description.to_string(), text);
            Ok(())
        }
        Err(error) => {
            assert_eq!(error.line(), if session { 6 } else { 7 }, "{error}");
            assert!(error.column() <= line.len() + 1, "{line}: {error}");
            Err(error.rule())
        }
    }
}

fn tolerant(line: &str) -> Result<Attribute, ValueError> {
    let (name, value) = match line.strip_prefix("a=").unwrap().split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (line.strip_prefix("a=").unwrap(), None),
    };
    Attribute::parse(name, value)
}

#[test]
fn strict_values_are_written_as_they_were() {
    let media = [
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:96 max-fr=30;max-fs=3600",
        "a=fmtp:webrtc-datachannel max-message-size=100000",
        "a=rtcp-fb:* ccm tmmbr smaxpr=120",
        "a=rtcp-fb:96 trr-int 5000",
        "a=rtcp-xr:rcvr-rtt=all:10 stat-summary=loss,dup",
        "a=extmap:1 urn:x",
        "a=extmap:4096/recvonly urn:x some attributes here",
        "a=mid:a.b-c~",
        "a=msid:- track",
        "a=msid:stream",
        "a=ssrc:4294967295 cname:a b c",
        "a=ssrc:1 fmtp:96 x=y",
        "a=ssrc:1 flag",
        "a=ssrc-group:FID 1 2",
        "a=ssrc-group:X-OWN 1",
        "a=rid:r_1-2 recv",
        "a=rid:1 send pt=96",
        "a=rid:1 send pt=96,97;max-width=1280;max-bpp=0.5;depend=a,b;own;x=",
        "a=rid:1 send max-fps=30",
        "a=simulcast:send 1",
        "a=simulcast:recv 1;~4 send 5;6,~7",
        "a=setup:holdconn",
        "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
        "a=fingerprint:sha-1024 4A:AD",
        "a=tls-id:abcdefghij0123456789+/-_",
        "a=ice-ufrag:ab+/",
        "a=ice-pwd:abcdefghijklmnopqrstuv",
        "a=ice-options:ice2 trickle renomination rtp+ecn",
        "a=candidate:a+/ 256 udp 1 1.2.3.4 0 typ host",
        "a=candidate:1 1 udp 2147483647 2001:db8::1 65535 typ relay raddr :: rport 0 x y",
        "a=remote-candidates:1 192.0.2.3 45664 2 192.0.2.3 45665",
        "a=rtcp:53020",
        "a=rtcp:53020 IN IP4 126.16.64.4",
        "a=rtcp:53020 IN IP6 2001:db8::1",
        "a=sctp-port:0",
        "a=max-message-size:18446744073709551615",
        "a=sctpmap:5000 webrtc-datachannel",
        "a=sctp-init:AQAAHA==",
        "a=ptime:20",
        "a=maxptime:62.125",
        "a=framerate:29.97",
        "a=imageattr:97 send [x=800,y=640,sar=1.1,q=0.6] [x=480,y=320] recv [x=330,y=250]",
        "a=imageattr:* recv * send [x=[480:16:800],y=[320:16:640],par=[1.2-1.3],sar=[0.9,1.1]]",
        "a=content:slides,main,own",
        "a=label:abc",
        "a=bundle-only",
        "a=ice-mismatch",
        "a=end-of-candidates",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        "a=rtcp-rsize",
        "a=cryptex",
        "a=extmap-allow-mixed",
        "a=inactive",
        "a=own",
        "a=own:whatever: it = is ",
    ];
    let session = [
        "a=group:BUNDLE",
        "a=group:LS a b",
        "a=group:own a",
        "a=msid-semantic: WMS * b",
        "a=identity:QUJD",
        "a=identity:QUJDRA==; a=b; c",
        "a=ice-pacing:50",
        "a=ice-lite",
        "a=sendonly",
    ];
    for (lines, level) in [(&media[..], false), (&session[..], true)] {
        for line in lines {
            assert_eq!(strict(line, level), Ok(()), "{line}");
            let typed = tolerant(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(format!("a={typed}"), *line);
            let known = !line.starts_with("a=own");
            assert_eq!(known, !matches!(typed, Attribute::Other(_)), "{line}");
        }
    }
}

#[test]
fn strict_reading_names_the_rule() {
    let port = |max| Rule::Range { min: 0, max };
    let cases = [
        ("a=rtpmap:128 VP8/90000", port(127)),
        ("a=rtpmap:96 VP8", Rule::Expected('/')),
        ("a=rtpmap:96  VP8/90000", Rule::Space),
        ("a=rtpmap:x VP8/90000", Rule::Number),
        ("a=rtpmap:96 VP8/90000/2/2", Rule::Trailing),
        ("a=rtpmap:96 VP8/4294967296", port(u32::MAX.into())),
        ("a=fmtp:96", Rule::Space),
        ("a=fmtp:96 ", Rule::Empty),
        ("a=rtcp-fb:300 nack", port(127)),
        ("a=rtcp-fb:96 nack ", Rule::TrailingBlank),
        ("a=rtcp-fb:96 \u{c}", Rule::Empty),
        ("a=extmap:0 urn:x", Rule::Range { min: 1, max: 4351 }),
        ("a=extmap:300 urn:x", Rule::Range { min: 1, max: 255 }),
        ("a=extmap:1/both urn:x", Rule::UnknownValue),
        ("a=extmap:1", Rule::Space),
        ("a=mid:a b", Rule::Trailing),
        ("a=mid:(", Rule::Token),
        ("a=msid:a b c", Rule::Trailing),
        ("a=ssrc:4294967296 cname:x", port(u32::MAX.into())),
        ("a=ssrc:1", Rule::Space),
        ("a=ssrc-group:FID x", Rule::Number),
        ("a=rid:a.b send", Rule::Space),
        ("a=rid:a sendrecv", Rule::UnknownValue),
        ("a=rid:a send pt=200", Rule::Range { min: 0, max: 127 }),
        ("a=simulcast:send 1 send 2", Rule::Repeated),
        ("a=simulcast:send 1;;2", Rule::Empty),
        ("a=setup:Active", Rule::UnknownValue),
        ("a=fingerprint:sha-1 4A:AD", Rule::Contradiction),
        ("a=fingerprint:own 4A:ad", Rule::HexCase),
        ("a=fingerprint:own 4A:A", Rule::Hex),
        ("a=fingerprint:own 4A:", Rule::Hex),
        ("a=tls-id:short", Rule::Length { min: 20, max: 255 }),
        ("a=ice-ufrag:abc", Rule::Length { min: 4, max: 256 }),
        ("a=ice-ufrag:abc-", Rule::IceChar),
        ("a=ice-pwd:tooshort", Rule::Length { min: 22, max: 256 }),
        ("a=ice-options:a,b", Rule::Space),
        (
            "a=candidate:1 0 udp 1 1.2.3.4 1 typ host",
            Rule::Range { min: 1, max: 256 },
        ),
        (
            "a=candidate:1 1 udp 0 1.2.3.4 1 typ host",
            Rule::Range {
                min: 1,
                max: i32::MAX as u64,
            },
        ),
        ("a=candidate:1 1 udp 1 1.2.3.4:5 1 typ host", Rule::Address),
        ("a=candidate:1 1 udp 1 1.2.3.4 65536 typ host", port(65535)),
        (
            "a=candidate:1 1 udp 1 1.2.3.4 1 type host",
            Rule::ExpectedWord("typ"),
        ),
        ("a=candidate:1 1 udp 1 1.2.3.4 1 typ host x", Rule::Space),
        (
            "a=candidate:1 1 udp 1 1.2.3.4 1 typ host raddr 1",
            Rule::Address,
        ),
        ("a=rtcp:1 IN IP5 1.2.3.4", Rule::UnknownValue),
        ("a=rtcp:1 IN IP6 1.2.3.4", Rule::Address),
        ("a=sctp-port:65536", port(65535)),
        ("a=max-message-size:18446744073709551616", port(u64::MAX)),
        ("a=max-message-size:-1", Rule::Number),
        ("a=sctp-init:A", Rule::Base64),
        ("a=sctp-init:AA=A", Rule::Base64),
        ("a=ptime:", Rule::Empty),
        ("a=ptime:x", Rule::Number),
        ("a=imageattr:97 send [x=1]", Rule::Contradiction),
        ("a=imageattr:97 send [x=1,y=2", Rule::Expected(']')),
        ("a=imageattr:97 send [x=1,y=2] send *", Rule::Repeated),
        ("a=content:", Rule::Empty),
        ("a=rtcp-mux:yes", Rule::Flag),
        ("a=sendrecv:no", Rule::Flag),
        ("a=group:BUNDLE", Rule::Level),
        ("a=ice-lite", Rule::Level),
        ("a=", Rule::Empty),
        ("a=:x", Rule::Empty),
        ("a=a b", Rule::Token),
        ("a=x:\0", Rule::ControlCharacter),
    ];
    for (line, rule) in cases {
        assert_eq!(strict(line, false), Err(rule), "{line}");
    }
    assert_eq!(strict("a=mid:0", true), Err(Rule::Level));
    assert_eq!(strict("a=identity:?", true), Err(Rule::Base64));
    assert_eq!(strict("a=ptime:20\r\na=ptime:20", true), Err(Rule::Level));
}

#[test]
fn tolerant_reading_takes_what_peers_write() {
    let cases = [
        ("a=ice-options: trickle", "a=ice-options:trickle"),
        ("a=ice-options:ice2,trickle", "a=ice-options:ice2 trickle"),
        (
            "a=fingerprint:SHA-256 ".to_owned() + &"ab:".repeat(31) + "cd",
            { "a=fingerprint:sha-256 ".to_owned() + &"AB:".repeat(31) + "CD" },
        )
            .map_strs(),
        ("a=msid-semantic:WMS x", "a=msid-semantic: WMS x"),
        ("a=extmap:0 urn:x", "a=extmap:0 urn:x"),
        ("a=rtcp-fb:96   nack pli ", "a=rtcp-fb:96 nack pli"),
        ("a=rtcp:9  IN IP4 0.0.0.0 ", "a=rtcp:9 IN IP4 0.0.0.0"),
        ("a=fmtp:96", "a=fmtp:96 "),
        ("a=simulcast: send 1", "a=simulcast:send 1"),
        ("a=rid:1 send max-fps=30;", "a=rid:1 send max-fps=30"),
        ("a=ice-ufrag:a-b:c", "a=ice-ufrag:a-b:c"),
        (
            "a=candidate:x-1 1 UDP 4294967295 a_b.local 1 TYP host generation",
            "a=candidate:x-1 1 udp 4294967295 a_b.local 1 typ host generation",
        ),
    ];
    for (line, written) in cases {
        let typed = tolerant(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(format!("a={typed}"), written);
    }
}

/// Lets a computed case stand in a table of literal ones.
trait MapStrs {
    fn map_strs(self) -> (&'static str, &'static str);
}

impl MapStrs for (String, String) {
    fn map_strs(self) -> (&'static str, &'static str) {
        (self.0.leak(), self.1.leak())
    }
}

#[test]
fn tolerant_reading_still_refuses_nonsense() {
    for line in [
        "a=rtpmap:96",
        "a=setup:maybe",
        "a=ice-ufrag:abc",
        "a=ice-pwd:short",
        "a=fingerprint:sha-256 AB:CD",
        "a=fingerprint:sha-256",
        "a=candidate:",
        "a=candidate:1 1 udp 1 1.2.3.4 1",
        "a=candidate:1 1 udp 1 fe80::1%eth0 1 typ host",
        "a=mid",
        "a=mid:",
        "a=rtcp-mux:1",
        "a=sctp-port:x",
        "a=simulcast:",
        "a=ice-options: ",
    ] {
        assert!(tolerant(line).is_err(), "{line}");
    }
}

#[test]
fn candidate_reads_every_part() {
    let text = "842163049 1 UDP 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.1 rport 5000 \
                generation 2 ufrag EsAw network-id 3 network-cost 10";
    for prefix in ["", "candidate:", "a=candidate:"] {
        let candidate: Candidate = format!("{prefix}{text}").parse().unwrap();
        assert_eq!(candidate.foundation, "842163049");
        assert_eq!(candidate.component, 1);
        assert_eq!(candidate.transport, CandidateTransport::Udp);
        assert_eq!(candidate.priority, 1_677_729_535);
        assert_eq!(
            candidate.socket_addr(),
            Some("203.0.113.7:46154".parse().unwrap())
        );
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(
            candidate.related_address,
            Some(CandidateAddress::Ip("10.0.0.1".parse().unwrap()))
        );
        assert_eq!(candidate.related_port, Some(5000));
        assert_eq!(candidate.ufrag(), Some("EsAw"));
        assert_eq!(candidate.generation(), Some(2));
        assert_eq!(candidate.extension("network-cost"), Some("10"));
        assert_eq!(candidate.extensions.len(), 4);
        assert_eq!(candidate.to_string(), text.replace("UDP", "udp"));
    }
    let tcp: Candidate = "1 1 tcp 1 ::1 9 typ host tcptype so".parse().unwrap();
    assert_eq!(tcp.tcp_kind(), Some(TcpKind::SimultaneousOpen));
    let mdns: Candidate = "1 1 udp 1 abc.LOCAL 9 typ host".parse().unwrap();
    assert!(mdns.address.is_mdns());
    assert_eq!(mdns.socket_addr(), None);
    assert!("".parse::<Candidate>().is_err());
}

#[test]
fn candidate_error_says_where() {
    let error = "1 1 udp x 1.2.3.4 5 typ host"
        .parse::<Candidate>()
        .unwrap_err();
    assert_eq!(error.name(), "candidate");
    assert_eq!(error.offset(), 8);
    assert_eq!(error.rule(), Rule::Number);
    assert_eq!(
        error.to_string(),
        "candidate, at byte 8 of the value: a number is expected here"
    );
}

#[test]
fn values_mean_what_they_say() {
    let map: RtpMap = "111 OPUS/48000/2".parse().unwrap();
    assert!(map.is("opus"));
    assert_eq!(map.channels(), 2);
    let pcma = RtpMap::of_static(PayloadType::new(8).unwrap()).unwrap();
    assert_eq!((pcma.encoding.as_str(), pcma.channels()), ("PCMA", 1));
    assert_eq!(PayloadType::new(128), None);

    let fingerprint: Fingerprint =
        "sha-1 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13"
            .parse()
            .unwrap();
    assert_eq!(fingerprint.hash, HashFunction::Sha1);
    assert_eq!(fingerprint.digest, (0..20).collect::<Vec<u8>>());

    let group: Group = "BUNDLE 0 1".parse().unwrap();
    assert_eq!(group.semantics, GroupSemantics::Bundle);
    assert!(group.contains(&"1".parse::<Mid>().unwrap()));
    assert!(!group.contains(&"2".parse::<Mid>().unwrap()));

    let simulcast: Simulcast = "send 1,~2;3 recv 4".parse().unwrap();
    assert_eq!(simulcast.send.len(), 2);
    assert!(simulcast.send[0][1].paused && !simulcast.send[0][0].paused);
    assert_eq!(simulcast.recv[0][0].rid.as_str(), "4");

    let rid: Rid = "1 send pt=96,97;max-width=1280".parse().unwrap();
    assert_eq!(rid.payload_types.len(), 2);
    assert_eq!(rid.restriction(&RidRestriction::MaxWidth), Some("1280"));
    assert_eq!(rid.restriction(&RidRestriction::MaxFps), None);

    let image: ImageAttr = "97 send [x=[480:16:800],y=320] recv *".parse().unwrap();
    assert_eq!(image.recv, Some(ImageSets::Any));
    let Some(ImageSets::Sets(sets)) = image.send else {
        panic!()
    };
    let x = sets[0].key("x").unwrap();
    assert!(x.contains(480) && x.contains(496) && x.contains(800));
    assert!(!x.contains(481) && !x.contains(816));
    assert_eq!(sets[0].key("y"), Some(&Span::Value("320".to_owned())));

    let init: SctpInit = "AQAAFPzd+9oAEAAA/////6ZBhsA=".parse().unwrap();
    assert_eq!(init.chunk.len(), 20);
    assert_eq!(init.chunk[..4], [1, 0, 0, 20]);

    // draft-hancke-tsvwg-snap §4.1.
    let init: SctpInit = "AQAAHols3R0AUAAA/////+B5ZR3AAAAEgAgABoLA".parse().unwrap();
    assert_eq!(init.chunk.len(), 30);
    assert_eq!(init.chunk[..8], [1, 0, 0, 30, 0x89, 0x6c, 0xdd, 0x1d]);

    let semantic: MsidSemantic = " WMS a b".parse().unwrap();
    assert_eq!(semantic.streams, ["a", "b"]);
    let Attribute::RtcpFb(feedback) = tolerant("a=rtcp-fb:96 nack pli").unwrap() else {
        panic!()
    };
    assert_eq!(feedback.kind, FeedbackKind::NackPli);
}

#[test]
fn direction_is_seen_from_both_sides() {
    assert_eq!(Direction::SendOnly.reversed(), Direction::RecvOnly);
    assert_eq!(Direction::SendRecv.reversed(), Direction::SendRecv);
    assert_eq!(
        Direction::SendOnly.and(Direction::RecvOnly),
        Direction::Inactive
    );
    assert_eq!(
        Direction::SendRecv.and(Direction::RecvOnly),
        Direction::RecvOnly
    );
    assert!(Direction::SendOnly.sends() && !Direction::SendOnly.receives());
}

#[test]
fn passwords_do_not_show_in_debug() {
    let text = "v=0\r\nm=audio 9 RTP/AVP 0\r\na=ice-pwd:0123456789abcdefABCDEF\r\n\
                a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET\r\n";
    let description = SessionDescription::parse(text).unwrap();
    let shown = format!("{description:?} {:?}", description.media[0].ice_pwd());
    assert!(
        !shown.contains("0123456789abcdef") && !shown.contains("SECRET"),
        "{shown}"
    );
    assert!(description.to_string().contains("0123456789abcdefABCDEF"));
}
