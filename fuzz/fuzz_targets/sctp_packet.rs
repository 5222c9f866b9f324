//! Any bytes as a packet: every view is walked; every parameter and establishment message too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tincan_sctp::data_channel::DcepMessage;
use tincan_sctp::wire::{Chunk, Packet, Reconfig, finish_packet};

fuzz_target!(|data: &[u8]| {
    let _ = tincan_sctp::Association::check_init(data);
    if let Ok(DcepMessage::Open(config)) = DcepMessage::parse(data) {
        let again = DcepMessage::Open(config);
        assert_eq!(DcepMessage::parse(&again.to_vec()).as_ref(), Ok(&again));
    }
    let mut bytes = data.to_vec();
    let _ = Packet::parse(&bytes, false);
    finish_packet(&mut bytes, 0);
    let Ok(packet) = Packet::parse(&bytes, false) else {
        return;
    };
    for chunk in packet.chunks() {
        match chunk {
            Chunk::Sack(sack) => {
                let _ = (sack.gaps().count(), sack.duplicates().count());
            }
            Chunk::Init(init) | Chunk::InitAck(init) => {
                let _ = (init.is_valid(), init.state_cookie(), init.unknown().count());
            }
            Chunk::ForwardTsn(forward) => {
                let _ = forward.skipped().count();
            }
            Chunk::Abort { causes, .. } | Chunk::Error(causes) => {
                let _ = causes.count();
            }
            Chunk::Reconfig(parameters) => {
                for parameter in parameters {
                    let _ = Reconfig::parse(&parameter);
                }
            }
            _ => {}
        }
    }
});
