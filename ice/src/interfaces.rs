//! Which of a host's addresses become candidates (RFC 8445 §5.1.1.1).

use std::net::{IpAddr, Ipv6Addr};

use crate::priority::is_link_local;

/// An address of one of the host's interfaces, as the system lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// The interface's number.
    pub interface: u32,
    /// Bits of the network's prefix, 0 to 128.
    pub prefix_len: u8,
    /// An IPv6 address that changes from time to time, so that a host is not
    /// known by it (RFC 8981).
    pub temporary: bool,
    /// An address that is to be used no more for what is new (RFC 4862 §5.5.4).
    pub deprecated: bool,
}

impl InterfaceAddress {
    /// An address that neither changes nor is deprecated.
    #[must_use]
    pub fn new(ip: IpAddr, interface: u32, prefix_len: u8) -> Self {
        Self {
            ip,
            interface,
            prefix_len,
            temporary: false,
            deprecated: false,
        }
    }

    fn shares_prefix(&self, other: &Self) -> bool {
        let bits = |a: &Self| match a.ip {
            IpAddr::V6(ip) => u128::from(ip),
            IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        };
        let shift = 128 - u32::from(self.prefix_len.min(128));
        self.interface == other.interface
            && self.ip.is_ipv4() == other.ip.is_ipv4()
            && (bits(self) ^ bits(other)).checked_shr(shift).unwrap_or(0) == 0
    }
}

/// The addresses to bind and to give to [`Agent::add_host`](crate::Agent::add_host),
/// in the order given, link-local ones last.
///
/// Left out are, by the standard: those of the loopback interface; IPv6 addresses
/// that are IPv4 ones in other clothes, and site-local ones; where a network has
/// temporary addresses, its permanent ones, which would tell who the host is; and
/// with any temporary address, IPv6 link-local ones, for the same reason.
/// Deprecated addresses are left out where their interface has another one of the
/// family.
#[must_use]
pub fn gatherable(addresses: &[InterfaceAddress]) -> Vec<IpAddr> {
    let fit: Vec<&InterfaceAddress> = addresses.iter().filter(|a| is_usable(a.ip)).collect();
    let fresh: Vec<&InterfaceAddress> = fit
        .iter()
        .filter(|a| {
            let replaces = |b: &&InterfaceAddress| {
                b.interface == a.interface
                    && b.ip.is_ipv4() == a.ip.is_ipv4()
                    && !b.deprecated
                    && !is_link_local(b.ip)
            };
            !a.deprecated || !fit.iter().any(replaces)
        })
        .copied()
        .collect();
    let temporary: Vec<&InterfaceAddress> = fresh.iter().filter(|a| a.temporary).copied().collect();
    let tells_who = |a: &InterfaceAddress| {
        let hidden = a.ip.is_ipv6() && is_link_local(a.ip) && !temporary.is_empty();
        hidden || (!a.temporary && temporary.iter().any(|t| t.shares_prefix(a)))
    };
    let mut ips: Vec<IpAddr> = fresh
        .iter()
        .filter(|a| !tells_who(a))
        .map(|a| a.ip)
        .collect();
    ips.sort_by_key(|ip| is_link_local(*ip));
    let mut seen = std::collections::HashSet::new();
    ips.retain(|ip| seen.insert(*ip));
    ips
}

fn is_usable(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && !is_forbidden(ip)
}

