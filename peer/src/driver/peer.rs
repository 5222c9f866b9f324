//! A connection in the driver, as a handle with the W3C's verbs.

use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::channel::{ChannelSender, DataChannel};
use super::error::DriverError;
use super::events::{Events, PeerEvent, Wake};
use super::fault::Faults;
use super::handle::{Command, DriverHandle};
use super::slot::{PeerId, Settled, Shared};
use super::track::RtpSender;
use super::views::ChannelSink;
use crate::limits::MAX_QUEUED_EVENTS;
use crate::parameters::TransceiverInit;
use crate::types::{
    AnswerOptions, ChannelKey, DataChannelInit, IceCandidateInit, IceGatheringState, Kind,
    OfferOptions, SessionDescription, TransceiverId,
};
use crate::{Event, PeerConnection};

/// A handle to a connection in the driver; cheap to clone. The connection is closed when the last clone is dropped
/// (a [`DataChannel`] and an [`RtpSender`] hold one too).
#[derive(Debug, Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

/// What all clones share; the end of it is the end of the peer.
#[derive(Debug)]
pub(super) struct Inner {
    handle: DriverHandle,
    id: PeerId,
    shared: Arc<Shared>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.handle.command(Command::Close(self.id));
    }
}

impl Peer {
    pub(super) fn new(handle: DriverHandle, id: PeerId, shared: Arc<Shared>) -> Self {
        Self {
            inner: Arc::new(Inner { handle, id, shared }),
        }
    }

