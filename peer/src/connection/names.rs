//! Names that want addresses: those of ICE servers, and the `.local` names of the far side's candidates. The connection
//! asks, whoever drives it answers.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use tincan_ice as ice;

use super::PeerConnection;
use crate::config::{Configuration, IceServer, IceServerScheme, IceServerUrl};
use crate::event::{Event, IceCandidateError};
use crate::limits::{MAX_ICE_URLS, MAX_LOOKUPS};
use crate::types::Protocol;

/// A name that the connection wants the address of: see [`PeerConnection::poll_lookup`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lookup {
    /// The host of a STUN or TURN server: by DNS, or however the system resolves names.
    Server(String),
    /// A name of a candidate of the far side's: by multicast DNS, and nothing else (it says who one's neighbours are).
    Candidate(ice::MdnsName),
}

/// W3C's code for a server that could not be reached (§4.8.3).
const UNREACHABLE: u16 = 701;

/// A server whose host is not resolved.
#[derive(Debug)]
struct Unresolved {
    url: String,
    parsed: IceServerUrl,
    username: String,
    credential: zeroize::Zeroizing<String>,
}

/// What is asked and what is known.
#[derive(Debug, Default)]
pub(super) struct Names {
    queue: VecDeque<Lookup>,
    unresolved: Vec<Unresolved>,
    /// Servers by their addresses.
    known: Vec<(SocketAddr, Protocol, String)>,
    /// What can't be used at all, to be reported when gathering begins.
    refused: Vec<(String, &'static str)>,
}

impl Names {
    /// Sorts a configuration's servers: those with an address are given back.
    pub(super) fn sort(config: &Configuration) -> (Self, Vec<ice::Server>) {
        let (mut names, mut out) = (Self::default(), Vec::new());
        let urls = config
            .ice_servers
            .iter()
            .flat_map(|server| server.urls.iter().map(move |url| (server, url)));
        for (server, url) in urls.take(MAX_ICE_URLS) {
            // Checked by `validate`.
            let Ok(parsed) = url.parse::<IceServerUrl>() else {
                continue;
            };
            if let Some(reason) = unsupported(&parsed) {
                names.refused.push((url.clone(), reason));
                continue;
            }
            let unresolved = Unresolved::new(server, url, parsed);
            match unresolved.parsed.host.parse::<IpAddr>() {
                Ok(ip) => out.push(names.found(&unresolved, ip)),
                Err(_) => names.unresolved.push(unresolved),
            }
        }
        (names, out)
    }

    fn found(&mut self, server: &Unresolved, ip: IpAddr) -> ice::Server {
        let addr = SocketAddr::new(ip, server.parsed.port);
        self.known
            .push((addr, server.protocol(), server.parsed.host.clone()));
        server.at(addr)
    }

    /// Gathering begins: now the names are wanted.
    pub(super) fn ask(&mut self) -> Vec<(String, &'static str)> {
        for server in &self.unresolved {
            let lookup = Lookup::Server(server.parsed.host.clone());
            if !self.queue.contains(&lookup) {
                self.queue.push_back(lookup);
            }
        }
        std::mem::take(&mut self.refused)
    }

    /// A candidate has a name. More than [`MAX_LOOKUPS`] wait for nobody.
    pub(super) fn ask_candidate(&mut self, name: ice::MdnsName) {
        if self.queue.len() < MAX_LOOKUPS {
            self.queue.push_back(Lookup::Candidate(name));
        }
    }

    /// Whether gathering waits for names.
    pub(super) fn is_busy(&self) -> bool {
        !self.unresolved.is_empty()
    }
}

impl Unresolved {
    fn new(server: &IceServer, url: &str, parsed: IceServerUrl) -> Self {
        Self {
            url: url.to_owned(),
            parsed,
            username: server.username.clone().unwrap_or_default(),
            credential: server.credential.clone().unwrap_or_default().into(),
        }
    }

    fn protocol(&self) -> Protocol {
        match (self.parsed.scheme, self.parsed.tcp) {
            (IceServerScheme::Turns, _) => Protocol::Tls,
            (IceServerScheme::Turn, true) => Protocol::Tcp,
            _ => Protocol::Udp,
        }
    }

