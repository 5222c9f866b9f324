//! `compare -- srtp`: ours beside the bare primitives on the same bytes, and beside its peers.

use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use hmac::Mac;
use ring::aead;
use tincan_benches::{Better, Comparison, counts_allocations, nanoseconds_per_call};
use tincan_srtp::{Config, Destination, MasterKey, Profile, Receiver, Sender, Slot, forward_rtp};

mod control;
mod cryptex;

/// Packets of one untimed preparation. They and what they become stay in the second-level cache.
const PACKETS: u16 = 128;

/// Packets of a batch.
const BATCH: usize = 16;

/// Sessions that one packet is forwarded to.
const COPIES: usize = 16;

/// The profiles measured, with the names their rows carry.
const PROFILES: &[(Profile, &str)] = &[
    (Profile::AesCm128HmacSha1_80, "cm128-80"),
    (Profile::AesCm128HmacSha1_32, "cm128-32"),
    (Profile::AesCm256HmacSha1_80, "cm256-80"),
    (Profile::AeadAes128Gcm, "gcm128"),
    (Profile::AeadAes256Gcm, "gcm256"),
];

/// Lengths of whole RTP packets: video and voice.
const LENGTHS: &[usize] = &[1200, 160];

const SSRC: u32 = 0x1234_5678;
const HEADER: usize = 12;

/// Runs every case of the area.
pub(crate) fn run() {
    for &(profile, name) in PROFILES {
        for &len in LENGTHS {
            protect(profile, &format!("{name}-{len}-protect"), len);
            unprotect(profile, &format!("{name}-{len}-unprotect"), len);
            protect_batch(profile, &format!("{name}-{len}-protect-batch"), len);
            unprotect_batch(profile, &format!("{name}-{len}-unprotect-batch"), len);
            forward(profile, &format!("{name}-{len}-forward-to-{COPIES}"), len);
            cryptex::run(profile, name, len);
            if counts_allocations() {
                heap(profile, &format!("{name}-{len}-allocations"), len);
            }
        }
        control::run(profile, name);
    }
}

fn key(profile: Profile) -> Vec<u8> {
    (1..).take(profile.key_len()).collect()
}

fn salt(profile: Profile) -> Vec<u8> {
    (101..).take(profile.salt_len()).collect()
}

fn master(profile: Profile) -> Option<MasterKey> {
    MasterKey::new(profile, &key(profile), &salt(profile)).ok()
}

fn sender(profile: Profile) -> Option<Sender> {
    Sender::new(&master(profile)?).ok()
}

fn receiver(profile: Profile) -> Option<Receiver> {
    Receiver::with_config(&master(profile)?, Config::new()).ok()
}

fn packet(len: usize, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x5a; len];
    write_header(&mut packet, sequence);
    packet
}

