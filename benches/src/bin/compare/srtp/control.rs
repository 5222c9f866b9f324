//! SRTCP, beside the bare primitives and the peers.

use tincan_benches::{Better, Comparison};
use tincan_srtp::Profile;

#[cfg(feature = "libsrtp2")]
use super::libsrtp2_session;
use super::{Bare, PACKETS, SSRC, receiver, rtc_context, sender, webrtc_context};

/// Octets of a report with feedback for a few streams.
const LEN: usize = 100;

/// What the cipher's header of 12 octets has beyond the 8 that an RTCP packet leaves in the clear:
/// the bare calls work on as many octets, with as many of them authenticated only.
const INDEX: usize = 4;

/// Runs the cases of one profile.
pub(super) fn run(profile: Profile, name: &str) {
    protect(profile, &format!("{name}-rtcp-{LEN}-protect"));
    unprotect(profile, &format!("{name}-rtcp-{LEN}-unprotect"));
}

/// A sender report with `LEN` octets.
fn report() -> Vec<u8> {
    let mut packet = vec![0x5a; LEN];
    packet[..4].copy_from_slice(&[0x80, 200, 0, (LEN / 4 - 1) as u8]);
    packet[4..8].copy_from_slice(&SSRC.to_be_bytes());
    packet.reserve(64);
    packet
}

fn protect(profile: Profile, case: &str) {
    let (Some(mut sender), Some(bare)) = (sender(profile), Bare::new(profile)) else {
        return;
    };
    let mut ours = report();
    let mut theirs = vec![0x5a; LEN + INDEX];
    let mut count = 0;
    let mut comparison = Comparison::new("srtp", case, "ns", Better::Less)
        .time("ours", move || {
            ours.truncate(LEN);
            sender.protect_rtcp(&mut ours, 0).is_ok()
        })
        .time(bare.name(), move || {
            count += 1;
            bare.seal(&mut theirs, count)
        });
    if let Some(mut context) = webrtc_context(profile) {
        let plain = report();
        comparison = comparison.time("webrtc-srtp", move || context.encrypt_rtcp(&plain).is_ok());
    }
    if let Some(mut context) = rtc_context(profile) {
        let plain = report();
        comparison = comparison.time("rtc-srtp", move || context.encrypt_rtcp(&plain).is_ok());
    }
    #[cfg(feature = "libsrtp2")]
    if let Some(mut session) = libsrtp2_session(profile, false) {
        let mut plain = report();
        comparison = comparison.time("libsrtp2", move || {
            plain.truncate(LEN);
            session.protect_rtcp(&mut plain).is_ok()
        });
    }
    comparison.run();
}

fn unprotect(profile: Profile, case: &str) {
    let (Some(mut sender), Some(bare)) = (sender(profile), Bare::new(profile)) else {
        return;
    };
    let mut packets = Vec::new();
    for _ in 0..PACKETS {
        let mut packet = report();
        assert!(sender.protect_rtcp(&mut packet, 0).is_ok());
        packets.push(packet);
    }
    let bare_packets = bare.protected(LEN + INDEX);
    let count = packets.len();
    let packets = &packets;
    let mut comparison = Comparison::new("srtp", case, "ns", Better::Less)
        .time_prepared(
            "ours",
            count,
            || (receiver(profile), packets.clone()),
            |(receiver, packets)| {
                for packet in packets {
                    let done = receiver.as_mut().map(|r| r.unprotect_rtcp(packet));
                    assert!(matches!(done, Some(Ok(LEN))), "{done:?}");
                }
            },
        )
        .time_prepared(
            bare.name(),
            count,
            || bare_packets.clone(),
            |packets| {
                for (count, packet) in packets.iter_mut().enumerate() {
                    assert!(bare.open(packet, count as u64));
                }
            },
        );
    if webrtc_context(profile).is_some() {
        comparison = comparison.time_prepared(
            "webrtc-srtp",
            count,
            || (webrtc_context(profile), packets.clone()),
            |(context, packets)| {
                for packet in packets {
                    let done = context.as_mut().map(|c| c.decrypt_rtcp(packet).is_ok());
                    assert_eq!(done, Some(true));
                }
            },
        );
    }
    if rtc_context(profile).is_some() {
        comparison = comparison.time_prepared(
            "rtc-srtp",
            count,
            || (rtc_context(profile), packets.clone()),
            |(context, packets)| {
                for packet in packets {
                    let done = context.as_mut().map(|c| c.decrypt_rtcp(packet).is_ok());
                    assert_eq!(done, Some(true));
                }
            },
        );
    }
    #[cfg(feature = "libsrtp2")]
    if libsrtp2_session(profile, true).is_some() {
        comparison = comparison.time_prepared(
            "libsrtp2",
            count,
            || (libsrtp2_session(profile, true), packets.clone()),
            |(session, packets)| {
                for packet in packets {
                    let done = session.as_mut().map(|s| s.unprotect_rtcp(packet).is_ok());
                    assert_eq!(done, Some(true));
                }
            },
        );
    }
    comparison.run();
}
