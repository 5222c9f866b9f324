//! Sending: what was sent, so that it can be sent again, reported and measured.
//!
//! Each part stands alone; a [`StreamSender`] composes those that one media stream needs.

mod dtmf;
mod history;
mod key_frames;
mod reports;
mod stream;
mod transport_log;

pub use dtmf::{DtmfConfig, DtmfError, DtmfEvent, DtmfPacket, DtmfSender};
pub use history::{History, HistoryConfig};
pub use key_frames::KeyFrameRequests;
pub use reports::{RemoteReport, SenderStatistics};
pub use stream::{RtxConfig, StreamSender, StreamSenderConfig};
pub use transport_log::{Arrival, PacketResult, TransportLog};
