//! A deterministic network for testing sans-IO protocols.
//!
//! Virtual time, links with rate, delay, jitter, loss, reordering, duplication, corruption, queues
//! and ECN marking, NATs of every behaviour that RFC 4787 and RFC 5382 name, firewalls, hosts with
//! several interfaces, scripted accidents. Nothing here reads a clock or opens a socket: the same
//! seed and the same calls give the same run, byte for byte.
//!
//! Two layers, each usable alone:
//! - [`Network`]: hosts, segments, gateways and the links between them, with an event queue.
//! - [`Simulation`]: a network with a [`Peer`] on each host, run until something happens.
//!
//! [`explore`] runs a test with many seeds and brings a failing one down to the few accidents that matter. With the feature
//! `capture`, `Network::record` writes what the hosts see to a pcapng file.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use tincan_sim::{Datagram, LinkConfig, Network, Peer, Simulation};
//!
//! /// Says one thing at the start and counts what it hears.
//! struct Talker {
//!     say: Option<Datagram>,
//!     heard: usize,
//! }
//!
//! impl Peer for Talker {
//!     fn handle_datagram(&mut self, _now: Instant, _datagram: Datagram) {
//!         self.heard += 1;
//!     }
//!     fn handle_timeout(&mut self, _now: Instant) {}
//!     fn poll_timeout(&self) -> Option<Instant> {
//!         None
//!     }
//!     fn poll_transmit(&mut self, _now: Instant) -> Option<Datagram> {
//!         self.say.take()
//!     }
//! }
//!
//! let link = LinkConfig::new().delay(Duration::from_millis(20)).rate(10_000_000);
//! let (network, a, b) = Network::pair(1, link.clone(), link);
//! let hello = Datagram::new(network.addr(a, 1000), network.addr(b, 2000), b"hello".to_vec());
//! let mut simulation = Simulation::new(network);
//! simulation.add_peer(a, Talker { say: Some(hello), heard: 0 });
//! simulation.add_peer(b, Talker { say: None, heard: 0 });
//! simulation.run_until(Duration::from_secs(1), |peers| peers[1].heard == 1).unwrap();
//! assert!(simulation.network().elapsed() >= Duration::from_millis(20));
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod accidents;
mod explore;
mod firewall;
mod link;
mod nat;
mod network;
mod packet;
#[cfg(feature = "capture")]
mod record;
mod simulation;
mod tcp;

pub use accidents::{Accident, Harm, Place};
pub use explore::{Failure, MAX_SHRINKING_RUNS, Run, explore, replay};
pub use firewall::{Firewall, Protocols};
pub use link::{Direction, LinkConfig, LinkStats, Loss, Queue};
pub use nat::{
    Behaviour, NatConfig, NatStats, PortAssignment, UNSOLICITED_SYN_WAIT, UnsolicitedSyn,
};
pub use network::{
    Action, Delivery, DropReason, GatewayId, HostId, InterfaceId, MAX_HOPS, Network, NetworkStats,
    SegmentId, TCP_CONNECT_RETRY, TCP_CONNECT_TIMEOUT,
};
pub use packet::{Datagram, Ecn, Transport};
pub use simulation::{MAX_TIMEOUTS_AT_ONCE, Peer, Simulation, TimedOut};
pub use tcp::{TcpCommand, TcpEvent};
