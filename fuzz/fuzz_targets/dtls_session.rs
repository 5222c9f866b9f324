//! Two peers over a network that drops, repeats, reorders and bends what the
//! input says. Whatever happens: no panic, no stuck timer, data only as sent.
#![no_main]

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{Certificate, Config, Connection, Role, Verification, Version};

fn config(newest: Version, extras: bool) -> Arc<Config> {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate = CERTIFICATE
        .get_or_init(|| Certificate::generate(UNIX_EPOCH + Duration::from_secs(1 << 30)).unwrap());
    let mut builder = Config::builder()
        .certificate(certificate.clone())
        .verification(Verification::Any)
        .versions(Version::Dtls12, newest);
    if extras {
        builder = builder.connection_id(4).record_size_limit(600).mtu(300);
    }
    builder.build().unwrap()
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, script)) = input.split_first() else {
        return;
    };
    let newest = if first & 1 == 0 {
        Version::Dtls13
    } else {
        Version::Dtls12
    };
    let config = config(newest, first & 2 != 0);
    let mut now = Instant::now();
    let mut rng = StdRng::seed_from_u64(u64::from(first));
    let mut ends = [Role::Client, Role::Server]
        .map(|role| Connection::new(Arc::clone(&config), role, now, &mut rng).unwrap());
    let mut queues: [VecDeque<Vec<u8>>; 2] = Default::default();
    for &step in script.iter().take(4096) {
        for index in 0..2 {
            let mut out = Vec::new();
            while ends[index].poll_transmit(now, &mut out).is_some() {
                if queues[1 - index].len() < 64 {
                    queues[1 - index].push_back(std::mem::take(&mut out));
                }
                out.clear();
            }
            while ends[index].poll_event().is_some() {}
            while let Some(data) = ends[index].poll_data() {
                assert_eq!(&data[..], b"payload");
            }
        }
        let to = usize::from(step & 1);
        match step >> 1 & 0b111 {
            // Time passes to the next timer; a timer in the past must move.
            0 => {
                if let Some(at) = ends[to].poll_timeout() {
                    now = now.max(at);
                    ends[to].handle_timeout(now);
                    assert!(ends[to].poll_timeout().is_none_or(|next| next > now));
                }
            }
            // Lost.
            1 => drop(queues[to].pop_front()),
            // Later.
            2 => {
                if let Some(datagram) = queues[to].pop_front() {
                    queues[to].push_back(datagram);
                }
            }
            // Twice.
            3 => {
                if let Some(datagram) = queues[to].front().cloned() {
                    queues[to].push_back(datagram);
                }
            }
            // Bent.
            4 => {
                if let Some(datagram) = queues[to].front_mut()
                    && let Some(octet) = datagram.get_mut(usize::from(step >> 4) * 7)
                {
                    *octet ^= 1 << (step >> 5);
                }
            }
            5 => {
                let mut out = vec![0; ends[to].headroom()];
                out.extend_from_slice(b"payload");
                if ends[to].seal_in_place(&mut out, 0).is_ok() && queues[1 - to].len() < 64 {
                    queues[1 - to].push_back(out);
                }
                if step >> 4 == 15 {
                    let _ = ends[to].update_keys(now, true);
                }
            }
            // In the caller's buffer, the other way in.
            6 => {
                if let Some(mut datagram) = queues[to].pop_front()
                    && let Some(place) = ends[to].open_in_place(now, &mut datagram)
                {
                    assert_eq!(&datagram[place], b"payload");
                }
            }
            _ => {
                if let Some(datagram) = queues[to].pop_front() {
                    ends[to]
                        .handle_input(now, BytesMut::from(&datagram[..]))
                        .unwrap();
                }
            }
        }
    }
    // Left alone, both end in bounded time: established, or given up.
    for _ in 0..128 {
        for end in &mut ends {
            let mut out = Vec::new();
            while end.poll_transmit(now, &mut out).is_some() {}
            if let Some(at) = end.poll_timeout() {
                now = now.max(at);
                end.handle_timeout(now);
            }
        }
    }
    for (n, end) in ends.iter().enumerate() {
        // Only a server that has seen no whole hello waits for one without end.
        let idle_server = n == 1 && end.version().is_none();
        assert!(
            end.is_closed() || end.is_connected() || idle_server,
            "neither established nor given up: {end:?}"
        );
        assert!(end.is_closed() || end.poll_timeout().is_none());
    }
});
