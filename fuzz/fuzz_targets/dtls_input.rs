//! Arbitrary datagrams at a client, a server and the stateless gate, the
//! framing of plaintext handshake records mended so that they go deep.
#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{Certificate, Config, Connection, Gate, Role, Verdict, Verification};

fn config() -> Arc<Config> {
    static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
    let make = || {
        let time = UNIX_EPOCH + Duration::from_secs(1 << 30);
        Config::builder()
            .certificate(Certificate::generate(time).unwrap())
            .verification(Verification::Any)
            .build()
            .unwrap()
    };
    Arc::clone(CONFIG.get_or_init(make))
}

/// A record and message header around `body`.
fn framed(kind: u8, sequence: u16, number: u64, body: &[u8]) -> Vec<u8> {
    let mut datagram = vec![22, 0xfe, 0xfd, 0, 0];
    datagram.extend_from_slice(&number.to_be_bytes()[2..]);
    datagram.extend_from_slice(&((body.len() + 12) as u16).to_be_bytes());
    datagram.push(kind);
    datagram.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    datagram.extend_from_slice(&sequence.to_be_bytes());
    datagram.extend_from_slice(&[0; 3]);
    datagram.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    datagram.extend_from_slice(body);
    datagram
}

fuzz_target!(|inputs: Vec<(u8, Vec<u8>)>| {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut client = Connection::new(config(), Role::Client, now, &mut rng).unwrap();
    let mut server = Connection::new(config(), Role::Server, now, &mut rng).unwrap();
    let mut gate = Gate::new(config(), now).unwrap();
    // Octets that each address has sent: a hello may take several datagrams.
    let mut asked = [0; 256];
    for (index, (kind, body)) in inputs.iter().take(64).enumerate() {
        let datagram = if kind & 0x80 == 0 && body.len() < 16_000 {
            framed(*kind, index as u16, index as u64, body)
        } else {
            body.clone()
        };
        let mut out = Vec::new();
        for end in [&mut client, &mut server] {
            end.handle_input(now, BytesMut::from(&datagram[..]))
                .unwrap();
            while end.poll_transmit(now, &mut out).is_some() {
                out.clear();
            }
        }
        let input = BytesMut::from(&datagram[..]);
        let verdict = gate
            .handle_input(now, &[*kind], input, &mut out, &mut rng)
            .unwrap();
        let asked = &mut asked[usize::from(*kind)];
        *asked += datagram.len();
        if let Verdict::Reply(length) = verdict {
            assert!(length <= *asked);
        }
    }
});
