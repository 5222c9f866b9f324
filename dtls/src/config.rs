//! What a connection is configured with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{AlertDescription, KeyLog, NamedGroup, NoKeyLog};

use crate::certificate::{Certificate, Fingerprint};
use crate::crypto::signature::{self, Rules};
use crate::crypto::suite::{Suite12, Suite13, suites12, suites13};
use crate::error::Error;
use crate::limits;
use crate::provider::Backend;

/// The protocol versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// DTLS 1.2, RFC 6347.
    Dtls12,
    /// DTLS 1.3, RFC 9147.
    Dtls13,
}

/// Which side of the handshake a connection plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends the ClientHello (`a=setup:active`).
    Client,
    /// Waits for it (`a=setup:passive`).
    Server,
}

/// SRTP protection profiles that can be negotiated (RFC 5764, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SrtpProfile {
    /// SRTP_AES128_CM_HMAC_SHA1_80.
    AesCm128HmacSha1_80,
    /// SRTP_AES128_CM_HMAC_SHA1_32.
    AesCm128HmacSha1_32,
    /// SRTP_AEAD_AES_128_GCM.
    AeadAes128Gcm,
    /// SRTP_AEAD_AES_256_GCM.
    AeadAes256Gcm,
}

impl SrtpProfile {
    /// The profile's number in use_srtp.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::AesCm128HmacSha1_80 => 0x0001,
            Self::AesCm128HmacSha1_32 => 0x0002,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
        }
    }

    /// The profile with a number, if it is one of these.
    #[must_use]
    pub const fn from_id(id: u16) -> Option<Self> {
        Some(match id {
            0x0001 => Self::AesCm128HmacSha1_80,
            0x0002 => Self::AesCm128HmacSha1_32,
            0x0007 => Self::AeadAes128Gcm,
            0x0008 => Self::AeadAes256Gcm,
            _ => return None,
        })
    }
}

/// What a server asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// No certificate.
    None,
    /// A certificate, but a client without one is taken too.
    Request,
    /// A certificate.
    Require,
}

/// A caller's own check of the peer's certificates.
pub trait VerifyPeer: Send + Sync + fmt::Debug {
    /// Judges a chain (DER, leaf first). That the peer has the key is checked
    /// elsewhere.
    ///
    /// # Errors
    /// What the peer is told when it is refused.
    fn verify(&self, chain: &[Vec<u8>]) -> Result<(), AlertDescription>;
}

/// How the peer's certificate is judged.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Verification {
    /// It must have one of these fingerprints. With an empty list the
    /// connection is not reported as established, and gives no data, before
    /// [`crate::Connection::set_remote_fingerprints`] is called.
    Fingerprints(Vec<Fingerprint>),
    /// The caller judges.
    Custom(Arc<dyn VerifyPeer>),
    /// Any certificate will do: for peers told apart in another way.
    Any,
}

/// A connection's configuration: made by [`Config::builder`], shared by any
/// number of connections.
#[derive(Clone)]
pub struct Config {
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) backend: Backend,
    pub(crate) oldest: Version,
    pub(crate) newest: Version,
    pub(crate) verification: Verification,
    pub(crate) client_auth: ClientAuth,
    pub(crate) insists_on_own: bool,
    pub(crate) srtp_profiles: Vec<SrtpProfile>,
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) alpn_required: bool,
    pub(crate) mtu: usize,
    pub(crate) max_message: usize,
    pub(crate) rto: Duration,
    pub(crate) connection_id: Option<usize>,
    pub(crate) record_size_limit: Option<u16>,
    pub(crate) key_log: Arc<dyn KeyLog>,
    pub(crate) key_shares: Vec<NamedGroup>,
    pub(crate) server_name: Option<String>,
    pub(crate) acknowledges_server_name: bool,
    pub(crate) suites12: Vec<Suite12>,
    pub(crate) suites13: Vec<Suite13>,
    pub(crate) schemes12: Vec<u16>,
    pub(crate) schemes13: Vec<u16>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("certificates", &self.certificates)
            .field("versions", &(self.oldest, self.newest))
            .field("verification", &self.verification)
            .field("client_auth", &self.client_auth)
            .field("srtp_profiles", &self.srtp_profiles)
            .field("mtu", &self.mtu)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Starts a configuration with ring, both versions, a certificate required
    /// of both sides and fingerprints to come.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            config: Self {
                certificates: Vec::new(),
                provider: Arc::new(crate::provider::default_provider()),
                backend: Backend::default(),
                oldest: Version::Dtls12,
                newest: Version::Dtls13,
                verification: Verification::Fingerprints(Vec::new()),
                client_auth: ClientAuth::Require,
                insists_on_own: false,
                srtp_profiles: Vec::new(),
                alpn: Vec::new(),
                alpn_required: true,
                mtu: limits::DEFAULT_MTU,
                max_message: limits::MAX_MESSAGE,
                rto: limits::INITIAL_RTO,
                connection_id: None,
                record_size_limit: None,
                key_log: Arc::new(NoKeyLog),
                key_shares: Vec::new(),
                server_name: None,
                acknowledges_server_name: false,
                suites12: Vec::new(),
                suites13: Vec::new(),
                schemes12: Vec::new(),
                schemes13: Vec::new(),
            },
        }
    }

    pub(crate) fn offers(&self, version: Version) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// The group with a number, if it may be used with `version`.
    pub(crate) fn group(&self, id: u16, version: Version) -> Option<&'static dyn SupportedKxGroup> {
        self.groups(version)
            .find(|group| u16::from(group.name()) == id)
    }

    /// The groups usable with `version`, best first.
    pub(crate) fn groups(
        &self,
        version: Version,
    ) -> impl Iterator<Item = &'static dyn SupportedKxGroup> + '_ {
        // Providers know TLS's versions only.
        let tls = match version {
            Version::Dtls12 => rustls::ProtocolVersion::TLSv1_2,
            Version::Dtls13 => rustls::ProtocolVersion::TLSv1_3,
        };
        self.provider
            .kx_groups
            .iter()
            .copied()
            .filter(move |group| group.usable_for_version(tls))
    }

    /// Groups to send a share of with the first ClientHello.
    pub(crate) fn initial_shares(&self) -> Vec<&'static dyn SupportedKxGroup> {
        if self.key_shares.is_empty() {
            // The best; where that is a hybrid, also what a peer without it has.
            let mut groups: Vec<_> = self.groups(Version::Dtls13).collect();
            let hybrid = groups
                .first()
                .is_some_and(|best| !best.usable_for_version(rustls::ProtocolVersion::TLSv1_2));
            groups.truncate(if hybrid { 2 } else { 1 });
            groups
        } else {
            self.key_shares
                .iter()
                .filter_map(|name| self.group((*name).into(), Version::Dtls13))
                .collect()
        }
    }
}

