//! The bounds and faults of a recording, and what an independent reader makes of it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tincan_capture::limits::{MAX_INTERFACES, MAX_PAYLOAD};
use tincan_capture::{Direction, Error, Packet, Protocol, Recorder};

const AT: Duration = Duration::new(1_735_689_600, 123_456_789);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn packet<'a>(protocol: Protocol, from: &str, to: &str, payload: &'a [u8]) -> Packet<'a> {
    Packet {
        direction: Direction::Outbound,
        protocol,
        source: addr(from),
        destination: addr(to),
        payload,
        comment: "",
    }
}

/// Fields of each packet as tshark reads them, tabs between; `None` where it is not installed.
fn tshark(file: &[u8], fields: &[&str]) -> Option<Vec<String>> {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("skipped: tshark is not installed");
        return None;
    }
    let path = std::env::temp_dir().join(format!(
        "tincan-capture-{}-{}.pcapng",
        std::process::id(),
        fields.concat()
    ));
    std::fs::write(&path, file).unwrap();
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&path).args(["-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    for check in ["ip", "udp", "tcp"] {
        command.args(["-o", &format!("{check}.check_checksum:TRUE")]);
    }
    let output = command.output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn tshark_reads_addresses_times_names_and_checksums() {
    let mut recorder = Recorder::new(Vec::new());
    let alice = recorder.add_interface("alice");
    let bob = recorder.add_interface("bob");
    let first = packet(Protocol::Udp, "192.0.2.1:1000", "192.0.2.2:2000", b"hello");
    recorder.record(alice, AT, &first);
    let second = Packet {
        direction: Direction::Inbound,
        comment: "a remark",
        ..packet(Protocol::Udp, "[2001:db8::1]:7", "[2001:db8::2]:9", b"odd")
    };
    recorder.record(bob, AT + Duration::from_millis(1), &second);
    let file = recorder.finish().unwrap();
    let fields = [
        "frame.time_epoch",
        "frame.interface_name",
        "ip.src",
        "ipv6.src",
        "udp.dstport",
        "udp.payload",
        "udp.checksum.status",
        "frame.comment",
        "frame.packet_flags_direction",
    ];
    let Some(lines) = tshark(&file, &fields) else {
        return;
    };
    assert_eq!(
        lines,
        [
            "1735689600.123456789\talice\t192.0.2.1\t\t2000\t68656c6c6f\t1\t\t0x00000002",
            "1735689600.124456789\tbob\t\t2001:db8::1\t9\t6f6464\t1\ta remark\t0x00000001",
        ]
    );
}

#[test]
fn tshark_follows_a_stream_in_both_directions() {
    let mut recorder = Recorder::new(Vec::new());
    let alice = recorder.add_interface("alice");
    let (here, there) = ("10.0.0.1:50000", "10.0.0.2:50001");
    let long = vec![0xAA; MAX_PAYLOAD + 10];
    for (from, to, payload) in [
        (here, there, b"question".as_slice()),
        (there, here, b"answer"),
        (here, there, &long),
        (here, there, b"end"),
    ] {
        recorder.record(alice, AT, &packet(Protocol::Tcp, from, to, payload));
    }
    assert_eq!(recorder.stats().packets, 5);
    let file = recorder.finish().unwrap();
    let fields = [
        "tcp.seq_raw",
        "tcp.ack_raw",
        "tcp.len",
        "tcp.checksum.status",
        "tcp.analysis.flags",
    ];
    let Some(lines) = tshark(&file, &fields) else {
        return;
    };
    let after = 9 + MAX_PAYLOAD;
    assert_eq!(
        lines,
        [
            "1\t1\t8\t1\t".to_owned(),
            "1\t9\t6\t1\t".to_owned(),
            format!("9\t7\t{MAX_PAYLOAD}\t1\t"),
            format!("{after}\t7\t10\t1\t"),
            format!("{}\t7\t3\t1\t", after + 10),
        ]
    );
}

#[test]
fn a_recording_ends_at_its_bound_and_says_so() {
    let mut recorder = Recorder::with_max_bytes(Vec::new(), 400);
    let alice = recorder.add_interface("alice");
    let first = packet(Protocol::Udp, "192.0.2.1:1", "192.0.2.2:2", &[7; 100]);
    for _ in 0..10 {
        recorder.record(alice, AT, &first);
    }
    let stats = recorder.stats();
    assert!(stats.bytes <= 400, "{stats:?}");
    assert_eq!(stats.packets + stats.left_out, 10);
    assert!(stats.packets >= 1, "{stats:?}");
    assert!(matches!(recorder.finish(), Err(Error::Full(400))));
}

/// Takes some bytes and then no more.
struct Failing(usize);

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failing_sink_ends_the_recording_and_nothing_else() {
    let mut recorder = Recorder::new(Failing(300));
    let alice = recorder.add_interface("alice");
    let first = packet(Protocol::Udp, "192.0.2.1:1", "192.0.2.2:2", &[7; 100]);
    for _ in 0..10 {
        recorder.record(alice, AT, &first);
    }
    assert!(matches!(recorder.error(), Some(Error::Sink(_))));
    assert_eq!(recorder.stats().packets + recorder.stats().left_out, 10);
    assert!(recorder.finish().is_err());
}

#[test]
fn every_length_and_family_is_recorded() {
    let payload = vec![1; 70_000];
    let mut recorder = Recorder::new(Vec::new());
    let interface = recorder.add_interface("");
    for (from, to) in [
        ("192.0.2.1:1", "192.0.2.2:2"),
        ("[::1]:1", "[::1]:2"),
        ("192.0.2.1:1", "[::1]:2"),
    ] {
        for length in [0, 1, 2, 3, 1500, MAX_PAYLOAD, MAX_PAYLOAD + 1, 70_000] {
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                let one = packet(protocol, from, to, &payload[..length]);
                recorder.record(interface, AT, &one);
            }
        }
    }
    assert_eq!(recorder.stats().left_out, 0);
    let file = recorder.finish().unwrap();
    // Every block says its length at both ends.
    let mut rest = file.as_slice();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(rest[4..8], rest[length - 4..length]);
        rest = &rest[length..];
    }
}

#[test]
fn interfaces_beyond_the_bound_share_the_last() {
    let mut recorder = Recorder::new(io::sink());
    let last = (0..MAX_INTERFACES)
        .map(|i| recorder.add_interface(&i.to_string()))
        .last();
    assert_eq!(Some(recorder.add_interface("more")), last);
}
