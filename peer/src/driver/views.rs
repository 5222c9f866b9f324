//! A data channel as a `Sink` of messages, and as a pipe of bytes.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use super::channel::{ChannelSender, DataChannel};
use super::error::DriverError;
use crate::types::Message;

/// Bytes of one message of a [`ByteStream`]: what every implementation takes, with or without interleaving.
const PIECE: usize = 16 * 1024;

type Credit =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + Sync>>;

/// A channel's sending half as a [`Sink`]: [`DataChannel`] is one too, so that `split()` and `forward()` work.
///
/// It is ready while the message before has found room ([`DriverConfig::channel_credit`]). Flushed means handed to the
/// loop; closed means that the far side has acknowledged everything and the channel is closing. Closing fails with
/// [`DriverError::ChannelClosed`] where the channel or the connection ended before that.
///
/// ```
/// use futures_util::{SinkExt, StreamExt};
/// use tincan_peer::Message;
/// # use tincan_peer::driver::{DataChannel, DriverError};
///
/// /// Sends every message back until the far side closes.
/// async fn echo(channel: DataChannel) -> Result<(), DriverError> {
///     let (sink, messages) = channel.split();
///     messages.map(Ok).forward(sink).await
/// }
///
/// async fn two(channel: &DataChannel) -> Result<(), DriverError> {
///     let mut sink = channel.sink();
///     sink.send(Message::text("one")).await?;
///     sink.send(Message::text("two")).await
/// }
/// ```
///
/// [`DriverConfig::channel_credit`]: super::DriverConfig::channel_credit
pub struct ChannelSink {
    pub(super) sender: ChannelSender,
    /// A message that was taken before there was room for it.
    waiting: Option<Message>,
    /// Of the message that waits.
    credit: Option<Credit>,
    settled: Option<Pin<Box<OwnedNotified>>>,
    closing: bool,
}

impl fmt::Debug for ChannelSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSink")
            .field("sender", &self.sender)
            .field("waiting", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}

impl ChannelSink {
    pub(super) fn new(sender: ChannelSender) -> Self {
        Self {
            sender,
            waiting: None,
            credit: None,
            settled: None,
            closing: false,
        }
    }

    /// Waits for `price` bytes of credit. Nothing is allocated when they are there.
    fn poll_credit(
        &mut self,
        cx: &mut Context<'_>,
        price: usize,
    ) -> Poll<Result<OwnedSemaphorePermit, DriverError>> {
        let credit = &self.sender.credit;
        let permits = u32::try_from(price).unwrap_or(u32::MAX);
        if self.credit.is_none()
            && let Ok(permit) = credit.clone().try_acquire_many_owned(permits)
        {
            return Poll::Ready(Ok(permit));
        }
        let waiting = self
            .credit
            .get_or_insert_with(|| Box::pin(credit.clone().acquire_many_owned(permits)));
        let permit = std::task::ready!(waiting.as_mut().poll(cx));
        self.credit = None;
        Poll::Ready(permit.map_err(|_| DriverError::ChannelClosed))
    }

    /// Waits until `look` has an answer.
    fn poll_news<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl Fn(&ChannelSender) -> Option<T>,
    ) -> Poll<T> {
        loop {
            let settled = &self.sender.settled;
            // Made before the look, so that no news is missed.
            let news = self
                .settled
                .get_or_insert_with(|| Box::pin(settled.news.clone().notified_owned()));
            if let Some(answer) = look(&self.sender) {
                self.settled = None;
                return Poll::Ready(answer);
            }
            std::task::ready!(news.as_mut().poll(cx));
            self.settled = None;
        }
    }

    /// Waits until it is known how long a message may be, or never will be: then sending fails.
    fn poll_max_message(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if let Some(max) = self.sender.max_message() {
            return Poll::Ready(max);
        }
        self.poll_news(cx, |sender| {
            let over = sender.settled.over.load(Ordering::Acquire);
            sender.max_message().or(over.then_some(usize::MAX))
        })
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DriverError>> {
        let Some(message) = self.waiting.take() else {
            return Poll::Ready(Ok(()));
        };
        let price = self.sender.price(&message);
        match self.poll_credit(cx, price) {
            Poll::Pending => {
                self.waiting = Some(message);
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(permit)) => {
                let handed = self.sender.hand_over(message, price);
                if handed.is_ok() {
                    permit.forget();
                }
                Poll::Ready(handed)
            }
        }
    }
}

impl Drop for ChannelSink {
    fn drop(&mut self) {
        // As a call of `send` that is given up.
        if self.credit.take().is_some() {
            self.sender.settled.news.notify_waiters();
        }
    }
}