/// Makes a [`Config`].
#[derive(Debug, Clone)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// Our certificate. A server needs one; a client that has none (that suits)
    /// answers a request with none.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.config.certificates = vec![certificate];
        self
    }

    /// Several in place of one, best first: the first is shown that the peer
    /// takes, by its key (cipher suites of 1.2, signature schemes) and, where
    /// [`Certificate::only_for_issuer`] says so, by its issuer.
    #[must_use]
    pub fn certificates(mut self, certificates: Vec<Certificate>) -> Self {
        self.config.certificates = certificates;
        self
    }

    /// The library to begin with: its [`provider`](Backend::provider), and its
    /// AEADs for records. Default: [`Backend::Ring`].
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.config.backend = backend;
        self.config.provider = Arc::new(backend.provider());
        self
    }

    /// Suites, groups, signatures and randomness in the order of preference,
    /// in place of those of the [`backend`](Self::backend), which goes on to
    /// protect the records. The default is
    /// [`crate::provider::default_provider`].
    #[must_use]
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.config.provider = provider;
        self
    }

    /// The oldest and the newest version to use, as far as the provider has
    /// suites and groups for them. Default: both.
    #[must_use]
    pub fn versions(mut self, oldest: Version, newest: Version) -> Self {
        self.config.oldest = oldest;
        self.config.newest = newest;
        self
    }

    /// How the peer's certificate is judged.
    #[must_use]
    pub fn verification(mut self, verification: Verification) -> Self {
        self.config.verification = verification;
        self
    }

    /// What a server asks of its clients. Default: [`ClientAuth::Require`].
    #[must_use]
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.config.client_auth = client_auth;
        self
    }

    /// Whether a client that is asked for a certificate, and of whose own none
    /// suits the server, ends the handshake. By default it says that it has none
    /// (RFC 8446 §4.4.2, RFC 5246 §7.4.6) and leaves the end to the server, as
    /// does a client that was given none in any case.
    #[must_use]
    pub fn insist_on_own_certificate(mut self, insist: bool) -> Self {
        self.config.insists_on_own = insist;
        self
    }

    /// SRTP profiles, best first; none leaves use_srtp out. A server chooses
    /// the first of its own that the client offers.
    #[must_use]
    pub fn srtp_profiles(mut self, profiles: Vec<SrtpProfile>) -> Self {
        self.config.srtp_profiles = profiles;
        self
    }

    /// Application protocols, best first (1 to 255 octets each); none leaves
    /// ALPN out.
    #[must_use]
    pub fn alpn(mut self, protocols: Vec<Vec<u8>>) -> Self {
        self.config.alpn = protocols;
        self
    }

    /// Whether a server ends the handshake when ALPN has nothing in common
    /// (RFC 7301 §3.2, the default) or goes on without.
    #[must_use]
    pub fn alpn_required(mut self, required: bool) -> Self {
        self.config.alpn_required = required;
        self
    }

    /// Largest datagram to send, in octets, without IP and UDP headers. What is
    /// beyond [`limits::MIN_MTU`] to [`limits::MAX_MTU`] is brought within;
    /// default [`limits::DEFAULT_MTU`].
    #[must_use]
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.config.mtu = mtu.clamp(limits::MIN_MTU, limits::MAX_MTU);
        self
    }

    /// Largest handshake message to take, in octets: what bounds the peer's
    /// chain. More than [`limits::MAX_REASSEMBLY`] is taken for that; default
    /// [`limits::MAX_MESSAGE`].
    #[must_use]
    pub fn max_message(mut self, octets: usize) -> Self {
        self.config.max_message = octets.min(limits::MAX_REASSEMBLY);
        self
    }

    /// The first retransmission timeout. What is beyond 50 ms to 60 s is brought
    /// within; default 400 ms.
    #[must_use]
    pub fn initial_timeout(mut self, timeout: Duration) -> Self {
        self.config.rto = timeout;
        self
    }

    /// Negotiates connection IDs (RFC 9146): the peer's records carry one of
    /// `length` octets (0 to [`limits::MAX_CID`]; with 0 only ours carry one).
    #[must_use]
    pub fn connection_id(mut self, length: usize) -> Self {
        self.config.connection_id = Some(length);
        self
    }

    /// Largest plaintext of a record to be received, 64 to 16384 octets (RFC 8449).
    #[must_use]
    pub fn record_size_limit(mut self, limit: u16) -> Self {
        self.config.record_size_limit = Some(limit);
        self
    }

    /// Where secrets are logged in SSLKEYLOGFILE's format. Default: nowhere.
    #[must_use]
    pub fn key_log(mut self, key_log: Arc<dyn KeyLog>) -> Self {
        self.config.key_log = key_log;
        self
    }

    /// Groups that the first ClientHello has key shares of, each once. Default:
    /// the best, and beside a hybrid the next.
    #[must_use]
    pub fn key_shares(mut self, groups: Vec<NamedGroup>) -> Self {
        self.config.key_shares = groups;
        self
    }

    /// A server name to send, of 1 to 255 octets (RFC 6066 §3). WebRTC has none.
    #[must_use]
    pub fn server_name(mut self, name: String) -> Self {
        self.config.server_name = Some(name);
        self
    }

    /// Whether a server tells a client that it makes use of the name that it
    /// was asked for (RFC 6066 §3): [`crate::Connection::server_name`]. Default:
    /// not.
    #[must_use]
    pub fn acknowledge_server_name(mut self, acknowledge: bool) -> Self {
        self.config.acknowledges_server_name = acknowledge;
        self
    }

    /// Checks it and makes it ready.
    ///
    /// # Errors
    /// [`Error::Config`] when no version, suite or group is left, there is too
    /// much to offer, or a name, connection ID or record size limit is out of its
    /// range.
    pub fn build(self) -> Result<Arc<Config>, Error> {
        let mut config = self.config;
        let provider = Arc::clone(&config.provider);
        let lists = [
            provider.kx_groups.len(),
            provider.cipher_suites.len(),
            provider.signature_verification_algorithms.mapping.len(),
            config.key_shares.len(),
            config.srtp_profiles.len(),
        ];
        if lists.into_iter().any(|length| length > limits::MAX_OFFERED) {
            return Err(Error::Config("there is too much to offer for a hello"));
        }
        // One share a group (RFC 8446 §4.2.8).
        let groups: Vec<_> = provider
            .kx_groups
            .iter()
            .map(|group| group.name())
            .collect();
        if has_repeated(&groups) || has_repeated(&config.key_shares) {
            return Err(Error::Config("a group is named twice"));
        }
        config.suites13 = suites13(&provider);
        config.suites12 = suites12(&provider);
        config.schemes13 = signature::offered(&provider, Rules::Tls13);
        config.schemes12 = signature::offered(&provider, Rules::Tls12);
        if config.oldest > config.newest {
            return Err(Error::Config("the oldest version is newer than the newest"));
        }
        let usable =
            |version: Version, no_suite: bool| !no_suite && config.groups(version).next().is_some();
        let usable12 = usable(Version::Dtls12, config.suites12.is_empty());
        let usable13 = usable(Version::Dtls13, config.suites13.is_empty());
        if !usable12 {
            config.oldest = Version::Dtls13;
        }
        if !usable13 {
            config.newest = Version::Dtls12;
        }
        if config.oldest > config.newest {
            return Err(Error::Config("no version has both a suite and a group"));
        }
        if config
            .alpn
            .iter()
            .any(|name| name.is_empty() || name.len() > 255)
            || config.alpn.iter().map(|name| name.len() + 1).sum::<usize>() > 4096
        {
            return Err(Error::Config(
                "an application protocol's name is empty or too long",
            ));
        }
        if config
            .connection_id
            .is_some_and(|length| length > limits::MAX_CID)
        {
            return Err(Error::Config("the connection ID is too long"));
        }
        if config
            .record_size_limit
            .is_some_and(|limit| !(64..=16384).contains(&limit))
        {
            return Err(Error::Config("the record size limit is out of range"));
        }
        if config
            .server_name
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.len() > 255)
        {
            return Err(Error::Config("the server name is empty or too long"));
        }
        Ok(Arc::new(config))
    }
}

/// Whether two entries of a list are the same.
fn has_repeated<T: PartialEq>(list: &[T]) -> bool {
    list.iter()
        .enumerate()
        .any(|(at, entry)| list.iter().take(at).any(|before| before == entry))
}
