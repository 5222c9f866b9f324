//! ICE (RFC 8445) agents, full and lite, sans-IO.
//!
//! For whoever has sockets and a way to signal, and wants to know by which
//! path two hosts reach each other. Who wants a whole WebRTC peer takes
//! `tincan-peer`, which drives this crate.
//!
//! An [`Agent`] takes datagrams ([`Agent::handle_input`]) and time
//! ([`Agent::handle_timeout`]), and gives datagrams
//! ([`Agent::poll_transmit`]), a time to wake it ([`Agent::poll_timeout`]) and
//! news ([`Agent::poll_event`]). It opens no socket and reads no clock.
//!
//! Two agents in one process, with function calls as their network:
//!
//! ```
//! use std::time::{Duration, Instant};
//! use rand::SeedableRng;
//! use tincan_ice::{Agent, Config, Event, LocalBase, Role, Source};
//!
//! let mut rng = rand::rngs::StdRng::seed_from_u64(7);
//! let mut now = Instant::now();
//! let mut alice = Agent::new(Config::new().with_role(Role::Controlling), now, &mut rng);
//! let mut bob = Agent::new(Config::new().with_role(Role::Controlled), now, &mut rng);
//! alice.add_host(now, LocalBase::udp("192.0.2.1:5000".parse()?))?;
//! bob.add_host(now, LocalBase::udp("192.0.2.2:5000".parse()?))?;
//!
//! // Signalling: credentials and candidates, both ways.
//! alice.set_remote_credentials(now, bob.local_credentials().clone());
//! bob.set_remote_credentials(now, alice.local_credentials().clone());
//! for (from, to) in [(0, 1), (1, 0)] {
//!     let mut agents = [&mut alice, &mut bob];
//!     while let Some(event) = agents[from].poll_event() {
//!         if let Event::Candidate(candidate) = event {
//!             agents[to].add_remote_candidate(now, candidate.to_string().parse()?)?;
//!         }
//!     }
//! }
//!
//! // The network.
//! let mut datagram = Vec::new();
//! while !(alice.can_send() && bob.can_send()) {
//!     for (from, to) in [(0, 1), (1, 0)] {
//!         let mut agents = [&mut alice, &mut bob];
//!         agents[from].handle_timeout(now);
//!         while let Some(transmit) = agents[from].poll_transmit(now, &mut datagram) {
//!             let source = Source::udp(transmit.remote, transmit.local);
//!             agents[to].handle_input(now, source, &datagram);
//!             datagram.clear();
//!         }
//!     }
//!     now += Duration::from_millis(5);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod agent;
mod bucket;
mod candidate;
mod checklist;
mod config;
mod consent;
mod credentials;
pub mod diagnosis;
mod event;
mod gathering;
mod generation;
mod interfaces;
pub mod limits;
mod locals;
#[cfg(feature = "mdns")]
pub mod mdns;
mod mdns_name;
mod pacing;
mod pair;
mod priority;
mod relays;
mod remotes;
mod replies;
mod role;
mod selection;
mod servers;
mod small_map;
pub mod stats;
mod transactions;
mod transport;
mod wire;

pub use agent::{AddCandidateError, AddHostError, Agent, Input, RemoteOptions};
pub use candidate::{
    Candidate, CandidateAddress, CandidateError, CandidateKind, CandidateTransport, Foundation,
    TcpType,
};
pub use config::{Config, Families, Policy, Server};
pub use credentials::{Credentials, CredentialsError, Password, Ufrag};
pub use event::{ConnectionState, Event, GatheringState, SelectedPair, ServerError};
pub use interfaces::{InterfaceAddress, gatherable};
pub use mdns_name::{MdnsName, MdnsNameError};
pub use pair::{FailureReason, PairState};
pub use priority::{PairPriority, Priority};
pub use role::Role;
pub use transport::{HostTransport, LocalBase, SocketUse, Source, Transmit, Transport};
