//! SRTP alone, over real UDP sockets: one end sends protected RTP, the other takes it, and a stranger who repeats and
//! alters packets gets nothing in. The keys are given; DTLS-SRTP (RFC 5764) or SDES (RFC 4568) would bring them.
//!
//! ```text
//! cargo run --release -p tincan-srtp --example srtp                    # all profiles
//! cargo run --release -p tincan-srtp --example srtp -- AES_CM_128_HMAC_SHA1_80 50000
//! ```
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use tincan_srtp::{MasterKey, Profile, Receiver, Sender};

/// The header's twelve bytes: version 2, payload type 96, one stream.
fn rtp(number: u32, payload: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&(number as u16).to_be_bytes());
    packet.extend_from_slice(&(number * 960).to_be_bytes());
    packet.extend_from_slice(&0x7123_4567u32.to_be_bytes());
    packet.resize(12 + payload, number as u8);
    packet
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let chosen = arguments.next();
    let count = arguments.next().map_or(Ok(20_000), |n| n.parse())?;
    let chosen = chosen.map(|name| Profile::from_sdes_name(&name).ok_or("no such profile"));
    match chosen.transpose()? {
        Some(profile) => run(profile, count),
        None => Profile::ALL
            .into_iter()
            .try_for_each(|profile| run(profile, count)),
    }
}

fn run(profile: Profile, count: u32) -> Result<(), Box<dyn Error>> {
    let key: Vec<u8> = (0..profile.key_len() + profile.salt_len())
        .map(|n| n as u8)
        .collect();
    let key = MasterKey::from_concatenated(profile, &key)?;
    let (mut sender, mut receiver) = (Sender::new(&key)?, Receiver::new(&key)?);
    let to = UdpSocket::bind("127.0.0.1:0")?;
    to.set_read_timeout(Some(Duration::from_secs(5)))?;
    let from = UdpSocket::bind("127.0.0.1:0")?;
    from.connect(to.local_addr()?)?;

    let start = Instant::now();
    let (mut good, mut replayed, mut altered) = (0u32, 0u32, 0u32);
    let mut datagram = [0; 2000];
    for number in 0..count {
        let mut packet = rtp(number, 160);
        // In place: the tag is appended, nothing is copied.
        sender.protect_rtp(&mut packet, 0)?;
        from.send(&packet)?;
        if number % 100 == 7 {
            from.send(&packet)?;
            packet[20] ^= 1;
            from.send(&packet)?;
        }
        let pieces = if number % 100 == 7 { 3 } else { 1 };
        for piece in 0..pieces {
            let len = to.recv(&mut datagram)?;
            let datagram = &mut datagram[..len];
            match (piece, receiver.unprotect_rtp(datagram)) {
                (0, Ok(len)) if datagram[..len] == rtp(number, 160) => good += 1,
                (1, Err(_)) => replayed += 1,
                (2, Err(_)) => altered += 1,
                (_, other) => return Err(format!("packet {number}: {other:?}").into()),
            }
        }
    }
    println!(
        "{}: {good} of {count} packets through a socket in {:.0?}; {replayed} repeated and {altered} altered ones \
         refused",
        profile.sdes_name(),
        start.elapsed()
    );
    Ok(())
}
