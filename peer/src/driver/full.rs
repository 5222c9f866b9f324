//! UDP sockets that take no more for now.
//!
//! Such a socket keeps what it could not send, and knows who waits for it; sockets and peers beside it go on. The runtime
//! says when there is room, the kept runs go out first, and those who waited get their turn again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::ready::{Flag, Ready, waker};
use super::run::Driver;
use super::slot::{PeerId, find};
use super::socket::Sent;
use crate::limits::MAX_SOCKET_QUEUE;
use crate::types::Transmit;

/// A run of datagrams that found its socket full.
struct Kept {
    /// Whose it is; `None` when a fault had delayed it.
    peer: Option<PeerId>,
    transmit: Transmit,
    bytes: Vec<u8>,
}

/// What a socket keeps while it is full.
#[derive(Default)]
pub(super) struct Jam {
    runs: VecDeque<Kept>,
    bytes: usize,
    /// Peers that have something to send here.
    waiters: Vec<PeerId>,
    /// The entry in the loop's list of sockets with room, made when the socket is full for the first time.
    flag: Option<(Arc<Flag>, Waker)>,
}

impl Jam {
    /// Whether something is kept.
    pub(super) fn is_full(&self) -> bool {
        !self.runs.is_empty()
    }

    fn waker(&mut self, room: &Ready, place: usize) -> &(Arc<Flag>, Waker) {
        self.flag.get_or_insert_with(|| {
            let flag = room.flag(place);
            let waker = waker(&flag);
            (flag, waker)
        })
    }
}

impl Driver {
    /// Keeps what stands in `out` and found its socket full.
    pub(super) fn keep(&mut self, place: usize, peer: Option<PeerId>, transmit: &Transmit) {
        let Some(Some(socket)) = self.sockets.get_mut(place) else {
            return;
        };
        let Some(bytes) = self.out.get(..transmit.len) else {
            return;
        };
        let was_full = socket.jam.is_full();
        if socket.jam.bytes + bytes.len() > MAX_SOCKET_QUEUE && was_full {
            self.stats.dropped_full += transmit.datagrams();
            return;
        }
        socket.jam.bytes += bytes.len();
        socket.jam.runs.push_back(Kept {
            peer,
            transmit: *transmit,
            bytes: bytes.to_vec(),
        });
        if !was_full {
            socket.wait_writable(&self.room, place);
        }
    }

    /// Whether the socket that this peer sent by last is full. It is called again when there is room.
    pub(super) fn waits_for_room(&mut self, id: PeerId) -> bool {
        let Self { slots, sockets, .. } = self;
        let Some(slot) = find(slots, id) else {
            return false;
        };
        let Some(Some(socket)) = slot.sent_by.and_then(|place| sockets.get_mut(place)) else {
            return false;
        };
        // Its place may be another's by now.
        let serves = socket.owner.is_none_or(|owner| owner == id);
        if !serves || !socket.jam.is_full() {
            return false;
        }
        if !std::mem::replace(&mut slot.waits, true) {
            socket.jam.waiters.push(id);
        }
        true
    }

    /// Sends what sockets kept that have room again, and calls those who waited.
    pub(super) fn use_room(&mut self, now: Instant) {
        let mut roomy = std::mem::take(&mut self.roomy);
        self.room.take(&mut roomy, super::run::SOCKETS_A_TURN);
        for place in roomy.drain(..) {
            for (peer, transmit, sent) in self.unjam(place) {
                self.tell(now, peer, &transmit, sent);
                self.touch(peer);
            }
        }
        self.roomy = roomy;
    }

    /// Sends what one socket kept. What the system would not send comes back.
    fn unjam(&mut self, place: usize) -> Vec<(PeerId, Transmit, Sent)> {
        let mut refused = Vec::new();
        let Some(Some(socket)) = self.sockets.get_mut(place) else {
            return refused;
        };
        if let Some((flag, _)) = &socket.jam.flag {
            flag.lower();
        }
        while let Some(kept) = socket.jam.runs.pop_front() {
            let sent = socket.send(&kept.transmit, &kept.bytes, &mut self.calls);
            sent.count(&kept.transmit, &mut self.stats);
            match sent {
                Sent::Full => {
                    socket.jam.runs.push_front(kept);
                    socket.wait_writable(&self.room, place);
                    return refused;
                }
                Sent::Done => {}
                Sent::TooLong | Sent::Unreachable(_) => {
                    refused.extend(kept.peer.map(|peer| (peer, kept.transmit, sent)));
                }
            }
            socket.jam.bytes -= kept.bytes.len();
        }
        socket.jam.runs = VecDeque::new();
        for id in std::mem::take(&mut socket.jam.waiters) {
            if let Some(slot) = self.slot(id) {
                slot.waits = false;
                self.touch(id);
            }
        }
        refused
    }
}

