//! One round of the loop: datagrams in, timers, each peer's turn, datagrams out.
//!
//! # Fairness and overload
//! In one round a peer is given at most [`INPUTS_A_TURN`] datagrams and makes at most [`TRANSMITS_A_TURN`] send calls; all
//! peers together are given [`DATAGRAMS_A_TURN`]. What arrives beyond that waits in the peer's inbox, in order, and
//! sockets are read on, because what stays in the system's buffer is thrown away there without a look at what it is.
//! An inbox, and all inboxes together, take media up to one bound and everything else up to a higher one: who falls
//! behind loses the newest media first. The same holds for packets that handles send faster than the loop works. Data channels lose nothing by it, as SCTP's window is smaller than an inbox.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::commands::wrap;
use super::exchange::Fate;
use super::handle::DriverStats;
use super::run::Driver;
use super::slot::{Delivered, PeerId, Slot, find};
use super::socket::{Reading, Sent};
use super::streams::Path;
use crate::demux::Routes;
use crate::limits::{
    DATAGRAMS_A_TURN, INPUTS_A_TURN, MAX_BACKLOG, TRANSMITS_A_TURN, TURNS_BEFORE_READING,
};
use crate::types::{Protocol, Received, Transmit};

/// Batches received from one socket before peers get their turn: bounds the time until answers go out.
const RECEIVE_BATCHES: usize = 4;

/// Most datagrams of one send call (the system's own bound for GSO).
const MAX_SEGMENTS: usize = 64;

/// What became of a peer's wish to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It had no more to say.
    All,
    /// Its share of this round is used up.
    Enough,
    /// Its socket is full and will call it.
    Waits,
}

/// What a peer found of the datagrams that all peers together are given in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// It was given its own, or all there was for it.
    Left,
    /// Too few for its own.
    UsedUp,
}

/// What datagrams that came in touch.
struct Arrivals<'a> {
    now: Instant,
    slots: &'a mut Vec<Option<Box<Slot>>>,
    routes: &'a mut Routes<PeerId>,
    dirty: &'a mut VecDeque<PeerId>,
    backlog: &'a mut usize,
    handled: &'a mut usize,
    stats: &'a mut DriverStats,
}

impl Arrivals<'_> {
    /// Gives a datagram to its peer, or has it wait there. Returns it if it belongs to none.
    fn take(
        &mut self,
        owner: Option<PeerId>,
        received: Received,
        datagram: BytesMut,
    ) -> Option<BytesMut> {
        let route = || {
            self.routes
                .route(received.local, received.remote, &datagram)
        };
        let Some(id) = owner.or_else(route) else {
            return Some(datagram);
        };
        let slot = find(self.slots, id)?;
        let len = datagram.len();
        if slot.faulty.as_mut().is_some_and(|faulty| faulty.loses(len)) {
            self.stats.fault_losses += 1;
            return None;
        }
        if slot.inbox.is_empty() && slot.inputs < INPUTS_A_TURN && *self.handled < DATAGRAMS_A_TURN
        {
            slot.inputs += 1;
            *self.handled += 1;
            slot.connection.handle_input(self.now, received, datagram);
        } else {
            slot.defer(received, datagram, self.backlog, self.stats);
        }
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push_back(id);
        }
        None
    }
}

impl Driver {
    // ---- datagrams in ----

    /// Reads the sockets that have something.
    pub(super) fn receive(&mut self, now: Instant) {
        let mut readable = std::mem::take(&mut self.readable);
        self.read(now, &mut readable, Reading::WhenReady);
        self.readable = readable;
    }

    /// Reads the shared sockets while peers have their turns: in a long round their buffers would overflow, and what is
    /// lost there is lost whatever it is. A peer's own socket has but that peer's datagrams to hold.
    fn receive_between(&mut self, now: Instant) {
        let mut shared = (0..self.shared_sockets).collect();
        self.read(now, &mut shared, Reading::AtOnce);
    }

