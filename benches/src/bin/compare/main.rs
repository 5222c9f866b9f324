//! `compare`: ours and the others in turn, one line a case.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot set up its case has nothing to measure"
)]

#[cfg(feature = "driver")]
mod driver;
#[cfg(feature = "dtls")]
mod dtls;
#[cfg(feature = "ice")]
mod ice;
#[cfg(feature = "peer")]
mod peer;
#[cfg(feature = "rtp")]
mod rtp;
#[cfg(feature = "sctp")]
mod sctp;
#[cfg(feature = "sdp")]
mod sdp;
#[cfg(feature = "srtp")]
mod srtp;
#[cfg(feature = "stun")]
mod stun;

/// Each area of this build with the function that runs it.
const AREAS: &[(&str, fn())] = &[
    #[cfg(feature = "srtp")]
    ("srtp", srtp::run),
    #[cfg(feature = "stun")]
    ("stun", stun::run),
    #[cfg(feature = "sdp")]
    ("sdp", sdp::run),
    #[cfg(feature = "dtls")]
    ("dtls", dtls::run),
    #[cfg(feature = "sctp")]
    ("sctp", sctp::run),
    #[cfg(feature = "ice")]
    ("ice", ice::run),
    #[cfg(feature = "rtp")]
    ("rtp", rtp::run),
    #[cfg(feature = "peer")]
    ("peer", peer::run),
    #[cfg(feature = "driver")]
    ("driver", driver::run),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all = wanted.is_empty() || wanted.iter().any(|area| area == "all");
    if let Some(unknown) = wanted
        .iter()
        .find(|w| *w != "all" && !AREAS.iter().any(|(a, _)| a == w))
    {
        eprintln!("compare: no area '{unknown}' in this build");
        std::process::exit(2);
    }
    println!("# area case ours theirs-name theirs unit ratio (above 1: ours is better)");
    for (area, run) in AREAS {
        if all || wanted.iter().any(|w| w == area) {
            run();
        }
    }
}
