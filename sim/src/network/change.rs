//! What changes while it runs: cables, addresses, links, gateways.

use std::net::IpAddr;
use std::time::Duration;

use super::events::Event;
use super::{Action, Delivery, GatewayId, InterfaceId, Network, Owner, SegmentId};
use crate::firewall::Firewall;
use crate::link::Direction;

impl Network {
    /// Puts a filter into a NAT, or changes a firewall's rules.
    pub fn set_firewall(&mut self, gateway: GatewayId, firewall: Option<Firewall>) {
        if let Some(gateway) = self.gateways.get_mut(gateway.0) {
            gateway.firewall = firewall;
        }
    }

    /// Has `action` done `after` from now.
    pub fn schedule(&mut self, after: Duration, action: Action) {
        let number = self.scripted;
        self.scripted += 1;
        self.push(self.now + after, Event::Script(number, action));
    }

    /// Does `action` at once.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Unplug(id) => self.set_plugged(id, false),
            Action::Plug(id) => self.set_plugged(id, true),
            Action::SetAddresses(id, addresses) => {
                self.set_addresses(id, addresses);
                self.tell_addresses(id);
            }
            Action::SetLink(id, direction, config) => {
                if let Some(interface) = self.interfaces.get_mut(id.0) {
                    match direction {
                        Direction::Up => interface.up.set_config(config),
                        Direction::Down => interface.down.set_config(config),
                    }
                }
            }
            Action::RebootNat(id, address) => {
                let outer = self.gateways.get_mut(id.0).and_then(|gateway| {
                    let nat = gateway.nat.as_mut()?;
                    nat.reboot(address);
                    Some((gateway.outer, nat.outer()))
                });
                if let Some((interface, address)) = outer {
                    self.set_addresses(interface, vec![address]);
                }
            }
            Action::SetFirewall(id, firewall) => self.set_firewall(id, firewall),
        }
    }

    pub(super) fn set_plugged(&mut self, id: InterfaceId, plugged: bool) {
        if let Some(interface) = self.interfaces.get_mut(id.0) {
            interface.plugged = plugged;
            interface.up.set_up(plugged);
            interface.down.set_up(plugged);
        }
        self.tell_addresses(id);
    }

    pub(super) fn tell_addresses(&mut self, id: InterfaceId) {
        let owner = self.interfaces.get(id.0).map(|interface| interface.owner);
        if let Some(Owner::Host(host)) = owner {
            let addresses = self.addresses(host);
            self.deliveries
                .push_back(Delivery::Addresses(host, addresses));
        }
    }

    pub(super) fn set_addresses(&mut self, id: InterfaceId, addresses: Vec<IpAddr>) {
        let Some(interface) = self.interfaces.get_mut(id.0) else {
            return;
        };
        let old = std::mem::replace(&mut interface.addresses, addresses.clone());
        let segment = interface.segment;
        for (ip, add) in old
            .into_iter()
            .map(|ip| (ip, false))
            .chain(addresses.iter().map(|ip| (*ip, true)))
        {
            let Some(members) = self.segments.get_mut(segment.0).map(|s| &mut s.members) else {
                continue;
            };
            if add {
                members.insert(ip, id);
            } else if members.get(&ip) == Some(&id) {
                members.remove(&ip);
            }
            self.announce(segment, ip, add);
        }
    }

    /// Tells the segments above which addresses are reached without translation.
    pub(super) fn announce(&mut self, mut segment: SegmentId, ip: IpAddr, add: bool) {
        while let Some(id) = self.segments.get(segment.0).and_then(|s| s.gateway) {
            let Some(gateway) = self.gateways.get(id.0) else {
                return;
            };
            if gateway.nat.is_some() && ip.is_ipv4() {
                return;
            }
            let Some(outer) = self.interfaces.get(gateway.outer.0).map(|i| i.segment) else {
                return;
            };
            if let Some(above) = self.segments.get_mut(outer.0) {
                if add {
                    above.behind.insert(ip, id);
                } else {
                    above.behind.remove(&ip);
                }
            }
            segment = outer;
        }
    }
}
