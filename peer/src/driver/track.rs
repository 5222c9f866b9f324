//! Media as handles.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::error::DriverError;
use super::handle::Command;
use super::peer::Peer;
use crate::limits::MAX_SEND_QUEUE;
use crate::packet::RtpPacket;
use crate::types::{Kind, TransceiverId};

/// What the far side sends on a transceiver.
#[derive(Debug)]
pub struct RemoteTrack {
    pub(super) transceiver: TransceiverId,
    pub(super) kind: Kind,
    pub(super) streams: Vec<String>,
    pub(super) packets: mpsc::Receiver<RtpPacket>,
}

impl RemoteTrack {
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

    /// The next RTP packet; `None` when the peer is closed. Cancel-safe.
    pub async fn recv(&mut self) -> Option<RtpPacket> {
        self.packets.recv().await
    }
}

/// Sends RTP on a transceiver; cheap to clone.
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
        if self.peer.shared().closed.load(Ordering::Acquire) {
            return Err(DriverError::PeerClosed);
        }
        let in_flight = &self.peer.shared().rtp_in_flight;
        if in_flight.fetch_add(1, Ordering::Relaxed) >= MAX_SEND_QUEUE {
            in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(DriverError::Overload);
        }
        let command = Command::SendRtp {
            peer: self.peer.id(),
            transceiver: self.transceiver,
            packet,
        };
        if self.peer.handle().command(command) {
            Ok(())
        } else {
            Err(DriverError::DriverEnded)
        }
    }
}
