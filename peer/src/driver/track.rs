//! Media as handles.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};

use super::error::DriverError;
use super::handle::{Command, DriverHandle};
use super::peer::Peer;
use super::slot::PeerId;
use crate::frame::Frame;
use crate::limits::MAX_SEND_QUEUE;
use crate::packet::RtpPacket;
use crate::types::{Kind, TransceiverId};

/// What the far side sends on a transceiver: RTP packets, or whole frames ([`into_frames`](RemoteTrack::into_frames)).
#[derive(Debug)]
pub struct RemoteTrack<T = RtpPacket> {
    pub(super) transceiver: TransceiverId,
    pub(super) kind: Kind,
    pub(super) streams: Vec<String>,
    pub(super) media: mpsc::Receiver<T>,
    /// By which it asks for frames; a track keeps no peer alive.
    pub(super) peer: PeerId,
    pub(super) handle: DriverHandle,
}

/// What the far side sends on a transceiver, as whole frames.
pub type RemoteFrames = RemoteTrack<Frame>;

impl<T> RemoteTrack<T> {
    /// The transceiver.
    pub fn transceiver(&self) -> TransceiverId {
        self.transceiver
    }

    /// Audio or video.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The far side's ids of the media streams that the track belongs to.
    pub fn streams(&self) -> &[String] {
        &self.streams
    }

    /// The next RTP packet, or frame; `None` when the peer is closed. Cancel-safe.
    pub async fn recv(&mut self) -> Option<T> {
        self.media.recv().await
    }
}

impl RemoteTrack {
    /// Whole frames in order instead of packets, from now on ([`Delivery::Frames`](crate::Delivery)): for decoding and
    /// recording. Packets that came before and were not taken are gone. 64 frames wait for the application; what comes
    /// when there is no room is counted as [`DriverStats::dropped_rtp`](super::DriverStats::dropped_rtp) and in the next
    /// frame's [`Frame::lost_before`].
    ///
    /// # Errors
    /// The peer is closed, or the driver has ended.
    pub async fn into_frames(self) -> Result<RemoteFrames, DriverError> {
        let Self {
            transceiver,
            kind,
            streams,
            peer,
            handle,
            ..
        } = self;
        let (reply, answer) = oneshot::channel();
        let command = Command::TakeFrames {
            peer,
            transceiver,
            reply,
        };
        if !handle.command(command) {
            return Err(DriverError::DriverEnded);
        }
        let media = answer.await.map_err(|_| DriverError::PeerClosed)??;
        Ok(RemoteTrack {
            transceiver,
            kind,
            streams,
            media,
            peer,
            handle,
        })
    }
}

impl<T> Stream for RemoteTrack<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().media.poll_recv(cx)
    }
}

/// Bytes of a frame that count as one packet on its way to the loop: less than any packet takes, so that a frame counts
/// no less than what it will be cut into.
const BYTES_A_PACKET: usize = 1_000;

/// Sends RTP, or whole frames, on a transceiver; cheap to clone.
#[derive(Debug, Clone)]
pub struct RtpSender {
    pub(super) peer: Peer,
    pub(super) transceiver: TransceiverId,
}

impl RtpSender {
    /// The transceiver.
    pub fn transceiver(&self) -> TransceiverId {
        self.transceiver
    }

    /// The peer.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Queues a packet. While the transceiver is not negotiated to send, packets vanish and are counted by the
    /// driver, as a browser's sender drops them.
    ///
    /// # Errors
    /// [`DriverError::Overload`] when the loop does not keep up; the peer or the driver has ended.
    pub fn send(&self, packet: RtpPacket) -> Result<(), DriverError> {
        self.reserve(1)?;
        self.hand_over(Command::SendRtp {
            peer: self.peer.id(),
            transceiver: self.transceiver,
            packet,
        })
    }

    /// Queues a whole frame, which is cut into packets as the payload format of its codec says
    /// ([`PeerConnection::send_frame`](crate::PeerConnection::send_frame)). What that refuses is dropped and counted, as
    /// for packets. A sender sends either frames or packets of the application's own numbering.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_frame(&self, frame: Frame) -> Result<(), DriverError> {
        let price = 1 + frame.data.len() / BYTES_A_PACKET;
        self.reserve(price)?;
        self.hand_over(Command::SendFrame {
            peer: self.peer.id(),
            transceiver: self.transceiver,
            frame,
            price,
        })
    }

    /// Takes room for so many packets on the way to the loop.
    fn reserve(&self, packets: usize) -> Result<(), DriverError> {
        if self.peer.shared().closed.load(Ordering::Acquire) {
            return Err(DriverError::PeerClosed);
        }
        let in_flight = &self.peer.shared().rtp_in_flight;
        let before = in_flight.fetch_add(packets, Ordering::Relaxed);
        // A frame of any size finds room where nothing waits: the connection judges it.
        if before > 0 && before + packets > MAX_SEND_QUEUE {
            in_flight.fetch_sub(packets, Ordering::Relaxed);
            return Err(DriverError::Overload);
        }
        Ok(())
    }

    fn hand_over(&self, command: Command) -> Result<(), DriverError> {
        if self.peer.handle().command(command) {
            Ok(())
        } else {
            Err(DriverError::DriverEnded)
        }
    }
}
