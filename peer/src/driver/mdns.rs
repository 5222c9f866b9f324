//! Multicast DNS: one socket a family on port 5353, and the state machine of `tincan-ice`.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::task::{Context, Poll};
use std::time::Instant;

use rand::rngs::StdRng;
use socket2::{Domain, SockRef, Socket, Type};
use tincan_ice::MdnsName;
use tincan_ice::mdns::{Destination, Event, GROUP_V4, GROUP_V6, PORT, Responder, Transmit};
use tokio::net::UdpSocket;

use super::names::{Names, Wish};
use super::slot::PeerId;
use crate::limits::MDNS_PACKETS_A_TURN;

/// Longest packet looked at: RFC 6762 §17 allows 9000 bytes, a candidate's answer has below 100.
const PACKET: usize = 9000;

/// RFC 6762 §11: what comes with less has been routed.
const TTL: u32 = 255;

/// An interface that multicast goes out by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    ip: IpAddr,
    /// Length of the network's prefix.
    prefix: u8,
    index: u32,
}

/// The driver's mDNS.
#[derive(Debug)]
pub(super) struct Multicast {
    responder: Responder,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    links: Vec<Link>,
    names: Names,
    named: HashMap<IpAddr, MdnsName>,
    loopback: bool,
    buffer: Vec<u8>,
}

impl Multicast {
    /// Opens the sockets: of one family at least.
    pub(super) fn open(loopback: bool, rng: &mut StdRng) -> io::Result<Self> {
        let v4 = open(Ipv4Addr::UNSPECIFIED.into());
        let v6 = open(Ipv6Addr::UNSPECIFIED.into());
        if let (Err(error), Err(_)) = (&v4, &v6) {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let mut this = Self {
            responder: Responder::new(rng),
            v4: v4.ok(),
            v6: v6.ok(),
            links: Vec::new(),
            names: Names::default(),
            named: HashMap::new(),
            loopback,
            buffer: vec![0; PACKET],
        };
        this.look_at_interfaces()?;
        Ok(this)
    }

    /// Joins the group on interfaces that are new.
    pub(super) fn look_at_interfaces(&mut self) -> io::Result<()> {
        let links: Vec<Link> = if_addrs::get_if_addrs()?
            .into_iter()
            .filter(|interface| self.loopback || !interface.is_loopback())
            .map(|interface| Link {
                ip: interface.ip(),
                prefix: match &interface.addr {
                    if_addrs::IfAddr::V4(v4) => v4.prefixlen,
                    if_addrs::IfAddr::V6(v6) => v6.prefixlen,
                },
                index: interface.index.unwrap_or_default(),
            })
            .collect();
        for link in links.iter().filter(|link| !self.links.contains(link)) {
            // One that can't do multicast, or is joined already by another address.
            let joined = match (link.ip, GROUP_V4.ip(), GROUP_V6.ip()) {
                (IpAddr::V4(ip), IpAddr::V4(group), _) => self
                    .v4
                    .as_ref()
                    .map(|socket| SockRef::from(socket).join_multicast_v4(&group, &ip)),
                (IpAddr::V6(_), _, IpAddr::V6(group)) => self
                    .v6
                    .as_ref()
                    .map(|socket| SockRef::from(socket).join_multicast_v6(&group, link.index)),
                _ => None,
            };
            if let Some(Err(error)) = joined {
                tracing::debug!(%error, ip = %link.ip, "no multicast");
            }
        }
        self.links = links;
        Ok(())
    }

    /// The name that stands for an address of ours.
    pub(super) fn name(&mut self, now: Instant, ip: IpAddr) -> Option<MdnsName> {
        let name = self.responder.register(now, ip)?;
        self.named.insert(ip, name);
        Some(name)
    }

    /// Forgets the names of addresses that are gone.
    pub(super) fn keep_names(&mut self, keep: impl Fn(IpAddr) -> bool) {
        let responder = &mut self.responder;
        self.named.retain(|ip, name| {
            let kept = keep(*ip);
            if !kept {
                responder.unregister(*name);
            }
            kept
        });
    }

    /// Asks for a name on a peer's behalf, at once or when its others and those of others leave room. `false`: it has too
    /// many.
    pub(super) fn ask(&mut self, now: Instant, name: MdnsName, peer: PeerId) -> bool {
        let wish = self.names.want(name, peer);
        if wish == Wish::Ask {
            self.responder.resolve(now, name);
        }
        wish != Wish::Refused
    }

    /// A peer is gone.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.names.forget(peer);
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let sockets = self.v4.iter().chain(&self.v6);
        let mut ready = false;
        for socket in sockets {
            ready |= socket.poll_recv_ready(cx).is_ready();
        }
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.responder.poll_timeout()
    }

