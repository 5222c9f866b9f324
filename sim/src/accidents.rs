//! What goes wrong in a run, written down, so that it can be replayed in part.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;

use crate::link::Direction;
use crate::network::InterfaceId;

/// Where an accident happens: the same place in every run of the same calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// To a packet on a link, by its number among those offered to that direction, from 1.
    Packet {
        /// The link's interface.
        interface: InterfaceId,
        /// Which way.
        direction: Direction,
        /// Which packet.
        number: u64,
    },
    /// To the network, by the number of the call of [`Network::schedule`](crate::Network::schedule), from 0.
    Script(usize),
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Harm {
    /// The packet vanishes; of a stream, it comes late.
    Loss,
    /// The packet takes so much longer and may be overtaken.
    Delay(Duration),
    /// This bit of the payload is flipped.
    Flip(usize),
    /// The packet arrives twice.
    Copy,
    /// The scripted action.
    Action,
}

impl Harm {
    fn kind(self) -> u8 {
        match self {
            Self::Loss => 0,
            Self::Delay(_) => 1,
            Self::Flip(_) => 2,
            Self::Copy => 3,
            Self::Action => 4,
        }
    }
}

/// One accident of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Accident {
    /// Virtual time since the start when it happened first.
    pub at: Duration,
    /// Where.
    pub place: Place,
    /// What.
    pub harm: Harm,
}

impl fmt::Display for Accident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.at)?;
        match self.place {
            Place::Packet {
                interface,
                direction,
                number,
            } => write!(f, "packet {number} of {interface:?} {direction:?}")?,
            Place::Script(number) => write!(f, "scripted action {number}")?,
        }
        match self.harm {
            Harm::Loss => f.write_str(" is lost"),
            Harm::Delay(by) => write!(f, " is late by {by:?}"),
            Harm::Flip(bit) => write!(f, ", bit {bit} is flipped"),
            Harm::Copy => f.write_str(" comes twice"),
            Harm::Action => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
struct Log {
    happened: Vec<Accident>,
    /// Only these happen, by place and kind.
    only: Option<BTreeMap<(Place, u8), Accident>>,
}

/// The accidents of a run, shared by the network and whoever replays it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accidents(Arc<Mutex<Log>>);

impl Accidents {
    /// Only these may happen, and they do, whatever the seed says.
    pub(crate) fn only(accidents: &[Accident]) -> Self {
        let only = accidents
            .iter()
            .map(|a| ((a.place, a.harm.kind()), *a))
            .collect();
        Self(Arc::new(Mutex::new(Log {
            happened: Vec::new(),
            only: Some(only),
        })))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // A run that panicked left the log as good as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn happened(&self) -> Vec<Accident> {
        self.log().happened.clone()
    }

    /// What happens where the draw says `drawn`; `kind` is any harm of the kind that is asked for.
    pub(crate) fn decide(
        &self,
        at: Duration,
        place: Place,
        kind: Harm,
        drawn: Option<Harm>,
    ) -> Option<Harm> {
        let mut log = self.log();
        let harm = match &log.only {
            Some(only) => only.get(&(place, kind.kind())).map(|a| a.harm),
            None => drawn,
        }?;
        log.happened.push(Accident { at, place, harm });
        Some(harm)
    }
}

/// What a link draws with.
pub(crate) struct Chance<'a> {
    pub(crate) rng: &'a mut StdRng,
    pub(crate) accidents: Option<&'a Accidents>,
    pub(crate) at: Duration,
    pub(crate) interface: InterfaceId,
    pub(crate) direction: Direction,
}

impl Chance<'_> {
    /// What happens to packet `number` of this link.
    pub(crate) fn decide(&self, number: u64, kind: Harm, drawn: Option<Harm>) -> Option<Harm> {
        let Some(accidents) = self.accidents else {
            return drawn;
        };
        let place = Place::Packet {
            interface: self.interface,
            direction: self.direction,
            number,
        };
        accidents.decide(self.at, place, kind, drawn)
    }
}
