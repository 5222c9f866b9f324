//! A stream cut anywhere gives the same packets as the stream in one piece.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tincan_stun::framing::{Framing, StreamDecoder};

fn packets(framing: Framing, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = StreamDecoder::new(framing);
    let mut got = Vec::new();
    for piece in pieces {
        decoder.extend(piece);
        loop {
            match decoder.next_packet() {
                Ok(Some(packet)) => got.push(packet.to_vec()),
                Ok(None) => break,
                Err(_) => return (got, true),
            }
        }
    }
    (got, false)
}

fuzz_target!(|input: (bool, Vec<Vec<u8>>)| {
    let framing = if input.0 {
        Framing::Turn
    } else {
        Framing::Rfc4571
    };
    let pieces: Vec<&[u8]> = input.1.iter().map(Vec::as_slice).collect();
    let whole = pieces.concat();
    assert_eq!(packets(framing, &pieces), packets(framing, &[&whole]));
});
