//! Key schedule of 1.3 (RFC 8446 §7.1) with DTLS's label prefix (RFC 9147 §5.9).

use rustls::crypto::hash::{Hash, Output};
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::aead::Algorithm;
use super::suite::Suite13;

/// What stands before every label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    Dtls13,
    /// Plain TLS 1.3: only for the traces of RFC 8448.
    #[cfg(test)]
    Tls13,
}

impl Prefix {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Dtls13 => b"dtls13",
            #[cfg(test)]
            Self::Tls13 => b"tls13 ",
        }
    }
}

/// HkdfLabel's parts, so that expansion allocates nothing.
fn with_label<T>(
    prefix: Prefix,
    label: &[u8],
    context: &[u8],
    length: usize,
    expand: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let prefix = prefix.bytes();
    expand(&[
        &(length as u16).to_be_bytes(),
        &[(prefix.len() + label.len()) as u8],
        prefix,
        label,
        &[context.len() as u8],
        context,
    ])
}

/// A secret of the schedule, with what is needed to derive from it.
#[derive(Clone)]
pub(crate) struct Secret {
    hkdf: &'static dyn Hkdf,
    prefix: Prefix,
    block: OkmBlock,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.block.as_ref()
    }

    fn expander(&self) -> Box<dyn HkdfExpander> {
        self.hkdf.expander_for_okm(&self.block)
    }

    fn expand(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> Result<(), ()> {
        let length = out.len();
        let expander = self.expander();
        with_label(self.prefix, label, context, length, |info| {
            expander.expand_slice(info, out).map_err(|_| ())
        })
    }

    fn derive(&self, label: &[u8], context: &[u8]) -> Self {
        let expander = self.expander();
        let length = expander.hash_len();
        let block = with_label(self.prefix, label, context, length, |info| {
            expander.expand_block(info)
        });
        Self {
            hkdf: self.hkdf,
            prefix: self.prefix,
            block,
        }
    }

    /// The secret of the next epoch (RFC 8446 §7.2).
    pub(crate) fn next_generation(&self) -> Self {
        self.derive(b"traffic upd", &[])
    }

    /// HMAC over the transcript with the finished key (RFC 8446 §4.4.4).
    pub(crate) fn finished(&self, transcript: &Output) -> Vec<u8> {
        let key = self.derive(b"finished", &[]);
        self.hkdf
            .hmac_sign(&key.block, transcript.as_ref())
            .as_ref()
            .to_vec()
    }

    pub(crate) fn verify_finished(&self, transcript: &Output, theirs: &[u8]) -> bool {
        self.finished(transcript).ct_eq(theirs).into()
    }

    /// Key, IV and record-number key of an epoch (RFC 8446 §7.3, RFC 9147 §4.2.3).
    pub(crate) fn traffic_keys(&self, algorithm: Algorithm) -> TrafficKeys {
        let mut keys = TrafficKeys {
            algorithm,
            key: Zeroizing::new([0; 32]),
            iv: [0; 12],
            mask_key: Zeroizing::new([0; 32]),
        };
        let length = algorithm.key_length();
        // Lengths of at most 32 octets cannot be refused.
        let _ = self.expand(b"key", &[], &mut keys.key[..length]);
        let _ = self.expand(b"iv", &[], &mut keys.iv);
        let _ = self.expand(b"sn", &[], &mut keys.mask_key[..length]);
        keys
    }
}

/// Key material of one direction of one epoch.
pub(crate) struct TrafficKeys {
    pub(crate) algorithm: Algorithm,
    key: Zeroizing<[u8; 32]>,
    pub(crate) iv: [u8; 12],
    mask_key: Zeroizing<[u8; 32]>,
}

impl TrafficKeys {
    pub(crate) fn key(&self) -> &[u8] {
        &self.key[..self.algorithm.key_length()]
    }

    pub(crate) fn mask_key(&self) -> &[u8] {
        &self.mask_key[..self.algorithm.key_length()]
    }
}

impl Drop for TrafficKeys {
    fn drop(&mut self) {
        self.iv.zeroize();
    }
}

/// A salt to the next Extract: the state between the schedule's stages.
fn extract(
    hkdf: &'static dyn Hkdf,
    prefix: Prefix,
    hash: &'static dyn Hash,
    salt: Option<&[u8]>,
    input: Option<&[u8]>,
) -> Stage {
    let expander = match input {
        Some(input) => hkdf.extract_from_secret(salt, input),
        None => hkdf.extract_from_zero_ikm(salt),
    };
    Stage {
        hkdf,
        prefix,
        hash,
        expander,
    }
}

