//! Measuring ours and theirs in turn, in one process.
//!
//! [`Comparison`] runs each contender in alternating rounds, so that a slow moment of the machine
//! hits all of them alike, and reports medians with their spread. A round of a timed contender is
//! made of slices of about a millisecond, and its figure is that of the fastest slice: whatever
//! else the machine does meanwhile only ever adds to a slice.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rounds a comparison runs: odd, so that the median is a measurement and not a mean.
pub const ROUNDS: usize = 7;

/// How long one contender runs in one round.
pub const ROUND_TIME: Duration = Duration::from_millis(120);

/// Whether a smaller or a larger figure is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Nanoseconds, bytes of heap, allocations: less is better.
    Less,
    /// Bytes or packets a second: more is better.
    More,
}

/// One contender's figures over all rounds.
#[derive(Clone, Debug)]
pub struct Figures {
    sorted: Vec<f64>,
}

impl Figures {
    /// Figures of all rounds, in any order. An empty list counts as one measurement of zero.
    pub fn new(mut rounds: Vec<f64>) -> Self {
        if rounds.is_empty() {
            rounds.push(0.0);
        }
        rounds.sort_by(f64::total_cmp);
        Self { sorted: rounds }
    }

    /// The median round.
    pub fn median(&self) -> f64 {
        self.sorted
            .get(self.sorted.len() / 2)
            .copied()
            .unwrap_or(0.0)
    }

    /// The smallest round.
    pub fn min(&self) -> f64 {
        self.sorted.first().copied().unwrap_or(0.0)
    }

    /// The largest round.
    pub fn max(&self) -> f64 {
        self.sorted.last().copied().unwrap_or(0.0)
    }
}

/// A contender: a name and a closure that gives the figure of one round.
type Contender<'a> = (String, Box<dyn FnMut() -> f64 + 'a>);

/// Several contenders at the same work; the first is ours.
pub struct Comparison<'a> {
    area: &'static str,
    case: String,
    unit: &'static str,
    better: Better,
    contenders: Vec<Contender<'a>>,
}

impl<'a> Comparison<'a> {
    /// A comparison that prints lines for `area` and `case` with figures in `unit`.
    pub fn new(
        area: &'static str,
        case: impl Into<String>,
        unit: &'static str,
        better: Better,
    ) -> Self {
        Self {
            area,
            case: case.into(),
            unit,
            better,
            contenders: Vec::new(),
        }
    }

    /// Adds a contender whose closure measures one round by itself and returns the figure in the
    /// comparison's unit. The first one added is ours.
    pub fn figure(mut self, name: impl Into<String>, round: impl FnMut() -> f64 + 'a) -> Self {
        self.contenders.push((name.into(), Box::new(round)));
        self
    }

    /// Adds a contender that is timed: the figure is nanoseconds a call of `work`.
    pub fn time<T>(self, name: impl Into<String>, mut work: impl FnMut() -> T + 'a) -> Self {
        self.figure(name, move || nanoseconds_per_call(&mut work))
    }

    /// Adds a contender that uses up what it works on: `prepare` makes the input of `work`, untimed,
    /// and the figure is nanoseconds for each of the `count` pieces of work that one call of `work`
    /// does.
    pub fn time_prepared<S, T>(
        self,
        name: impl Into<String>,
        count: usize,
        mut prepare: impl FnMut() -> S + 'a,
        mut work: impl FnMut(&mut S) -> T + 'a,
    ) -> Self {
        self.figure(name, move || {
            let begin = Instant::now();
            let mut fastest = Duration::MAX;
            let mut slices = 0;
            while slices < MIN_SLICES || begin.elapsed() < ROUND_TIME / 4 {
                let mut input = black_box(prepare());
                let start = Instant::now();
                black_box(work(&mut input));
                fastest = fastest.min(start.elapsed());
                slices += 1;
            }
            fastest.as_nanos() as f64 / count.max(1) as f64
        })
    }

    /// Adds a contender whose figure is heap allocations a call of `work`, after one call that is
    /// not counted. Zero unless built with the feature `count-allocations`: ask
    /// [`counts_allocations`] first.
    pub fn allocations<T>(self, name: impl Into<String>, mut work: impl FnMut() -> T + 'a) -> Self {
        self.figure(name, move || {
            const CALLS: u64 = 64;
            black_box(work());
            let (_, heap) = measure_heap(|| {
                for _ in 0..CALLS {
                    black_box(work());
                }
            });
            heap.map_or(0.0, |heap| heap.allocations as f64 / CALLS as f64)
        })
    }

