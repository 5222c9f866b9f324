//! A network with a sans-IO machine on each host.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::network::{Delivery, HostId, Network};
use crate::packet::Datagram;
use crate::tcp::{TcpCommand, TcpEvent};

/// A sans-IO machine, or several in one, as the simulation drives it.
pub trait Peer {
    /// A datagram came.
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram);
    /// The time that [`Peer::poll_timeout`] named has come.
    fn handle_timeout(&mut self, now: Instant);
    /// When [`Peer::handle_timeout`] wants to be called next.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next datagram to send, until there is none.
    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram>;
    /// News of a stream. Peers without TCP need not care.
    fn handle_tcp(&mut self, _now: Instant, _event: TcpEvent) {}
    /// The next thing to do with a stream, until there is none.
    fn poll_tcp(&mut self, _now: Instant) -> Option<TcpCommand> {
        None
    }
    /// The host's addresses changed.
    fn handle_addresses(&mut self, _now: Instant, _addresses: &[IpAddr]) {}
}

impl<P: Peer + ?Sized> Peer for Box<P> {
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        (**self).handle_datagram(now, datagram);
    }
    fn handle_timeout(&mut self, now: Instant) {
        (**self).handle_timeout(now);
    }
    fn poll_timeout(&self) -> Option<Instant> {
        (**self).poll_timeout()
    }
    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        (**self).poll_transmit(now)
    }
    fn handle_tcp(&mut self, now: Instant, event: TcpEvent) {
        (**self).handle_tcp(now, event);
    }
    fn poll_tcp(&mut self, now: Instant) -> Option<TcpCommand> {
        (**self).poll_tcp(now)
    }
    fn handle_addresses(&mut self, now: Instant, addresses: &[IpAddr]) {
        (**self).handle_addresses(now, addresses);
    }
}

/// The condition did not come about in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    /// The seed that reproduces the run.
    pub seed: u64,
    /// Virtual time that was allowed.
    pub limit: Duration,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nothing came of it in {:?} of virtual time; seed {}",
            self.limit, self.seed
        )
    }
}

impl std::error::Error for TimedOut {}

/// Calls of [`Peer::handle_timeout`] at one instant after which a peer counts as stuck.
pub const MAX_TIMEOUTS_AT_ONCE: u32 = 10_000;

/// A network and its peers.
pub struct Simulation<P> {
    network: Network,
    hosts: Vec<HostId>,
    peers: Vec<P>,
}

impl<P: Peer> Simulation<P> {
    /// A simulation without peers.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            hosts: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// Puts a peer on a host; peers are numbered in the order of this call. A host carries one
    /// peer: a later one for the same host hears nothing.
    pub fn add_peer(&mut self, host: HostId, peer: P) -> usize {
        self.hosts.push(host);
        self.peers.push(peer);
        self.peers.len() - 1
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to change it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The peers, in their order.
    pub fn peers(&self) -> &[P] {
        &self.peers
    }

    /// The peers, to call them; what they want to send is collected at the next run.
    pub fn peers_mut(&mut self) -> &mut [P] {
        &mut self.peers
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.network.now()
    }

    /// Runs for `time`.
    pub fn run_for(&mut self, time: Duration) {
        // A condition that never holds: the end is the limit.
        let _ = self.run_until(time, |_| false);
    }

    /// Runs until `done`, which is asked after every step, or fails after `limit`.
    ///
    /// # Errors
    /// [`TimedOut`] with the run's seed.
    ///
    /// # Panics
    /// When a peer asks for a timeout at the same instant for ever: a stuck timer is a fault to
    /// find, not to wait for.
    #[allow(clippy::panic, reason = "a stuck timer under test is a failed test")]
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&mut [P]) -> bool,
    ) -> Result<(), TimedOut> {
        let end = self.network.now() + limit;
        let mut at_once = 0u32;
        let mut last = self.network.now();
        loop {
            self.collect();
            if done(&mut self.peers) {
                return Ok(());
            }
            // What the condition did may have given peers something to say.
            self.collect();
            let now = self.network.now();
            let timer = self.peers.iter().filter_map(Peer::poll_timeout).min();
            let until = timer.map_or(end, |timer| timer.max(now).min(end));
            let busy = self
                .network
                .next_event()
                .is_some_and(|event| event <= until);
            if !busy && until == end && timer.is_none_or(|timer| timer > end) {
                // Nothing more happens before the end.
                while let Some(delivery) = self.network.step(end) {
                    self.hand_over(delivery);
                }
                return Err(TimedOut {
                    seed: self.network.seed(),
                    limit,
                });
            }
            if let Some(delivery) = self.network.step(until) {
                self.hand_over(delivery);
                continue;
            }
            let now = self.network.now();
            for peer in &mut self.peers {
                if peer.poll_timeout().is_some_and(|timer| timer <= now) {
                    peer.handle_timeout(now);
                }
            }
            at_once = if now == last { at_once + 1 } else { 0 };
            last = now;
            if at_once > MAX_TIMEOUTS_AT_ONCE {
                panic!("a peer's timer is stuck; seed {}", self.network.seed());
            }
        }
    }

    fn hand_over(&mut self, delivery: Delivery) {
        let now = self.network.now();
        let host = match &delivery {
            Delivery::Datagram(host, _) | Delivery::Tcp(host, _) | Delivery::Addresses(host, _) => {
                *host
            }
        };
        let peer = self.hosts.iter().position(|h| *h == host);
        let Some(peer) = peer.and_then(|index| self.peers.get_mut(index)) else {
            return;
        };
        match delivery {
            Delivery::Datagram(_, datagram) => peer.handle_datagram(now, datagram),
            Delivery::Tcp(_, event) => peer.handle_tcp(now, event),
            Delivery::Addresses(_, addresses) => peer.handle_addresses(now, &addresses),
        }
    }

    fn collect(&mut self) {
        let now = self.network.now();
        for (peer, host) in self.peers.iter_mut().zip(&self.hosts) {
            while let Some(datagram) = peer.poll_transmit(now) {
                self.network.send(*host, datagram);
            }
            while let Some(command) = peer.poll_tcp(now) {
                self.network.tcp(*host, command);
            }
        }
    }
}

impl<P> fmt::Debug for Simulation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("network", &self.network)
            .field("peers", &self.peers.len())
            .finish_non_exhaustive()
    }
}
