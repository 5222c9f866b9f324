//! A sender, a network that loses, repeats, reorders and damages, and a receiver.
//!
//! What was not damaged and comes for the first time gives back what was sent, or is behind the
//! window; what was damaged or repeated is refused; batches do what single calls do.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tincan_srtp::{Config, Contexts, Cryptex, Profile, Receiver, Sender, Slot, UnprotectError};

#[derive(Arbitrary, Debug)]
struct Setup {
    profile: u8,
    cryptex: bool,
    elements: Vec<u8>,
    rate: Option<u8>,
    window: u16,
    streams: u8,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// The application sends these bytes, as RTP or RTCP.
    Send { rtcp: bool, packet: Vec<u8> },
    /// The application sends a packet that is certainly RTP.
    SendRtp {
        ssrc: u8,
        sequence: u16,
        flags: u8,
        body: Vec<u8>,
    },
    /// The network delivers one of the packets under way, damaged where asked.
    Deliver {
        which: u8,
        keep: bool,
        damage: Option<(u16, u8)>,
    },
    /// The network delivers everything under way in a batch.
    DeliverBatch,
    /// The network makes a packet up.
    Forge { rtcp: bool, packet: Vec<u8> },
}

struct UnderWay {
    rtcp: bool,
    plain: Vec<u8>,
    packet: Vec<u8>,
    delivered: bool,
}

fn contexts(setup: &Setup) -> Option<(Sender, Receiver, Receiver)> {
    let profile = *Profile::ALL.get(usize::from(setup.profile) % Profile::ALL.len())?;
    let config = Config::new()
        .replay_window(64 + usize::from(setup.window) % 32_705)
        .ok()?
        .max_streams(1 + usize::from(setup.streams))
        .ok()?
        .cryptex(if setup.cryptex {
            Cryptex::Use
        } else {
            Cryptex::Accept
        })
        .encrypted_elements(setup.elements.iter().copied())
        .key_derivation_rate(setup.rate.map(|rate| rate % 25))
        .ok()?;
    let material = vec![0x17; profile.exporter_len()];
    let (sender, _) = Contexts::from_dtls_exporter_with(profile, &material, true, &config).ok()?;
    let (_, receiver) =
        Contexts::from_dtls_exporter_with(profile, &material, false, &config).ok()?;
    let (_, twin) = Contexts::from_dtls_exporter_with(profile, &material, false, &config).ok()?;
    Some((sender, receiver, twin))
}

fn send(sender: &mut Sender, rtcp: bool, plain: Vec<u8>, under_way: &mut Vec<UnderWay>) {
    let mut packet = plain.clone();
    let sent = if rtcp {
        sender.protect_rtcp(&mut packet, 0)
    } else {
        sender.protect_rtp(&mut packet, 0)
    };
    match sent {
        Ok(()) => under_way.push(UnderWay {
            rtcp,
            plain,
            packet,
            delivered: false,
        }),
        Err(_) => assert_eq!(packet, plain, "a refused packet was changed"),
    }
}

fn receive(
    receiver: &mut Receiver,
    rtcp: bool,
    packet: &mut [u8],
) -> Result<usize, UnprotectError> {
    if rtcp {
        receiver.unprotect_rtcp(packet)
    } else {
        receiver.unprotect_rtp(packet)
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    let Some((mut sender, mut receiver, mut twin)) = contexts(&setup) else {
        return;
    };
    let mut under_way: Vec<UnderWay> = Vec::new();
    for _ in 0..200 {
        let Ok(step) = Step::arbitrary(&mut input) else {
            break;
        };
        match step {
            Step::Send { rtcp, packet } => send(&mut sender, rtcp, packet, &mut under_way),
            Step::SendRtp {
                ssrc,
                sequence,
                flags,
                body,
            } => {
                let mut packet = vec![0x80 | (flags & 0x3f), 96];
                packet.extend_from_slice(&sequence.to_be_bytes());
                packet.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, ssrc]);
                packet.extend_from_slice(&body);
                send(&mut sender, false, packet, &mut under_way);
            }
            Step::Deliver {
                which,
                keep,
                damage,
            } => {
                if under_way.is_empty() {
                    continue;
                }
                let at = usize::from(which) % under_way.len();
                let one = &mut under_way[at];
                let mut packet = one.packet.clone();
                let mut damaged = false;
                if let Some((byte, bits)) = damage {
                    let byte = usize::from(byte) % packet.len();
                    packet[byte] ^= bits;
                    damaged = bits != 0;
                }
                let mut same = packet.clone();
                let result = receive(&mut receiver, one.rtcp, &mut packet);
                assert_eq!(result, receive(&mut twin, one.rtcp, &mut same));
                match result {
                    Ok(len) => {
                        assert!(!damaged, "damage was not noticed");
                        // Streams that are given up forget what came; 200 steps make no more.
                        let none_given_up = setup.streams >= 200
                            || !one.rtcp && receiver.ssrcs().count() < usize::from(setup.streams);
                        assert!(
                            !(none_given_up && one.delivered),
                            "a replay was not noticed"
                        );
                        if !(setup.cryptex && len != one.plain.len()) {
                            assert_eq!(packet[..len], one.plain[..]);
                        }
                        one.delivered = true;
                    }
                    Err(UnprotectError::Malformed(_)) => assert!(damaged),
                    Err(_) => {}
                }
                if !keep {
                    under_way.swap_remove(at);
                }
            }
            Step::DeliverBatch => {
                let mut batch: Vec<Vec<u8>> = under_way
                    .iter()
                    .filter(|one| !one.rtcp)
                    .map(|one| one.packet.clone())
                    .collect();
                let mut singles = batch.clone();
                let expected: Vec<_> = singles
                    .iter_mut()
                    .map(|packet| twin.unprotect_rtp(packet))
                    .collect();
                let mut slots: Vec<_> = batch
                    .iter_mut()
                    .map(|packet| {
                        let len = packet.len();
                        Slot::new(&mut packet[..], len)
                    })
                    .collect();
                receiver.unprotect_rtp_batch(&mut slots);
                for (slot, expected) in slots.iter().zip(expected) {
                    assert_eq!(slot.result(), Some(expected));
                }
                under_way.retain(|one| one.rtcp);
            }
            Step::Forge { rtcp, mut packet } => {
                let mut same = packet.clone();
                let result = receive(&mut receiver, rtcp, &mut packet);
                assert_eq!(result, receive(&mut twin, rtcp, &mut same));
            }
        }
        assert!(receiver.ssrcs().count() <= 1 + usize::from(setup.streams));
    }
});