    /// Runs all rounds and prints one line for each of the others:
    /// `area case ours theirs-name theirs unit ratio`, where a ratio above 1 means ours is better,
    /// followed by the spread. Returns the ratios in the order of the contenders.
    pub fn run(mut self) -> Vec<f64> {
        let mut rounds = vec![Vec::with_capacity(ROUNDS); self.contenders.len()];
        for _ in 0..ROUNDS {
            for (figures, (_, round)) in rounds.iter_mut().zip(&mut self.contenders) {
                figures.push(round());
            }
        }
        let figures: Vec<Figures> = rounds.into_iter().map(Figures::new).collect();
        let Some((ours, others)) = figures.split_first() else {
            return Vec::new();
        };
        if others.is_empty() {
            println!(
                "{} {} {:.4} - - {} - [ours {:.4}..{:.4}]",
                self.area,
                self.case,
                ours.median(),
                self.unit,
                ours.min(),
                ours.max()
            );
        }
        let mut ratios = Vec::new();
        for (theirs, (name, _)) in others.iter().zip(self.contenders.iter().skip(1)) {
            let ratio = match self.better {
                Better::Less => theirs.median() / ours.median(),
                Better::More => ours.median() / theirs.median(),
            };
            println!(
                "{} {} {:.4} {} {:.4} {} {:.3} [ours {:.4}..{:.4}, theirs {:.4}..{:.4}]",
                self.area,
                self.case,
                ours.median(),
                name,
                theirs.median(),
                self.unit,
                ratio,
                ours.min(),
                ours.max(),
                theirs.min(),
                theirs.max()
            );
            ratios.push(ratio);
        }
        ratios
    }
}

/// Slices a round has at least, however long each takes.
const MIN_SLICES: u32 = 3;

/// How long a slice is to take.
const SLICE_TIME: Duration = Duration::from_millis(1);

/// One round: calls `work` in slices, for a quarter of [`ROUND_TIME`] or some slices at least, and
/// returns the nanoseconds a call of the fastest slice.
pub fn nanoseconds_per_call<T>(work: &mut impl FnMut() -> T) -> f64 {
    let begin = Instant::now();
    let mut calls = 1u64;
    let mut fastest = f64::MAX;
    let mut slices = 0;
    while slices < MIN_SLICES || begin.elapsed() < ROUND_TIME / 4 {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(work());
        }
        let spent = start.elapsed();
        if spent < SLICE_TIME / 2 {
            // Still finding out how many calls make a slice.
            let scale = SLICE_TIME.as_nanos() / spent.as_nanos().max(1);
            calls = calls.saturating_mul(scale.clamp(2, 64) as u64);
            continue;
        }
        fastest = fastest.min(spent.as_nanos() as f64 / calls as f64);
        slices += 1;
    }
    fastest
}

/// What a piece of work did to the heap, on the thread it ran on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// Allocations, reallocations included.
    pub allocations: u64,
    /// Bytes allocated in all.
    pub bytes: u64,
    /// The most bytes held at a time, beyond what was held before.
    pub peak_bytes: u64,
    /// Bytes held at the end beyond what was held before; negative where work freed older ones.
    pub held_bytes: i64,
}

/// Whether this build counts allocations (feature `count-allocations`).
pub const fn counts_allocations() -> bool {
    cfg!(feature = "count-allocations")
}

/// Runs `work` and says what it did to the heap; `None` in builds that do not count.
pub fn measure_heap<T>(work: impl FnOnce() -> T) -> (T, Option<Heap>) {
    #[cfg(not(feature = "count-allocations"))]
    {
        (work(), None)
    }
    #[cfg(feature = "count-allocations")]
    {
        let mut result = None;
        let info = allocation_counter::measure(|| result = Some(work()));
        let heap = Heap {
            allocations: info.count_total,
            bytes: info.bytes_total,
            peak_bytes: info.bytes_max,
            held_bytes: info.bytes_current,
        };
        match result {
            Some(result) => (result, Some(heap)),
            // `measure` runs its argument, so this is never reached.
            None => unreachable!("the work was not run"),
        }
    }
}
