//! The queue of events, which knows what it holds.

use std::collections::VecDeque;

use crate::event::Event;
use crate::limits::{MAX_QUEUED_EVENTS, MAX_QUEUED_MEDIA, MAX_QUEUED_MESSAGES};

/// Events that wait for the application.
#[derive(Debug)]
pub(crate) struct Events {
    queue: VecDeque<Event>,
    payload: usize,
    max_media: usize,
    max_messages: usize,
}

impl Default for Events {
    fn default() -> Self {
        Events {
            queue: VecDeque::new(),
            payload: 0,
            max_media: MAX_QUEUED_MEDIA,
            max_messages: MAX_QUEUED_MESSAGES,
        }
    }
}

/// Octets of payload that an event keeps.
fn payload(event: &Event) -> usize {
    match event {
        Event::Rtp { packet, .. } => packet.payload.len() + packet.head.elements.len(),
        Event::Frame { frame, .. } => frame.data.len(),
        Event::ChannelMessage(_, message) => message.len(),
        _ => 0,
    }
}

impl Events {
    /// With other bounds for the payload of media and of messages.
    pub(crate) fn bounded(max_media: usize, max_messages: usize) -> Self {
        Events {
            max_media,
            max_messages,
            ..Default::default()
        }
    }

    pub(crate) fn push_back(&mut self, event: Event) {
        self.payload += payload(&event);
        self.queue.push_back(event);
    }

    /// What the far side may say as often as it likes, and will say again: dropped where the application does not keep up.
    pub(crate) fn push_request(&mut self, event: Event) {
        if self.queue.len() < MAX_QUEUED_EVENTS {
            self.push_back(event);
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        self.payload = self.payload.saturating_sub(payload(&event));
        Some(event)
    }

    /// Candidates of these credentials are none any more.
    pub(crate) fn forget_candidates(&mut self, ufrag: &str) {
        self.queue.retain(|event| {
            !matches!(event, Event::IceCandidate(Some(candidate))
                if candidate.username_fragment.as_deref() == Some(ufrag))
        });
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.queue.shrink_to_fit();
    }

    /// Whether media must be dropped: the application does not keep up.
    pub(crate) fn drops_media(&self, octets: usize) -> bool {
        self.queue.len() >= MAX_QUEUED_EVENTS || self.payload + octets > self.max_media
    }

    /// Whether messages stay where they are, and hold the far side back by SCTP's window.
    pub(crate) fn holds_back(&self) -> bool {
        self.queue.len() >= MAX_QUEUED_EVENTS || self.payload >= self.max_messages
    }

    /// Octets in use.
    pub(crate) fn memory_usage(&self) -> usize {
        self.payload + self.queue.len() * size_of::<Event>()
    }
}

impl Extend<Event> for Events {
    fn extend<T: IntoIterator<Item = Event>>(&mut self, events: T) {
        for event in events {
            self.push_back(event);
        }
    }
}
