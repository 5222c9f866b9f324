//! Candidate lines: no panic, and what was read is written and read alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tincan_ice::Candidate;

fuzz_target!(|line: &str| {
    if let Ok(candidate) = line.parse::<Candidate>() {
        assert_eq!(candidate.to_string().parse(), Ok(candidate));
    }
});
