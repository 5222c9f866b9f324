//! Established, a record costs no heap allocation.
#![allow(clippy::unwrap_used)]

mod common;

use allocation_counter::measure;
use bytes::BytesMut;
use common::{connected, seal};
use tincan_dtls::Version;

#[test]
fn sealing_and_opening_a_record_allocate_nothing() {
    for version in [Version::Dtls12, Version::Dtls13] {
        let (mut client, mut server, net) = connected(
            |builder| builder,
            |builder| builder.versions(version, version),
        );
        // The queue takes its room with the first record.
        let warm = seal(&mut client, &[0; 1200]);
        server
            .handle_input(net.now, BytesMut::from(warm.as_slice()))
            .unwrap();
        assert!(server.poll_data().is_some());

        let mut out = Vec::with_capacity(2048);
        let head = client.headroom();
        for _ in 0..100 {
            let sealed = measure(|| {
                out.clear();
                out.resize(head + 1200, 7);
                client.seal_in_place(&mut out, 0).unwrap();
            });
            assert_eq!(sealed.count_total, 0, "{version:?}");
            let datagram = BytesMut::from(out.as_slice());
            let opened = measure(|| {
                server.handle_input(net.now, datagram).unwrap();
                assert_eq!(server.poll_data().unwrap().len(), 1200);
            });
            assert_eq!(opened.count_total, 0, "{version:?}");
            out.clear();
            out.resize(head + 1200, 7);
            client.seal_in_place(&mut out, 0).unwrap();
            let opened = measure(|| {
                let place = server.open_in_place(net.now, &mut out).unwrap();
                assert_eq!(out[place], [7; 1200]);
            });
            assert_eq!(opened.count_total, 0, "{version:?}");
        }
    }
}