    /// For the loop, which must not keep a peer alive.
    pub(super) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.inner)
    }

    pub(super) fn upgrade(weak: &Weak<Inner>) -> Option<Self> {
        weak.upgrade().map(|inner| Self { inner })
    }

    pub(super) fn handle(&self) -> &DriverHandle {
        &self.inner.handle
    }

    pub(super) fn id(&self) -> PeerId {
        self.inner.id
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(super) fn wake(&self) -> Wake {
        Wake {
            handle: self.inner.handle.clone(),
            peer: self.inner.id,
            shared: self.inner.shared.clone(),
        }
    }

    /// Calls `f` with the connection inside the loop: everything that has no method of its own here. It must be quick,
    /// all peers of the loop wait.
    ///
    /// # Errors
    /// The peer is closed, or the driver has ended.
    pub async fn with<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut PeerConnection, Instant) -> R + Send + 'static,
    ) -> Result<R, DriverError> {
        let (reply, answer) = oneshot::channel();
        let call = Box::new(move |connection: &mut PeerConnection, now: Instant| {
            // Nobody waits any more: the result is not wanted.
            let _ = reply.send(f(connection, now));
        });
        if !self
            .inner
            .handle
            .command(Command::Call(self.inner.id, call))
        {
            return Err(DriverError::DriverEnded);
        }
        answer.await.map_err(|_| DriverError::PeerClosed)
    }

    /// `createOffer`.
    ///
    /// # Errors
    /// As [`PeerConnection::create_offer`].
    pub async fn create_offer(
        &self,
        options: OfferOptions,
    ) -> Result<SessionDescription, DriverError> {
        Ok(self
            .with(move |connection, _| connection.create_offer(options))
            .await??)
    }

    /// `createAnswer`.
    ///
    /// # Errors
    /// As [`PeerConnection::create_answer`].
    pub async fn create_answer(&self) -> Result<SessionDescription, DriverError> {
        Ok(self
            .with(|connection, _| connection.create_answer(AnswerOptions::default()))
            .await??)
    }

    /// `setLocalDescription`; `None` makes what the state asks for. Returns the local description.
    ///
    /// # Errors
    /// As [`PeerConnection::set_local_description`].
    pub async fn set_local_description(
        &self,
        description: Option<SessionDescription>,
    ) -> Result<Option<SessionDescription>, DriverError> {
        let set = self.with(move |connection, now| {
            connection.set_local_description(now, description)?;
            Ok::<_, crate::Error>(connection.local_description())
        });
        Ok(set.await??)
    }

    /// `setRemoteDescription`.
    ///
    /// # Errors
    /// As [`PeerConnection::set_remote_description`].
    pub async fn set_remote_description(
        &self,
        description: SessionDescription,
    ) -> Result<(), DriverError> {
        let set =
            self.with(move |connection, now| connection.set_remote_description(now, description));
        Ok(set.await??)
    }

    /// `addIceCandidate`; `None` ends the candidates.
    ///
    /// # Errors
    /// As [`PeerConnection::add_ice_candidate`].
    pub async fn add_ice_candidate(
        &self,
        candidate: Option<IceCandidateInit>,
    ) -> Result<(), DriverError> {
        let add = self.with(move |connection, now| connection.add_ice_candidate(now, candidate));
        Ok(add.await??)
    }

    /// The local description, with the candidates gathered by now.
    ///
    /// # Errors
    /// The peer is closed.
    pub async fn local_description(&self) -> Result<Option<SessionDescription>, DriverError> {
        self.with(|connection, _| connection.local_description())
            .await
    }

    /// Makes and sets an offer and waits until all candidates are in it: for signalling without trickling. Takes what is
    /// about gathering from `events` meanwhile; everything else stays there, in its order.
    ///
    /// # Errors
    /// As [`Peer::set_local_description`].
    pub async fn offer_with_candidates(
        &self,
        events: &mut Events,
    ) -> Result<SessionDescription, DriverError> {
        self.described_with_candidates(events).await
    }

    /// The same for an answer.
    ///
    /// # Errors
    /// As [`Peer::set_local_description`].
    pub async fn answer_with_candidates(
        &self,
        events: &mut Events,
    ) -> Result<SessionDescription, DriverError> {
        self.described_with_candidates(events).await
    }

    async fn described_with_candidates(
        &self,
        events: &mut Events,
    ) -> Result<SessionDescription, DriverError> {
        self.set_local_description(None).await?;
        self.wait_gathered(events).await
    }

    /// Waits until gathering is complete and returns the local description. Other events go to `other`.
    ///
    /// # Errors
    /// The peer is closed.
    pub async fn gathered(
        &self,
        events: &mut Events,
        other: impl FnMut(PeerEvent),
    ) -> Result<SessionDescription, DriverError> {
        let description = self.wait_gathered(events).await?;
        events.kept.drain(..).for_each(other);
        Ok(description)
    }

    /// Waits until gathering is complete, and keeps all other events in `events`; cancel-safe.
    async fn wait_gathered(&self, events: &mut Events) -> Result<SessionDescription, DriverError> {
        loop {
            let (state, description) = self
                .with(|connection, _| {
                    (
                        connection.ice_gathering_state(),
                        connection.local_description(),
                    )
                })
                .await?;
            // What the far side does meanwhile must not fill the memory: then the description says what there is.
            let enough = events.kept.len() >= MAX_QUEUED_EVENTS;
            match description {
                Some(description) if enough || state == IceGatheringState::Complete => {
                    return Ok(description);
                }
                // Nothing is gathered without one, and nobody reads.
                None if enough => return Err(DriverError::Overload),
                _ => {}
            }
            while events.kept.len() < MAX_QUEUED_EVENTS {
                match events.next_unseen().await {
                    None => return Err(DriverError::PeerClosed),
                    Some(PeerEvent::Event(Event::IceGatheringState(
                        IceGatheringState::Complete,
                    ))) => break,
                    Some(event) => events.kept.push_back(event),
                }
            }
        }
    }

    /// `createDataChannel`.
    ///
    /// # Errors
    /// As [`PeerConnection::create_data_channel`].
    pub async fn create_data_channel(
        &self,
        label: &str,
        init: DataChannelInit,
    ) -> Result<DataChannel, DriverError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::CreateChannel {
            peer: self.inner.id,
            label: label.to_owned(),
            init,
            reply,
        };
        if !self.inner.handle.command(command) {
            return Err(DriverError::DriverEnded);
        }
        let parts = answer.await.map_err(|_| DriverError::PeerClosed)??;
        Ok(self.channel(parts))
    }

    pub(super) fn channel(&self, parts: ChannelParts) -> DataChannel {
        let ChannelParts {
            key,
            label,
            messages,
            credit,
            credit_limit,
            settled,
        } = parts;
        let sender = ChannelSender {
            peer: self.clone(),
            key,
            label,
            credit,
            credit_limit,
            settled,
        };
        DataChannel {
            sink: ChannelSink::new(sender),
            messages,
            wake: self.wake(),
        }
    }

    /// `addTransceiver`.
    ///
    /// # Errors
    /// As [`PeerConnection::add_transceiver`].
    pub async fn add_transceiver(
        &self,
        kind: Kind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, DriverError> {
        Ok(self
            .with(move |connection, _| connection.add_transceiver(kind, init))
            .await??)
    }

    /// The sender of a transceiver.
    pub fn sender(&self, transceiver: TransceiverId) -> RtpSender {
        RtpSender {
            peer: self.clone(),
            transceiver,
        }
    }

    /// Asks the far side for a key frame of what it sends on this transceiver.
    pub fn request_key_frame(&self, transceiver: TransceiverId) {
        let call = Box::new(move |connection: &mut PeerConnection, now: Instant| {
            // A transceiver that is gone needs no key frame.
            let _ = connection.request_key_frame(now, transceiver);
        });
        self.inner
            .handle
            .command(Command::Call(self.inner.id, call));
    }

    /// `restartIce`.
    ///
    /// # Errors
    /// The peer is closed.
    pub async fn restart_ice(&self) -> Result<(), DriverError> {
        self.with(|connection, _| connection.restart_ice()).await
    }

    /// Makes this peer's network misbehave from now on, beside what the driver's does, or behave again.
    pub fn set_faults(&self, faults: Option<Faults>) {
        let command = Command::Faults(Some(self.inner.id), faults);
        self.inner.handle.command(command);
    }

    /// `close`. The far side is told. Calls and handles that wait end; what was received and has a place in a queue of the
    /// application's can still be read, the rest is thrown away.
    pub fn close(&self) {
        self.inner.handle.command(Command::Close(self.inner.id));
    }
}

/// What the loop gives for a new channel.
#[derive(Debug)]
pub(super) struct ChannelParts {
    pub(super) key: ChannelKey,
    pub(super) label: Arc<str>,
    pub(super) messages: mpsc::Receiver<crate::types::Message>,
    pub(super) credit: Arc<Semaphore>,
    pub(super) credit_limit: usize,
    pub(super) settled: Arc<Settled>,
}