    /// Leaves those sockets in `places` that may have more.
    fn read(&mut self, now: Instant, places: &mut Vec<usize>, reading: Reading) {
        if self.backlog >= MAX_BACKLOG {
            return;
        }
        let Self {
            sockets,
            intake,
            slots,
            routes,
            dirty,
            backlog,
            handled,
            faulty,
            exchange,
            calls,
            stats,
            ..
        } = self;
        let mut arrivals = Arrivals {
            now,
            slots,
            routes,
            dirty,
            backlog,
            handled,
            stats,
        };
        if let Some(exchange) = exchange {
            exchange.begin_turn();
            for (local, remote) in exchange.moved() {
                arrivals.routes.remove_address(local, remote);
            }
            for (received, datagram) in exchange.taken.drain(..) {
                let stray = arrivals.take(None, received, datagram);
                arrivals.stats.unrouted += u64::from(stray.is_some());
            }
        }
        places.retain(|place| {
            let Some(Some(socket)) = sockets.get(*place) else {
                return false;
            };
            if reading == Reading::WhenReady {
                socket.begin_reading();
            }
            for _ in 0..RECEIVE_BATCHES {
                let more = socket.receive(intake, calls, reading, |received, datagram| {
                    arrivals.stats.datagrams_received += 1;
                    arrivals.stats.bytes_received += datagram.len() as u64;
                    let len = datagram.len();
                    if faulty.as_mut().is_some_and(|faulty| faulty.loses(len)) {
                        arrivals.stats.fault_losses += 1;
                        return;
                    }
                    // Who is named goes before who is there.
                    let others = socket.owner.is_none()
                        && exchange
                            .as_ref()
                            .is_some_and(|exchange| exchange.names(arrivals.routes, &datagram));
                    let stray = if others {
                        datagram
                    } else {
                        match arrivals.take(socket.owner, received, datagram) {
                            Some(stray) => stray,
                            None => return,
                        }
                    };
                    let fate = exchange
                        .as_mut()
                        .map_or(Fate::Nobodys, |exchange| exchange.forward(received, stray));
                    match fate {
                        Fate::HandedOver => arrivals.stats.handed_over += 1,
                        Fate::Dropped => arrivals.stats.handover_dropped += 1,
                        Fate::Nobodys => arrivals.stats.unrouted += 1,
                    }
                });
                match more {
                    Ok(true) => {}
                    Ok(false) if reading == Reading::AtOnce => return false,
                    Ok(false) => return !socket.wait_readable(),
                    Err(error) => {
                        // An ICMP error of some path; the next call goes on.
                        tracing::debug!(%error, "receive");
                    }
                }
            }
            true
        });
    }

    // ---- time ----

    pub(super) fn expire(&mut self, now: Instant) {
        if self.look_again.is_some_and(|at| at <= now) {
            let every = self.config.interface_poll;
            self.look_again = every.and_then(|every| now.checked_add(every));
            self.look_at_interfaces(now);
        }
        while let Some((at, id)) = self.timers.pop_due(now) {
            let Some(slot) = self.slot(id).filter(|slot| slot.armed == Some(at)) else {
                continue;
            };
            slot.armed = None;
            if slot
                .connection
                .poll_timeout()
                .is_some_and(|timeout| timeout <= now)
            {
                slot.connection.handle_timeout(now);
            }
            self.touch(id);
        }
    }

    // ---- out ----

    pub(super) fn flush(&mut self, now: Instant) {
        self.use_room(now);
        self.send_delayed(now);
        // Each peer that is on the list now gets one turn.
        let all = self.dirty.len();
        // Peers in front of the first that found the round's share used up.
        let mut served = None;
        for n in 0..all {
            if n % TURNS_BEFORE_READING == TURNS_BEFORE_READING - 1 {
                self.receive_between(now);
            }
            let Some(id) = self.dirty.pop_front() else {
                break;
            };
            if let Some(slot) = self.slot(id) {
                slot.dirty = false;
            }
            let behind = self.dirty.len().saturating_sub(all - n - 1);
            if self.turn(now, id) == Share::UsedUp {
                served.get_or_insert(behind);
            }
        }
        // In the next round those come first that got nothing in this one.
        self.dirty
            .rotate_left(served.unwrap_or(0).min(self.dirty.len()));
        let Self { timers, slots, .. } = self;
        timers.tidy(|at, id| find(slots, id).is_some_and(|slot| slot.armed == Some(at)));
    }

