//! What a driven peer tells.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

use super::channel::DataChannel;
use super::handle::{Command, DriverHandle};
use super::slot::{PeerId, Shared};
use super::track::RemoteTrack;
use crate::Event;

/// News of a [`Peer`](super::Peer).
#[derive(Debug)]
#[non_exhaustive]
pub enum PeerEvent {
    /// The far side opened a data channel.
    DataChannel(DataChannel),
    /// The far side will send on this transceiver.
    Track(RemoteTrack),
    /// Anything else, in the words of the connection. Messages and RTP packets come through their own handles.
    Event(Event),
}

/// The peer's news, in order. Ends when the peer is closed; by then everything was told, but for what
/// [`DriverConfig::event_queue`](super::DriverConfig::event_queue) had no room for when we closed it ourselves.
#[derive(Debug)]
pub struct Events {
    pub(super) queue: mpsc::Receiver<PeerEvent>,
    pub(super) wake: Wake,
    /// Taken from the queue by a call that waited for something else, and given out first.
    pub(super) kept: VecDeque<PeerEvent>,
}

/// Tells the loop that there is room again.
#[derive(Debug, Clone)]
pub(super) struct Wake {
    pub(super) handle: DriverHandle,
    pub(super) peer: PeerId,
    pub(super) shared: Arc<Shared>,
}

impl Wake {
    /// To be called after something was taken from a queue.
    pub(super) fn made_room(&self) {
        if self.shared.blocked.load(Ordering::Acquire)
            && self.shared.blocked.swap(false, Ordering::AcqRel)
        {
            self.handle.command(Command::Resume(self.peer));
        }
    }
}

impl Events {
    /// The next event; `None` when the peer is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        match self.kept.pop_front() {
            Some(event) => Some(event),
            None => self.next_unseen().await,
        }
    }

    /// The next that is not in `kept`.
    pub(super) async fn next_unseen(&mut self) -> Option<PeerEvent> {
        let event = self.queue.recv().await;
        self.wake.made_room();
        event
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // What waited for room here need not wait any more.
        self.queue.close();
        self.wake.made_room();
    }
}

impl Stream for Events {
    type Item = PeerEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PeerEvent>> {
        let this = self.get_mut();
        if let Some(event) = this.kept.pop_front() {
            return Poll::Ready(Some(event));
        }
        let event = this.queue.poll_recv(cx);
        if event.is_ready() {
            this.wake.made_room();
        }
        event
    }
}
