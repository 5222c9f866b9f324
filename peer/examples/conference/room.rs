//! Who is here, what they send, and who gets it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tincan_peer::driver::{DriverError, Peer, RemoteTrack, RtpSender};
use tincan_peer::{Codec, Direction, Kind, TransceiverId, TransceiverInit};
use tokio::sync::watch;

/// A member's place in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Member(u64);

/// The way of one track to one listener.
#[derive(Clone)]
struct Copy {
    to: Member,
    sender: RtpSender,
}

/// A track that somebody sends.
struct Published {
    from: Member,
    transceiver: TransceiverId,
    kind: Kind,
    /// The list is replaced, never changed: the packet path reads it without waiting.
    copies: watch::Sender<Vec<Copy>>,
}

#[derive(Default)]
struct State {
    members: HashMap<Member, Peer>,
    /// Those who have offered and may be offered to.
    welcomed: Vec<Member>,
    published: Vec<Published>,
}

/// The room.
#[derive(Default)]
pub(crate) struct Room {
    state: Mutex<State>,
    next: AtomicU64,
}

impl Room {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody comes in.
    pub(crate) fn enter(&self, peer: &Peer) -> Member {
        let member = Member(self.next.fetch_add(1, Ordering::Relaxed));
        self.state().members.insert(member, peer.clone());
        member
    }

    /// Somebody is ready to get what the others send.
    pub(crate) async fn welcome(&self, member: &Member, peer: &Peer) -> Result<(), DriverError> {
        let others: Vec<(Member, TransceiverId, Kind)> = {
            let mut state = self.state();
            state.welcomed.push(*member);
            let others = state.published.iter().filter(|track| track.from != *member);
            others
                .map(|track| (track.from, track.transceiver, track.kind))
                .collect()
        };
        for (from, transceiver, kind) in others {
            self.copy(from, transceiver, kind, *member, peer).await?;
        }
        Ok(())
    }

    /// Somebody sends a track: all others get it.
    pub(crate) async fn publish(
        &self,
        member: &Member,
        peer: &Peer,
        track: RemoteTrack,
    ) -> Result<(), DriverError> {
        let (id, kind) = (track.transceiver(), track.kind());
        let (copies, listeners) = watch::channel(Vec::new());
        let others: Vec<(Member, Peer)> = {
            let mut state = self.state();
            state
                .published
                .retain(|track| (track.from, track.transceiver) != (*member, id));
            state.published.push(Published {
                from: *member,
                transceiver: id,
                kind,
                copies,
            });
            let others = state.welcomed.iter().filter(|other| *other != member);
            others
                .filter_map(|other| Some((*other, state.members.get(other)?.clone())))
                .collect()
        };
        let codecs = peer
            .with(move |connection, _| connection.transceiver(id).map(|t| t.receive_codecs))
            .await?
            .unwrap_or_default();
        tokio::spawn(forward(track, codecs, listeners));
        for (other, their) in others {
            self.copy(*member, id, kind, other, &their).await?;
        }
        Ok(())
    }

    /// Gives one track to one listener: a new transceiver, which makes the listener's connection renegotiate.
    async fn copy(
        &self,
        from: Member,
        transceiver: TransceiverId,
        kind: Kind,
        to: Member,
        peer: &Peer,
    ) -> Result<(), DriverError> {
        // The stream's name lets the page put a person's picture and sound together.
        let init = TransceiverInit {
            direction: Direction::SendOnly,
            streams: vec![format!("member-{}", from.0)],
            ..TransceiverInit::default()
        };
        let id = peer.add_transceiver(kind, init).await?;
        let copy = Copy {
            to,
            sender: peer.sender(id),
        };
        let state = self.state();
        let published = state
            .published
            .iter()
            .find(|track| track.from == from && track.transceiver == transceiver);
        if let Some(published) = published {
            published.copies.send_modify(|copies| copies.push(copy));
        }
        Ok(())
    }

    /// A listener's decoder needs a key frame: the sender is asked.
    pub(crate) fn request_key_frame(&self, member: &Member, transceiver: TransceiverId) {
        let state = self.state();
        let published = state.published.iter().find(|track| {
            track
                .copies
                .borrow()
                .iter()
                .any(|copy| copy.to == *member && copy.sender.transceiver() == transceiver)
        });
        if let Some(published) = published
            && let Some(peer) = state.members.get(&published.from)
        {
            peer.request_key_frame(published.transceiver);
        }
    }

    /// A track is not sent any more.
    pub(crate) async fn unpublish(&self, member: &Member, transceiver: TransceiverId) {
        let gone: Vec<Published> = {
            let mut state = self.state();
            let is_gone =
                |track: &mut Published| track.from == *member && track.transceiver == transceiver;
            state.published.extract_if(.., is_gone).collect()
        };
        self.withdraw(gone).await;
    }

    /// Somebody leaves.
    pub(crate) async fn leave(&self, member: &Member) {
        let gone: Vec<Published> = {
            let mut state = self.state();
            state.members.remove(member);
            state.welcomed.retain(|other| other != member);
            for track in &state.published {
                track
                    .copies
                    .send_modify(|copies| copies.retain(|copy| copy.to != *member));
            }
            state
                .published
                .extract_if(.., |track| track.from == *member)
                .collect()
        };
        self.withdraw(gone).await;
    }

    /// Stops the listeners' transceivers of tracks that are gone.
    async fn withdraw(&self, gone: Vec<Published>) {
        for copy in gone
            .into_iter()
            .flat_map(|track| track.copies.borrow().clone())
        {
            let peer = self.state().members.get(&copy.to).cloned();
            let id = copy.sender.transceiver();
            if let Some(peer) = peer {
                // A listener that is closing meanwhile has nothing to stop.
                let _ = peer
                    .with(move |connection, now| connection.stop(now, id))
                    .await;
            }
        }
    }
}

/// One track to all its listeners, packet by packet, until it ends.
async fn forward(
    mut track: RemoteTrack,
    codecs: Vec<Codec>,
    mut listeners: watch::Receiver<Vec<Copy>>,
) {
    // Each listener's payload types are its own; they are looked up when the list changes.
    let mut ways: Vec<(RtpSender, HashMap<u8, u8>)> = Vec::new();
    while let Some(packet) = track.recv().await {
        match listeners.has_changed() {
            Ok(false) => {}
            Ok(true) => {
                let copies = listeners.borrow_and_update().clone();
                ways.clear();
                for copy in copies {
                    let id = copy.sender.transceiver();
                    let theirs = copy.sender.peer().with(move |connection, _| {
                        connection.transceiver(id).map(|t| t.send_codecs)
                    });
                    let theirs = theirs.await.ok().flatten().unwrap_or_default();
                    if theirs.is_empty() {
                        // Not negotiated yet: look again with the next packet.
                        listeners.mark_changed();
                    }
                    let types = codecs.iter().filter_map(|ours| {
                        let same = theirs.iter().find(|theirs| theirs.matches(ours))?;
                        Some((ours.payload_type, same.payload_type))
                    });
                    ways.push((copy.sender, types.collect()));
                }
            }
            Err(_) => return,
        }
        for (sender, types) in &ways {
            let Some(payload_type) = types.get(&packet.payload_type) else {
                continue;
            };
            let mut packet = packet.clone();
            packet.payload_type = *payload_type;
            // A full queue drops the packet, as any network may.
            let _ = sender.send(packet);
        }
    }
}
