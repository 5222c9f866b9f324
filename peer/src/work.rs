//! Counts the steps of loops that a far side can make longer, in test builds, so that tests can say what a datagram or a
//! description costs at worst without a clock.

/// Counts `n` steps.
#[inline(always)]
pub(crate) fn steps(n: usize) {
    #[cfg(test)]
    tests::STEPS.with(|count| count.set(count.get() + n as u64));
    #[cfg(not(test))]
    let _ = n;
}

/// The steps that this takes.
#[cfg(test)]
pub(crate) fn counted(run: impl FnOnce()) -> u64 {
    tests::STEPS.with(|steps| steps.set(0));
    run();
    tests::STEPS.with(std::cell::Cell::get)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use crate::limits::{MAX_MEDIA_SECTIONS, MAX_REMOTE_SSRCS, MAX_SDP_BYTES};
    use crate::{
        Configuration, Kind, PeerConnection, SdpType, SessionDescription, TransceiverInit,
    };

    thread_local! {
        pub(super) static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    /// Heap that a description of the greatest length may take while it is read, beside the answer to it.
    const MOST_HEAP: u64 = 64 << 20;

    fn peer() -> PeerConnection {
        let mut rng = StdRng::seed_from_u64(1);
        PeerConnection::new(Configuration::default(), Instant::now(), &mut rng).unwrap()
    }

    /// An honest offer of video, cut before the end of its section.
    fn honest() -> String {
        let mut pc = peer();
        pc.add_transceiver(Kind::Video, TransceiverInit::default())
            .unwrap();
        pc.set_local_description(Instant::now(), None).unwrap();
        pc.local_description().unwrap().sdp
    }

    /// Descriptions of a length with one thing as often as there is room for, in the session or in as few sections as the
    /// grammar allows.
    fn hostile(len: usize) -> Vec<(&'static str, String)> {
        let offer = honest();
        let (session, media) = offer.split_at(offer.find("m=").unwrap());
        let fill = |line: &dyn Fn(usize) -> String| {
            let mut text = String::new();
            let mut n = 0;
            while text.len() + offer.len() + 16_000 < len && n < 16_000 {
                text += &line(n);
                n += 1;
            }
            text
        };
        let in_media = |line: &dyn Fn(usize) -> String| format!("{session}{media}{}", fill(line));
        // A section with all payload types there are.
        let types: Vec<String> = (35..64).chain(96..128).map(|n| n.to_string()).collect();
        let codec = |line: &str| {
            ["m=", "a=rtpmap", "a=fmtp", "a=rtcp-fb"]
                .iter()
                .any(|start| line.starts_with(start))
        };
        let mut wide = format!("m=video 9 UDP/TLS/RTP/SAVPF {}\r\n", types.join(" "));
        for line in media.lines().filter(|line| !codec(line)) {
            wide += &format!("{line}\r\n");
        }
        for n in &types {
            wide += &format!("a=rtpmap:{n} VP8/90000\r\n");
        }
        let in_wide = |line: &dyn Fn(usize) -> String| format!("{session}{wide}{}", fill(line));
        let tiny = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n".repeat(MAX_MEDIA_SECTIONS - 1);
        let in_session =
            |line: &dyn Fn(usize) -> String| format!("{session}{}{media}{tiny}", fill(line));
        vec![
            (
                "ssrcs",
                in_media(&|n| format!("a=ssrc:{} cname:x\r\n", n + 1)),
            ),
            (
                "groups",
                in_media(&|n| format!("a=ssrc-group:FID {} {}\r\n", 2 * n + 1, 2 * n + 2)),
            ),
            (
                "sources and groups",
                in_media(&|n| {
                    let m = n / 2;
                    match n % 2 {
                        0 => format!("a=ssrc:{} cname:x\r\n", 2 * m + 2),
                        _ => format!("a=ssrc-group:FID {} {}\r\n", 2 * m + 1, 2 * m + 2),
                    }
                }),
            ),
            ("feedback", in_wide(&|n| format!("a=rtcp-fb:* x{n}\r\n"))),
            (
                "extensions",
                in_media(&|n| format!("a=extmap:{} urn:x:{n}\r\n", 1 + n % 255)),
            ),
            ("rids", in_media(&|n| format!("a=rid:r{n} send\r\n"))),
            (
                "extensions of the session",
                in_session(&|n| {
                    format!("a=extmap:{} urn:{n}:{}\r\n", 1 + n % 255, "x".repeat(4_000))
                }),
            ),
            (
                "fingerprints of the session",
                in_session(&|n| {
                    format!(
                        "a=fingerprint:sha-1 {:02X}{}\r\n",
                        n % 256,
                        ":00".repeat(19)
                    )
                }),
            ),
            (
                "options of the session",
                in_session(&|_| format!("a=ice-options:{}\r\n", "a ".repeat(4_000))),
            ),
            (
                "groups of the session",
                in_session(&|n| format!("a=group:LS a{n} b{n} c{n}\r\n")),
            ),
        ]
    }

    /// What reading a description, and an answer to it, cost: steps and the most heap at one moment.
    fn cost(text: &str) -> (u64, u64) {
        let mut pc = peer();
        let offer = SessionDescription {
            type_: SdpType::Offer,
            sdp: text.to_owned(),
        };
        STEPS.with(|steps| steps.set(0));
        let heap = allocation_counter::measure(|| {
            let now = Instant::now();
            // Some are refused, which is as good.
            if pc.set_remote_description(now, offer).is_ok() {
                let _ = pc.set_local_description(now, None);
            }
        });
        (STEPS.with(Cell::get), heap.bytes_max)
    }

    #[test]
    fn the_worst_description_costs_bounded_work_and_memory() {
        let (small, large) = (MAX_SDP_BYTES / 8, MAX_SDP_BYTES);
        for ((name, short), (_, long)) in hostile(small).into_iter().zip(hostile(large)) {
            assert!(long.len() <= MAX_SDP_BYTES, "{name}: {}", long.len());
            let ((few, _), (many, heap)) = (cost(&short), cost(&long));
            println!(
                "{name}: {few} steps for {} bytes, {many} for {}, which took {heap} bytes",
                short.len(),
                long.len()
            );
            // A source is looked for among those known, of which there are so many at most.
            let lines = long.lines().count() as u64;
            assert!(many <= lines * MAX_REMOTE_SSRCS as u64, "{name}: {many}");
            assert!(heap <= MOST_HEAP, "{name}: {heap}");
        }
    }
}
