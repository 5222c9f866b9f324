//! What the loop carries besides datagrams: TCP and TLS connections, names, interfaces.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::BytesMut;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::binding::{self, Interfaces};
use super::config::DriverConfig;
use super::error::DriverError;
use super::resolver::Answer;
use super::run::Driver;
use super::slot::PeerId;
use super::socket::Socket;
use super::streams::{Opening, Outbox, Path, StreamId, Workshop};
use crate::connection::{Lookup, PeerConnection};
use crate::demux::local_ufrag;
use crate::types::{Ecn, HostProtocol, LocalAddress, Protocol, Received, Transmit};

/// What tasks tell the loop.
#[derive(Debug)]
pub(super) enum News {
    /// Somebody connected and sent a first message.
    Arrived {
        id: StreamId,
        path: Path,
        outbox: Outbox,
        packet: BytesMut,
    },
    /// A message came.
    Packet(StreamId, BytesMut),
    /// A connection ended, or never came about.
    Ended(StreamId, String),
    /// A name was resolved.
    Resolved(String, Answer),
}

/// A TCP listener with the task that accepts.
#[derive(Debug)]
pub(super) struct Listener {
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connections that wait for the listener's task.
pub(super) const BACKLOG: i32 = 1024;

/// What the discard port means: RFC 6544 §4.5.
const ACTIVE_PORT: u16 = 9;

impl Listener {
    pub(super) fn bind(addr: SocketAddr, workshop: &Workshop) -> std::io::Result<Self> {
        let domain = socket2::Domain::for_address(addr);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Connections of an earlier run that wait for their end must not keep the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Self::adopt(socket.into(), workshop)
    }

    /// Takes a listener that is bound and listens.
    pub(super) fn adopt(
        listener: std::net::TcpListener,
        workshop: &Workshop,
    ) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let local = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, workshop.clone()));
        Ok(Self { local, task })
    }
}