fn write_header(packet: &mut [u8], sequence: u16) {
    if let Some(head) = packet.first_chunk_mut::<HEADER>() {
        *head = [0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        head[2..4].copy_from_slice(&sequence.to_be_bytes());
        head[8..].copy_from_slice(&SSRC.to_be_bytes());
    }
}

/// Packets as a sender made them.
fn protected(profile: Profile, len: usize) -> Vec<Vec<u8>> {
    let mut sender = sender(profile);
    (0..PACKETS)
        .map(|sequence| {
            let mut packet = packet(len, sequence);
            if let Some(sender) = &mut sender {
                let protected = sender.protect_rtp(&mut packet, 0);
                assert!(protected.is_ok(), "{protected:?}");
            }
            packet
        })
        .collect()
}

/// What the standard's arithmetic costs with nothing around it: the cipher's and the
/// authentication's own calls, keyed beforehand.
#[allow(clippy::large_enum_variant, reason = "one of them exists at a time")]
enum Bare {
    Gcm(aead::LessSafeKey),
    Cm128(Box<aes::Aes128Enc>, hmac::Hmac<sha1::Sha1>),
    Cm256(Box<aes::Aes256Enc>, hmac::Hmac<sha1::Sha1>),
}

impl Bare {
    fn new(profile: Profile) -> Option<Self> {
        let key = key(profile);
        let mac = <hmac::Hmac<sha1::Sha1> as hmac::KeyInit>::new_from_slice(&[7; 20]).ok()?;
        Some(match (profile.is_aead(), profile.key_len()) {
            (true, len) => {
                let algorithm = match len {
                    16 => &aead::AES_128_GCM,
                    _ => &aead::AES_256_GCM,
                };
                Self::Gcm(aead::LessSafeKey::new(
                    aead::UnboundKey::new(algorithm, &key).ok()?,
                ))
            }
            (false, 16) => Self::Cm128(Box::new(aes::Aes128Enc::new_from_slice(&key).ok()?), mac),
            (false, _) => Self::Cm256(Box::new(aes::Aes256Enc::new_from_slice(&key).ok()?), mac),
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Gcm(_) => "bare-ring",
            Self::Cm128(..) | Self::Cm256(..) => "bare-ctr+hmac",
        }
    }

    /// Encrypts the packet behind its header in place; returns 16 bytes of the tag.
    fn seal(&self, packet: &mut [u8], count: u64) -> [u8; 16] {
        let (head, body) = packet.split_at_mut(HEADER);
        let mut out = [0; 16];
        match self {
            Self::Gcm(key) => {
                let nonce = nonce(count);
                if let Ok(tag) = key.seal_in_place_separate_tag(nonce, aead::Aad::from(head), body)
                {
                    out.copy_from_slice(tag.as_ref());
                }
            }
            Self::Cm128(cipher, mac) => {
                ctr(&**cipher, body);
                out.copy_from_slice(&authenticate(mac, packet)[..16]);
            }
            Self::Cm256(cipher, mac) => {
                ctr(&**cipher, body);
                out.copy_from_slice(&authenticate(mac, packet)[..16]);
            }
        }
        out
    }

    /// Packets sealed one after the other, each followed by 16 bytes of its tag.
    fn protected(&self, len: usize) -> Vec<Vec<u8>> {
        (0..PACKETS)
            .map(|sequence| {
                let mut packet = packet(len, sequence);
                let tag = self.seal(&mut packet, sequence.into());
                packet.extend_from_slice(&tag);
                packet
            })
            .collect()
    }

    /// The other way round; the last 16 bytes of the packet are the tag.
    fn open(&self, packet: &mut [u8], count: u64) -> bool {
        match self {
            Self::Gcm(key) => {
                let (head, body) = packet.split_at_mut(HEADER);
                let nonce = nonce(count);
                key.open_in_place(nonce, aead::Aad::from(head), body)
                    .is_ok()
            }
            Self::Cm128(cipher, mac) => {
                let (packet, tag) = packet.split_at_mut(packet.len() - 16);
                let same = authenticate(mac, packet)[..16] == *tag;
                ctr(&**cipher, &mut packet[HEADER..]);
                same
            }
            Self::Cm256(cipher, mac) => {
                let (packet, tag) = packet.split_at_mut(packet.len() - 16);
                let same = authenticate(mac, packet)[..16] == *tag;
                ctr(&**cipher, &mut packet[HEADER..]);
                same
            }
        }
    }
}

/// A nonce that no two packets share, as the standard demands of every caller.
fn nonce(count: u64) -> aead::Nonce {
    let mut nonce = [1; 12];
    nonce[4..].copy_from_slice(&count.to_be_bytes());
    aead::Nonce::assume_unique_for_key(nonce)
}

fn ctr<C>(cipher: &C, data: &mut [u8])
where
    C: aes::cipher::BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let core = ctr::CtrCore::<&C, ctr::flavors::Ctr128BE>::inner_iv_init(cipher, &[3; 16].into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
}

fn authenticate(mac: &hmac::Hmac<sha1::Sha1>, packet: &[u8]) -> [u8; 20] {
    let mut mac = mac.clone();
    mac.update(packet);
    mac.update(&[0; 4]);
    mac.finalize().into_bytes().into()
}

fn webrtc_context(profile: Profile) -> Option<webrtc_srtp::context::Context> {
    use webrtc_srtp::protection_profile::ProtectionProfile as P;
    let theirs = match profile {
        Profile::AesCm128HmacSha1_80 => P::Aes128CmHmacSha1_80,
        Profile::AesCm128HmacSha1_32 => P::Aes128CmHmacSha1_32,
        Profile::AesCm256HmacSha1_80 => P::Aes256CmHmacSha1_80,
        Profile::AeadAes128Gcm => P::AeadAes128Gcm,
        Profile::AeadAes256Gcm => P::AeadAes256Gcm,
        _ => return None,
    };
    webrtc_srtp::context::Context::new(
        &key(profile),
        &salt(profile),
        theirs,
        Some(webrtc_srtp::option::srtp_replay_protection(1024)),
        None,
    )
    .ok()
}

fn rtc_context(profile: Profile) -> Option<rtc_srtp::context::Context> {
    use rtc_srtp::protection_profile::ProtectionProfile as P;
    let theirs = match profile {
        Profile::AesCm128HmacSha1_80 => P::Aes128CmHmacSha1_80,
        Profile::AesCm128HmacSha1_32 => P::Aes128CmHmacSha1_32,
        Profile::AesCm256HmacSha1_80 => P::Aes256CmHmacSha1_80,
        Profile::AeadAes128Gcm => P::AeadAes128Gcm,
        Profile::AeadAes256Gcm => P::AeadAes256Gcm,
        _ => return None,
    };
    let provider = rtc_crypto::default_provider().ok()?;
    rtc_srtp::context::Context::new(
        &key(profile),
        &salt(profile),
        theirs,
        Some(rtc_srtp::option::srtp_replay_protection(1024)),
        None,
        provider.crypto(),
    )
    .ok()
}

#[cfg(feature = "libsrtp2")]
fn libsrtp2_session(profile: Profile, inbound: bool) -> Option<libsrtp2::Session> {
    use libsrtp2::{CryptoPolicy as C, Session, StreamPolicy};
    let policy = match profile {
        Profile::AesCm128HmacSha1_80 => C::aes_cm_128_hmac_sha1_80(),
        Profile::AesCm128HmacSha1_32 => C::aes_cm_128_hmac_sha1_32(),
        Profile::AesCm256HmacSha1_80 => C::aes_cm_256_hmac_sha1_80(),
        Profile::AeadAes128Gcm => C::aes_gcm_128_16_auth(),
        Profile::AeadAes256Gcm => C::aes_gcm_256_16_auth(),
        _ => return None,
    };
    let key = [key(profile), salt(profile)].concat();
    // SRTCP has tags of 80 bits in the profiles with 32 for SRTP too (RFC 5764 §4.1.2).
    let control = match profile {
        Profile::AesCm128HmacSha1_32 => C::aes_cm_128_hmac_sha1_80(),
        _ => policy,
    };
    let policy = StreamPolicy {
        key: &key,
        rtp: policy,
        rtcp: control,
        window_size: 1024,
        ..Default::default()
    };
    if inbound {
        Session::with_inbound_template(policy).ok()
    } else {
        Session::with_outbound_template(policy).ok()
    }
}

/// A buffer that is protected again and again, each time with the next sequence number.
struct Outgoing {
    buffer: Vec<u8>,
    len: usize,
    sequence: u16,
}

impl Outgoing {
    fn new(len: usize) -> Self {
        let mut buffer = packet(len, 0);
        buffer.reserve(64);
        Self {
            buffer,
            len,
            sequence: 0,
        }
    }

    fn next(&mut self) -> &mut Vec<u8> {
        self.buffer.truncate(self.len);
        write_header(&mut self.buffer, self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        &mut self.buffer
    }
}

fn protect(profile: Profile, case: &str, len: usize) {
    let (Some(mut sender), Some(bare)) = (sender(profile), Bare::new(profile)) else {
        return;
    };
    let mut ours = Outgoing::new(len);
    let mut theirs = Outgoing::new(len);
    let mut count = 0;
    let mut comparison = Comparison::new("srtp", case, "ns", Better::Less)
        .time("ours", move || sender.protect_rtp(ours.next(), 0).is_ok())
        .time(bare.name(), move || {
            count += 1;
            bare.seal(theirs.next(), count)
        });
    if let Some(mut context) = webrtc_context(profile) {
        let mut plain = Outgoing::new(len);
        comparison = comparison.time("webrtc-srtp", move || {
            context.encrypt_rtp(plain.next()).is_ok()
        });
    }
    if let Some(mut context) = rtc_context(profile) {
        let mut plain = Outgoing::new(len);
        comparison = comparison.time("rtc-srtp", move || {
            context.encrypt_rtp(plain.next()).is_ok()
        });
    }
    #[cfg(feature = "libsrtp2")]
    if let Some(mut session) = libsrtp2_session(profile, false) {
        let mut plain = Outgoing::new(len);
        comparison = comparison.time("libsrtp2", move || session.protect(plain.next()).is_ok());
    }
    comparison.run();
}

fn unprotect(profile: Profile, case: &str, len: usize) {
    let Some(bare) = Bare::new(profile) else {
        return;
    };
    let packets = protected(profile, len);
    let bare_packets = bare.protected(len);
    let count = packets.len();
    let packets = &packets;
    let mut comparison = Comparison::new("srtp", case, "ns", Better::Less)
        .time_prepared(
            "ours",
            count,
            || (receiver(profile), packets.clone()),
            |(receiver, packets)| {
                for packet in packets {
                    let done = receiver.as_mut().map(|r| r.unprotect_rtp(packet));
                    assert!(matches!(done, Some(Ok(n)) if n == len), "{done:?}");
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
                    let done = context.as_mut().map(|c| c.decrypt_rtp(packet).is_ok());
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
                    let done = context.as_mut().map(|c| c.decrypt_rtp(packet).is_ok());
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
                    let done = session.as_mut().map(|s| s.unprotect(packet).is_ok());
                    assert_eq!(done, Some(true));
                }
            },
        );
    }
    comparison.run();
}

/// Many packets in one call, beside one call a packet.
fn protect_batch(profile: Profile, case: &str, len: usize) {
    let (Some(mut batched), Some(mut single), Some(bare)) =
        (sender(profile), sender(profile), Bare::new(profile))
    else {
        return;
    };
    let mut outgoing: Vec<_> = (0..BATCH).map(|_| vec![0x5a; len + 32]).collect();
    let mut sequence = 0u16;
    let mut plain = Outgoing::new(len);
    let mut bare_plain = Outgoing::new(len);
    let mut count = 0;
    let per_packet = |figure: f64| figure / BATCH as f64;
    let mut comparison = Comparison::new("srtp", case, "ns", Better::Less)
        .figure("ours", move || {
            per_packet(nanoseconds_per_call(&mut || {
                let mut slots: [Slot<'_, _>; BATCH] = {
                    let mut buffers = outgoing.iter_mut();
                    std::array::from_fn(|_| match buffers.next() {
                        Some(buffer) => {
                            write_header(buffer, sequence);
                            sequence = sequence.wrapping_add(1);
                            Slot::new(buffer, len)
                        }
                        None => Slot::new(&mut [], 0),
                    })
                };
                let done = batched.protect_rtp_batch(&mut slots);
                assert_eq!(done, BATCH);
            }))
        })
        .time("ours-one-by-one", move || {
            single.protect_rtp(plain.next(), 0).is_ok()
        })
        .time(bare.name(), move || {
            count += 1;
            bare.seal(bare_plain.next(), count)
        });
    if let Some(mut context) = rtc_context(profile) {
        let mut plain = Outgoing::new(len);
        comparison = comparison.time("rtc-srtp", move || {
            context.encrypt_rtp(plain.next()).is_ok()
        });
    }
    comparison.run();
}

fn unprotect_batch(profile: Profile, case: &str, len: usize) {
    let Some(bare) = Bare::new(profile) else {
        return;
    };
    let packets = protected(profile, len);
    let bare_packets = bare.protected(len);
    let count = packets.len();
    let packets = &packets;
    Comparison::new("srtp", case, "ns", Better::Less)
        .time_prepared(
            "ours",
            count,
            || (receiver(profile), packets.clone()),
            |(receiver, packets)| {
                for batch in packets.chunks_mut(BATCH) {
                    let mut buffers = batch.iter_mut();
                    let mut slots: [Slot<'_, _>; BATCH] =
                        std::array::from_fn(|_| match buffers.next() {
                            Some(packet) => {
                                let len = packet.len();
                                Slot::new(packet, len)
                            }
                            None => Slot::new(&mut [], 0),
                        });
                    let done = receiver.as_mut().map(|r| r.unprotect_rtp_batch(&mut slots));
                    assert_eq!(done, Some(BATCH));
                }
            },
        )
        .time_prepared(
            "ours-one-by-one",
            count,
            || (receiver(profile), packets.clone()),
            |(receiver, packets)| {
                for packet in packets {
                    let done = receiver.as_mut().map(|r| r.unprotect_rtp(packet));
                    assert!(matches!(done, Some(Ok(n)) if n == len), "{done:?}");
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
        )
        .run();
}

/// One packet protected for many sessions, copies included; nanoseconds a copy.
fn forward(profile: Profile, case: &str, len: usize) {
    let mut senders: Vec<_> = (0..COPIES).filter_map(|_| sender(profile)).collect();
    let mut singles: Vec<_> = (0..COPIES).filter_map(|_| sender(profile)).collect();
    let mut contexts: Vec<_> = (0..COPIES).filter_map(|_| rtc_context(profile)).collect();
    let mut outs: Vec<Vec<u8>> = (0..COPIES).map(|_| Vec::with_capacity(len + 64)).collect();
    let mut single_outs = outs.clone();
    let mut ours = Outgoing::new(len);
    let mut single = Outgoing::new(len);
    let mut theirs = Outgoing::new(len);
    let per_copy = |figure: f64| figure / COPIES as f64;
    let mut comparison = Comparison::new("srtp", case, "ns", Better::Less)
        .figure("ours", move || {
            per_copy(nanoseconds_per_call(&mut || {
                let packet = ours.next();
                let pairs = senders.iter_mut().zip(&mut outs);
                let mut copies = Vec::with_capacity(COPIES);
                for (sender, out) in pairs {
                    out.clear();
                    copies.push(Destination::new(sender, out).ssrc(99));
                }
                assert_eq!(forward_rtp(packet, &mut copies), COPIES);
            }))
        })
        .figure("ours-one-by-one", move || {
            per_copy(nanoseconds_per_call(&mut || {
                let packet = single.next();
                for (sender, out) in singles.iter_mut().zip(&mut single_outs) {
                    out.clear();
                    out.extend_from_slice(packet);
                    out[8..12].copy_from_slice(&99u32.to_be_bytes());
                    assert!(sender.protect_rtp(out, 0).is_ok());
                }
            }))
        });
    if contexts.len() == COPIES {
        comparison = comparison.figure("rtc-srtp", move || {
            per_copy(nanoseconds_per_call(&mut || {
                let packet = theirs.next();
                for context in &mut contexts {
                    assert!(context.encrypt_rtp(packet).is_ok());
                }
            }))
        });
    }
    comparison.run();
}

/// Allocations a packet, there and back.
fn heap(profile: Profile, case: &str, len: usize) {
    let (Some(mut sender), Some(mut receiver)) = (sender(profile), receiver(profile)) else {
        return;
    };
    let mut ours = Outgoing::new(len);
    let mut comparison =
        Comparison::new("srtp", case, "allocations", Better::Less).allocations("ours", move || {
            let packet = ours.next();
            sender.protect_rtp(packet, 0).is_ok() && receiver.unprotect_rtp(packet).is_ok()
        });
    if let (Some(mut out), Some(mut back)) = (webrtc_context(profile), webrtc_context(profile)) {
        let mut plain = Outgoing::new(len);
        comparison = comparison.allocations("webrtc-srtp", move || {
            out.encrypt_rtp(plain.next())
                .is_ok_and(|packet| back.decrypt_rtp(&packet).is_ok())
        });
    }
    if let (Some(mut out), Some(mut back)) = (rtc_context(profile), rtc_context(profile)) {
        let mut plain = Outgoing::new(len);
        comparison = comparison.allocations("rtc-srtp", move || {
            out.encrypt_rtp(plain.next())
                .is_ok_and(|packet| back.decrypt_rtp(&packet).is_ok())
        });
    }
    comparison.run();
}
