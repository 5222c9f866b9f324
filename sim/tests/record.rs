//! What hosts see, as a pcapng file.
#![cfg(feature = "capture")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tincan_sim::{Datagram, LinkConfig, Loss, Network};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn count(file: &[u8], needle: &[u8]) -> usize {
    file.windows(needle.len()).filter(|w| *w == needle).count()
}

#[test]
fn each_host_records_what_it_sends_and_gets() {
    let link = LinkConfig::new().loss(Loss::Random(0.5));
    let (mut network, a, b) = Network::pair(3, link, LinkConfig::new());
    let file = Shared::default();
    network.record(file.clone(), "");
    let (from, to) = (network.addr(a, 1), network.addr(b, 2));
    for _ in 0..20 {
        network.send(a, Datagram::new(from, to, b"needle in a packet".to_vec()));
        let until = network.now() + Duration::from_millis(1);
        while network.step(until).is_some() {}
    }
    let received = network.stats().received as usize;
    assert!((1..20).contains(&received));
    network.finish_recording().unwrap();
    let file = file.0.lock().unwrap();
    assert_eq!(file[..4], [0x0A, 0x0D, 0x0D, 0x0A]);
    assert_eq!(count(&file, b"needle in a packet"), 20 + received);
    assert!(count(&file, b"host 1") == 1);
}
