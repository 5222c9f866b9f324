//! What the tests of the public API share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part; a helper that fails should fail its test"
)]

use tincan_srtp::{Config, Contexts, MasterKey, Profile, Receiver, Sender};

/// An RTP packet without CSRCs or extension.
pub(crate) fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// A sender report without blocks.
pub(crate) fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0x5a; 20]);
    packet
}

pub(crate) fn key(profile: Profile, seed: u8) -> MasterKey {
    let key: Vec<u8> = (seed..).take(profile.key_len()).collect();
    let salt: Vec<u8> = (seed ^ 0x55..=255).take(profile.salt_len()).collect();
    MasterKey::new(profile, &key, &salt).unwrap()
}

/// Two ends of a DTLS-SRTP session: the client's sender and the server's receiver.
pub(crate) fn pair_with(profile: Profile, config: &Config) -> (Sender, Receiver) {
    let material: Vec<u8> = (0..profile.exporter_len() as u8).collect();
    let (sender, _) = Contexts::from_dtls_exporter_with(profile, &material, true, config).unwrap();
    let (_, receiver) =
        Contexts::from_dtls_exporter_with(profile, &material, false, config).unwrap();
    (sender, receiver)
}

pub(crate) fn pair(profile: Profile) -> (Sender, Receiver) {
    pair_with(profile, &Config::new())
}

pub(crate) fn protected(sender: &mut Sender, mut packet: Vec<u8>) -> Vec<u8> {
    sender.protect_rtp(&mut packet, 0).unwrap();
    packet
}
