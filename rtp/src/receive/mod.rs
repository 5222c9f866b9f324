//! Receiving: statistics, feedback, recovery and frames in order.
//!
//! Each part stands alone; a [`StreamReceiver`] composes those that one media stream needs.

mod key_frame;
mod nack;
mod playout;
mod reorder;
mod schedule;
mod statistics;
mod stream;
mod transport;

pub use key_frame::KeyFrameRequester;
pub use nack::{NackConfig, NackGenerator, NackStats};
pub use playout::{PlayoutConfig, PlayoutEstimator};
pub use reorder::{Delivery, InsertOutcome, ReorderBuffer, ReorderConfig, ReorderStats};
pub use schedule::{ReportProfile, ReportSchedule, ScheduleConfig};
pub use statistics::{SequenceOutcome, StreamStatistics};
pub use stream::{StreamReceiver, StreamReceiverConfig, StreamReceiverStats};
pub use transport::{TransportFeedbackConfig, TransportFeedbackGenerator};