struct Stage {
    hkdf: &'static dyn Hkdf,
    prefix: Prefix,
    hash: &'static dyn Hash,
    expander: Box<dyn HkdfExpander>,
}

impl Stage {
    fn derive(&self, label: &[u8], context: &[u8]) -> Secret {
        let length = self.expander.hash_len();
        let block = with_label(self.prefix, label, context, length, |info| {
            self.expander.expand_block(info)
        });
        Secret {
            hkdf: self.hkdf,
            prefix: self.prefix,
            block,
        }
    }

    /// The salt of the next stage.
    fn derived(&self) -> Secret {
        let empty = self.hash.hash(&[]);
        self.derive(b"derived", empty.as_ref())
    }
}

/// Both sides' secrets of the handshake epoch, and the way on.
pub(crate) struct HandshakeSecrets {
    pub(crate) client: Secret,
    pub(crate) server: Secret,
    master_salt: Secret,
    hash: &'static dyn Hash,
}

impl std::fmt::Debug for HandshakeSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandshakeSecrets(..)")
    }
}

impl HandshakeSecrets {
    /// From the shared secret and the transcript up to ServerHello.
    pub(crate) fn new(suite: Suite13, shared: &[u8], hello_hash: &Output) -> Self {
        Self::with_prefix(
            Prefix::Dtls13,
            suite.suite.hkdf_provider,
            suite.hash(),
            shared,
            hello_hash.as_ref(),
        )
    }

    fn with_prefix(
        prefix: Prefix,
        hkdf: &'static dyn Hkdf,
        hash: &'static dyn Hash,
        shared: &[u8],
        hello_hash: &[u8],
    ) -> Self {
        let early = extract(hkdf, prefix, hash, None, None);
        let handshake = extract(
            hkdf,
            prefix,
            hash,
            Some(early.derived().bytes()),
            Some(shared),
        );
        Self {
            client: handshake.derive(b"c hs traffic", hello_hash),
            server: handshake.derive(b"s hs traffic", hello_hash),
            master_salt: handshake.derived(),
            hash,
        }
    }

    /// From the transcript up to the server's Finished.
    pub(crate) fn application(&self, server_finished: &Output) -> ApplicationSecrets {
        let Secret { hkdf, prefix, .. } = self.master_salt;
        let master = extract(
            hkdf,
            prefix,
            self.hash,
            Some(self.master_salt.bytes()),
            None,
        );
        let context = server_finished.as_ref();
        ApplicationSecrets {
            client: master.derive(b"c ap traffic", context),
            server: master.derive(b"s ap traffic", context),
            exporter: Exporter13 {
                secret: master.derive(b"exp master", context),
                hash: self.hash,
            },
        }
    }
}

/// Secrets of the first application epoch and of the exporter.
#[derive(Debug)]
pub(crate) struct ApplicationSecrets {
    pub(crate) client: Secret,
    pub(crate) server: Secret,
    pub(crate) exporter: Exporter13,
}

/// The exporter (RFC 8446 §7.5).
#[derive(Clone)]
pub(crate) struct Exporter13 {
    secret: Secret,
    hash: &'static dyn Hash,
}

impl std::fmt::Debug for Exporter13 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter13(..)")
    }
}

