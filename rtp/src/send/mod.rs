//! Sending: what was sent, so that it can be sent again, reported and measured.

mod history;

pub use history::{History, HistoryConfig};
