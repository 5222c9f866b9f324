//! Many seeds of one test, and of a failing one the few accidents that matter.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::accidents::{Accident, Accidents};
use crate::network::Network;

/// Runs that shrinking may take: each halves or nearly keeps what is left, so that a run of a thousand accidents comes
/// down to a handful well before.
pub const MAX_SHRINKING_RUNS: usize = 300;

/// One run of a test under [`explore`].
#[derive(Debug)]
pub struct Run {
    seed: u64,
    accidents: Accidents,
}

impl Run {
    /// The run's seed: for the network and for everything else that is random in the test.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Has the network write its accidents down, or replay those that are left. To be called before anything is sent;
    /// a run has one network.
    pub fn watch(&self, network: &mut Network) {
        network.set_accidents(self.accidents.clone());
    }
}

/// A seed that fails, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What the test said of the shortest run.
    pub reason: String,
    /// The accidents of that run, each of which it takes (unless shrinking ran out of runs).
    pub accidents: Vec<Accident>,
    /// How many there were.
    pub before: usize,
    /// How many runs shrinking took.
    pub runs: usize,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} fails: {}; {} of {} accidents are enough (found in {} runs):",
            self.seed,
            self.reason,
            self.accidents.len(),
            self.before,
            self.runs
        )?;
        for accident in &self.accidents {
            writeln!(f, "  {accident}")?;
        }
        f.write_str("replay them with tincan_sim::replay")
    }
}

impl std::error::Error for Failure {}

/// Runs a test with each seed. The first that fails is run again with fewer and fewer of its accidents (losses, delays,
/// copies, flipped bits, scripted actions) until none can be left out; a panic is a failure too.
///
/// ```
/// use std::time::Duration;
/// use tincan_sim::{Datagram, Delivery, LinkConfig, Loss, Network, explore};
///
/// // A protocol that needs one of its three datagrams to arrive.
/// let failure = explore(0..1_000, |run| {
///     let link = LinkConfig::new().loss(Loss::Random(0.3)).duplicate(0.5);
///     let (mut network, a, b) = Network::pair(run.seed(), link, LinkConfig::new());
///     run.watch(&mut network);
///     let (from, to) = (network.addr(a, 1), network.addr(b, 2));
///     for _ in 0..3 {
///         network.send(a, Datagram::new(from, to, b"hello".to_vec()));
///     }
///     match network.step(network.now() + Duration::from_secs(1)) {
///         Some(Delivery::Datagram(..)) => Ok(()),
///         _ => Err("nothing arrived"),
///     }
/// })
/// .unwrap_err();
/// // All three must be lost, and nothing else matters.
/// assert_eq!(failure.accidents.len(), 3);
/// ```
///
/// # Errors
/// The first seed that fails, with its shortest run.
pub fn explore<E: fmt::Display>(
    seeds: impl IntoIterator<Item = u64>,
    mut test: impl FnMut(&Run) -> Result<(), E>,
) -> Result<(), Failure> {
    for seed in seeds {
        let accidents = Accidents::default();
        if let Err(reason) = attempt(seed, accidents.clone(), &mut test) {
            return Err(shrink(seed, reason, accidents.happened(), &mut test));
        }
    }
    Ok(())
}

/// Runs a test once with a seed and just these accidents, as a [`Failure`] has them.
///
/// # Errors
/// What the test said.
pub fn replay<E: fmt::Display>(
    seed: u64,
    accidents: &[Accident],
    mut test: impl FnMut(&Run) -> Result<(), E>,
) -> Result<(), String> {
    attempt(seed, Accidents::only(accidents), &mut test)
}

fn attempt<E: fmt::Display>(
    seed: u64,
    accidents: Accidents,
    test: &mut impl FnMut(&Run) -> Result<(), E>,
) -> Result<(), String> {
    let run = Run { seed, accidents };
    match catch_unwind(AssertUnwindSafe(|| test(&run))) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(payload) => Err(message(payload.as_ref())),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        format!("panic: {text}")
    } else if let Some(text) = payload.downcast_ref::<String>() {
        format!("panic: {text}")
    } else {
        "panic".to_owned()
    }
}

/// Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", §3): leaves out ever
/// smaller parts while the rest still fails.
fn shrink<E: fmt::Display>(
    seed: u64,
    reason: String,
    all: Vec<Accident>,
    test: &mut impl FnMut(&Run) -> Result<(), E>,
) -> Failure {
    let before = all.len();
    let (mut best, mut reason) = (all, reason);
    let mut runs = 0;
    let mut parts = 1;
    while !best.is_empty() && runs < MAX_SHRINKING_RUNS {
        let size = best.len().div_ceil(parts);
        let mut shorter = None;
        for part in 0..best.len().div_ceil(size) {
            let left_out = part * size..((part + 1) * size).min(best.len());
            let rest: Vec<Accident> = best
                .iter()
                .enumerate()
                .filter(|(at, _)| !left_out.contains(at))
                .map(|(_, accident)| *accident)
                .collect();
            runs += 1;
            let accidents = Accidents::only(&rest);
            if let Err(why) = attempt(seed, accidents.clone(), test) {
                // Those whose place was never reached are gone too.
                shorter = Some((accidents.happened(), why));
                break;
            }
            if runs >= MAX_SHRINKING_RUNS {
                break;
            }
        }
        match shorter {
            Some((rest, why)) => {
                best = rest;
                reason = why;
                parts = parts.saturating_sub(1).max(2).min(best.len().max(1));
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(best.len()),
        }
    }
    Failure {
        seed,
        reason,
        accidents: best,
        before,
        runs,
    }
}
