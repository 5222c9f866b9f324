//! How the rest of a program speaks to the loop.

use std::fmt;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::error::DriverError;
use super::events::Events;
use super::fault::Faults;
use super::peer::{ChannelParts, Peer};
use super::slot::PeerId;
use crate::frame::Frame;
use crate::packet::RtpPacket;
use crate::types::{ChannelKey, DataChannelInit, Message, TransceiverId};
use crate::{Configuration, Error, PeerConnection};

/// Something to be done with a connection inside the loop.
pub(super) type Call = Box<dyn FnOnce(&mut PeerConnection, Instant) + Send>;

/// What handles ask of the loop.
pub(super) enum Command {
    NewPeer {
        config: Box<Configuration>,
        reply: oneshot::Sender<Result<(Peer, Events), DriverError>>,
    },
    Call(PeerId, Call),
    CreateChannel {
        peer: PeerId,
        label: String,
        init: DataChannelInit,
        reply: oneshot::Sender<Result<ChannelParts, Error>>,
    },
    Send {
        peer: PeerId,
        channel: ChannelKey,
        message: Message,
        price: usize,
    },
    CloseChannel(PeerId, ChannelKey),
    SendRtp {
        peer: PeerId,
        transceiver: TransceiverId,
        packet: RtpPacket,
    },
    SendFrame {
        peer: PeerId,
        transceiver: TransceiverId,
        frame: Frame,
        /// What it takes of the packets that may be on their way.
        price: usize,
    },
    TakeFrames {
        peer: PeerId,
        transceiver: TransceiverId,
        reply: oneshot::Sender<Result<mpsc::Receiver<Frame>, Error>>,
    },
    Resume(PeerId),
    Close(PeerId),
    Faults(Option<PeerId>, Option<Faults>),
    Stats(oneshot::Sender<DriverStats>),
    Shutdown,
}

/// A handle to a running driver; cheap to clone.
#[derive(Clone)]
pub struct DriverHandle {
    commands: mpsc::UnboundedSender<Command>,
}

impl fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverHandle").finish_non_exhaustive()
    }
}

/// What a driver has done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverStats {
    /// Peers alive.
    pub peers: usize,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes of UDP payload received.
    pub bytes_received: u64,
    /// Bytes of UDP payload sent.
    pub bytes_sent: u64,
    /// System calls to receive.
    pub receive_calls: u64,
    /// System calls to send.
    pub send_calls: u64,
    /// Datagrams that belong to no peer.
    pub unrouted: u64,
    /// TCP and TLS connections in use.
    pub streams: usize,
    /// Messages that the queue of a TCP or TLS connection had no room for.
    pub dropped_stream: u64,
    /// Datagrams lost because their socket was full and its queue, too.
    pub dropped_full: u64,
    /// Datagrams longer than the system sends in one piece on their way: all leave with "don't fragment" where the
    /// platform has it (Linux, Windows, macOS, FreeBSD).
    pub too_long: u64,
    /// RTP packets, and frames, that an application did not take in time, or that could not be sent.
    pub dropped_rtp: u64,
    /// Received datagrams that wait for the loop.
    pub waiting: usize,
    /// RTP packets thrown away because the loop fell behind: received ones unread, and packets and frames to be sent.
    pub shed_media: u64,
    /// Other datagrams thrown away unread, when a peer sent thousands faster than the loop takes them.
    pub shed_other: u64,
    /// Datagrams of other loops' peers that were handed over ([`Sharding::SharedPort`](super::Sharding::SharedPort)).
    pub handed_over: u64,
    /// Such datagrams that were dropped because the other loop's queue was full.
    pub handover_dropped: u64,
    /// Datagrams lost by [`Faults`].
    pub fault_losses: u64,
}

impl DriverHandle {
    pub(super) fn new(commands: mpsc::UnboundedSender<Command>) -> Self {
        Self { commands }
    }

    /// Makes a connection in the loop.
    ///
    /// # Errors
    /// What is wrong with the configuration; the driver has ended.
    pub async fn peer(&self, config: Configuration) -> Result<(Peer, Events), DriverError> {
        let (reply, answer) = oneshot::channel();
        if !self.command(Command::NewPeer {
            config: Box::new(config),
            reply,
        }) {
            return Err(DriverError::DriverEnded);
        }
        answer.await.map_err(|_| DriverError::DriverEnded)?
    }

    /// Counters.
    ///
    /// # Errors
    /// The driver has ended.
    pub async fn stats(&self) -> Result<DriverStats, DriverError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Stats(reply));
        answer.await.map_err(|_| DriverError::DriverEnded)
    }

    /// Makes the driver's network misbehave from now on, or behave again.
    pub fn set_faults(&self, faults: Option<Faults>) {
        self.command(Command::Faults(None, faults));
    }

    /// Closes all peers and ends the loop.
    pub fn shutdown(&self) {
        self.command(Command::Shutdown);
    }

    /// Whether the loop will see it.
    pub(super) fn command(&self, command: Command) -> bool {
        self.commands.send(command).is_ok()
    }
}
