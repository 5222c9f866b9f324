//! An mDNS responder among any packets of the link: it answers for its own names only, sends no more than its bounds
//! allow, decides every question in time, and no timer sticks.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_fuzz::Memory;
use tincan_ice::MdnsName;
use tincan_ice::limits::{MAX_MDNS_ANSWERS, MAX_UNRESOLVED_NAMES};
use tincan_ice::mdns::{Event, Responder};

#[derive(Arbitrary, Debug)]
enum Step {
    Packet {
        from: u8,
        port: bool,
        bytes: Vec<u8>,
    },
    /// What one of the two sent last arrives at the other, bent at one place.
    Cross {
        second: bool,
        at: u16,
        bits: u8,
    },
    Register(bool, u8),
    Unregister(bool, u8),
    Resolve(bool, u8),
    Send(bool),
    Wait(u16),
}

fuzz_target!(|steps: Vec<Step>| {
    let memory = Memory::watch();
    let mut now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut ends = [Responder::new(&mut rng), Responder::new(&mut rng)];
    let mut names: [Vec<MdnsName>; 2] = Default::default();
    let mut last: [Vec<u8>; 2] = Default::default();
    let mut asked = [0usize; 2];
    for step in steps.into_iter().take(300) {
        match step {
            Step::Packet { from, port, bytes } => {
                let port = if port { 5353 } else { 4000 };
                let from = SocketAddr::from(([192, 0, 2, from], port));
                ends[0].handle_input(now, from, &bytes);
            }
            Step::Cross { second, at, bits } => {
                let n = usize::from(second);
                let mut bytes = last[1 - n].clone();
                if !bytes.is_empty() {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] ^= bits;
                }
                let from = SocketAddr::from(([192, 0, 2, 7], 5353));
                ends[n].handle_input(now, from, &bytes);
            }
            Step::Register(second, ip) => {
                let n = usize::from(second);
                let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, ip));
                names[n].extend(ends[n].register(now, ip));
                names[n].truncate(64);
            }
            Step::Unregister(second, which) => {
                let n = usize::from(second);
                if let Some(name) = names[n].get(usize::from(which)) {
                    ends[n].unregister(*name);
                }
            }
            Step::Resolve(second, which) => {
                let n = usize::from(second);
                if let Some(name) = names[1 - n].get(usize::from(which)) {
                    ends[n].resolve(now, *name);
                    asked[n] += 1;
                }
            }
            Step::Send(second) => {
                let n = usize::from(second);
                let mut out = Vec::new();
                if ends[n].poll_transmit(now, &mut out).is_some() {
                    last[n] = out;
                }
            }
            Step::Wait(ms) => now += Duration::from_millis(ms.into()),
        }
        for (end, asked) in ends.iter_mut().zip(&mut asked) {
            if end.poll_timeout().is_some_and(|at| at <= now) {
                end.handle_timeout(now);
            }
            while let Some(Event::Resolved { .. }) = end.poll_event() {
                assert!(*asked > 0, "news that nobody asked for");
            }
        }
    }
    for end in &mut ends {
        let mut steps = 0;
        let mut out = Vec::new();
        loop {
            let mut sent = 0;
            while end.poll_transmit(now, &mut out).is_some() {
                out.clear();
                sent += 1;
                assert!(sent <= MAX_MDNS_ANSWERS + MAX_UNRESOLVED_NAMES + 1);
            }
            let Some(next) = end.poll_timeout() else {
                break;
            };
            now = now.max(next);
            end.handle_timeout(now);
            steps += 1;
            assert!(steps < 2_000, "it never comes to rest");
        }
    }
    memory.at_most(1 << 20);
});
