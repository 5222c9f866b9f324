//! Data channels as handles.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::{Semaphore, mpsc};

use super::error::DriverError;
use super::events::Wake;
use super::handle::Command;
use super::peer::Peer;
use super::slot::Settled;
use super::views::{ByteStream, ChannelSink};
use crate::error::Error;
use crate::types::{ChannelInfo, ChannelKey, Message};

/// A data channel of a driven peer. Dropping it does not close the channel, but what comes afterwards is thrown away.
#[derive(Debug)]
pub struct DataChannel {
    pub(super) sink: ChannelSink,
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) wake: Wake,
}

/// The sending half of a [`DataChannel`]; cheap to clone, for other tasks or for sending while receiving.
#[derive(Debug, Clone)]
pub struct ChannelSender {
    pub(super) peer: Peer,
    pub(super) key: ChannelKey,
    pub(super) label: Arc<str>,
    pub(super) credit: Arc<Semaphore>,
    pub(super) credit_limit: usize,
    pub(super) settled: Arc<Settled>,
}

impl DataChannel {
    /// The channel's name in the connection's events.
    pub fn key(&self) -> ChannelKey {
        self.sink.sender.key
    }

    /// The label.
    pub fn label(&self) -> &str {
        &self.sink.sender.label
    }

    /// The peer that the channel belongs to.
    pub fn peer(&self) -> &Peer {
        &self.sink.sender.peer
    }

    /// Options and state.
    ///
    /// # Errors
    /// The peer is closed, or the channel is.
    pub async fn info(&self) -> Result<ChannelInfo, DriverError> {
        let key = self.sink.sender.key;
        self.sink
            .sender
            .peer
            .with(move |connection, _| connection.channel(key))
            .await?
            .ok_or(DriverError::ChannelClosed)
    }

    /// Sends a message: [`ChannelSender::send`].
    ///
    /// # Errors
    /// As [`ChannelSender::send`].
    pub async fn send(&self, message: Message) -> Result<(), DriverError> {
        self.sink.sender.send(message).await
    }

    /// The sending half.
    pub fn sender(&self) -> ChannelSender {
        self.sink.sender.clone()
    }

    /// The sending half as a [`Sink`](futures_sink::Sink); the channel itself is one too.
    pub fn sink(&self) -> ChannelSink {
        ChannelSink::new(self.sender())
    }

    /// The channel as a pipe of bytes.
    pub fn into_bytes(self) -> ByteStream {
        ByteStream::new(self)
    }

    /// The next message; `None` when the channel is closed. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Message> {
        let message = self.messages.recv().await;
        self.wake.made_room();
        message
    }

    /// Closes the channel; what was sent before still goes out. Closing it as a [`Sink`](futures_sink::Sink) also waits until
    /// that has arrived.
    ///
    /// # Errors
    /// The peer is closed.
    pub async fn close(&self) -> Result<(), DriverError> {
        let sender = &self.sink.sender;
        // What is sent from now on would go nowhere.
        sender.begin_close();
        // Commands are taken in order.
        sender.peer.with(|_, _| ()).await
    }
}

impl ChannelSender {
    /// Sends a message, after the channel opened if need be, and waits while more than
    /// [`DriverConfig::channel_credit`](super::DriverConfig::channel_credit) bytes were not sent once. Cancel-safe: a
    /// cancelled call has sent nothing.
    ///
    /// # Errors
    /// The channel or the peer is closed; [`Error::MessageTooLarge`] for what the far side does not take, or 3/16 of
    /// [`Configuration::memory_budget`](crate::Configuration::memory_budget). Where that is not known yet, a message that
    /// turns out too long closes the channel.
    pub async fn send(&self, message: Message) -> Result<(), DriverError> {
        self.check(&message)?;
        let price = self.price(&message);
        let permits = u32::try_from(price).unwrap_or(u32::MAX);
        let given_up = GivenUp(&self.settled);
        let paid = self
            .credit
            .acquire_many(permits)
            .await
            .map_err(|_| DriverError::ChannelClosed)?;
        std::mem::forget(given_up);
        self.hand_over(message, price)?;
        paid.forget();
        Ok(())
    }

    /// The longest message that may be sent, when it is known.
    pub(super) fn max_message(&self) -> Option<usize> {
        let max = self.peer.shared().max_message.load(Ordering::Acquire);
        (max > 0).then_some(max)
    }

    /// Whether the far side takes a message of this length, as far as is known.
    pub(super) fn check(&self, message: &Message) -> Result<(), DriverError> {
        let len = message.len();
        match self.max_message() {
            Some(max) if len > max => Err(Error::MessageTooLarge { len, max }.into()),
            _ => Ok(()),
        }
    }

    /// What a message takes of the credit.
    pub(super) fn price(&self, message: &Message) -> usize {
        message.len().clamp(1, self.credit_limit)
    }

    /// Gives the loop a message that is paid for.
    pub(super) fn hand_over(&self, message: Message, price: usize) -> Result<(), DriverError> {
        let command = Command::Send {
            peer: self.peer.id(),
            channel: self.key,
            message,
            price,
        };
        if self.peer.handle().command(command) {
            Ok(())
        } else {
            Err(DriverError::DriverEnded)
        }
    }

    /// Whether the far side has acknowledged all that was sent; `None` while that is open.
    pub(super) fn is_settled(&self) -> Option<bool> {
        // Before the look at the rest, which it ends.
        let over = self.settled.over.load(Ordering::Acquire);
        let all = self.credit_limit.min(Semaphore::MAX_PERMITS);
        // What the loop has not heard of yet was paid for.
        let acknowledged = self.settled.acknowledged.load(Ordering::Acquire)
            && self.credit.available_permits() >= all;
        (acknowledged || over).then_some(acknowledged)
    }

    /// Closes the channel without waiting for the loop.
    pub(super) fn begin_close(&self) {
        self.credit.close();
        let command = Command::CloseChannel(self.peer.id(), self.key);
        self.peer.handle().command(command);
    }
}

/// A call that waits for credit and is given up may have had some already: who waits until all is back looks again.
struct GivenUp<'a>(&'a Settled);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.0.news.notify_waiters();
    }
}

impl Drop for DataChannel {
    fn drop(&mut self) {
        // What waited for room here need not wait any more.
        self.messages.close();
        self.wake.made_room();
    }
}

impl Stream for DataChannel {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = self.get_mut();
        let message = this.messages.poll_recv(cx);
        if message.is_ready() {
            this.wake.made_room();
        }
        message
    }
}