    fn at(&self, addr: SocketAddr) -> ice::Server {
        let made = if self.parsed.scheme.is_turn() {
            let transport = super::transport::ice_transport(self.protocol());
            ice::Server::turn(addr, transport, &self.username, &self.credential)
        } else {
            ice::Server::stun(addr)
        };
        made.with_url(&self.url)
    }
}

/// Why a well-formed URL is of no use here.
fn unsupported(url: &IceServerUrl) -> Option<&'static str> {
    match (url.scheme, url.tcp) {
        (IceServerScheme::Stuns, _) => {
            Some("STUN over TLS finds no address for UDP: use a stun: or turns: URL")
        }
        (IceServerScheme::Turns, false) => {
            Some("TURN over DTLS is not supported: use turns: with transport=tcp")
        }
        _ => None,
    }
}

impl PeerConnection {
    /// A name that is to be resolved; [`resolved`](Self::resolved) answers. Gathering is not complete before all names
    /// of servers are answered.
    pub fn poll_lookup(&mut self) -> Option<Lookup> {
        self.names.queue.pop_front()
    }

    /// Answers a [`Lookup`]: addresses in the resolver's order of preference, or in words why there are none. Of a
    /// server's addresses the first of each family is used; a server without any is reported by
    /// [`Event::IceCandidateError`] with code 701. A candidate's name must have exactly one address.
    pub fn resolved(&mut self, now: Instant, lookup: &Lookup, answer: Result<&[IpAddr], &str>) {
        if self.check_open().is_err() {
            return;
        }
        match lookup {
            Lookup::Candidate(name) => {
                let ip = match answer {
                    Ok([ip]) => Some(*ip),
                    _ => None,
                };
                self.transport.agent.name_resolved(now, *name, ip);
            }
            Lookup::Server(host) => self.server_resolved(host, answer),
        }
        self.after_input(now);
    }

    fn server_resolved(&mut self, host: &str, answer: Result<&[IpAddr], &str>) {
        let (meant, others) = std::mem::take(&mut self.names.unresolved)
            .into_iter()
            .partition(|server| server.parsed.host == host);
        self.names.unresolved = others;
        let meant: Vec<Unresolved> = meant;
        for server in &meant {
            let addresses = answer.unwrap_or_default();
            let first = |v4: bool| addresses.iter().find(|ip| ip.is_ipv4() == v4).copied();
            let found: Vec<IpAddr> = [first(true), first(false)].into_iter().flatten().collect();
            if found.is_empty() {
                let why = answer.err().unwrap_or("the name has no address");
                let text = format!("{host} can't be resolved: {why}");
                self.server_error(&server.url, text);
            }
            for ip in found {
                let made = self.names.found(server, ip);
                self.transport.agent.add_server(made);
            }
        }
        if !meant.is_empty() {
            self.hosts_told();
        }
    }

    /// Names are asked for, and what can't be used is told.
    pub(super) fn ask_names(&mut self) {
        for (url, reason) in self.names.ask() {
            self.server_error(&url, reason.to_owned());
        }
    }

    fn server_error(&mut self, url: &str, text: String) {
        self.events
            .push_back(Event::IceCandidateError(IceCandidateError {
                address: None,
                url: url.to_owned(),
                code: UNREACHABLE,
                text,
            }));
    }

    /// All local addresses are known, for now: gathering may end when all names are.
    pub(super) fn hosts_told(&mut self) {
        if self.signalling_begun() && !self.addresses.is_empty() && !self.names.is_busy() {
            self.transport.agent.end_of_hosts();
        }
    }

    /// The host of the ICE server at this address, as the configuration names it: what its certificate must be for.
    pub fn ice_server_host(&self, remote: SocketAddr, transport: Protocol) -> Option<&str> {
        self.names
            .known
            .iter()
            .find(|(addr, protocol, _)| (*addr, *protocol) == (remote, transport))
            .map(|(_, _, host)| host.as_str())
    }

    /// Whether a TURN server is reached by UDP. The driver then needs a UDP socket for this connection alone
    /// ([`HostProtocol::RelayUdp`](crate::HostProtocol::RelayUdp)).
    pub fn wants_relay_sockets(&self) -> bool {
        self.config
            .ice_servers
            .iter()
            .flat_map(|server| &server.urls)
            .filter_map(|url| url.parse::<IceServerUrl>().ok())
            .any(|url| url.scheme == IceServerScheme::Turn && !url.tcp)
    }
}
