//! Counts the bytes that reading looks at, in test builds, so that tests can say that the work is
//! linear without a clock.

/// Counts `bytes` as looked at.
#[inline(always)]
pub(crate) fn looked_at(bytes: usize) {
    #[cfg(test)]
    tests::LOOKED_AT.with(|count| count.set(count.get() + bytes as u64));
    #[cfg(not(test))]
    let _ = bytes;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::codec::Parameters;
    use crate::{DescriptionView, Direction, PayloadType, SdpFragment, SessionDescription, Ssrc};

    thread_local! {
        pub(super) static LOOKED_AT: Cell<u64> = const { Cell::new(0) };
    }

    /// Bytes looked at by `work`.
    fn count(work: impl FnOnce()) -> u64 {
        LOOKED_AT.with(|count| count.set(0));
        work();
        LOOKED_AT.with(Cell::get)
    }

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

    /// Hostile descriptions of about `len` bytes.
    fn hostile(len: usize) -> Vec<(&'static str, String)> {
        let lines =
            |head: &str, line: &str| format!("{HEAD}{head}{}", line.repeat(len / line.len()));
        // Long values, as long as a line may be.
        let values = |start: &str, part: &str| {
            let line = format!("{start}{}\r\n", part.repeat(60_000 / part.len()));
            lines("m=audio 9 RTP/AVP 0\r\n", &line)
        };
        vec![
            ("short attributes", lines("", "a=\r\n")),
            ("short lines with LF", lines("", "b=\n")),
            ("blank lines", lines("", "\r\n")),
            ("m-lines", lines("", "m=a 1 B\r\n")),
            ("equal attributes", lines("m=a 1 B 0\r\n", "a=mid:0\r\n")),
            ("rtpmaps", lines("m=a 1 B 96\r\n", "a=rtpmap:96 x/1\r\n")),
            ("feedback", lines("m=a 1 B 96\r\n", "a=rtcp-fb:* x\r\n")),
            ("directions", lines("m=a 1 B 96\r\n", "a=sendrecv\r\n")),
            ("ssrcs", lines("m=a 1 B 96\r\n", "a=ssrc:1 a:b\r\n")),
            (
                "groups",
                lines("a=group:BUNDLE 0\r\n", "a=group:BUNDLE 0\r\n"),
            ),
            (
                "candidates",
                lines("", "a=candidate:1 1 udp 1 1.2.3.4 1 typ host\r\n"),
            ),
            (
                "blanks at line ends",
                lines("", &format!("a=x{}\r\n", " ".repeat(500))),
            ),
            (
                "one long line",
                format!("{HEAD}a=x:{}\r\n", "y".repeat(len)),
            ),
            ("formats", values("m=audio 9 RTP/AVP", " 0")),
            ("group members", values("a=group:BUNDLE", " 0")),
            (
                "extensions",
                values("a=candidate:1 1 udp 1 1.2.3.4 1 typ host", " a b"),
            ),
            ("sources", values("a=ssrc-group:FID", " 1")),
            ("parameters", values("a=fmtp:0 ", "a=b;")),
            ("restrictions", values("a=rid:1 send ", "a=b;")),
            ("alternatives", values("a=simulcast:send 1", ",1")),
            ("image sets", values("a=imageattr:* send", " [x=1,y=1]")),
            ("digest", values("a=fingerprint:own AA", ":AA")),
            ("options", values("a=ice-options:a", ",,,a")),
            ("no line at all", "x".repeat(len)),
            ("no endings", format!("{HEAD}{}", "a=x ".repeat(len / 4))),
        ]
    }

    /// Everything that a peer does with a description it received.
    fn use_all(text: &str) {
        let _ = SessionDescription::parse_strict(text);
        let _ = SdpFragment::parse(text);
        if let Ok(view) = DescriptionView::parse(text) {
            for media in view.media() {
                let _ = media.section().direction();
            }
        }
        let Ok(mut description) = SessionDescription::parse(text) else {
            return;
        };
        let _ = description.to_sdp();
        let _ = description.media_by_mid("1");
        let _ = description.session.typed_attributes().count();
        description.session.set_direction(Direction::Inactive);
        let _ = description.rename_mid("0", &"7".parse().expect("a token"));
        let payload_type = PayloadType::new(96).expect("seven bits");
        for media in &mut description.media {
            let _ = media.typed_attributes().flatten().count();
            let _ = media.codecs();
            for fmtp in media.fmtps().flatten() {
                let _ = Parameters::read(&fmtp.parameters);
            }
            let _ = media.prefer_codec("x");
            media.set_format_parameter(payload_type, "a", "b");
            media.remove_payload_types(&[payload_type]);
            media.remove_source(Ssrc(1));
            media.set_direction(Direction::Inactive);
            media.remove_attribute("mid");
        }
        description.remove_candidates();
        let _ = description.to_sdp();
    }

    #[test]
    fn work_is_linear_in_the_length_of_hostile_text() {
        const SMALL: usize = 64 * 1024;
        const FACTOR: usize = 16;
        let cases = hostile(SMALL).into_iter().zip(hostile(SMALL * FACTOR));
        for ((name, small), (_, large)) in cases {
            let few = count(|| use_all(&small));
            let many = count(|| use_all(&large));
            // All the uses together look at each byte some tens of times, and at no more of them
            // for every byte when there are sixteen times as many.
            assert!(
                few <= 60 * small.len() as u64,
                "{name}: {few} for {}",
                small.len()
            );
            assert!(
                many <= 60 * large.len() as u64,
                "{name}: {many} for {}",
                large.len()
            );
            let growth = large.len().div_ceil(small.len()) as u64;
            assert!(many <= few * growth * 3 / 2, "{name}: {few} became {many}");
        }
    }

    #[test]
    fn reading_alone_looks_at_each_byte_once() {
        for (name, text) in hostile(1024 * 1024) {
            let bytes = count(|| drop(SessionDescription::parse(&text)));
            // m-lines are looked at again for their parts.
            assert!(
                bytes <= 2 * text.len() as u64 + 64,
                "{name}: {bytes} for {}",
                text.len()
            );
        }
    }
}