impl Exporter13 {
    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(crate) fn export(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> Result<(), ()> {
        // HkdfLabel.label holds 255 octets with the prefix; length 16 bits.
        if label.len() > 249 || out.len() > usize::from(u16::MAX) {
            return Err(());
        }
        let empty = self.hash.hash(&[]);
        let derived = self.secret.derive(label, empty.as_ref());
        derived.expand(b"exporter", self.hash.hash(context).as_ref(), out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()
    }

    /// RFC 8448 §3, Simple 1-RTT Handshake: the same schedule with TLS's prefix.
    #[test]
    fn follows_the_trace_of_rfc_8448() {
        let suite = crate::crypto::suite::suites13(&ring::default_provider())
            .into_iter()
            .find(|suite| suite.id() == 0x1301)
            .expect("the suite of the trace");
        let shared = hex("8b d4 05 4f b5 5b 9d 63 fd fb ac f9 f0 4b 9f 0d
             35 e6 d6 3f 53 75 63 ef d4 62 72 90 0f 89 49 2d");
        let hello_hash = hex("86 0c 06 ed c0 78 58 ee 8e 78 f0 e7 42 8c 58 ed
             d6 b4 3f 2c a3 e6 e9 5f 02 ed 06 3c f0 e1 ca d8");
        let secrets = HandshakeSecrets::with_prefix(
            Prefix::Tls13,
            suite.suite.hkdf_provider,
            suite.hash(),
            &shared,
            &hello_hash,
        );
        assert_eq!(
            secrets.client.bytes(),
            hex("b3 ed db 12 6e 06 7f 35 a7 80 b3 ab f4 5e 2d 8f
                 3b 1a 95 07 38 f5 2e 96 00 74 6a 0e 27 a5 5a 21")
        );
        assert_eq!(
            secrets.server.bytes(),
            hex("b6 7b 7d 69 0c c1 6c 4e 75 e5 42 13 cb 2d 37 b4
                 e9 c9 12 bc de d9 10 5d 42 be fd 59 d3 91 ad 38")
        );
        let keys = secrets.server.traffic_keys(Algorithm::Aes128Gcm);
        assert_eq!(
            keys.key(),
            hex("3f ce 51 60 09 c2 17 27 d0 f2 e4 e8 6e e4 03 bc")
        );
        assert_eq!(keys.iv.to_vec(), hex("5d 31 3e b2 67 12 76 ee 13 00 0b 30"));
        let finished_hash = Output::new(&hex("96 08 10 2a 0f 1c cc 6d b6 25 0b 7b 7e 41 7b 1a
             00 0e aa da 3d aa e4 77 7a 76 86 c9 ff 83 df 13"));
        let application = secrets.application(&finished_hash);
        assert_eq!(
            application.client.bytes(),
            hex("9e 40 64 6c e7 9a 7f 9d c0 5a f8 88 9b ce 65 52
                 87 5a fa 0b 06 df 00 87 f7 92 eb b7 c1 75 04 a5")
        );
        assert_eq!(
            application.server.bytes(),
            hex("a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32
                 82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 43")
        );
        assert_eq!(
            application.exporter.secret().bytes(),
            hex("fe 22 f8 81 17 6e da 18 eb 8f 44 52 9e 67 92 c5
                 0c 9a 3f 89 45 2f 68 d8 ae 31 1b 43 09 d3 cf 50")
        );
    }

    /// RFC 5869 A.1 to A.3, those with SHA-256, by the HKDF of every backend: the
    /// schedule is made of nothing else.
    #[test]
    fn hkdf_gives_the_vectors_of_rfc_5869() {
        let run = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        let vectors = [
            (
                vec![0x0b; 22],
                run(0x00, 0x0c),
                run(0xf0, 0xf9),
                "3cb25f25faacd57a90434f64d0362f2a 2d2d0a90cf1a5a4c5db02d56ecc4c5bf
                 34007208d5b887185865",
            ),
            (
                run(0x00, 0x4f),
                run(0x60, 0xaf),
                run(0xb0, 0xff),
                "b11e398dc80327a1c8e7f78c596a4934 4f012eda2d4efad8a050cc4c19afa97c
                 59045a99cac7827271cb41c65e590e09 da3275600c2f09b8367793a9aca3db71
                 cc30c58179ec3e87c14c01d5c1f3434f 1d87",
            ),
            (
                vec![0x0b; 22],
                Vec::new(),
                Vec::new(),
                "8da4e775a563c18f715f802a063c5a31 b8a11f5c5ee1879ec3454e5f3c738d2d
                 9d201395faa4b61a96c8",
            ),
        ];
        let backends = [
            crate::provider::Backend::Ring,
            #[cfg(feature = "aws-lc-rs")]
            crate::provider::Backend::AwsLcRs,
        ];
        for backend in backends {
            let suite = crate::crypto::suite::suites13(&backend.provider())
                .into_iter()
                .find(|suite| suite.id() == 0x1301)
                .expect("a suite with SHA-256");
            for (secret, salt, info, expected) in &vectors {
                let salt = Some(salt.as_slice()).filter(|salt| !salt.is_empty());
                let hkdf = suite.suite.hkdf_provider;
                let expander = hkdf.extract_from_secret(salt, secret);
                let expected = hex(expected);
                let mut output = vec![0; expected.len()];
                expander
                    .expand_slice(&[info], &mut output)
                    .expect("not too long");
                assert_eq!(output, expected, "{backend:?}");
            }
        }
    }
}
