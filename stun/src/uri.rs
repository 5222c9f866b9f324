//! `stun:`, `stuns:`, `turn:` and `turns:` URIs (RFC 7064, RFC 7065).

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the server is asked for, and whether under TLS or DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `stun:`
    Stun,
    /// `stuns:`
    Stuns,
    /// `turn:`
    Turn,
    /// `turns:`
    Turns,
}

impl Scheme {
    /// Whether TLS (or DTLS) is asked for.
    pub const fn is_secure(self) -> bool {
        matches!(self, Scheme::Stuns | Scheme::Turns)
    }

    /// 3478, or 5349 where it is secure.
    pub const fn default_port(self) -> u16 {
        if self.is_secure() { 5349 } else { 3478 }
    }

    const fn name(self) -> &'static str {
        match self {
            Scheme::Stun => "stun",
            Scheme::Stuns => "stuns",
            Scheme::Turn => "turn",
            Scheme::Turns => "turns",
        }
    }
}

/// A server's name or address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A name to be resolved.
    Name(String),
}

/// `?transport=` of a TURN URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UriTransport {
    /// `udp`; with `turns:` DTLS.
    Udp,
    /// `tcp`; with `turns:` TLS.
    Tcp,
    /// Any other.
    Other(String),
}

/// A parsed URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    transport: Option<UriTransport>,
}

/// Why a text is no such URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// Another scheme.
    #[error("not a stun, stuns, turn or turns URI")]
    Scheme,
    /// No host, or one that cannot be.
    #[error("bad host")]
    Host,
    /// The port is no number of sixteen bits, or zero.
    #[error("bad port")]
    Port,
    /// A query other than `transport=…`, or any on `stun:` and `stuns:`.
    #[error("bad query")]
    Query,
}

impl Uri {
    /// What is asked for.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The server.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port given, or the scheme's.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// Whether a port was given: without one, DNS may name others (RFC 5928).
    pub fn has_port(&self) -> bool {
        self.port.is_some()
    }

    /// The transport given.
    pub fn transport(&self) -> Option<&UriTransport> {
        self.transport.as_ref()
    }

    /// The transport given, or what the scheme stands for in WebRTC: UDP, and
    /// TCP where it is secure.
    pub fn transport_or_default(&self) -> UriTransport {
        let default = if self.scheme.is_secure() {
            UriTransport::Tcp
        } else {
            UriTransport::Udp
        };
        self.transport.clone().unwrap_or(default)
    }
}

/// reg-name of RFC 3986, as far as a host can be one.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&b))
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Uri, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let scheme = [Scheme::Stun, Scheme::Stuns, Scheme::Turn, Scheme::Turns]
            .into_iter()
            .find(|s| s.name().eq_ignore_ascii_case(scheme))
            .ok_or(UriError::Scheme)?;
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (ip, after) = rest.split_once(']').ok_or(UriError::Host)?;
            let ip: Ipv6Addr = ip.parse().map_err(|_| UriError::Host)?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(UriError::Host),
            };
            (Host::Ip(ip.into()), port)
        } else {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let host = match host.parse::<Ipv4Addr>() {
                Ok(ip) => Host::Ip(ip.into()),
                Err(_) if is_name(host) => Host::Name(host.to_owned()),
                Err(_) => return Err(UriError::Host),
            };
            (host, port)
        };
        let port = match port {
            None => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(
                digits
                    .parse()
                    .ok()
                    .filter(|p| *p != 0)
                    .ok_or(UriError::Port)?,
            ),
            Some(_) => return Err(UriError::Port),
        };
        let transport = match query {
            None => None,
            Some(_) if matches!(scheme, Scheme::Stun | Scheme::Stuns) => {
                return Err(UriError::Query);
            }
            Some(query) => Some(
                match query.strip_prefix("transport=").ok_or(UriError::Query)? {
                    t if t.eq_ignore_ascii_case("udp") => UriTransport::Udp,
                    t if t.eq_ignore_ascii_case("tcp") => UriTransport::Tcp,
                    t if is_name(t) => UriTransport::Other(t.to_owned()),
                    _ => return Err(UriError::Query),
                },
            ),
        };
        Ok(Uri {
            scheme,
            host,
            port,
            transport,
        })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.name())?;
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            Host::Name(name) => f.write_str(name)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match &self.transport {
            None => Ok(()),
            Some(UriTransport::Udp) => f.write_str("?transport=udp"),
            Some(UriTransport::Tcp) => f.write_str("?transport=tcp"),
            Some(UriTransport::Other(other)) => write!(f, "?transport={other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfcs_read_and_write_back() {
        // RFC 7064 and RFC 7065, appendix of examples, and literal addresses.
        for (text, port, transport) in [
            ("stun:example.org", 3478, UriTransport::Udp),
            ("stuns:example.org", 5349, UriTransport::Tcp),
            ("stun:example.org:8000", 8000, UriTransport::Udp),
            ("turn:example.org", 3478, UriTransport::Udp),
            ("turns:example.org", 5349, UriTransport::Tcp),
            ("turn:example.org:8000", 8000, UriTransport::Udp),
            ("turn:example.org?transport=udp", 3478, UriTransport::Udp),
            ("turn:example.org?transport=tcp", 3478, UriTransport::Tcp),
            ("turns:example.org?transport=tcp", 5349, UriTransport::Tcp),
            (
                "turn:192.0.2.1:1?transport=x-sctp",
                1,
                UriTransport::Other("x-sctp".into()),
            ),
            ("turn:[2001:db8::1]:3479", 3479, UriTransport::Udp),
            ("stun:[::1]", 3478, UriTransport::Udp),
        ] {
            let uri: Uri = text.parse().unwrap();
            assert_eq!(
                (uri.port(), uri.transport_or_default()),
                (port, transport),
                "{text}"
            );
            assert_eq!(uri.to_string(), text);
        }
        assert_eq!(
            "TURN:h?transport=TCP".parse::<Uri>().unwrap().to_string(),
            "turn:h?transport=tcp"
        );
    }

    #[test]
    fn what_is_no_such_uri_is_told() {
        for (text, error) in [
            ("http://example.org", UriError::Scheme),
            ("example.org", UriError::Scheme),
            ("stun:", UriError::Host),
            ("stun://example.org", UriError::Host),
            ("stun:[::1", UriError::Host),
            ("stun:[::1]x", UriError::Host),
            ("stun:[1.2.3.4]", UriError::Host),
            ("stun:user@example.org", UriError::Host),
            ("stun:example.org:0", UriError::Port),
            ("stun:example.org:65536", UriError::Port),
            ("stun:example.org:+1", UriError::Port),
            ("stun:example.org:", UriError::Port),
            ("stun:example.org?transport=udp", UriError::Query),
            ("turn:example.org?ttl=1", UriError::Query),
            ("turn:example.org?transport=", UriError::Query),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(error), "{text}");
        }
    }
}
