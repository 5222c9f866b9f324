//! The addresses that candidates are made of: what the system lists, by RFC 8445's rules.

use std::io;
use std::net::IpAddr;

use tincan_ice::{InterfaceAddress, gatherable};

/// Addresses of the interfaces that are up, the most useful first, those of the loopback interface last.
pub(super) fn list() -> io::Result<Vec<IpAddr>> {
    let flags = Flags::read();
    let listed: Vec<InterfaceAddress> = if_addrs::get_if_addrs()?
        .iter()
        // Some systems don't know: only a clear "down" counts.
        .filter(|interface| interface.oper_status != if_addrs::IfOperStatus::Down)
        .map(|interface| {
            let ip = interface.ip();
            let prefix_len = match &interface.addr {
                if_addrs::IfAddr::V4(v4) => v4.prefixlen,
                if_addrs::IfAddr::V6(v6) => v6.prefixlen,
            };
            let mut address =
                InterfaceAddress::new(ip, interface.index.unwrap_or_default(), prefix_len);
            address.temporary = flags.has(ip, Flags::TEMPORARY);
            address.deprecated = flags.has(ip, Flags::DEPRECATED);
            address
        })
        .collect();
    let mut addresses = gatherable(&listed);
    addresses.retain(|ip| !is_link_local(*ip));
    for loopback in listed.iter().map(|a| a.ip).filter(IpAddr::is_loopback) {
        if !addresses.contains(&loopback) {
            addresses.push(loopback);
        }
    }
    Ok(addresses)
}

/// Link-local addresses need a scope that candidates can't carry.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// What the kernel knows of its IPv6 addresses: Linux tells it in a file, other systems are taken to have none that
/// are temporary or deprecated.
#[derive(Debug, Default)]
struct Flags(Vec<(IpAddr, u32)>);

impl Flags {
    /// `IFA_F_TEMPORARY` and `IFA_F_DEPRECATED` of rtnetlink(7).
    const TEMPORARY: u32 = 0x01;
    const DEPRECATED: u32 = 0x20;

    fn read() -> Self {
        if !cfg!(target_os = "linux") {
            return Self::default();
        }
        std::fs::read_to_string("/proc/net/if_inet6")
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    /// A line an address: the address, the interface's number, length of the prefix, scope and flags, all in
    /// hexadecimal digits, and the interface's name.
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let ip = u128::from_str_radix(words.next()?, 16).ok()?;
            let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
            Some((IpAddr::from(ip.to_be_bytes()), flags))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn has(&self, ip: IpAddr, flag: u32) -> bool {
        self.0
            .iter()
            .any(|(known, flags)| *known == ip && flags & flag != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_flags_are_read() {
        let flags = Flags::parse(
            "00000000000000000000000000000001 01 80 10 80       lo\n\
             20010db8000000000000000000001234 04 40 00 80     eth0\n\
             20010db800000000000000000000abcd 04 40 00 01     eth0\n\
             20010db80000000000000000000000ff 04 40 00 21     eth0\n\
             nonsense\n",
        );
        let at = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        assert!(flags.has(at(0xabcd), Flags::TEMPORARY));
        assert!(!flags.has(at(0xabcd), Flags::DEPRECATED));
        assert!(!flags.has(at(0x1234), Flags::TEMPORARY));
        assert!(flags.has(at(0xff), Flags::DEPRECATED));
        assert!(!flags.has(IpAddr::from([127, 0, 0, 1]), Flags::TEMPORARY));
    }

    #[test]
    fn loopback_comes_last() {
        let addresses = list().unwrap_or_default();
        let first = addresses.iter().position(IpAddr::is_loopback);
        let behind = first.and_then(|at| addresses.get(at..)).unwrap_or_default();
        assert!(behind.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }
}
