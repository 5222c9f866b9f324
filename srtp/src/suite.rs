//! Session keys at work: one cipher, one direction, RTP or RTCP.
//!
//! The seam between the protocol and its cryptography: everything above it knows packets and
//! indices, everything below it knows keys and bytes.

use zeroize::Zeroizing;

use crate::aes_ctr::AesCtr;
use crate::backend::Backend;
use crate::gcm::Gcm;
use crate::hmac_sha1::{HmacSha1, Message};
use crate::kdf::{self, Label};
use crate::keys::{MAX_SALT_LEN, MasterKey};
use crate::profile::AUTH_KEY_LEN;
use crate::tag::Tag;
use crate::wire::RTCP_CLEAR_LEN;

/// The bit of the SRTCP index word that says the packet is encrypted (RFC 3711 §3.4).
pub(crate) const ENCRYPTED: u32 = 1 << 31;

/// Which of a master key's two sets of session keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rtp,
    Rtcp,
}

/// Session keys for one kind of packet.
#[expect(
    clippy::large_enum_variant,
    reason = "two to a context: a pointer would cost every packet more than it saves"
)]
pub(crate) enum Suite {
    Cm(CounterMode),
    Gcm(Gcm),
}

/// Counter mode with HMAC-SHA1 (RFC 3711 §4); without a cipher, authentication alone.
pub(crate) struct CounterMode {
    cipher: Option<AesCtr>,
    salt: u128,
    mac: HmacSha1,
}

impl Suite {
    /// Derives the session keys; `r` as in [`kdf::derive`]. `None` for a key no cipher takes.
    pub(crate) fn derive(
        backend: Backend,
        prf: &AesCtr,
        master: &MasterKey,
        kind: Kind,
        r: u64,
    ) -> Option<Self> {
        let (encryption, authentication, salting) = match kind {
            Kind::Rtp => (
                Label::RtpEncryption,
                Label::RtpAuthentication,
                Label::RtpSalt,
            ),
            Kind::Rtcp => (
                Label::RtcpEncryption,
                Label::RtcpAuthentication,
                Label::RtcpSalt,
            ),
        };
        let profile = master.profile();
        let mut key = Zeroizing::new([0u8; 32]);
        let key = key.get_mut(..profile.key_len())?;
        kdf::derive(prf, master, encryption, r, key);
        let mut salt = Zeroizing::new([0u8; MAX_SALT_LEN]);
        let salt = salt.get_mut(..profile.salt_len())?;
        kdf::derive(prf, master, salting, r, salt);
        let mut auth = Zeroizing::new([0u8; AUTH_KEY_LEN]);
        if !profile.is_aead() {
            kdf::derive(prf, master, authentication, r, &mut auth[..]);
        }
        let aead = profile.is_aead().then_some(backend);
        Self::from_session_keys(aead, key, salt, &auth[..])
    }

    /// A suite with these session keys: AES-GCM of a backend, or counter mode.
    pub(crate) fn from_session_keys(
        aead: Option<Backend>,
        key: &[u8],
        salt: &[u8],
        auth: &[u8],
    ) -> Option<Self> {
        if let Some(backend) = aead {
            return Gcm::new(backend, key, salt).map(Self::Gcm);
        }
        let mut padded = Zeroizing::new([0u8; 16]);
        padded.get_mut(..salt.len())?.copy_from_slice(salt);
        Some(Self::Cm(CounterMode {
            cipher: Some(AesCtr::new(key)?),
            salt: u128::from_be_bytes(*padded),
            mac: HmacSha1::new(auth),
        }))
    }

    /// The same keys for authentication alone; `None` for AEADs, which could not do without.
    pub(crate) fn without_encryption(self) -> Option<Self> {
        match self {
            Self::Cm(cm) => Some(Self::Cm(CounterMode { cipher: None, ..cm })),
            Self::Gcm(_) => None,
        }
    }

    /// The authentication that is computed apart from the cipher, if there is any.
    #[inline]
    pub(crate) fn mac(&self) -> Option<&HmacSha1> {
        match self {
            Self::Cm(cm) => Some(&cm.mac),
            Self::Gcm(_) => None,
        }
    }

