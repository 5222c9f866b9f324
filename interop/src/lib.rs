//! Tests of Tincan against real programs. What the tests of several crates need to start one is here.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![allow(clippy::print_stdout, reason = "tests say why they skip")]

pub mod coturn;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// An address whose port nobody has just now, neither by UDP nor by TCP, of those that systems do not give to whoever asks
/// for any.
pub fn free_address() -> io::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 100) as u16 * 100;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(addr).is_ok() && UdpSocket::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
}
