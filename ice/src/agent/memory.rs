//! What the agent's tables take.

use super::Agent;
use crate::candidate::Candidate;
use crate::event::Event;
use crate::generation::Generation;
use crate::pair::Pair;

/// What maps and lists take for a candidate or a pair beyond the entry itself: a few keys and ids, and short strings.
const ENTRY: usize = 160;

impl Agent {
    /// Octets of memory in use, about. It walks the candidates, of which there are a few hundred at most
    /// ([`limits`](crate::limits)).
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        let generation = |g: &Generation| {
            size_of::<Generation>()
                + g.list.len() * (size_of::<Pair>() + ENTRY)
                + g.remotes.iter().count() * (size_of::<Candidate>() + ENTRY)
        };
        size_of::<Self>()
            + generation(&self.current)
            + self.previous.as_deref().map_or(0, generation)
            + self.locals.candidates().count() * (size_of::<Candidate>() + ENTRY)
            + self.events.len() * size_of::<Event>()
    }
}
