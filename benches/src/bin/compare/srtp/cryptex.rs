//! Packets with an encrypted header extension (RFC 9335), beside the bare primitives; none of the
//! peers has it.

use tincan_benches::{Better, Comparison};
use tincan_srtp::{Config, Cryptex, Profile, Receiver, Sender};

use super::{Bare, HEADER, PACKETS, master, packet, write_header};

/// An extension of two elements.
const EXTENSION: [u8; 12] = [0xbe, 0xde, 0, 2, 0x12, 1, 2, 3, 0x21, 4, 5, 0];

/// Runs the cases of one profile and length; the length counts the extension.
pub(super) fn run(profile: Profile, name: &str, len: usize) {
    protect(profile, &format!("{name}-{len}-cryptex-protect"), len);
    unprotect(profile, &format!("{name}-{len}-cryptex-unprotect"), len);
}

fn write(packet: &mut [u8], sequence: u16) {
    write_header(packet, sequence);
    packet[0] |= 0x10;
    packet[HEADER..HEADER + EXTENSION.len()].copy_from_slice(&EXTENSION);
}

fn protect(profile: Profile, case: &str, len: usize) {
    let config = Config::new().cryptex(Cryptex::Use);
    let (Some(key), Some(bare)) = (master(profile), Bare::new(profile)) else {
        return;
    };
    let Ok(mut sender) = Sender::with_config(&key, config) else {
        return;
    };
    let (mut ours, mut theirs) = (packet(len, 0), packet(len, 0));
    ours.reserve(64);
    let (mut sequence, mut count) = (0_u16, 0);
    Comparison::new("srtp", case, "ns", Better::Less)
        .time("ours", move || {
            ours.truncate(len);
            write(&mut ours, sequence);
            sequence = sequence.wrapping_add(1);
            sender.protect_rtp(&mut ours, 0).is_ok()
        })
        .time(bare.name(), move || {
            count += 1;
            write(&mut theirs, count as u16);
            bare.seal(&mut theirs, count)
        })
        .run();
}

fn unprotect(profile: Profile, case: &str, len: usize) {
    let config = Config::new().cryptex(Cryptex::Use);
    let (Some(key), Some(bare)) = (master(profile), Bare::new(profile)) else {
        return;
    };
    let Ok(mut sender) = Sender::with_config(&key, config.clone()) else {
        return;
    };
    let mut packets = Vec::new();
    for sequence in 0..PACKETS {
        let mut packet = packet(len, sequence);
        write(&mut packet, sequence);
        assert!(sender.protect_rtp(&mut packet, 0).is_ok());
        packets.push(packet);
    }
    let bare_packets = bare.protected(len);
    let packets = &packets;
    Comparison::new("srtp", case, "ns", Better::Less)
        .time_prepared(
            "ours",
            packets.len(),
            || (Receiver::with_config(&key, config.clone()), packets.clone()),
            |(receiver, packets)| {
                for packet in packets {
                    let done = receiver.as_mut().map(|r| r.unprotect_rtp(packet));
                    assert!(matches!(done, Ok(Ok(n)) if n == len), "{done:?}");
                }
            },
        )
        .time_prepared(
            bare.name(),
            packets.len(),
            || bare_packets.clone(),
            |packets| {
                for (count, packet) in packets.iter_mut().enumerate() {
                    assert!(bare.open(packet, count as u64));
                }
            },
        )
        .run();
}