    /// What a fault held back and what is due now.
    fn send_delayed(&mut self, now: Instant) {
        while let Some(held) = self.delayed.pop_due(now) {
            self.out.clear();
            self.out.extend_from_slice(&held.bytes);
            if let Sent::Full = self.send(held.socket, &held.transmit) {
                self.keep(held.socket, None, &held.transmit);
            }
        }
    }

    /// One peer's turn: what waits for it, what it wants to send, to tell, and to be woken for.
    fn turn(&mut self, now: Instant, id: PeerId) -> Share {
        let Self {
            slots,
            backlog,
            handled,
            ..
        } = self;
        let Some(slot) = find(slots, id) else {
            return Share::Left;
        };
        while slot.inputs < INPUTS_A_TURN && *handled < DATAGRAMS_A_TURN {
            let Some((received, datagram)) = slot.inbox.pop_front() else {
                break;
            };
            slot.inputs += 1;
            *handled += 1;
            *backlog -= 1;
            slot.connection.handle_input(now, received, datagram);
        }
        let more = !slot.inbox.is_empty();
        let share = if more && slot.inputs < INPUTS_A_TURN {
            Share::UsedUp
        } else {
            Share::Left
        };
        slot.inputs = 0;
        if !more {
            // A flood that is over leaves no memory behind.
            slot.inbox.shrink_to(INPUTS_A_TURN);
        }
        let said = self.transmit(now, id);
        self.ask_names(now, id);
        let (credit, queue) = (self.config.channel_credit, self.config.event_queue);
        let tracks = self.config.track_queue;
        let Some(slot) = self.slot(id) else {
            return share;
        };
        slot.settle(now);
        let delivered = slot.deliver(|slot, event| wrap(slot, event, now, credit, queue, tracks));
        self.update_ufrags(id);
        self.learn_selected(now, id);
        let Some(slot) = find(&mut self.slots, id) else {
            return share;
        };
        self.timers
            .arm(id, slot.connection.poll_timeout(), &mut slot.armed);
        if slot.closing && said == Said::All && delivered == Delivered::All {
            self.remove(id);
        } else if said == Said::Enough || more || std::mem::take(&mut slot.again) {
            self.touch(id);
        }
        share
    }

    /// Sends what a peer has to say, within its budget.
    fn transmit(&mut self, now: Instant, id: PeerId) -> Said {
        for _ in 0..TRANSMITS_A_TURN {
            if self.waits_for_room(id) {
                return Said::Waits;
            }
            self.out.clear();
            let Some(slot) = find(&mut self.slots, id) else {
                return Said::All;
            };
            let first = slot.own_sockets.first().copied().unwrap_or(0);
            let segments = match self.sockets.get(first) {
                Some(Some(socket)) => socket.max_segments().min(MAX_SEGMENTS),
                _ => 1,
            };
            let Some(transmit) = slot.connection.poll_transmit(now, &mut self.out, segments) else {
                return Said::All;
            };
            if transmit.transport != Protocol::Udp {
                self.carry(now, id, &transmit);
                continue;
            }
            let Some(slot) = find(&mut self.slots, id) else {
                return Said::All;
            };
            let sockets = &self.sockets;
            let serves = |place: &usize| {
                let socket = sockets.get(*place).and_then(Option::as_ref);
                socket.is_some_and(|socket| socket.serves(transmit.local))
            };
            let mut own = slot.own_sockets.iter().copied();
            let found = own
                .find(serves)
                .or_else(|| (0..self.shared_sockets).find(serves));
            let Some(socket) = found else {
                continue;
            };
            slot.sent_by = found;
            if socket < self.shared_sockets {
                self.learn_route(now, id, &transmit);
            }
            let Some(transmit) = self.pass_faults(now, id, socket, transmit) else {
                continue;
            };
            match self.send(socket, &transmit) {
                Sent::Full => self.keep(socket, Some(id), &transmit),
                sent => self.tell(now, id, &transmit, sent),
            }
        }
        Said::Enough
    }

