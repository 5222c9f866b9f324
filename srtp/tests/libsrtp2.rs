//! libsrtp2 as the other end, for every profile, both ways. Where a C compiler or the library is
//! missing the tests say so and pass.
#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails should fail its test"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use support::{rtcp, rtp};
use tincan_srtp::{Config, MasterKey, Profile, Receiver, Sender};

/// libsrtp2 behind a pipe.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    sessions: usize,
}

/// The program, compiled once; `None` where that is not possible.
fn program() -> Option<&'static PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/libsrtp2.c");
            let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libsrtp2-peer");
            let compiled = Command::new("cc")
                .args([source, "-O1", "-o"])
                .arg(&program)
                .arg("-lsrtp2")
                .output();
            match compiled {
                Ok(output) if output.status.success() => Some(program),
                Ok(output) => {
                    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
                    println!("skipped: libsrtp2 does not compile here: {reason}");
                    None
                }
                Err(error) => {
                    println!("skipped: no C compiler: {error}");
                    None
                }
            }
        })
        .as_ref()
}

impl Peer {
    fn start() -> Option<Self> {
        let mut child = Command::new(program()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut version = String::new();
        output.read_line(&mut version).unwrap();
        println!("beside {}", version.trim());
        Some(Self {
            child,
            input,
            output,
            sessions: 0,
        })
    }

    fn ask(&mut self, line: &str) -> Result<String, String> {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        let answer = answer.trim().to_owned();
        if answer.starts_with("error") {
            Err(answer)
        } else {
            Ok(answer)
        }
    }

    fn create(&mut self, name: &str, case: &Case, outbound: bool) -> usize {
        let session = self.sessions;
        self.sessions += 1;
        let answer = self.ask(&format!(
            "create {session} {name} {} 1024 {} {} {}",
            hex(&[&case.key[..], &case.salt].concat()),
            dash(&case.mki),
            dash(&case.elements),
            u8::from(outbound)
        ));
        assert_eq!(answer.as_deref(), Ok("ok"), "{name}");
        session
    }

    fn send(&mut self, command: &str, session: usize, packet: &[u8]) -> Result<Vec<u8>, String> {
        self.ask(&format!("{command} {session} {}", hex(packet)))
            .map(|answer| unhex(&answer))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn dash(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        "-".to_owned()
    } else {
        hex(bytes)
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// Keys and settings of both ends.
struct Case {
    profile: Profile,
    key: Vec<u8>,
    salt: Vec<u8>,
    mki: Vec<u8>,
    elements: Vec<u8>,
}

impl Case {
    fn new(profile: Profile, mki: &[u8], elements: &[u8]) -> Self {
        Self {
            profile,
            key: (3..).step_by(5).take(profile.key_len()).collect(),
            salt: (200..).take(profile.salt_len()).collect(),
            mki: mki.to_vec(),
            elements: elements.to_vec(),
        }
    }

    fn ours(&self) -> (Sender, Receiver) {
        let mut key = MasterKey::new(self.profile, &self.key, &self.salt).unwrap();
        if !self.mki.is_empty() {
            key = key.with_mki(&self.mki).unwrap();
        }
        let config = Config::new().encrypted_elements(self.elements.iter().copied());
        (
            Sender::with_config(&key, config.clone()).unwrap(),
            Receiver::with_config(&key, config).unwrap(),
        )
    }
}

/// The profiles both have. AES-192 is not among them: libsrtp2 derives its session keys with
/// AES-256 and the master key filled up with zeros, where RFC 6188 §7.4 has AES-192.
fn profiles() -> impl Iterator<Item = Profile> {
    Profile::ALL
        .into_iter()
        .filter(|profile| profile.key_len() != 24)
}

/// Packets of many shapes, around a wrap of the sequence number.
fn packets() -> Vec<Vec<u8>> {
    let lengths = [0, 1, 15, 16, 17, 63, 64, 65, 160, 480, 500, 1188, 1400];
    let mut packets = Vec::new();
    for (n, len) in lengths.into_iter().cycle().take(60).enumerate() {
        let payload: Vec<u8> = (0..len).map(|i| (i * 31 + n) as u8).collect();
        let mut packet = rtp(0xcafe_babe, (65_500 + n) as u16, &[]);
        let csrcs = n % 4;
        packet[0] |= csrcs as u8;
        packet.extend((0..csrcs * 4).map(|byte| byte as u8));
        if n % 3 > 0 {
            packet[0] |= 0x10;
            let body: &[u8] = if n % 3 == 1 {
                // Element 1 with 3 bytes, element 2 with 16, element 3 with 1; padding at the end.
                &[
                    0xbe, 0xde, 0, 6, 0x12, 1, 2, 3, 0x2f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                    13, 14, 15, 16, 0x30, 9, 0,
                ]
            } else {
                // Two-byte elements: 1 with 2 bytes, 2 with none, 200 with 4.
                &[0x10, 0x00, 0, 3, 1, 2, 0xaa, 0xbb, 2, 0, 200, 4, 1, 2, 3, 4]
            };
            packet.extend_from_slice(body);
        }
        packet.extend_from_slice(&payload);
        packets.push(packet);
    }
    packets
}

fn both_ways(
    peer: &mut Peer,
    name: &str,
    case: &Case,
    (mut sender, mut receiver): (Sender, Receiver),
) {
    let theirs_in = peer.create(name, case, false);
    let theirs_out = peer.create(name, case, true);
    for plain in packets() {
        let mut packet = plain.clone();
        sender.protect_rtp(&mut packet, 0).unwrap();
        let theirs = peer.send("protect", theirs_out, &plain).unwrap();
        assert_eq!(hex(&packet), hex(&theirs), "{name}");
        let opened = peer.send("unprotect", theirs_in, &packet).unwrap();
        assert_eq!(hex(&opened), hex(&plain), "{name}");
        let mut packet = theirs;
        let len = receiver.unprotect_rtp(&mut packet).unwrap();
        assert_eq!(hex(&packet[..len]), hex(&plain), "{name}");
    }
    for words in 0..20 {
        let mut plain = rtcp(0xcafe_babe);
        plain.extend((0..words * 4).map(|byte| byte as u8));
        let mut packet = plain.clone();
        sender.protect_rtcp(&mut packet, 0).unwrap();
        let opened = peer.send("unprotectc", theirs_in, &packet);
        assert!(opened.is_ok(), "{name}: {opened:?} {}", hex(&packet));
        let opened = opened.unwrap();
        assert_eq!(hex(&opened), hex(&plain), "{name}");
        let mut packet = peer.send("protectc", theirs_out, &plain).unwrap();
        let len = receiver.unprotect_rtcp(&mut packet).unwrap();
        assert_eq!(hex(&packet[..len]), hex(&plain), "{name}");
    }
}

#[test]
fn every_profile_both_ways() {
    let Some(mut peer) = Peer::start() else {
        return;
    };
    for profile in profiles() {
        let case = Case::new(profile, &[], &[]);
        let ours = case.ours();
        both_ways(&mut peer, profile.sdes_name(), &case, ours);
    }
}

#[test]
fn every_profile_with_key_identifiers() {
    let Some(mut peer) = Peer::start() else {
        return;
    };
    // libsrtp2 looks for the identifier of an RTCP packet where an RTP packet's tag would begin.
    for profile in profiles().filter(|p| p.rtp_tag_len() == p.rtcp_tag_len()) {
        let case = Case::new(profile, &[0xe1, 0xf9, 0x7a, 0x0d], &[]);
        let ours = case.ours();
        both_ways(&mut peer, profile.sdes_name(), &case, ours);
    }
}

#[test]
fn every_profile_with_encrypted_elements() {
    let Some(mut peer) = Peer::start() else {
        return;
    };
    for profile in profiles() {
        let case = Case::new(profile, &[], &[1, 3, 200]);
        let ours = case.ours();
        both_ways(&mut peer, profile.sdes_name(), &case, ours);
    }
}

#[test]
fn without_encryption() {
    let Some(mut peer) = Peer::start() else {
        return;
    };
    let mut case = Case::new(Profile::AesCm128HmacSha1_80, &[], &[]);
    let key = MasterKey::new(case.profile, &case.key, &case.salt).unwrap();
    let ours = (
        Sender::dangerous_without_encryption(&key, Config::new()).unwrap(),
        Receiver::dangerous_without_encryption(&key, Config::new()).unwrap(),
    );
    case.elements.clear();
    both_ways(&mut peer, "NULL_HMAC_SHA1_80", &case, ours);
}

#[test]
fn both_refuse_the_same_forgeries_and_replays() {
    let Some(mut peer) = Peer::start() else {
        return;
    };
    for profile in profiles() {
        let case = Case::new(profile, &[], &[]);
        let (mut sender, mut receiver) = case.ours();
        let theirs = peer.create(profile.sdes_name(), &case, false);
        let mut packet = rtp(1, 1, b"some payload");
        sender.protect_rtp(&mut packet, 0).unwrap();
        for byte in 0..packet.len() {
            let mut forged = packet.clone();
            forged[byte] ^= 0x40;
            assert!(peer.send("unprotect", theirs, &forged).is_err());
            assert!(receiver.unprotect_rtp(&mut forged).is_err());
        }
        assert!(peer.send("unprotect", theirs, &packet).is_ok());
        assert!(receiver.unprotect_rtp(&mut packet.clone()).is_ok());
        assert!(peer.send("unprotect", theirs, &packet).is_err());
        assert!(receiver.unprotect_rtp(&mut packet).is_err());
    }
}
