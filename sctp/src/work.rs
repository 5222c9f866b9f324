//! Counts the steps of loops that a far side can make longer, in test builds, so that tests can say
//! what a packet costs at worst without a clock.

/// Counts `n` steps.
#[inline(always)]
pub(crate) fn steps(n: usize) {
    #[cfg(test)]
    tests::STEPS.with(|count| count.set(count.get() + n as u64));
    #[cfg(not(test))]
    let _ = n;
}

/// The steps that this takes.
#[cfg(test)]
pub(crate) fn counted(run: impl FnOnce()) -> u64 {
    tests::STEPS.with(|steps| steps.set(0));
    run();
    tests::STEPS.with(std::cell::Cell::get)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    thread_local! {
        pub(super) static STEPS: Cell<u64> = const { Cell::new(0) };
    }
}