async fn accept(listener: TcpListener, workshop: Workshop) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => workshop.accepted(stream),
            Err(error) => {
                // Out of descriptors, most likely: a tight loop would not make it better.
                tracing::warn!(%error, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How long a listener rests after an error.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// The addresses of UDP sockets.
fn udp_addresses(
    bound: SocketAddr,
    interfaces: &Interfaces,
    config: &DriverConfig,
    transport: HostProtocol,
) -> impl Iterator<Item = LocalAddress> {
    interfaces
        .of(bound, config.loopback)
        .into_iter()
        .map(move |addr| LocalAddress { addr, transport })
}

impl Driver {
    /// Binds what the configuration asks for.
    pub(super) fn bind_udp(&mut self) -> Result<Vec<Socket>, DriverError> {
        let mut sockets = Vec::new();
        for addr in self.config.udp.clone() {
            sockets.extend(self.bind_one(addr)?);
        }
        Ok(sockets)
    }

    fn bind_one(&mut self, addr: SocketAddr) -> Result<Option<Socket>, DriverError> {
        let config = &self.config;
        let bind = |addr| Socket::bind(addr, config);
        binding::bind("UDP", config, addr, &mut self.rng, bind)
    }

    /// After the shared sockets: listeners, and all that depends on the interfaces.
    pub(super) fn bind_rest(&mut self) -> Result<(), DriverError> {
        self.bind_tcp()?;
        if self.has_wildcards() {
            self.interfaces = Interfaces::list().map_err(DriverError::Interfaces)?;
            let every = self.config.interface_poll;
            self.look_again = every.and_then(|every| Instant::now().checked_add(every));
        }
        self.locals = self.shared_addresses(&self.interfaces);
        #[cfg(feature = "mdns")]
        if self.config.mdns == super::Mdns::Hide {
            let addr = (std::net::Ipv4Addr::UNSPECIFIED, tincan_ice::mdns::PORT).into();
            let opened = self.open_multicast().map(|_| ());
            opened.map_err(|error| DriverError::bind("mDNS", addr, error))?;
        }
        Ok(())
    }

    fn bind_tcp(&mut self) -> Result<(), DriverError> {
        for addr in self.config.tcp.clone() {
            let workshop = self.streams.workshop.clone();
            let bind = |addr| Listener::bind(addr, &workshop);
            let bound = binding::bind("TCP", &self.config, addr, &mut self.rng, bind)?;
            self.listeners.extend(bound);
        }
        Ok(())
    }

    /// The addresses that all peers share, at these interfaces.
    pub(super) fn shared_addresses(&self, interfaces: &Interfaces) -> Vec<LocalAddress> {
        let shared = self.sockets.iter().take(self.shared_sockets).flatten();
        let mut addresses: Vec<LocalAddress> = shared
            .flat_map(|socket| {
                let local = socket.local();
                udp_addresses(local, interfaces, &self.config, HostProtocol::SharedUdp)
            })
            .collect();
        for listener in &self.listeners {
            let passive = interfaces.of(listener.local, self.config.loopback);
            for addr in passive {
                let mut add = |addr, transport| {
                    let address = LocalAddress { addr, transport };
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                };
                add(addr, HostProtocol::TcpPassive);
                add(
                    SocketAddr::new(addr.ip(), ACTIVE_PORT),
                    HostProtocol::TcpActive,
                );
            }
        }
        addresses
    }

    /// Sockets for a peer alone, with their addresses: all of them where each peer has its own, or else those towards
    /// TURN servers, which know a client by its address.
    pub(super) fn bind_own(
        &mut self,
        relay: bool,
    ) -> Result<Vec<(Socket, Vec<LocalAddress>)>, DriverError> {
        let mut own = Vec::new();
        if self.config.port_per_peer {
            for socket in self.bind_udp()? {
                let local = socket.local();
                let udp = udp_addresses(local, &self.interfaces, &self.config, HostProtocol::Udp);
                own.push((socket, udp.collect()));
            }
        } else if relay {
            let mut ips: Vec<IpAddr> = self
                .locals
                .iter()
                .filter(|local| local.transport == HostProtocol::SharedUdp)
                .map(|local| local.addr.ip())
                .collect();
            ips.sort_unstable();
            ips.dedup();
            for ip in ips {
                own.extend(self.bind_relay(ip)?);
            }
        }
        Ok(own)
    }

    fn bind_relay(
        &mut self,
        ip: IpAddr,
    ) -> Result<Option<(Socket, Vec<LocalAddress>)>, DriverError> {
        let Some(socket) = self.bind_one(SocketAddr::new(ip, 0))? else {
            return Ok(None);
        };
        let address = LocalAddress {
            addr: socket.local(),
            transport: HostProtocol::RelayUdp,
        };
        Ok(Some((socket, vec![address])))
    }

    // ---- connections ----

    /// Does what the tasks' news are about.
    pub(super) fn hear(&mut self, now: Instant, inbox: &mut Vec<News>) {
        for news in inbox.drain(..) {
            match news {
                News::Arrived {
                    id,
                    path,
                    outbox,
                    packet,
                } => self.arrived(now, id, path, outbox, packet),
                News::Packet(id, packet) => {
                    if let Some((peer, path)) = self.streams.owner(id) {
                        self.stream_packet(now, peer, path, packet);
                    }
                }
                News::Ended(id, why) => self.ended(now, id, &why),
                News::Resolved(host, answer) => {
                    for peer in self.resolver.answered(now, &host, &answer) {
                        self.answer(now, peer, &Lookup::Server(host.clone()), &answer);
                    }
                }
            }
        }
    }

    fn arrived(
        &mut self,
        now: Instant,
        id: StreamId,
        path: Path,
        outbox: Outbox,
        packet: BytesMut,
    ) {
        let peer = local_ufrag(&packet).and_then(|ufrag| self.routes.peer_of_ufrag(ufrag));
        let Some(peer) = peer else {
            // Nobody's: dropping the outbox ends the connection.
            self.stats.unrouted += 1;
            return;
        };
        if self.streams.adopt(id, peer, path, outbox) {
            self.stream_packet(now, peer, path, packet);
        }
    }

    fn stream_packet(&mut self, now: Instant, peer: PeerId, path: Path, packet: BytesMut) {
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += packet.len() as u64;
        let received = Received {
            local: path.local,
            remote: path.remote,
            transport: path.transport,
            ecn: Ecn::NotEct,
        };
        if let Some(slot) = self.slot(peer) {
            slot.connection.handle_input(now, received, packet);
            self.touch(peer);
        }
    }

    fn ended(&mut self, now: Instant, id: StreamId, why: &str) {
        let Some((peer, path)) = self.streams.remove(id) else {
            return;
        };
        tracing::debug!(remote = %path.remote, why, "connection ended");
        self.path_failed(now, peer, path, why);
    }

    /// Tells a peer that nothing gets through there.
    pub(super) fn path_failed(&mut self, now: Instant, peer: PeerId, path: Path, why: &str) {
        if let Some(slot) = self.slot(peer) {
            let Path {
                transport,
                local,
                remote,
            } = path;
            slot.connection
                .path_failed(now, local, remote, transport, why);
            self.touch(peer);
        }
    }

    /// Gives what stands in `out` to the connection that it is for, which is made if there is none.
    pub(super) fn carry(&mut self, now: Instant, peer: PeerId, transmit: &Transmit) {
        let path = Path {
            transport: transmit.transport,
            local: transmit.local,
            remote: transmit.remote,
        };
        let known = self.streams.find(peer, &path);
        let outbox = match known {
            Some(outbox) => outbox,
            None => match self.opening(peer, &path) {
                // It was the far end's to connect, and its connection is gone.
                Ok(None) => return,
                Ok(Some(opening)) => match self.streams.open(peer, path, opening) {
                    Some(outbox) => outbox,
                    None => return self.path_failed(now, peer, path, "too many connections"),
                },
                Err(why) => return self.path_failed(now, peer, path, why),
            },
        };
        let Some(bytes) = self.out.get(..transmit.len) else {
            return;
        };
        if outbox.push(bytes) {
            self.stats.bytes_sent += bytes.len() as u64;
            self.stats.datagrams_sent += 1;
        } else {
            self.stats.dropped_stream += 1;
        }
    }

    /// How to connect there; `None` if that is not ours to do.
    fn opening(&mut self, peer: PeerId, path: &Path) -> Result<Option<Opening>, &'static str> {
        let Some(slot) = self
            .slots
            .get(peer.index as usize)
            .and_then(Option::as_ref)
            .filter(|slot| slot.id == peer)
        else {
            return Ok(None);
        };
        let host = slot
            .connection
            .ice_server_host(path.remote, path.transport)
            .map(str::to_owned);
        if host.is_none() && path.local.port() != ACTIVE_PORT {
            return Ok(None);
        }
        let framing = slot
            .connection
            .stream_framing(path.local, path.remote, path.transport);
        #[cfg(not(feature = "tls"))]
        if path.transport == Protocol::Tls {
            return Err("this program was built without TLS (feature `tls` of tincan-peer)");
        }
        Ok(Some(Opening {
            framing,
            idles: host.is_none(),
            #[cfg(feature = "tls")]
            tls: host
                .filter(|_| path.transport == Protocol::Tls)
                .map(|host| (self.trust.clone(), host)),
        }))
    }

    // ---- names ----

    /// Passes on what a peer wants to be resolved.
    pub(super) fn ask_names(&mut self, now: Instant, peer: PeerId) {
        while let Some(lookup) = self
            .slot(peer)
            .and_then(|slot| slot.connection.poll_lookup())
        {
            match &lookup {
                Lookup::Server(host) => {
                    if let Some(answer) = self.resolver.ask(now, host, peer) {
                        self.answer(now, peer, &lookup, &answer);
                    }
                }
                #[cfg(feature = "mdns")]
                Lookup::Candidate(name) if self.config.mdns != super::Mdns::Off => {
                    match self.open_multicast() {
                        Ok(multicast) => {
                            if !multicast.ask(now, *name, peer) {
                                self.answer(now, peer, &lookup, &Err("too many names".to_owned()));
                            }
                        }
                        Err(error) => {
                            tracing::warn!(%error, "mDNS");
                            self.answer(now, peer, &lookup, &Err(error.to_string()));
                        }
                    }
                }
                Lookup::Candidate(_) => {
                    self.answer(now, peer, &lookup, &Err("mDNS is off".to_owned()));
                }
            }
        }
    }

    fn answer(&mut self, now: Instant, peer: PeerId, lookup: &Lookup, answer: &Answer) {
        if let Some(slot) = self.slot(peer) {
            let answer = answer.as_ref().map(Vec::as_slice).map_err(String::as_str);
            slot.connection.resolved(now, lookup, answer);
            self.touch(peer);
        }
    }

    /// The sockets of mDNS, opened by the first who needs them.
    #[cfg(feature = "mdns")]
    pub(super) fn open_multicast(&mut self) -> std::io::Result<&mut super::mdns::Multicast> {
        let opened = match self.multicast.take() {
            Some(opened) => opened,
            None => Box::new(super::mdns::Multicast::open(
                self.config.loopback,
                &mut self.rng,
            )?),
        };
        Ok(self.multicast.insert(opened))
    }

    /// Lets mDNS receive and send.
    #[cfg(feature = "mdns")]
    pub(super) fn turn_multicast(&mut self, now: Instant) {
        let Some(multicast) = &mut self.multicast else {
            return;
        };
        for (name, ip, peers) in multicast.turn(now) {
            let answer = ip
                .map(|ip| vec![ip])
                .ok_or_else(|| "nobody has the name".to_owned());
            for peer in peers {
                self.answer(now, peer, &Lookup::Candidate(name), &answer);
            }
        }
    }

    /// Gives a peer an address of ours, by name where that is wished.
    pub(super) fn give(
        &mut self,
        now: Instant,
        connection: &mut PeerConnection,
        address: LocalAddress,
    ) {
        #[cfg(feature = "mdns")]
        if self.config.mdns == super::Mdns::Hide
            && let Some(multicast) = &mut self.multicast
            && let Some(name) = multicast.name(now, address.addr.ip())
        {
            connection.add_hidden_address(now, address, name);
            return;
        }
        connection.add_local_address(now, address);
    }

    // ---- interfaces ----

    /// Whether the answer to "which interfaces are there" matters.
    fn has_wildcards(&self) -> bool {
        let own = self.config.udp.iter().filter(|_| self.config.port_per_peer);
        let shared = self.sockets.iter().flatten().map(Socket::local);
        let listeners = self.listeners.iter().map(|listener| listener.local);
        own.copied()
            .chain(shared)
            .chain(listeners)
            .any(|addr| addr.ip().is_unspecified())
    }

    /// Looks at the interfaces again, and tells all peers what came and went.
    pub(super) fn look_at_interfaces(&mut self, now: Instant) {
        let found = match Interfaces::list() {
            Ok(found) => found,
            Err(error) => {
                // Out of descriptors, perhaps: the old list is the best there is.
                tracing::warn!(%error, "interfaces");
                return;
            }
        };
        if found == self.interfaces {
            return;
        }
        #[cfg(feature = "mdns")]
        if let Some(multicast) = &mut self.multicast {
            let there = &found;
            multicast.keep_names(|ip| there.contains(ip));
            if let Err(error) = multicast.look_at_interfaces() {
                tracing::warn!(%error, "mDNS");
            }
        }
        let before = std::mem::replace(&mut self.interfaces, found);
        let now_there = self.shared_addresses(&self.interfaces);
        let were_there = std::mem::replace(&mut self.locals, now_there.clone());
        let ids: Vec<PeerId> = self.slots.iter().flatten().map(|slot| slot.id).collect();
        for id in ids {
            self.rebase(now, id, &before, &were_there, &now_there);
        }
    }

    /// One peer's part of a change of interfaces.
    fn rebase(
        &mut self,
        now: Instant,
        id: PeerId,
        before: &Interfaces,
        were_there: &[LocalAddress],
        now_there: &[LocalAddress],
    ) {
        let Some(slot) = self.slot(id) else { return };
        let own = slot.own_sockets.clone();
        let relay = slot.connection.wants_relay_sockets();
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let mut compare = |were: &[LocalAddress], are: &[LocalAddress]| {
            gone.extend(were.iter().filter(|a| !are.contains(a)).copied());
            new.extend(are.iter().filter(|a| !were.contains(a)).copied());
        };
        compare(were_there, now_there);
        for place in own.iter().filter_map(|place| self.socket(*place)) {
            let local = place.local();
            if local.ip().is_unspecified() {
                let at = |interfaces: &Interfaces| -> Vec<LocalAddress> {
                    udp_addresses(local, interfaces, &self.config, HostProtocol::Udp).collect()
                };
                compare(&at(before), &at(&self.interfaces));
            }
        }
        if relay && !self.config.port_per_peer {
            self.rebase_relays(id, &own, &mut gone, &mut new);
        }
        tracing::debug!(?gone, ?new, "interfaces changed");
        let place = self.slots.get_mut(id.index as usize);
        let Some(mut slot) = place.and_then(Option::take) else {
            return;
        };
        // New ones first, so that a peer is never without.
        for address in new {
            self.give(now, &mut slot.connection, address);
        }
        for address in gone {
            slot.connection.remove_local_address(now, address);
        }
        if let Some(place) = self.slots.get_mut(id.index as usize) {
            *place = Some(slot);
        }
        self.touch(id);
    }

    /// The sockets towards TURN servers follow the shared addresses.
    fn rebase_relays(
        &mut self,
        id: PeerId,
        own: &[usize],
        gone: &mut Vec<LocalAddress>,
        new: &mut Vec<LocalAddress>,
    ) {
        let shared = |address: &&LocalAddress| address.transport == HostProtocol::SharedUdp;
        let ips = |list: &[LocalAddress]| -> Vec<IpAddr> {
            let mut ips: Vec<_> = list.iter().filter(shared).map(|a| a.addr.ip()).collect();
            ips.sort_unstable();
            ips.dedup();
            ips
        };
        let (lost, found) = (ips(gone), ips(new));
        for place in own {
            let local = self.socket(*place).map(Socket::local);
            if let Some(addr) = local.filter(|local| lost.contains(&local.ip())) {
                gone.push(LocalAddress {
                    addr,
                    transport: HostProtocol::RelayUdp,
                });
                if let Some(slot) = self.slot(id) {
                    slot.own_sockets.retain(|own| own != place);
                    // Who waited for room there need not wait any more.
                    slot.waits = false;
                }
                if let Some(socket) = self.sockets.get_mut(*place) {
                    *socket = None;
                    self.free_sockets.push(*place);
                }
            }
        }
        for ip in found {
            // An address that is new and can't be bound is gone already.
            let Ok(Some((socket, addresses))) = self.bind_relay(ip) else {
                continue;
            };
            let place = self.place(socket, Some(id));
            if let Some(slot) = self.slot(id) {
                slot.own_sockets.push(place);
            }
            new.extend(addresses);
        }
    }
}