    /// Tells a peer what the system said of a transmit of its.
    pub(super) fn tell(&mut self, now: Instant, id: PeerId, transmit: &Transmit, sent: Sent) {
        match sent {
            Sent::Done | Sent::Full => {}
            Sent::TooLong => {
                let longest = transmit.segment_size.unwrap_or(transmit.len);
                if let Some(slot) = self.slot(id) {
                    slot.connection.handle_refused(now, longest);
                }
            }
            Sent::Unreachable(why) => {
                let path = Path {
                    transport: Protocol::Udp,
                    local: transmit.local,
                    remote: transmit.remote,
                };
                self.path_failed(now, id, path, &why);
            }
        }
    }

    /// What a network with faults leaves of a transmit to be sent now.
    fn pass_faults(
        &mut self,
        now: Instant,
        id: PeerId,
        socket: usize,
        mut transmit: Transmit,
    ) -> Option<Transmit> {
        let Self {
            slots,
            out,
            faulty,
            delayed,
            stats,
            ..
        } = self;
        let of_peer = find(slots, id).and_then(|slot| slot.faulty.as_deref_mut());
        let mut delay = Duration::ZERO;
        for faulty in faulty.iter_mut().chain(of_peer) {
            stats.fault_losses += faulty.thin(&mut transmit, out);
            delay = delay.saturating_add(faulty.delay());
        }
        if transmit.len == 0 {
            return None;
        }
        if delay.is_zero() {
            return Some(transmit);
        }
        let at = now.checked_add(delay);
        if !at.is_some_and(|at| delayed.push(at, socket, transmit, out)) {
            stats.fault_losses += 1;
        }
        None
    }