impl Sink<Message> for ChannelSink {
    type Error = DriverError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DriverError>> {
        self.get_mut().poll_waiting(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), DriverError> {
        let this = self.get_mut();
        if this.closing || this.sender.credit.is_closed() {
            return Err(DriverError::ChannelClosed);
        }
        if this.waiting.is_some() {
            // Sent without asking whether it is ready: refused, nothing is lost silently.
            return Err(DriverError::Overload);
        }
        this.sender.check(&message)?;
        let price = this.sender.price(&message);
        let permits = u32::try_from(price).unwrap_or(u32::MAX);
        match this.sender.credit.clone().try_acquire_many_owned(permits) {
            Ok(permit) => {
                this.sender.hand_over(message, price)?;
                permit.forget();
            }
            Err(_) => this.waiting = Some(message),
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DriverError>> {
        self.get_mut().poll_waiting(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DriverError>> {
        let this = self.get_mut();
        std::task::ready!(this.poll_waiting(cx))?;
        if this.closing {
            return Poll::Ready(Ok(()));
        }
        // Nothing is held here that others wait for, so that closing may be given up.
        if !std::task::ready!(this.poll_news(cx, ChannelSender::is_settled)) {
            return Poll::Ready(Err(DriverError::ChannelClosed));
        }
        this.closing = true;
        this.sender.begin_close();
        Poll::Ready(Ok(()))
    }
}

impl Sink<Message> for DataChannel {
    type Error = DriverError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DriverError>> {
        Pin::new(&mut self.get_mut().sink).poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), DriverError> {
        Pin::new(&mut self.get_mut().sink).start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DriverError>> {
        Pin::new(&mut self.get_mut().sink).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), DriverError>> {
        Pin::new(&mut self.get_mut().sink).poll_close(cx)
    }
}

/// A data channel as a pipe of bytes: [`AsyncRead`] and [`AsyncWrite`] of tokio.
///
/// Made by [`DataChannel::into_bytes`] of a reliable, ordered channel; boundaries of messages and whether one is text
/// are not kept. Written bytes go out as messages of 16 KiB at most, or as long as the far side takes. Writing waits until
/// that is known, from its description, and when
/// [`DriverConfig::channel_credit`](super::DriverConfig::channel_credit) is used up; reading less closes SCTP's window.
///
/// Shut down means that the far side has acknowledged everything; where the connection ended before that, shutting down
/// fails with [`io::ErrorKind::BrokenPipe`]. A channel that is closed reads as the end.
///
/// There is no half-close: shutting down closes the channel, and the far side closes its direction in return (RFC 8831
/// §6.7), with what it has sent by then. A protocol whose peer answers after the end of the question, as
/// `copy_bidirectional` passes on, loses the rest of the answer: it needs an end of its own inside the stream.
///
/// ```
/// use tincan_peer::driver::DataChannel;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// /// A TCP connection through a data channel, both ways.
/// async fn tunnel(channel: DataChannel, mut tcp: tokio::net::TcpStream) -> std::io::Result<()> {
///     let mut pipe = channel.into_bytes();
///     tokio::io::copy_bidirectional(&mut pipe, &mut tcp).await?;
///     Ok(())
/// }
///
/// async fn ask(channel: DataChannel) -> std::io::Result<Vec<u8>> {
///     let mut pipe = channel.into_bytes();
///     pipe.write_all(b"how much?\n").await?;
///     let mut answer = vec![0; 4];
///     pipe.read_exact(&mut answer).await?;
///     pipe.shutdown().await?;
///     Ok(answer)
/// }
/// ```
///
/// For the traits of `futures-io` wrap it in `tokio_util::compat`.
#[derive(Debug)]
pub struct ByteStream {
    channel: DataChannel,
    /// What is left of a message that did not fit into the reader's buffer.
    rest: Bytes,
}

impl ByteStream {
    pub(super) fn new(channel: DataChannel) -> Self {
        Self {
            channel,
            rest: Bytes::new(),
        }
    }

    /// The channel, with what was received and not read.
    pub fn into_parts(self) -> (DataChannel, Bytes) {
        (self.channel, self.rest)
    }
}

fn broken(error: DriverError) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}

impl AsyncRead for ByteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // An empty message is no end.
        while this.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut this.channel).poll_next(cx)) {
                Some(Message::Text(bytes) | Message::Binary(bytes)) => this.rest = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.rest.len().min(buffer.remaining());
        if let Some(bytes) = this.rest.get(..count) {
            buffer.put_slice(bytes);
        }
        this.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sink = &mut self.get_mut().channel.sink;
        std::task::ready!(Pin::new(&mut *sink).poll_ready(cx)).map_err(broken)?;
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let longest = std::task::ready!(sink.poll_max_message(cx)).min(PIECE);
        let piece = buffer.get(..longest).unwrap_or(buffer);
        let message = Message::Binary(Bytes::copy_from_slice(piece));
        Pin::new(sink).start_send(message).map_err(broken)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::poll_flush(Pin::new(&mut self.get_mut().channel.sink), cx).map_err(broken)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().channel.sink)
            .poll_close(cx)
            .map_err(broken)
    }
}
