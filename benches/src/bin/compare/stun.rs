//! `compare -- stun`.

/// Runs every case of the area.
pub(crate) fn run() {}
