//! Which sockets are bound, and at which addresses they can be reached.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rand::RngExt;
use rand::rngs::StdRng;

use super::addresses;
use super::config::DriverConfig;
use super::error::DriverError;
use crate::limits::MAX_ADDRESSES;

/// Addresses of the machine's interfaces that are up, the most useful first: candidates get their preference by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interfaces {
    addresses: Vec<IpAddr>,
}

impl Interfaces {
    /// Asks the system.
    pub(super) fn list() -> io::Result<Self> {
        let mut addresses = addresses::list()?;
        addresses.truncate(MAX_ADDRESSES);
        Ok(Self { addresses })
    }

    /// Whether the machine has this address.
    #[cfg(feature = "mdns")]
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.addresses.contains(&ip)
    }

    /// The addresses that a socket bound to `bound` can be reached at.
    pub(super) fn of(&self, bound: SocketAddr, loopback: bool) -> Vec<SocketAddr> {
        if !bound.ip().is_unspecified() {
            return vec![bound];
        }
        self.addresses
            .iter()
            .filter(|ip| ip.is_ipv4() == bound.is_ipv4() && (loopback || !ip.is_loopback()))
            .map(|ip| SocketAddr::new(*ip, bound.port()))
            .collect()
    }
}

/// Binds `addr` by `bind`, with a port of the configured range where any will do. `Ok(None)`: it is `[::]`, and the
/// machine has no IPv6.
pub(super) fn bind<T>(
    transport: &'static str,
    config: &DriverConfig,
    addr: SocketAddr,
    rng: &mut StdRng,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Option<T>, DriverError> {
    let missing = |error: &io::Error| has_no_ipv6(addr, error);
    let range = config.ports.clone().filter(|_| addr.port() == 0);
    let Some(range) = range.filter(|range| !range.is_empty()) else {
        return match bind(addr) {
            Ok(bound) => Ok(Some(bound)),
            Err(error) if missing(&error) => Ok(None),
            Err(error) => Err(DriverError::bind(transport, addr, error)),
        };
    };
    // RFC 6056: a random port first, then those behind it.
    let size = u32::from(*range.end()) - u32::from(*range.start()) + 1;
    let start = rng.random_range(0..size);
    for step in 0..size {
        let offset = u16::try_from((start + step) % size).unwrap_or_default();
        let port = range.start() + offset;
        match bind(SocketAddr::new(addr.ip(), port)) {
            Ok(bound) => return Ok(Some(bound)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) if missing(&error) => return Ok(None),
            Err(error) => return Err(DriverError::bind(transport, addr, error)),
        }
    }
    Err(DriverError::NoFreePort {
        transport,
        addr,
        ports: range,
    })
}

/// Whether the error says that there is no IPv6 here, where all of its addresses were asked for.
fn has_no_ipv6(addr: SocketAddr, error: &io::Error) -> bool {
    let unsupported = error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED);
    let absent = unsupported || error.kind() == io::ErrorKind::AddrNotAvailable;
    absent && addr.is_ipv6() && addr.ip().is_unspecified()
}

/// `EAFNOSUPPORT`.
#[cfg(target_os = "linux")]
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;
#[cfg(windows)]
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 10047;
#[cfg(not(any(target_os = "linux", windows)))]
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 47;
