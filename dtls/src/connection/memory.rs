//! What a connection holds.

use super::Connection;

impl Connection {
    /// Octets of memory in use, about: the messages of the handshake that wait or may be sent again, and records that
    /// wait for their keys, for the end of the handshake, or for the caller.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        let queues = [&self.early, &self.held, &self.data];
        let waiting: usize = queues
            .iter()
            .flat_map(|queue| queue.iter())
            .map(|record| record.len() + size_of_val(record))
            .sum();
        size_of::<Self>() + waiting + self.parts.memory_usage()
    }
}