    fn send(&mut self, socket: usize, transmit: &Transmit) -> Sent {
        let Some(Some(socket)) = self.sockets.get_mut(socket) else {
            return Sent::Done;
        };
        let Some(bytes) = self.out.get(..transmit.len) else {
            return Sent::Done;
        };
        if socket.jam.is_full() {
            // What waits there goes first.
            return Sent::Full;
        }
        let sent = socket.send(transmit, bytes, &mut self.calls);
        sent.count(transmit, &mut self.stats);
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::{SocketAddr, UdpSocket};

    use super::super::handle::Command;
    use super::super::run::{Waiting, bounded};
    use super::*;
    use crate::driver::{Driver, DriverConfig};
    use crate::limits::{MAX_INBOX_MEDIA, MAX_MEDIA_A_TURN};
    use crate::{Configuration, RtpPacket};
    use crate::{DataChannelInit, Ecn, Message, Protocol, TransceiverInit, types::Kind, work};

    const RTP: &[u8] = &[0x80, 96, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
    const DTLS: &[u8] = &[22, 254, 253, 0];

    async fn readable(driver: &mut Driver) {
        driver.wait(&mut Waiting::new()).await;
        // As the loop does: or the runtime would never look at its sockets.
        tokio::task::yield_now().await;
    }

    fn slot(driver: &mut Driver, id: PeerId) -> &mut Slot {
        driver.slot(id).unwrap()
    }

    #[test]
    fn packets_to_be_sent_are_shed_when_the_loop_does_not_keep_up_and_calls_are_not() {
        bounded(async {
            let mut driver = Driver::bind(DriverConfig::loopback()).unwrap();
            let (peer, _events) = driver
                .new_peer(Instant::now(), Configuration::default())
                .unwrap();
            let transceiver = peer.add_transceiver(Kind::Audio, TransceiverInit::default());
            let mut transceiver = Box::pin(transceiver);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(transceiver.as_mut().poll(&mut cx).is_pending());
            let mut waiting = Waiting::new();
            driver.wait(&mut waiting).await;
            driver.obey(Instant::now(), &mut waiting.inbox);
            let transceiver = transceiver.await.unwrap();

            let all = MAX_MEDIA_A_TURN + 3 * 1024;
            for n in 0..all {
                let packet = RtpPacket::new(111, n as u16, 0, false, vec![0; 10]);
                let command = Command::SendRtp {
                    peer: peer.id(),
                    transceiver,
                    packet,
                };
                assert!(driver.handle().command(command));
            }
            let stats = driver.handle();
            let mut told = Box::pin(stats.stats());
            assert!(told.as_mut().poll(&mut cx).is_pending());
            driver.wait(&mut waiting).await;
            driver.obey(Instant::now(), &mut waiting.inbox);
            // The call is heard in the same round, however many packets came before it. Those that were taken are dropped,
            // with nothing negotiated.
            let stats = told.await.unwrap();
            assert_eq!(stats.shed_media, 3 * 1024);
            assert_eq!(stats.shed_media + stats.dropped_rtp, all as u64);
        });
    }

    #[test]
    fn a_turn_costs_nothing_for_channels_that_rest() {
        bounded(async {
            let mut driver = Driver::bind(DriverConfig::loopback()).unwrap();
            let now = Instant::now();
            let (peer, _events) = driver.new_peer(now, Configuration::default()).unwrap();
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let mut waiting = Waiting::new();
            let mut channels: Vec<_> = (0..1_000)
                .map(|_| {
                    let made = peer.create_data_channel("", DataChannelInit::default());
                    let mut made = Box::pin(made);
                    assert!(made.as_mut().poll(&mut cx).is_pending());
                    made
                })
                .collect();
            driver.wait(&mut waiting).await;
            driver.obey(now, &mut waiting.inbox);
            driver.flush(now);
            let channel = channels.pop().unwrap().await.unwrap();
            channel.send(Message::text("waits")).await.unwrap();
            driver.wait(&mut waiting).await;
            driver.obey(now, &mut waiting.inbox);
            let steps = work::counted(|| driver.flush(now));
            assert!((1..10).contains(&steps), "{steps}");
        });
    }

    #[test]
    fn busy_peers_leave_something_for_those_behind_them() {
        bounded(async {
            let mut driver = Driver::bind(DriverConfig::loopback()).unwrap();
            let now = Instant::now();
            let mut handles = Vec::new();
            let busy = DATAGRAMS_A_TURN / INPUTS_A_TURN;
            let all: Vec<_> = (0..busy + 2)
                .map(|_| {
                    handles.push(driver.new_peer(now, Configuration::default()).unwrap());
                    driver.slots.last().unwrap().as_ref().unwrap().id
                })
                .collect();
            let received = Received {
                local: driver
                    .local_addresses()
                    .first()
                    .copied()
                    .unwrap_or(([127, 0, 0, 1], 1).into()),
                remote: ([127, 0, 0, 1], 9).into(),
                transport: Protocol::Udp,
                ecn: Ecn::NotEct,
            };
            let fill = |driver: &mut Driver, id: PeerId, up_to: usize| {
                let Driver {
                    slots,
                    backlog,
                    stats,
                    ..
                } = driver;
                let slot = find(slots, id).unwrap();
                while slot.inbox.len() < up_to {
                    slot.defer(received, BytesMut::from(DTLS), backlog, stats);
                }
                driver.touch(id);
            };
            for id in &all[busy..] {
                fill(&mut driver, *id, 3);
            }
            driver.dirty.clear();
            for id in &all {
                slot(&mut driver, *id).dirty = false;
            }
            for _ in 0..2 {
                for id in &all[..busy] {
                    fill(&mut driver, *id, 2 * INPUTS_A_TURN);
                }
                for id in &all[busy..] {
                    driver.touch(*id);
                }
                driver.handled = 0;
                driver.flush(now);
            }
            for id in &all[busy..] {
                assert!(slot(&mut driver, *id).inbox.is_empty());
            }
            // And the busy ones go on.
            let left = |driver: &mut Driver| -> usize {
                let all = all.iter();
                all.map(|id| slot(driver, *id).inbox.len()).sum()
            };
            assert!(left(&mut driver) < 2 * busy * INPUTS_A_TURN);
        });
    }

    #[test]
    fn a_flood_costs_its_own_peer_media_first_and_nobody_else_anything() {
        bounded(async {
            let config = DriverConfig {
                port_per_peer: false,
                ..DriverConfig::loopback()
            };
            let mut driver = Driver::bind(config).unwrap();
            let now = Instant::now();
            let mut handles = Vec::new();
            let [noisy, quiet] = [0, 1].map(|_| {
                handles.push(driver.new_peer(now, Configuration::default()).unwrap());
                driver.slots.last().unwrap().as_ref().unwrap().id
            });
            let local = driver.local_addresses()[0];
            let [from, other] = [noisy, quiet].map(|id| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let remote: SocketAddr = socket.local_addr().unwrap();
                driver.routes.insert_address(local, remote, id).unwrap();
                socket
            });
            // Batches that the system's buffer surely holds, and no turn in between: the loop is slow.
            let all = (INPUTS_A_TURN + MAX_INBOX_MEDIA) as u64 + 300;
            for _ in 0..all / 100 + 1 {
                for _ in 0..100 {
                    from.send_to(RTP, local).unwrap();
                }
                let target = driver.stats.datagrams_received + 100;
                while driver.stats.datagrams_received < target {
                    readable(&mut driver).await;
                    driver.receive(now);
                }
            }
            let received = driver.stats.datagrams_received;
            assert_eq!(slot(&mut driver, noisy).inputs, INPUTS_A_TURN);
            assert_eq!(slot(&mut driver, noisy).inbox.len(), MAX_INBOX_MEDIA);
            let kept = (INPUTS_A_TURN + MAX_INBOX_MEDIA) as u64;
            assert_eq!(driver.stats.shed_media, received - kept);

            // What is no media still finds a place, and another peer gets its own at once.
            from.send_to(DTLS, local).unwrap();
            other.send_to(RTP, local).unwrap();
            while driver.stats.datagrams_received < received + 2 {
                readable(&mut driver).await;
                driver.receive(now);
            }
            assert_eq!(driver.stats.shed_media, received - kept);
            assert_eq!(slot(&mut driver, noisy).inbox.len(), MAX_INBOX_MEDIA + 1);
            assert_eq!(slot(&mut driver, quiet).inputs, 1);
            assert_eq!(driver.backlog, MAX_INBOX_MEDIA + 1);

            // Round by round the inbox empties, never more than a share at a time.
            let mut rounds = 0;
            while driver.backlog > 0 {
                let before = driver.backlog;
                driver.handled = 0;
                driver.flush(now);
                assert!(before - driver.backlog <= INPUTS_A_TURN);
                rounds += 1;
                assert!(rounds < 10);
            }
            assert!(rounds >= 2 && slot(&mut driver, noisy).inbox.is_empty());

            // A peer that goes takes what waits for it along.
            for _ in 0..2 {
                slot(&mut driver, noisy).inputs = INPUTS_A_TURN;
                from.send_to(DTLS, local).unwrap();
            }
            while driver.backlog < 2 {
                readable(&mut driver).await;
                driver.receive(now);
            }
            driver.remove(noisy);
            assert_eq!(driver.backlog, 0);
            assert_eq!(driver.stats.shed_other, 0);
        });
    }
}