impl super::socket::Socket {
    /// Has the socket put on the list of those with room when it has some.
    fn wait_writable(&mut self, room: &Ready, place: usize) {
        let (flag, waker) = self.jam.waker(room, place).clone();
        if self.poll_writable(&waker).is_ready() {
            flag.raise();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::driver::run::{Waiting, bounded};
    use crate::driver::{DataChannel, Driver, DriverConfig, DriverHandle, Events, Peer, PeerEvent};
    use crate::limits::MAX_SOCKET_QUEUE;
    use crate::{Configuration, DataChannelInit, Message};

    /// Lets the loop run until `until` is done.
    async fn drive<T>(driver: &mut Driver, until: impl Future<Output = T>) -> T {
        let mut waiting = Waiting::new();
        let mut until = std::pin::pin!(until);
        loop {
            tokio::select! {
                biased;
                result = &mut until => return result,
                () = driver.round(&mut waiting) => {}
            }
        }
    }

    struct Pair {
        from: DataChannel,
        to: DataChannel,
        _peers: [(Peer, Events); 2],
    }

    async fn pair(handle: &DriverHandle) -> Pair {
        let mut a = handle.peer(Configuration::default()).await.unwrap();
        let mut b = handle.peer(Configuration::default()).await.unwrap();
        let init = DataChannelInit::default();
        let mut from = a.0.create_data_channel("a", init).await.unwrap();
        let offer = a.0.offer_with_candidates(&mut a.1).await.unwrap();
        b.0.set_remote_description(offer).await.unwrap();
        let answer = b.0.answer_with_candidates(&mut b.1).await.unwrap();
        a.0.set_remote_description(answer).await.unwrap();
        let mut to = loop {
            if let PeerEvent::DataChannel(channel) = b.1.next().await.unwrap() {
                break channel;
            }
        };
        from.send(Message::text("?")).await.unwrap();
        let question = to_message(&mut to).await;
        to.send(question).await.unwrap();
        to_message(&mut from).await;
        Pair {
            from,
            to,
            _peers: [a, b],
        }
    }

    async fn to_message(channel: &mut DataChannel) -> Message {
        channel.recv().await.unwrap()
    }

    /// Sends so many messages of a kilobyte; or receives them.
    async fn send(channel: &DataChannel, count: u8) {
        for n in 0..count {
            let message = Message::binary(vec![n; 1000]);
            channel.send(message).await.unwrap();
        }
    }

    async fn receive(channel: &mut DataChannel, count: u8) {
        for n in 0..count {
            let message = to_message(channel).await;
            assert_eq!(message, Message::binary(vec![n; 1000]));
        }
    }

    #[test]
    fn a_full_socket_stops_its_own_peer_and_loses_nothing() {
        bounded(async {
            let mut driver = Driver::bind(DriverConfig::loopback()).unwrap();
            let handle = driver.handle();
            let (mut slow, mut other) = drive(&mut driver, async {
                (pair(&handle).await, pair(&handle).await)
            })
            .await;
            // The first peer's socket takes no more.
            let place = driver.slots[0].as_ref().unwrap().own_sockets[0];
            let socket = |driver: &mut Driver| driver.sockets[place].take().unwrap();
            let mut clogged = socket(&mut driver);
            clogged.clogged = true;
            driver.sockets[place] = Some(clogged);

            drive(&mut driver, send(&slow.from, 200)).await;
            drive(&mut driver, async {
                send(&other.from, 200).await;
                receive(&mut other.to, 200).await;
                send(&other.to, 200).await;
                receive(&mut other.from, 200).await;
            })
            .await;
            let kept = driver.sockets[place].as_ref().unwrap();
            assert!(kept.jam.is_full() && kept.jam.bytes <= MAX_SOCKET_QUEUE);
            assert!(driver.slots[0].as_ref().unwrap().waits);
            assert_eq!(driver.stats.dropped_full, 0);
            // Who waits is not asked over and over.
            assert!(driver.dirty.is_empty(), "{:?}", driver.dirty);

            let mut roomy = socket(&mut driver);
            roomy.clogged = false;
            roomy.jam.flag.as_ref().unwrap().0.raise();
            driver.sockets[place] = Some(roomy);
            drive(&mut driver, receive(&mut slow.to, 200)).await;
            let socket = driver.sockets[place].as_ref().unwrap();
            assert!(!socket.jam.is_full() && socket.jam.bytes == 0);
            assert!(socket.jam.waiters.is_empty());
        });
    }
}
