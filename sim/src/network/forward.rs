//! A packet's way: through links, segments and gateways.

use std::net::SocketAddr;
use std::time::Instant;

use super::events::Event;
use super::{
    Delivery, DropReason, GatewayId, HostId, InterfaceId, MAX_HOPS, Network, Owner, SegmentId,
};
use crate::accidents::Chance;
use crate::link::{Direction, Link};
use crate::nat::{UNSOLICITED_SYN_WAIT, UnsolicitedSyn};
use crate::packet::{Datagram, Packet};
use crate::tcp::{Kind, Segment};

impl Network {
    /// A host sends a datagram. Its source must be one of the host's addresses.
    pub fn send(&mut self, host: HostId, datagram: Datagram) {
        self.stats.sent += 1;
        self.send_packet(
            host,
            Packet {
                datagram,
                segment: None,
                number: 0,
                hops: 0,
            },
        );
    }

    pub(super) fn send_packet(&mut self, host: HostId, packet: Packet) {
        #[cfg(feature = "capture")]
        self.note(host, true, &packet);
        let source = packet.datagram.src.ip();
        // A host reaches itself without a wire.
        if self.addresses(host).contains(&packet.datagram.dst.ip()) {
            return self.deliver(host, packet);
        }
        let interface = self.hosts.get(host.0).and_then(|host| {
            host.interfaces.iter().copied().find(|id| {
                self.interfaces
                    .get(id.0)
                    .is_some_and(|i| i.addresses.contains(&source))
            })
        });
        match interface {
            Some(interface) => self.enter_link(interface, Direction::Up, packet),
            None => self.drop_packet(DropReason::BadSource),
        }
    }

    pub(super) fn link_mut(
        &mut self,
        id: InterfaceId,
        direction: Direction,
    ) -> Option<(&mut Link, Chance<'_>)> {
        let at = self.elapsed();
        let interface = self.interfaces.get_mut(id.0)?;
        let link = match direction {
            Direction::Up => &mut interface.up,
            Direction::Down => &mut interface.down,
        };
        let chance = Chance {
            rng: &mut self.rng,
            accidents: self.accidents.as_ref(),
            at,
            interface: id,
            direction,
        };
        Some((link, chance))
    }

    pub(super) fn enter_link(&mut self, id: InterfaceId, direction: Direction, mut packet: Packet) {
        let Some(interface) = self.interfaces.get_mut(id.0) else {
            return;
        };
        packet.number = match direction {
            Direction::Up => interface.up.number(),
            Direction::Down => interface.down.number(),
        };
        if !interface.plugged {
            return self.drop_packet(DropReason::Unplugged);
        }
        let mut arrivals = Vec::new();
        let now = self.now;
        let Some((link, mut chance)) = self.link_mut(id, direction) else {
            return;
        };
        let free = link.enqueue(now, packet, &mut arrivals, &mut chance);
        self.after_link(id, direction, free, arrivals);
    }

    pub(super) fn after_link(
        &mut self,
        id: InterfaceId,
        direction: Direction,
        free: Option<Instant>,
        arrivals: Vec<(Instant, Packet)>,
    ) {
        if let Some(at) = free {
            self.push(at, Event::LinkFree(id, direction));
        }
        for (at, packet) in arrivals {
            self.push(at, Event::LeftLink(id, direction, packet));
        }
    }

    pub(super) fn left_link(&mut self, id: InterfaceId, direction: Direction, packet: Packet) {
        let Some(interface) = self.interfaces.get(id.0) else {
            return;
        };
        if !interface.plugged {
            return self.drop_packet(DropReason::Unplugged);
        }
        match (direction, interface.owner) {
            (Direction::Up, _) => {
                let segment = interface.segment;
                self.route(segment, packet);
            }
            (Direction::Down, Owner::Host(host)) => {
                if interface.addresses.contains(&packet.datagram.dst.ip()) {
                    self.deliver(host, packet);
                } else {
                    self.drop_packet(DropReason::Unroutable);
                }
            }
            (Direction::Down, Owner::Gateway(gateway)) => self.inward(gateway, packet),
        }
    }

    pub(super) fn route(&mut self, segment: SegmentId, mut packet: Packet) {
        packet.hops += 1;
        if packet.hops > MAX_HOPS {
            return self.drop_packet(DropReason::Hops);
        }
        let Some(segm) = self.segments.get(segment.0) else {
            return;
        };
        let ip = packet.datagram.dst.ip();
        if let Some(member) = segm.members.get(&ip) {
            return self.enter_link(*member, Direction::Down, packet);
        }
        if let Some(gateway) = segm.behind.get(&ip) {
            let Some(outer) = self.gateways.get(gateway.0).map(|g| g.outer) else {
                return;
            };
            return self.enter_link(outer, Direction::Down, packet);
        }
        match segm.gateway {
            Some(gateway) => self.outward(gateway, packet),
            None => self.drop_packet(DropReason::Unroutable),
        }
    }

