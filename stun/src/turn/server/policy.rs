//! Which peers may be reached through the relay (RFC 8656 §21.2, §21.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses: address and prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `None` when the prefix is longer than the address.
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Network> {
        let max = if address.is_ipv4() { 32 } else { 128 };
        if prefix <= max {
            Some(Network { address, prefix })
        } else {
            None
        }
    }

    /// Whether `ip` is in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix);
                (net.to_bits() ^ ip.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix);
                (net.to_bits() ^ ip.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

/// Decides on a peer's address. Never reachable: unspecified, broadcast and
/// multicast addresses. Not reachable by default: loopback and link-local
/// ones, for they would reach into the server's own host and network.
#[derive(Clone, Debug, Default)]
pub struct PeerPolicy {
    loopback: bool,
    link_local: bool,
    deny_private: bool,
    /// The last rule that matches decides.
    rules: Vec<(Network, bool)>,
}

impl PeerPolicy {
    /// The default.
    pub fn new() -> PeerPolicy {
        PeerPolicy::default()
    }

    /// Lets loopback addresses be reached: for tests on one host.
    #[must_use]
    pub fn allow_loopback(mut self) -> PeerPolicy {
        self.loopback = true;
        self
    }

    /// Lets link-local addresses be reached.
    #[must_use]
    pub fn allow_link_local(mut self) -> PeerPolicy {
        self.link_local = true;
        self
    }

    /// Keeps private addresses (RFC 1918, RFC 6598, RFC 4193) from being
    /// reached: for servers with a private side.
    #[must_use]
    pub fn deny_private(mut self) -> PeerPolicy {
        self.deny_private = true;
        self
    }

    /// Adds a rule that forbids a range.
    #[must_use]
    pub fn deny(mut self, network: Network) -> PeerPolicy {
        self.rules.push((network, false));
        self
    }

    /// Adds a rule that permits a range, loopback and the like included.
    #[must_use]
    pub fn allow(mut self, network: Network) -> PeerPolicy {
        self.rules.push((network, true));
        self
    }

    /// Whether peers of this address may be reached.
    pub fn permits(&self, ip: IpAddr) -> bool {
        // An IPv4 address in IPv6 clothes is judged as what it is.
        let ip = match ip {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
            IpAddr::V4(_) => ip,
        };
        if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return false;
        }
        if let Some((_, allowed)) = self.rules.iter().rev().find(|(net, _)| net.contains(ip)) {
            return *allowed;
        }
        if ip.is_loopback() {
            return self.loopback;
        }
        match ip {
            IpAddr::V4(v4) if v4.octets()[0] == 0 => false,
            IpAddr::V4(v4) if v4.is_link_local() => self.link_local,
            IpAddr::V4(v4) if v4.is_private() || is_shared(v4) => !self.deny_private,
            IpAddr::V6(v6) if v6.is_unicast_link_local() => self.link_local,
            IpAddr::V6(v6) if v6.is_unique_local() => !self.deny_private,
            IpAddr::V6(v6) => !is_translated(v6),
            IpAddr::V4(_) => true,
        }
    }
}

/// 100.64.0.0/10 (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    ip.to_bits() >> 22 == 0x6440_0000 >> 22
}

/// ::/96 (IPv4-compatible), 64:ff9b::/96 (NAT64) and 2002::/16 (6to4) reach an
/// IPv4 address around the rules for it (RFC 8656 §21.4 on tunnels): not let
/// through unless a rule says so.
fn is_translated(ip: Ipv6Addr) -> bool {
    let bits = ip.to_bits();
    bits >> 32 == 0 || bits >> 32 == 0x0064_ff9b << 64 || bits >> 112 == 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn own_host_and_network_are_out_of_reach_by_default() {
        let policy = PeerPolicy::new();
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "169.254.1.1",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(!policy.permits(ip(text)), "{text}");
        }
        for text in [
            "192.0.2.1",
            "10.0.0.1",
            "100.64.0.1",
            "2001:db8::1",
            "fd00::1",
        ] {
            assert!(policy.permits(ip(text)), "{text}");
        }
    }

    #[test]
    fn choices_and_rules_decide() {
        let policy = PeerPolicy::new().deny_private().allow_loopback();
        for text in [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "100.127.0.1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!policy.permits(ip(text)), "{text}");
        }
        assert!(policy.permits(ip("127.0.0.1")));
        let net = |text: &str, prefix| Network::new(ip(text), prefix).unwrap();
        let policy = PeerPolicy::new()
            .deny(net("0.0.0.0", 0))
            .allow(net("10.1.0.0", 16));
        assert!(policy.permits(ip("10.1.2.3")) && !policy.permits(ip("10.2.2.3")));
        assert!(!policy.permits(ip("192.0.2.1")) && policy.permits(ip("2001:db8::1")));
        assert_eq!(Network::new(ip("10.0.0.0"), 33), None);
    }
}
