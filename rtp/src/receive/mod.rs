//! Receiving: statistics, feedback, recovery and frames in order.

mod statistics;
mod transport;

pub use statistics::{SequenceOutcome, StreamStatistics};
pub use transport::{TransportFeedbackConfig, TransportFeedbackGenerator};
