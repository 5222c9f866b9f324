//! Key schedule of 1.2 (RFC 5246 §6.3 and §8.1, RFC 7627).

use rustls::crypto::hash::Output;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::suite::Suite12;

/// Octets of verify_data (RFC 5246 §7.4.9).
pub(crate) const VERIFY_DATA: usize = 12;

/// Octets of the longest key block: two keys of 32 and two IVs of 12.
const KEY_BLOCK: usize = 88;

/// The master secret and what is derived from it.
pub(crate) struct MasterSecret {
    suite: Suite12,
    secret: Zeroizing<[u8; 48]>,
    client_random: [u8; 32],
    server_random: [u8; 32],
}

impl std::fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterSecret(..)")
    }
}

/// Key and fixed nonce part of one direction.
pub(crate) struct DirectionKeys {
    key: Zeroizing<[u8; 32]>,
    key_length: usize,
    pub(crate) iv: [u8; 12],
}

impl DirectionKeys {
    pub(crate) fn key(&self) -> &[u8] {
        &self.key[..self.key_length]
    }
}

impl Drop for DirectionKeys {
    fn drop(&mut self) {
        self.iv.zeroize();
    }
}

impl MasterSecret {
    /// The extended master secret: `session_hash` covers the messages up to
    /// and including ClientKeyExchange (RFC 7627 §3).
    pub(crate) fn extended(
        suite: Suite12,
        pre_master: &[u8],
        session_hash: &Output,
        client_random: [u8; 32],
        server_random: [u8; 32],
    ) -> Self {
        let mut secret = Zeroizing::new([0; 48]);
        suite.suite.prf_provider.for_secret(
            secret.as_mut(),
            pre_master,
            b"extended master secret",
            session_hash.as_ref(),
        );
        Self {
            suite,
            secret,
            client_random,
            server_random,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.secret.as_ref()
    }

    fn prf(&self, label: &[u8], seed: &[u8], out: &mut [u8]) {
        self.suite
            .suite
            .prf_provider
            .for_secret(out, self.secret.as_ref(), label, seed);
    }

    /// The client's and the server's write keys.
    pub(crate) fn keys(&self) -> (DirectionKeys, DirectionKeys) {
        let key_length = self.suite.aead.key_length();
        let iv_length = self.suite.aead.fixed_iv_length();
        let mut seed = [0; 64];
        seed[..32].copy_from_slice(&self.server_random);
        seed[32..].copy_from_slice(&self.client_random);
        let mut block = Zeroizing::new([0; KEY_BLOCK]);
        self.prf(
            b"key expansion",
            &seed,
            &mut block[..2 * (key_length + iv_length)],
        );
        let direction = |index: usize| {
            let mut keys = DirectionKeys {
                key: Zeroizing::new([0; 32]),
                key_length,
                iv: [0; 12],
            };
            let key_at = index * key_length;
            let iv_at = 2 * key_length + index * iv_length;
            keys.key[..key_length].copy_from_slice(&block[key_at..key_at + key_length]);
            keys.iv[..iv_length].copy_from_slice(&block[iv_at..iv_at + iv_length]);
            keys
        };
        (direction(0), direction(1))
    }

    pub(crate) fn finished(&self, from_client: bool, transcript: &Output) -> [u8; VERIFY_DATA] {
        let label: &[u8] = if from_client {
            b"client finished"
        } else {
            b"server finished"
        };
        let mut out = [0; VERIFY_DATA];
        self.prf(label, transcript.as_ref(), &mut out);
        out
    }

    pub(crate) fn verify_finished(
        &self,
        from_client: bool,
        transcript: &Output,
        theirs: &[u8],
    ) -> bool {
        self.finished(from_client, transcript)
            .as_slice()
            .ct_eq(theirs)
            .into()
    }

    /// The exporter (RFC 5705 §4).
    pub(crate) fn export(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), ()> {
        let mut seed = Vec::with_capacity(66 + context.map_or(0, <[u8]>::len));
        seed.extend_from_slice(&self.client_random);
        seed.extend_from_slice(&self.server_random);
        if let Some(context) = context {
            let length = u16::try_from(context.len()).map_err(|_| ())?;
            seed.extend_from_slice(&length.to_be_bytes());
            seed.extend_from_slice(context);
        }
        self.prf(label, &seed, out);
        Ok(())
    }
}