/// Addresses that must not be candidates wherever they come from: IPv4 in IPv6
/// clothes (RFC 4291 §2.5.5) and site-local addresses (RFC 3879).
pub(crate) fn is_forbidden(ip: IpAddr) -> bool {
    let IpAddr::V6(ip) = ip else {
        return false;
    };
    let [first, ..] = ip.segments();
    let compatible = u128::from(ip) >> 32 == 0 && ip != Ipv6Addr::LOCALHOST;
    let site_local = first & 0xffc0 == 0xfec0;
    compatible || site_local || ip.to_ipv4_mapped().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on(interface: u32, ip: &str) -> InterfaceAddress {
        let ip: IpAddr = ip.parse().unwrap_or(IpAddr::from([0; 4]));
        let len = if ip.is_ipv4() { 24 } else { 64 };
        InterfaceAddress::new(ip, interface, len)
    }

    fn temporary(interface: u32, ip: &str) -> InterfaceAddress {
        InterfaceAddress {
            temporary: true,
            ..on(interface, ip)
        }
    }

    fn gathered(list: &[InterfaceAddress]) -> Vec<String> {
        gatherable(list).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn a_temporary_address_stands_for_the_permanent_ones_of_its_network() {
        let list = [
            on(2, "2001:db8:1::1234"),
            temporary(2, "2001:db8:1::abcd"),
            on(2, "2001:db8:2::1234"),
            on(3, "2001:db8:1::77"),
            on(2, "192.0.2.7"),
            on(2, "fe80::1"),
        ];
        // Another prefix and another interface stay; link-local goes.
        let expected = [
            "2001:db8:1::abcd",
            "2001:db8:2::1234",
            "2001:db8:1::77",
            "192.0.2.7",
        ];
        assert_eq!(gathered(&list), expected);
    }

    #[test]
    fn link_local_addresses_come_last_where_nothing_is_to_be_hidden() {
        let list = [
            on(2, "fe80::1"),
            on(2, "169.254.1.1"),
            on(2, "2001:db8::1"),
            on(2, "2001:db8::1"),
        ];
        assert_eq!(gathered(&list), ["2001:db8::1", "fe80::1", "169.254.1.1"]);
    }

    #[test]
    fn addresses_that_nobody_reaches_are_left_out() {
        let list = [
            "127.0.0.1",
            "::1",
            "::",
            "0.0.0.0",
            "::192.0.2.1",
            "::ffff:192.0.2.1",
            "fec0::1",
            "feff::1",
            "224.0.0.1",
            "ff02::1",
        ];
        let list: Vec<_> = list.iter().map(|ip| on(1, ip)).collect();
        assert_eq!(gathered(&list), [""; 0]);
        assert_eq!(gathered(&[on(1, "fd00::1")]), ["fd00::1"]);
    }

    #[test]
    fn a_deprecated_address_is_used_only_for_want_of_another() {
        let old = InterfaceAddress {
            deprecated: true,
            ..temporary(2, "2001:db8::1")
        };
        let permanent = on(2, "2001:db8::2");
        assert_eq!(gathered(&[old]), ["2001:db8::1"]);
        assert_eq!(gathered(&[old, on(2, "fe80::2")]), ["2001:db8::1"]);
        assert_eq!(gathered(&[old, permanent]), ["2001:db8::2"]);
        assert_eq!(gathered(&[old, on(3, "2001:db8::2")]).len(), 2);
    }

    proptest! {
        #[test]
        fn what_is_gathered_was_given_and_once_and_some_way_out_stays(
            list in prop::collection::vec(
                (any::<[u16; 2]>(), 0u32..3, 0u8..=255, any::<[bool; 3]>()), 0..12),
        ) {
            let list: Vec<InterfaceAddress> = list
                .into_iter()
                .map(|([net, host], interface, prefix_len, [v6, temporary, deprecated])| {
                    let ip = if v6 {
                        IpAddr::from([0x2001, 0xdb8, net % 3, 0, 0, 0, 0, host])
                    } else {
                        IpAddr::from([10, (net % 3) as u8, (host >> 8) as u8, host as u8])
                    };
                    InterfaceAddress { ip, interface, prefix_len, temporary: temporary && v6, deprecated }
                })
                .collect();
            let gathered = gatherable(&list);
            prop_assert!(gathered.iter().all(|ip| list.iter().any(|a| a.ip == *ip)));
            let once: std::collections::HashSet<_> = gathered.iter().collect();
            prop_assert_eq!(once.len(), gathered.len());
            for v4 in [false, true] {
                let given = list.iter().any(|a| a.ip.is_ipv4() == v4);
                prop_assert_eq!(gathered.iter().any(|ip| ip.is_ipv4() == v4), given);
            }
        }
    }
}