    /// Encrypts `packet` from `clear` on. An AEAD returns the tag; of the others it is up to
    /// [`mac`](Self::mac), over the packet as it is sent. `None` for bodies of gigabytes.
    #[inline]
    pub(crate) fn encrypt_rtp(
        &self,
        packet: &mut [u8],
        clear: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<Tag> {
        match self {
            Self::Cm(cm) => {
                cm.apply(packet, clear, ssrc, index);
                Some(Tag::NONE)
            }
            Self::Gcm(gcm) => gcm.seal(packet, clear, gcm.rtp_nonce(ssrc, index)),
        }
    }

    /// Decrypts `packet` from `clear` on. An AEAD verifies it against `tag`, and says `false` if
    /// that is wrong; of the others it was up to [`mac`](Self::mac).
    #[inline]
    pub(crate) fn decrypt_rtp(
        &self,
        packet: &mut [u8],
        clear: usize,
        ssrc: u32,
        index: u64,
        tag: &[u8],
    ) -> bool {
        match self {
            Self::Cm(cm) => {
                cm.apply(packet, clear, ssrc, index);
                true
            }
            Self::Gcm(gcm) => gcm.open(packet, clear, gcm.rtp_nonce(ssrc, index), tag),
        }
    }

    /// Encrypts an RTCP packet, if its index word says so, and returns its tag.
    #[inline]
    pub(crate) fn seal_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Option<Tag> {
        match self {
            Self::Cm(cm) => {
                cm.apply_rtcp(packet, ssrc, word);
                Some(cm.mac.tag(Message {
                    data: packet,
                    trailer: word.to_be_bytes(),
                }))
            }
            Self::Gcm(gcm) => gcm.seal_rtcp(packet, ssrc, word),
        }
    }

    /// Verifies an RTCP packet against `tag` and decrypts it, if its index word says so; `false`
    /// where the tag is wrong.
    #[inline]
    pub(crate) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32, tag: &[u8]) -> bool {
        match self {
            Self::Cm(cm) => {
                let expected = cm.mac.tag(Message {
                    data: packet,
                    trailer: word.to_be_bytes(),
                });
                if !expected.matches(tag) {
                    return false;
                }
                cm.apply_rtcp(packet, ssrc, word);
                true
            }
            Self::Gcm(gcm) => gcm.open_rtcp(packet, ssrc, word, tag),
        }
    }
}

impl CounterMode {
    /// RFC 3711 §4.1.1: IV = (k_s * 2^16) XOR (SSRC * 2^64) XOR (i * 2^16).
    #[inline]
    fn apply(&self, packet: &mut [u8], clear: usize, ssrc: u32, index: u64) {
        let iv = self.salt ^ (u128::from(ssrc) << 64) ^ (u128::from(index) << 16);
        if let (Some(cipher), Some(data)) = (&self.cipher, packet.get_mut(clear..)) {
            cipher.apply(iv, data);
        }
    }

    #[inline]
    fn apply_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) {
        if word & ENCRYPTED != 0 {
            self.apply(packet, RTCP_CLEAR_LEN, ssrc, u64::from(word & !ENCRYPTED));
        }
    }
}

