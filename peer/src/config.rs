//! `RTCConfiguration` and our own knobs, with the W3C's checks.

use std::sync::Arc;

use crate::Error;
use crate::codec::Capabilities;
use crate::limits::{DEFAULT_MAX_MESSAGE_SIZE, MAX_DATAGRAM, MAX_ICE_SERVERS, MAX_PROBED_DATAGRAM};

/// `RTCIceServer` (W3C §4.2.2).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp`, `turns:…`.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: Option<String>,
    /// For TURN: the password.
    pub credential: Option<String>,
}

impl core::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("credential", &self.credential.as_ref().map(|_| "…"))
            .finish()
    }
}

/// `RTCIceTransportPolicy` (W3C §4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IceTransportPolicy {
    /// All candidates.
    #[default]
    All,
    /// Relayed candidates only.
    Relay,
}

/// `RTCBundlePolicy` (W3C §4.2.4). This stack runs all media over one transport: a far side that can't bundle gets the
/// first section of the description only, as RFC 9429 §4.1.1 has it for `max-bundle`; the policies differ in which
/// sections of an offer carry transport attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BundlePolicy {
    /// One transport for each kind of media in the offer where the far side can't bundle.
    #[default]
    Balanced,
    /// One for each section.
    MaxCompat,
    /// One in all: further sections are `bundle-only`.
    MaxBundle,
}

/// `RTCRtcpMuxPolicy` (W3C §4.2.5): only `require` exists any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RtcpMuxPolicy {
    /// RTP and RTCP share a port, or the section is refused.
    #[default]
    Require,
}

/// Which versions of DTLS are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DtlsVersions {
    /// 1.3 preferred, 1.2 accepted.
    #[default]
    Both,
    /// 1.2 only.
    V12,
    /// 1.3 only.
    V13,
}

/// `RTCConfiguration` (W3C §4.2.1), then what only a native program decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates are used.
    pub ice_transport_policy: IceTransportPolicy,
    /// How many transports an offer allows for.
    pub bundle_policy: BundlePolicy,
    /// RTP and RTCP on one port.
    pub rtcp_mux_policy: RtcpMuxPolicy,
    /// Our certificates; one is made where there is none. Making one costs about a tenth of a millisecond of CPU; a server may share
    /// one among its peers.
    pub certificates: Vec<crate::Certificate>,
    /// More than 0: candidates are gathered as soon as addresses are given, before the local description that tells them
    /// (RFC 9429 §3.5.4). All sections share one transport, so that a pool of one is all there can be.
    pub ice_candidate_pool_size: u8,
    /// `peerIdentity` (W3C Identity §9): whom this connection is for, as `user@domain`. A remote description counts only after an
    /// identity provider has said that it is theirs, see [`identity`](crate::identity).
    pub peer_identity: Option<String>,
    /// Providers that are believed for domains that are not their own (RFC 8827 §7.5.1).
    pub third_party_identity: Vec<crate::ThirdPartyIdentity>,

    /// Be an ICE-lite agent (RFC 8445 §2.5): for servers with public addresses.
    pub ice_lite: bool,
    /// DTLS versions.
    pub dtls_versions: DtlsVersions,
    /// Offer and accept the post-quantum key exchange X25519MLKEM768 in DTLS 1.3. It costs each side about 0.1 ms of CPU and
    /// a second datagram; without it the groups are X25519, P-256 and P-384.
    pub post_quantum: bool,
    /// Codecs and header extensions.
    pub capabilities: Arc<Capabilities>,
    /// `a=max-message-size` that we announce, in bytes; messages beyond it are refused on receipt. 0 means any size.
    pub max_message_size: usize,
    /// Bytes of one data channel's unsent messages beyond which `send` refuses; as browsers, 16 MiB unless set.
    pub max_buffered_amount: usize,
    /// Bytes of memory that the connection may take, see [`PeerConnection::memory_usage`](crate::PeerConnection::memory_usage):
    /// at least 4 MiB and 16 times `max_message_size`, fixed when the connection is made. What the far side sends beyond
    /// its shares is dropped, refused or held back, and counted; what the caller asks for beyond them is
    /// [`Error::MemoryBudget`]. Message interleaving is not offered then: it would take a buffer for a message of every
    /// channel at once. `None` (unless set): each part has its own bounds only.
    pub memory_budget: Option<usize>,
    /// Longest UDP datagram we send without knowing the path, 576–65 507 bytes. Default: 1280.
    pub max_datagram: usize,
    /// Longest UDP datagram that the path is searched for (RFC 8899), up to 65 507 bytes: data channels use what is found to
    /// pass, media keep to `max_datagram`. The search costs a padded packet when the channels come up, some more where that
    /// does not pass, and again every ten minutes; when large datagrams vanish later on, `max_datagram` is gone back to and
    /// nothing is lost. No search where this is not more than `max_datagram`. Default: 1452, what Ethernet takes of IPv6;
    /// 8952 suits networks with jumbo frames.
    pub max_probed_datagram: usize,
    /// The time of day when the connection is made: for a certificate's validity and for RTCP sender reports. Without
    /// it both count from an arbitrary day, which no far side minds.
    pub wall_clock: Option<std::time::SystemTime>,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration {
            ice_servers: Vec::new(),
            ice_transport_policy: IceTransportPolicy::All,
            bundle_policy: BundlePolicy::Balanced,
            rtcp_mux_policy: RtcpMuxPolicy::Require,
            certificates: Vec::new(),
            ice_candidate_pool_size: 0,
            peer_identity: None,
            third_party_identity: Vec::new(),
            ice_lite: false,
            dtls_versions: DtlsVersions::Both,
            post_quantum: true,
            capabilities: default_capabilities(),
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            max_buffered_amount: 16 << 20,
            memory_budget: None,
            max_datagram: MAX_DATAGRAM,
            max_probed_datagram: MAX_PROBED_DATAGRAM,
            wall_clock: None,
        }
    }
}

