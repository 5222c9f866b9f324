//! What a handshake settles, and what is known of the peer.

use rustls::CipherSuite;

use crate::certificate::Fingerprint;
use crate::config::{Config, SrtpProfile, Verification, Version};
use crate::crypto::schedule12::MasterSecret;
use crate::crypto::schedule13::Exporter13;
use crate::error::Failure;

/// Where exported keying material comes from.
#[derive(Debug)]
pub(crate) enum Exporter {
    Dtls12(MasterSecret),
    Dtls13(Exporter13),
}

/// How far the peer's certificate is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerTrust {
    /// No certificate yet, or none asked for.
    Unknown,
    /// Its key is proved, its fingerprint is not known yet.
    AwaitsFingerprint,
    Trusted,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) version: Option<Version>,
    pub(crate) cipher_suite: Option<CipherSuite>,
    pub(crate) group: Option<u16>,
    pub(crate) peer_scheme: Option<u16>,
    pub(crate) srtp_profile: Option<SrtpProfile>,
    pub(crate) alpn: Option<Vec<u8>>,
    /// What the client offers and asks for, at a server.
    pub(crate) offered_alpn: Vec<Vec<u8>>,
    pub(crate) server_name: Option<String>,
    /// Which of our certificates was shown.
    pub(crate) shown: Option<usize>,
    pub(crate) peer_certificates: Vec<Vec<u8>>,
    pub(crate) trust: PeerTrust,
    pub(crate) fingerprints: Vec<Fingerprint>,
    pub(crate) exporter: Option<Exporter>,
    pub(crate) client_random: [u8; 32],
    /// Largest plaintext that the peer takes.
    pub(crate) limit_out: usize,
    /// A HelloRetryRequest was sent or answered.
    pub(crate) retried: bool,
}

impl Session {
    pub(crate) fn new(config: &Config) -> Self {
        let fingerprints = match &config.verification {
            Verification::Fingerprints(list) => list.clone(),
            _ => Vec::new(),
        };
        Self {
            version: None,
            cipher_suite: None,
            group: None,
            peer_scheme: None,
            srtp_profile: None,
            alpn: None,
            offered_alpn: Vec::new(),
            server_name: None,
            shown: None,
            peer_certificates: Vec::new(),
            trust: PeerTrust::Unknown,
            fingerprints,
            exporter: None,
            client_random: [0; 32],
            limit_out: crate::limits::MAX_PLAINTEXT,
            retried: false,
        }
    }

    /// Judges the chain, of which the key is proved (or soon will be).
    pub(crate) fn judge(&mut self, config: &Config) -> Result<(), Failure> {
        let Some(leaf) = self.peer_certificates.first() else {
            return Ok(());
        };
        match &config.verification {
            Verification::Any => self.trust = PeerTrust::Trusted,
            Verification::Custom(judge) => {
                judge
                    .verify(&self.peer_certificates)
                    .map_err(Failure::UntrustedCertificate)?;
                self.trust = PeerTrust::Trusted;
            }
            Verification::Fingerprints(_) => {
                if self.fingerprints.is_empty() {
                    self.trust = PeerTrust::AwaitsFingerprint;
                } else if self.fingerprints.iter().any(|print| print.matches(leaf)) {
                    self.trust = PeerTrust::Trusted;
                } else {
                    return Err(Failure::FingerprintMismatch);
                }
            }
        }
        Ok(())
    }
}