/// An RTP packet as it is authenticated: its roll-over counter behind it (RFC 3711 §4.2).
#[inline]
pub(crate) fn rtp_message(packet: &[u8], index: u64) -> Message<'_> {
    Message {
        data: packet,
        trailer: ((index >> 16) as u32).to_be_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    /// RFC 7714 §16 and §17: the session salt, "Quid pro quo", and the two packets.
    const SALT: &str = "51756964 2070726f 2071756f";
    const RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
                       69736120 696e2070 61727465 73207472 6573";
    const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
                        deadbeef deadbeef deadbeef deadbeef deadbeef";
    const MARS: u32 = 0x4d61_7273;

    const BACKENDS: &[Backend] = &[
        Backend::Ring,
        #[cfg(feature = "aws-lc-rs")]
        Backend::AwsLcRs,
    ];

    fn gcm(backend: Backend, key_len: u8) -> Suite {
        let key: Vec<u8> = (0..key_len).collect();
        Suite::from_session_keys(Some(backend), &key, &hex(SALT), &[]).unwrap()
    }

    fn check_rtp(key_len: u8, plain: &str, protected: &str) {
        for backend in BACKENDS {
            check_rtp_with(&gcm(*backend, key_len), plain, protected);
        }
    }

    fn check_rtp_with(suite: &Suite, plain: &str, protected: &str) {
        let plain = hex(plain);
        let protected = hex(protected);
        let mut packet = plain.clone();
        let tag = suite
            .encrypt_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b)
            .unwrap();
        packet.extend_from_slice(tag.get(16).unwrap());
        assert_eq!(packet, protected);
        let (packet, tag) = packet.split_at_mut(plain.len());
        assert!(suite.decrypt_rtp(packet, 12, 0x5501_a0b2, 0xf17b, tag));
        assert_eq!(packet, plain);
    }

    fn check_rtcp(key_len: u8, word: u32, protected: &str) {
        for backend in BACKENDS {
            check_rtcp_with(&gcm(*backend, key_len), word, protected);
        }
    }

    fn check_rtcp_with(suite: &Suite, word: u32, protected: &str) {
        let plain = hex(RTCP);
        let protected = hex(protected);
        let mut packet = plain.clone();
        let tag = suite.seal_rtcp(&mut packet, MARS, word).unwrap();
        packet.extend_from_slice(tag.get(16).unwrap());
        packet.extend_from_slice(&word.to_be_bytes());
        assert_eq!(packet, protected);
        let (packet, trailer) = packet.split_at_mut(plain.len());
        assert!(suite.open_rtcp(packet, MARS, word, &trailer[..16]));
        assert_eq!(packet, plain);
    }

    #[test]
    fn rfc_7714_section_16_1_srtp_aes_128() {
        check_rtp(
            16,
            RTP,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
             0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        );
    }

    #[test]
    fn rfc_7714_section_16_2_srtp_aes_256() {
        check_rtp(
            32,
            RTP,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
             9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        );
    }

    #[test]
    fn rfc_7714_section_17_1_srtcp_aes_128() {
        check_rtcp(
            16,
            0x8000_05d4,
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
             c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872
             45d9eade 800005d4",
        );
    }

    #[test]
    fn rfc_7714_section_17_2_srtcp_aes_256() {
        check_rtcp(
            32,
            0x8000_05d4,
            "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
             a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c
             b26ac3be 800005d4",
        );
    }

    #[test]
    fn rfc_7714_section_17_3_srtcp_aes_128_tag_only() {
        check_rtcp(
            16,
            0x0000_05d4,
            "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
             deadbeef deadbeef deadbeef deadbeef deadbeef 841dd968 3dd78ec9 2ae58790
             125f62b3 000005d4",
        );
    }

    #[test]
    fn rfc_7714_section_17_4_srtcp_aes_256_tag_only() {
        check_rtcp(
            32,
            0x0000_05d4,
            "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
             deadbeef deadbeef deadbeef deadbeef deadbeef 91db4afb feee5a97 8fab4393
             ed2615fe 000005d4",
        );
    }

    /// The key stream for SSRC 0 and index 0: its first three blocks, and those with the counters
    /// 0xfeff to 0xff01.
    fn check_key_stream(key: &str, first: &str, last: &str) {
        let salt = "F0F1F2F3F4F5F6F7F8F9FAFBFCFD";
        let suite = Suite::from_session_keys(None, &hex(key), &hex(salt), &[0; 20]).unwrap();
        let Suite::Cm(cm) = suite else {
            panic!("not counter mode")
        };
        let mut stream = vec![0u8; 0xff02 * 16];
        cm.apply(&mut stream, 0, 0, 0);
        assert_eq!(stream[..48], hex(first));
        assert_eq!(stream[0xfeff * 16..], hex(last));
    }

    #[test]
    fn rfc_6188_section_7_1_aes_256() {
        check_key_stream(
            "57f82fe3613fd170a85ec93c40b1f092 2ec4cb0dc025b58272147cc438944a98",
            "92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac
             63c4868b7096d88421b563b8c94c9a31",
            "cea518c90fd91ced9cbb18c078a54711 3dbc4814f4da5f00a08772b63c6a046d
             6eb246913062a16891433e97dd01a57f",
        );
    }

    #[test]
    fn rfc_6188_section_7_3_aes_192() {
        check_key_stream(
            "eab234764e517b2d3d160d587d8c8621 9740f65f99b6bcf7",
            "35096cba4610028dc1b57503804ce37c 5de986291dcce161d5165ec4568f5c9a
             474a40c77894bc17180202272a4c264d",
            "d108d1a31a00bad6367ec23eb044b415 c8f57129fdeb970b59f917b257662d4c
             a5dab625811034e8cebdfeb6dc158dd3",
        );
    }

    #[test]
    fn rfc_3711_appendix_b_2() {
        check_key_stream(
            "2B7E151628AED2A6ABF7158809CF4F3C",
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
             41E95B3BB0A2E8DD477901E4FCA894C0",
            "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE
             6A2CC3787889374FBEB4C81B17BA6C44",
        );
    }
}