/// One list for all connections that don't bring their own.
fn default_capabilities() -> Arc<Capabilities> {
    static SHARED: std::sync::OnceLock<Arc<Capabilities>> = std::sync::OnceLock::new();
    SHARED
        .get_or_init(|| Arc::new(Capabilities::browser()))
        .clone()
}

impl Configuration {
    /// The checks of W3C §4.4.1.5, steps 4 to 6, and those of our own values.
    pub(crate) fn validate(&mut self) -> Result<(), Error> {
        self.ice_servers.truncate(MAX_ICE_SERVERS);
        for server in &self.ice_servers {
            if server.urls.is_empty() {
                return Err(Error::IceServerUrl);
            }
            for url in &server.urls {
                let parsed: IceServerUrl = url.parse()?;
                let fits = |u: &String| u.len() <= tincan_stun::limits::MAX_USERNAME_LEN;
                let named = server.username.as_ref().is_some_and(fits);
                if parsed.scheme.is_turn() && !(named && server.credential.is_some()) {
                    return Err(Error::IceServerCredentials);
                }
            }
        }
        if let Some(budget) = self.memory_budget {
            crate::connection::Shares::check(budget, self.max_message_size)?;
        }
        if !(576..=65_507).contains(&self.max_datagram) {
            return Err(Error::ConfigurationRange(
                "max_datagram must be 576 to 65507 bytes",
            ));
        }
        if self.max_probed_datagram > 65_507 {
            return Err(Error::ConfigurationRange(
                "max_probed_datagram must be at most 65507 bytes",
            ));
        }
        if self
            .capabilities
            .audio
            .iter()
            .chain(&self.capabilities.video)
            .any(|c| c.payload_type > 127)
        {
            return Err(Error::ConfigurationRange("payload types are 0 to 127"));
        }
        if self
            .capabilities
            .header_extensions
            .iter()
            .any(|e| !(1..=14).contains(&e.preferred_id))
        {
            return Err(Error::ConfigurationRange(
                "header extension ids are 1 to 14",
            ));
        }
        Ok(())
    }

    /// Whether `new` may replace `self` (W3C §4.4.1.5 step 3).
    pub(crate) fn allows_change_to(
        &self,
        new: &Configuration,
        described: bool,
    ) -> Result<(), Error> {
        let fixed = self.certificates.len() == new.certificates.len()
            && self
                .certificates
                .iter()
                .zip(&new.certificates)
                .all(|(a, b)| a == b)
            && self.bundle_policy == new.bundle_policy
            && self.rtcp_mux_policy == new.rtcp_mux_policy
            && (!described || self.ice_candidate_pool_size == new.ice_candidate_pool_size)
            && self.ice_lite == new.ice_lite
            && self.dtls_versions == new.dtls_versions
            && self.post_quantum == new.post_quantum
            && self.memory_budget == new.memory_budget;
        if fixed {
            Ok(())
        } else {
            Err(Error::ConfigurationFixed)
        }
    }
}

