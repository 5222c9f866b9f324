//! Making hosts, segments and gateways.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{
    Gateway, GatewayId, Host, HostId, Interface, InterfaceId, Network, Owner, Segm, SegmentId,
};
use crate::firewall::Firewall;
use crate::link::{Link, LinkConfig};
use crate::nat::{Nat, NatConfig};

impl Network {
    /// A further segment with no way out; gateways make theirs by themselves.
    pub fn add_segment(&mut self) -> SegmentId {
        self.segments.push(Segm::default());
        SegmentId(self.segments.len() - 1)
    }

    /// A host without interfaces.
    pub fn add_host(&mut self) -> HostId {
        self.hosts.push(Host {
            interfaces: Vec::new(),
            listeners: BTreeSet::new(),
            connections: BTreeMap::new(),
        });
        HostId(self.hosts.len() - 1)
    }

    /// Gives a host an interface on a segment.
    pub fn attach(
        &mut self,
        host: HostId,
        segment: SegmentId,
        addresses: &[IpAddr],
        up: LinkConfig,
        down: LinkConfig,
    ) -> InterfaceId {
        let interface = self.add_interface(Owner::Host(host), segment, addresses, up, down);
        if let Some(host) = self.hosts.get_mut(host.0) {
            host.interfaces.push(interface);
        }
        interface
    }

    /// Puts a NAT on `outer` with the external address `address`. Returns it and the segment
    /// behind it. IPv6 hosts behind it keep their addresses.
    pub fn add_nat(
        &mut self,
        outer: SegmentId,
        address: IpAddr,
        config: NatConfig,
        up: LinkConfig,
        down: LinkConfig,
    ) -> (GatewayId, SegmentId) {
        let nat = Nat::new(config, address);
        self.add_gateway(Some(nat), None, outer, &[address], up, down)
    }

    /// Puts a firewall on `outer`. Returns it and the segment behind it, whose hosts keep their
    /// addresses.
    pub fn add_firewall(
        &mut self,
        outer: SegmentId,
        firewall: Firewall,
        up: LinkConfig,
        down: LinkConfig,
    ) -> (GatewayId, SegmentId) {
        self.add_gateway(None, Some(firewall), outer, &[], up, down)
    }

    pub(super) fn add_gateway(
        &mut self,
        nat: Option<Nat>,
        firewall: Option<Firewall>,
        outer: SegmentId,
        addresses: &[IpAddr],
        up: LinkConfig,
        down: LinkConfig,
    ) -> (GatewayId, SegmentId) {
        let gateway = GatewayId(self.gateways.len());
        let inner = self.add_segment();
        if let Some(segment) = self.segments.get_mut(inner.0) {
            segment.gateway = Some(gateway);
        }
        let outer = self.add_interface(Owner::Gateway(gateway), outer, addresses, up, down);
        self.gateways.push(Gateway {
            nat,
            firewall,
            outer,
            inner,
        });
        (gateway, inner)
    }

    pub(super) fn add_interface(
        &mut self,
        owner: Owner,
        segment: SegmentId,
        addresses: &[IpAddr],
        up: LinkConfig,
        down: LinkConfig,
    ) -> InterfaceId {
        let id = InterfaceId(self.interfaces.len());
        self.interfaces.push(Interface {
            owner,
            segment,
            addresses: Vec::new(),
            up: Link::new(up),
            down: Link::new(down),
            plugged: true,
        });
        self.set_addresses(id, addresses.to_vec());
        id
    }
}
