//! Which sockets have something to read, and which have room to write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::mpsc;

/// The places of sockets that became readable, or writable. A loop with a socket for each of thousands of peers looks at those that
/// have something, not at all of them.
#[derive(Debug)]
pub(super) struct Ready {
    sender: mpsc::UnboundedSender<usize>,
    places: mpsc::UnboundedReceiver<usize>,
}

/// One socket's entry: at most once in the queue, so the queue is never longer than there are sockets.
#[derive(Debug)]
pub(super) struct Flag {
    place: usize,
    queued: AtomicBool,
    sender: mpsc::UnboundedSender<usize>,
}

impl Ready {
    pub(super) fn new() -> Self {
        let (sender, places) = mpsc::unbounded_channel();
        Self { sender, places }
    }

    /// An entry for the socket at `place`.
    pub(super) fn flag(&self, place: usize) -> Arc<Flag> {
        Arc::new(Flag {
            place,
            queued: AtomicBool::new(false),
            sender: self.sender.clone(),
        })
    }

    /// Appends places that have something; pending if there are none.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<usize>,
        limit: usize,
    ) -> Poll<()> {
        // A sender lives as long as `self`: the queue never ends.
        self.places.poll_recv_many(cx, into, limit).map(|_| ())
    }

    /// The same without waiting.
    pub(super) fn take(&mut self, into: &mut Vec<usize>, limit: usize) {
        while into.len() < limit {
            match self.places.try_recv() {
                Ok(place) => into.push(place),
                Err(_) => break,
            }
        }
    }
}

impl Flag {
    /// Puts the socket into the queue.
    pub(super) fn raise(&self) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            // Nobody listens: the loop has ended.
            let _ = self.sender.send(self.place);
        }
    }

    /// To be called before the socket is used.
    pub(super) fn lower(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.raise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raise();
    }
}

/// What the runtime calls when the socket of `flag` is ready.
pub(super) fn waker(flag: &Arc<Flag>) -> Waker {
    Waker::from(flag.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_queued_once_until_it_is_looked_at() {
        let mut ready = Ready::new();
        let (one, two) = (ready.flag(1), ready.flag(2));
        one.raise();
        two.raise();
        let waker = waker(&one);
        waker.wake_by_ref();
        waker.wake_by_ref();
        let mut places = Vec::new();
        ready.take(&mut places, 8);
        assert_eq!(places, [1, 2]);
        two.raise();
        ready.take(&mut places, 8);
        assert_eq!(places, [1, 2], "it was not looked at yet");
        one.lower();
        waker.wake_by_ref();
        ready.take(&mut places, 8);
        assert_eq!(places, [1, 2, 1]);
    }
}