    /// Receives, lets time pass, sends; gives the names that are decided and who waits for them.
    pub(super) fn turn(&mut self, now: Instant) -> Vec<(MdnsName, Option<IpAddr>, Vec<PeerId>)> {
        let Self {
            responder,
            v4,
            v6,
            links,
            buffer,
            ..
        } = self;
        for socket in v4.iter().chain(v6.iter()) {
            for _ in 0..MDNS_PACKETS_A_TURN {
                let Ok((len, from)) = socket.try_recv_from(buffer) else {
                    break;
                };
                // RFC 6762 §11: from this link only.
                let near = from.ip().is_loopback() || links.iter().any(|link| link.reaches(from));
                if let Some(packet) = buffer.get(..len).filter(|_| near) {
                    responder.handle_input(now, from, packet);
                }
            }
        }
        if self.responder.poll_timeout().is_some_and(|at| at <= now) {
            self.responder.handle_timeout(now);
        }
        let mut decided = Vec::new();
        loop {
            if let Some(Event::Resolved { name, ip }) = self.responder.poll_event() {
                decided.push((name, ip, self.names.decided(name)));
            } else if let Some(name) = self.names.next() {
                self.responder.resolve(now, name);
            } else {
                break;
            }
        }
        let mut out = Vec::new();
        while let Some(transmit) = self.responder.poll_transmit(now, &mut out) {
            self.send(&transmit, &out);
            out.clear();
        }
        decided
    }

    /// What can't be sent is lost: it is sent again.
    fn send(&self, transmit: &Transmit, packet: &[u8]) {
        if let Destination::Unicast(to) = transmit.to {
            let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
            if let Some(socket) = socket {
                let _ = socket.try_send_to(packet, to);
            }
            return;
        }
        let mut indices = Vec::new();
        for link in &self.links {
            match (link.ip, &self.v4, &self.v6) {
                (IpAddr::V4(ip), Some(socket), _) => {
                    let chosen = SockRef::from(socket).set_multicast_if_v4(&ip);
                    if chosen.is_ok() {
                        let _ = socket.try_send_to(packet, GROUP_V4);
                    }
                }
                (IpAddr::V6(_), _, Some(socket)) if !indices.contains(&link.index) => {
                    indices.push(link.index);
                    if SockRef::from(socket)
                        .set_multicast_if_v6(link.index)
                        .is_ok()
                    {
                        let _ = socket.try_send_to(packet, GROUP_V6);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Link {
    /// Whether an address is on this link.
    fn reaches(&self, from: SocketAddr) -> bool {
        match (self.ip, from) {
            (IpAddr::V4(ours), SocketAddr::V4(theirs)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                let net = |ip: Ipv4Addr| u32::from(ip).checked_shr(shift).unwrap_or_default();
                net(ours) == net(*theirs.ip())
            }
            (IpAddr::V6(ours), SocketAddr::V6(theirs)) => self.reaches_v6(ours, theirs),
            _ => false,
        }
    }

    fn reaches_v6(&self, ours: Ipv6Addr, theirs: SocketAddrV6) -> bool {
        if theirs.ip().is_unicast_link_local() {
            return theirs.scope_id() == self.index;
        }
        let shift = 128 - u32::from(self.prefix.min(128));
        let net = |ip: Ipv6Addr| u128::from(ip).checked_shr(shift).unwrap_or_default();
        net(ours) == net(*theirs.ip())
    }
}

/// Several programs of a host share the port (RFC 6762 §15).
fn open(ip: IpAddr) -> io::Result<UdpSocket> {
    let addr = SocketAddr::new(ip, PORT);
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if ip.is_ipv4() {
        socket.set_multicast_ttl_v4(TTL)?;
        socket.set_multicast_loop_v4(true)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_hops_v6(TTL)?;
        socket.set_multicast_loop_v6(true)?;
    }
    socket.bind(&addr.into())?;
    UdpSocket::from_std(socket.into())
}