/// Scheme of an ICE server URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IceServerScheme {
    /// STUN over UDP.
    Stun,
    /// STUN over TLS.
    Stuns,
    /// TURN over UDP or TCP.
    Turn,
    /// TURN over TLS or DTLS.
    Turns,
}

impl IceServerScheme {
    /// `turn` or `turns`.
    pub fn is_turn(self) -> bool {
        matches!(self, IceServerScheme::Turn | IceServerScheme::Turns)
    }
}

/// A parsed ICE server URL (RFC 7064 §3.1, RFC 7065 §3.1). Resolving the host is the driver's business.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IceServerUrl {
    /// The scheme.
    pub scheme: IceServerScheme,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// The port, 3478 or 5349 (`stuns`, `turns`) where not said.
    pub port: u16,
    /// `?transport=tcp`; default for `turns`.
    pub tcp: bool,
}

impl core::str::FromStr for IceServerUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once(':').ok_or(Error::IceServerUrl)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "stun" => IceServerScheme::Stun,
            "stuns" => IceServerScheme::Stuns,
            "turn" => IceServerScheme::Turn,
            "turns" => IceServerScheme::Turns,
            _ => return Err(Error::IceServerUrl),
        };
        let secure = matches!(scheme, IceServerScheme::Stuns | IceServerScheme::Turns);
        if rest.contains(['/', '@', '#', ' ']) {
            return Err(Error::IceServerUrl);
        }
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let tcp = match (scheme.is_turn(), query) {
            (_, None) => secure,
            (true, Some("transport=udp")) => false,
            (true, Some("transport=tcp")) => true,
            _ => return Err(Error::IceServerUrl),
        };
        let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
            let (host, port) = bracketed.split_once(']').ok_or(Error::IceServerUrl)?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| Error::IceServerUrl)?;
            match port {
                "" => (host, None),
                _ => (
                    host,
                    Some(port.strip_prefix(':').ok_or(Error::IceServerUrl)?),
                ),
            }
        } else {
            match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            }
        };
        let port = match port {
            None => {
                if secure {
                    5349
                } else {
                    3478
                }
            }
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits
                    .parse()
                    .ok()
                    .filter(|p| *p != 0)
                    .ok_or(Error::IceServerUrl)?
            }
            Some(_) => return Err(Error::IceServerUrl),
        };
        let named = !host.is_empty()
            && (host.contains(':')
                || host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        if !named {
            return Err(Error::IceServerUrl);
        }
        Ok(IceServerUrl {
            scheme,
            host: host.to_owned(),
            port,
            tcp,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ice_server_urls_of_rfc_7064_and_7065() {
        let good = |u: &str| u.parse::<IceServerUrl>().unwrap();
        assert_eq!(good("stun:example.org").port, 3478);
        assert_eq!(good("stuns:example.org").port, 5349);
        assert_eq!(
            good("turn:192.0.2.1:80?transport=tcp"),
            IceServerUrl {
                scheme: IceServerScheme::Turn,
                host: "192.0.2.1".into(),
                port: 80,
                tcp: true
            }
        );
        assert!(good("turns:example.org").tcp);
        assert_eq!(good("stun:[2001:db8::1]:5000").host, "2001:db8::1");
        for bad in [
            "",
            "stun",
            "stun:",
            "http://example.org",
            "stun://example.org",
            "stun:user@example.org",
            "stun:example.org?transport=udp",
            "turn:example.org?transport=sctp",
            "turn:example.org?transport=udp#a",
            "stun:example.org:",
            "stun:example.org:0",
            "stun:example.org:65536",
            "stun:example.org:+5",
            "stun:[::1",
            "stun:[nonsense]:1",
            "stun:exa mple.org",
        ] {
            assert_eq!(
                bad.parse::<IceServerUrl>(),
                Err(Error::IceServerUrl),
                "{bad}"
            );
        }
    }

    #[test]
    fn turn_needs_credentials() {
        let mut c = Configuration {
            ice_servers: vec![IceServer {
                urls: vec!["turn:example.org".into()],
                ..Default::default()
            }],
            ..Default::default()
        };
        assert_eq!(c.validate(), Err(Error::IceServerCredentials));
        c.ice_servers[0].credential = Some("wonderland".into());
        for (len, fits) in [(508, true), (509, false)] {
            c.ice_servers[0].username = Some("u".repeat(len));
            let expected = if fits {
                Ok(())
            } else {
                Err(Error::IceServerCredentials)
            };
            assert_eq!(c.validate(), expected);
        }
        c.ice_servers[0].urls.clear();
        assert_eq!(c.validate(), Err(Error::IceServerUrl));
    }
}