    /// From a gateway's inner segment towards its outer one.
    pub(super) fn outward(&mut self, id: GatewayId, mut packet: Packet) {
        let now = self.now;
        let Some(gateway) = self.gateways.get_mut(id.0) else {
            return;
        };
        let (src, dst) = (packet.datagram.src, packet.datagram.dst);
        let transport = packet.transport();
        let segment = packet.segment.map(|s| s.kind);
        if let Some(firewall) = &mut gateway.firewall
            && !firewall.outbound(now, transport, src, dst)
        {
            return self.drop_packet(DropReason::Firewall);
        }
        let outer = gateway.outer;
        let inner = gateway.inner;
        match gateway.nat.as_mut().filter(|_| src.is_ipv4()) {
            None => self.enter_link(outer, Direction::Up, packet),
            Some(nat) => {
                let Some(mapped) = nat.outbound(now, transport, src, dst, segment, &mut self.rng)
                else {
                    return self.drop_packet(DropReason::Nat);
                };
                packet.datagram.src = mapped;
                if dst.ip() != nat.outer() {
                    return self.enter_link(outer, Direction::Up, packet);
                }
                if !nat.hairpinning() {
                    return self.drop_packet(DropReason::Nat);
                }
                let Some(turned) = nat.inbound(now, transport, dst, mapped, segment) else {
                    return self.drop_packet(DropReason::Nat);
                };
                nat.stats.hairpinned += 1;
                packet.datagram.dst = turned;
                self.route(inner, packet);
            }
        }
    }

    /// From a gateway's outer segment to its inner one.
    pub(super) fn inward(&mut self, id: GatewayId, mut packet: Packet) {
        let now = self.now;
        let Some(gateway) = self.gateways.get_mut(id.0) else {
            return;
        };
        let (src, dst) = (packet.datagram.src, packet.datagram.dst);
        let transport = packet.transport();
        let inner = gateway.inner;
        if let Some(nat) = gateway.nat.as_mut().filter(|_| dst.is_ipv4()) {
            let segment = packet.segment.map(|s| s.kind);
            match nat.inbound(now, transport, dst, src, segment) {
                Some(mapped) => packet.datagram.dst = mapped,
                None => {
                    let answer = nat.unsolicited_syn();
                    self.drop_packet(DropReason::Nat);
                    if segment == Some(Kind::Syn) {
                        self.unsolicited(id, answer, dst, src);
                    }
                    return;
                }
            }
        }
        if let Some(firewall) = &mut gateway.firewall
            && !firewall.inbound(now, transport, packet.datagram.dst, src)
        {
            return self.drop_packet(DropReason::Firewall);
        }
        self.route(inner, packet);
    }

    /// A NAT let a connection from outside not in (RFC 5382 §4.3).
    fn unsolicited(
        &mut self,
        id: GatewayId,
        answer: UnsolicitedSyn,
        outer: SocketAddr,
        remote: SocketAddr,
    ) {
        match answer {
            UnsolicitedSyn::Drop => {}
            UnsolicitedSyn::Refuse => self.refuse(id, outer, remote),
            UnsolicitedSyn::Hold => {
                let at = self.now + UNSOLICITED_SYN_WAIT;
                self.push(at, Event::Refuse(id, outer, remote));
            }
        }
    }

    /// Tells a stranger that there is nobody, unless somebody inside has asked for the stranger since.
    pub(super) fn refuse(&mut self, id: GatewayId, outer: SocketAddr, remote: SocketAddr) {
        let now = self.now;
        let Some(gateway) = self.gateways.get(id.0) else {
            return;
        };
        let asked = |nat: &crate::nat::Nat| nat.has_connection(now, outer, remote);
        if gateway.nat.as_ref().is_some_and(asked) {
            return;
        }
        let link = gateway.outer;
        let packet = Packet {
            datagram: Datagram::new(outer, remote, Vec::new()),
            segment: Some(Segment {
                kind: Kind::Reset,
                number: 0,
            }),
            number: 0,
            hops: 0,
        };
        self.enter_link(link, Direction::Up, packet);
    }

    pub(super) fn deliver(&mut self, host: HostId, packet: Packet) {
        #[cfg(feature = "capture")]
        self.note(host, false, &packet);
        let Packet {
            datagram, segment, ..
        } = packet;
        match segment {
            None => {
                self.stats.received += 1;
                self.deliveries
                    .push_back(Delivery::Datagram(host, datagram));
            }
            Some(segment) => self.deliver_segment(host, segment, datagram),
        }
    }
}
