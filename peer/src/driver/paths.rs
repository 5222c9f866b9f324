//! Whose a path of a shared socket is, and whose a username fragment: what datagrams that come are routed by.
//!
//! A path that is nobody's goes to who answers a check on it, one that is somebody's to who selects it:
//! [`Routes::claim_address`](crate::demux::Routes::claim_address). Where two peers live between the same two addresses, their
//! data can't be told apart; whoever came last has them.

use std::net::SocketAddr;
use std::time::Instant;

use super::run::Driver;
use super::slot::{PeerId, find};
use super::socket::Socket;
use crate::demux::{Claim, Packet, classify};
use crate::types::Transmit;

impl Driver {
    /// What goes out to an address as an answer shows whose the path is, if nobody has it. A request proves nothing: only
    /// its answer is this peer's, by its transaction.
    pub(super) fn learn_route(&mut self, now: Instant, id: PeerId, transmit: &Transmit) {
        if classify(&self.out) != Packet::Stun {
            return;
        }
        let (local, remote) = (transmit.local, transmit.remote);
        match self.out.get(..2) {
            Some([0x00, 0x01]) if self.routes.owner(local, remote) != Some(id) => {
                self.routes.insert_request(&self.out, id);
                if let Some(exchange) = &self.exchange {
                    exchange.learn_request(&self.out, id);
                }
            }
            Some([0x01, 0x01]) => self.own_path(now, id, local, remote, Claim::Answered),
            // An error is no proof of anything, an indication has no answer.
            _ => {}
        }
    }

    /// The path by which a peer's data go is its own: an answer to a check has proved it, also where the far side makes
    /// none itself (ICE lite).
    pub(super) fn learn_selected(&mut self, now: Instant, id: PeerId) {
        let Some(slot) = find(&mut self.slots, id) else {
            return;
        };
        let path = slot.connection.selected_path();
        if slot.path == path {
            return;
        }
        slot.path = path;
        let Some((local, remote)) = path else { return };
        let serves = |socket: &Option<Socket>| socket.as_ref().is_some_and(|s| s.serves(local));
        if self.sockets.iter().take(self.shared_sockets).any(serves) {
            self.own_path(now, id, local, remote, Claim::Selected);
        }
    }

    fn own_path(
        &mut self,
        now: Instant,
        id: PeerId,
        local: SocketAddr,
        remote: SocketAddr,
        claim: Claim,
    ) {
        let taken = match &self.exchange {
            Some(exchange) => exchange.claim(now, local, remote, id, claim),
            None => None,
        };
        let claim = match taken {
            Some(false) => return,
            // The directory of all loops has said so.
            Some(true) => Claim::Selected,
            None => claim,
        };
        // A full table costs the address its fast path, and the peer a path: nothing to do about it here.
        let _ = self.routes.claim_address(now, local, remote, id, claim);
    }

    pub(super) fn update_ufrags(&mut self, id: PeerId) {
        let Self {
            slots,
            routes,
            exchange,
            ..
        } = self;
        let Some(slot) = find(slots, id) else {
            return;
        };
        if slot
            .connection
            .local_ufrags()
            .eq(slot.ufrags.iter().map(String::as_str))
        {
            return;
        }
        let now: Vec<String> = slot.connection.local_ufrags().map(str::to_owned).collect();
        for old in slot.ufrags.iter().filter(|old| !now.contains(old)) {
            // A restart is over: what it selected is selected anew, though it be the path of before.
            slot.path = None;
            routes.remove_ufrag(old);
            if let Some(exchange) = exchange {
                exchange.forget_ufrag(old);
            }
        }
        for new in &now {
            let _ = routes.insert_ufrag(new, id);
        }
        if let Some(exchange) = exchange {
            exchange.learn_ufrags(id, now.iter().map(String::as_str));
        }
        slot.ufrags = now;
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::bounded;
    use super::*;
    use crate::driver::{Driver, DriverConfig};
    use crate::{Configuration, Ecn, Protocol};

    /// A check of `kind` from the socket to somebody, as the connection would send it.
    fn check(driver: &mut Driver, kind: u8, remote: SocketAddr) -> Transmit {
        let mut message = vec![kind, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
        message.extend([kind; 12]);
        message.extend([0, 6, 0, 3, b'a', b':', b'b', 0]);
        let len = message.len();
        driver.out = message;
        Transmit {
            local: driver.local_addresses()[0],
            remote,
            transport: Protocol::Udp,
            len,
            segment_size: None,
            ecn: Ecn::NotEct,
        }
    }

    #[test]
    fn a_candidate_does_not_take_another_peers_path() {
        bounded(async {
            let config = DriverConfig {
                port_per_peer: false,
                ..DriverConfig::loopback()
            };
            let mut driver = Driver::bind(config).unwrap();
            let mut handles = Vec::new();
            let [victim, other] = [0, 1].map(|_| {
                let config = Configuration::default();
                handles.push(driver.new_peer(Instant::now(), config).unwrap());
                driver.slots.last().unwrap().as_ref().unwrap().id
            });
            let now = Instant::now();
            let remote = SocketAddr::from(([127, 0, 0, 1], 9));
            let own = check(&mut driver, 1, remote);
            driver.learn_route(now, victim, &own);
            let local = own.local;
            assert_eq!(driver.routes.owner(local, remote), Some(victim));
            // Somebody says that this address is his.
            let claimed = check(&mut driver, 0, remote);
            driver.learn_route(now, other, &claimed);
            assert_eq!(driver.routes.owner(local, remote), Some(victim));
            let answer = [&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[0; 12]].concat();
            assert_eq!(driver.routes.route(local, remote, &answer), Some(other));
            // Whose address the request bore that he answers is not known.
            let answered = check(&mut driver, 1, remote);
            driver.learn_route(now, other, &answered);
            assert_eq!(driver.routes.owner(local, remote), Some(victim));
            // Who selects it has had an answer from there. He keeps it whatever the other answers.
            driver.own_path(now, other, local, remote, Claim::Selected);
            assert_eq!(driver.routes.owner(local, remote), Some(other));
            let own = check(&mut driver, 1, remote);
            driver.learn_route(now, victim, &own);
            assert_eq!(driver.routes.owner(local, remote), Some(other));
            driver.remove(other);
            driver.learn_route(now, victim, &own);
            assert_eq!(driver.routes.owner(local, remote), Some(victim));

            // An address that nobody has is nobody's by a check either.
            let remote = SocketAddr::from(([127, 0, 0, 1], 10));
            let squatter = check(&mut driver, 0, remote);
            driver.learn_route(now, other, &squatter);
            assert_eq!(driver.routes.owner(local, remote), None);
        });
    }
}
