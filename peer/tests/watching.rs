//! Recordings, logs and tracing of a connection: what an independent reader makes of them, and what must not be in them.
#![cfg(all(feature = "capture", feature = "qlog"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, UNIX_EPOCH};

use support::Pair;
use tincan_peer::*;

const SECOND: Duration = Duration::from_secs(1);
const SECRET: &str = "the quick brown fox";

/// A sink whose bytes the test keeps.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

fn configuration(versions: DtlsVersions) -> Configuration {
    Configuration {
        dtls_versions: versions,
        wall_clock: Some(UNIX_EPOCH + Duration::from_secs(1_767_225_600)),
        ..Configuration::default()
    }
}

/// A call with ten messages each way. `watch` is called before the negotiation.
fn call(versions: DtlsVersions, watch: impl FnOnce(&mut PeerConnection)) -> Pair {
    // Whoever comes first to a place that tells something decides whether anybody hears it, for all threads: in each of
    // these tests somebody does.
    static HEARD: Once = Once::new();
    HEARD.call_once(|| tracing::subscriber::set_global_default(Listener::default()).unwrap());
    let mut pair = Pair::with(configuration(versions), configuration(versions), 7);
    watch(&mut pair.a().pc);
    let channel = pair.channel("chat");
    pair.negotiate(0);
    pair.run_until(5 * SECOND, |p| {
        p.ends
            .iter()
            .all(|end| end.saw(|e| matches!(e, Event::ChannelOpen(_))))
    });
    let far = pair.b().pc.channels().next().unwrap();
    for i in 0..10 {
        let now = pair.now;
        for (end, key) in [(0, channel), (1, far)] {
            let text = Message::text(format!("{SECRET} {i}"));
            pair.ends[end].pc.send(now, key, text).unwrap();
        }
        pair.run(SECOND / 10);
    }
    for end in 0..2 {
        let messages = pair.ends[end]
            .events
            .iter()
            .filter(|e| matches!(e, Event::ChannelMessage(..)));
        assert_eq!(messages.count(), 10);
    }
    pair
}

/// Major and minor version of tshark; `None` where it is not installed.
fn tshark_version() -> Option<(u32, u32)> {
    let output = Command::new("tshark").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = version.split('.').map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Direction and content of what tshark decrypts of a recording.
fn decrypted(name: &str, file: &[u8]) -> Vec<(bool, Vec<u8>)> {
    let path = std::env::temp_dir().join(format!("tincan-{name}-{}", std::process::id()));
    std::fs::write(&path, file).unwrap();
    let output = Command::new("tshark")
        .args(["-r", path.to_str().unwrap()])
        .args(["-d", "udp.port==5000,dtls", "-d", "dtls.port==5000,data"])
        .args(["-T", "fields", "-e", "frame.packet_flags_direction"])
        .args(["-e", "data.data"])
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(direction, hex)| {
            let bytes = (0..hex.len() / 2)
                .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
                .collect();
            (direction.ends_with('2'), bytes)
        })
        .collect()
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|w| w == what)
}

#[test]
fn tshark_decrypts_the_recording_of_a_call() {
    let Some(version) = tshark_version() else {
        println!("skipped: tshark is not installed");
        return;
    };
    for (versions, since) in [(DtlsVersions::V12, (1, 0)), (DtlsVersions::V13, (4, 2))] {
        let sink = Shared::default();
        let mut pair = call(versions, |pc| pc.record(sink.clone()).unwrap());
        let (stats, whole) = pair.a().pc.stop_recording().unwrap();
        whole.unwrap();
        let file = sink.bytes();
        assert_eq!(stats.bytes, file.len() as u64);
        assert!(!contains(&file, SECRET.as_bytes()), "not encrypted");
        if version < since {
            println!("skipped: tshark {version:?} does not know DTLS 1.3");
            continue;
        }
        let found = decrypted("call", &file);
        assert_eq!(found.len() as u64, stats.packets);
        for sent in [true, false] {
            for i in 0..10 {
                let text = format!("{SECRET} {i}");
                let hits = found
                    .iter()
                    .filter(|(s, bytes)| *s == sent && contains(bytes, text.as_bytes()));
                assert_eq!(hits.count(), 1, "{versions:?} sent: {sent}, {text}");
            }
        }
    }
}

#[test]
fn the_secrets_of_dtls_13_come_before_what_they_decrypt() {
    let sink = Shared::default();
    call(DtlsVersions::V13, |pc| pc.record(sink.clone()).unwrap());
    let file = sink.bytes();
    let at = |what: &str| {
        file.windows(what.len())
            .position(|w| w == what.as_bytes())
            .unwrap_or_else(|| panic!("no {what}"))
    };
    // A unified header (RFC 9147 §4) of epoch 2 behind an IPv4 and UDP header from port 5000 to 5000.
    let first = file
        .windows(9)
        .position(|w| w[..4] == [0x13, 0x88, 0x13, 0x88] && w[8] & 0b1110_0011 == 0b0010_0010)
        .expect("no encrypted record");
    for label in [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    ] {
        assert!(at(label) < first, "{label}");
    }
    at("CLIENT_TRAFFIC_SECRET_0");
    at("SERVER_TRAFFIC_SECRET_0");
}

#[test]
fn a_broken_sink_and_a_late_recording_disturb_nothing() {
    let mut pair = call(DtlsVersions::Both, |pc| {
        pc.record(Broken).unwrap();
        pc.log_events("broken", Broken).unwrap();
    });
    let (stats, whole) = pair.a().pc.stop_recording().unwrap();
    assert!(whole.is_err());
    assert_eq!(stats.packets, 0);
    assert!(stats.left_out > 20);
    assert!(pair.a().pc.stop_logging().unwrap().is_err());
    assert!(pair.a().pc.stop_recording().is_none());
    // The connection is made already: recorded, but without secrets.
    let sink = Shared::default();
    pair.a().pc.record(sink.clone()).unwrap();
    pair.run(30 * SECOND);
    assert!(pair.a().pc.stop_recording().unwrap().0.packets > 0);
    assert!(!contains(&sink.bytes(), b"SECRET"));
    let now = pair.now;
    pair.a().pc.close(now);
    assert_eq!(pair.a().pc.record(sink.clone()), Err(Error::Closed));
    assert_eq!(pair.a().pc.log_events("", sink), Err(Error::Closed));
}

#[test]
fn the_log_tells_the_events_in_order_and_no_secrets() {
    let sink = Shared::default();
    let mut pair = call(DtlsVersions::Both, |pc| {
        pc.log_events("a test", sink.clone()).unwrap();
    });
    pair.run(2 * SECOND);
    pair.a().pc.stop_logging().unwrap().unwrap();
    let bytes = sink.bytes();
    let text = std::str::from_utf8(&bytes).unwrap();
    let records: Vec<serde_json::Value> = text
        .split('\u{1e}')
        .skip(1)
        .map(|record| serde_json::from_str(record).unwrap())
        .collect();
    assert_eq!(records[0]["qlog_format"], "JSON-SEQ");
    assert_eq!(records[0]["title"], "a test");
    let mut times = records[1..].iter().map(|r| r["time"].as_f64().unwrap());
    assert!(times.by_ref().is_sorted());
    let find = |name: &str, new: &str| {
        records
            .iter()
            .position(|r| r["name"] == name && (new.is_empty() || r["data"]["new"] == new))
            .unwrap_or_else(|| panic!("no {name} {new}"))
    };
    let order = [
        find("webrtc:negotiation_needed", ""),
        find("webrtc:signaling_state", "have-local-offer"),
        find("webrtc:signaling_state", "stable"),
        find("webrtc:ice_connection_state", "checking"),
        find("webrtc:ice_connection_state", "connected"),
        find("webrtc:connection_state", "connected"),
        find("webrtc:channel_open", ""),
        find("webrtc:message_received", ""),
    ];
    assert!(order.is_sorted(), "{order:?}");
    let dtls = &records[find("webrtc:dtls_state", "connected")]["data"];
    assert!(dtls["version"].is_string() && dtls["cipher_suite"].is_string());
    let stats = records.iter().filter(|r| r["name"] == "webrtc:stats");
    let with_transport = stats.filter(|r| {
        r["data"]
            .as_object()
            .unwrap()
            .values()
            .any(|v| v["type"] == "transport")
    });
    assert!(with_transport.count() >= 2);
    assert!(!text.contains(SECRET));
    let sdp = pair.a().pc.local_description().unwrap().sdp;
    let password = sdp.split_once("a=ice-pwd:").unwrap().1;
    assert!(!text.contains(password.lines().next().unwrap()));
}

/// Everything that tracing is told: names, fields, and the spans around.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let span = self.1.lock().unwrap().last().cloned().unwrap_or_default();
        self.0.lock().unwrap().push(format!("{span}{}", fields.0));
    }

    fn enter(&self, _: &tracing::span::Id) {
        self.1.lock().unwrap().push("alice:".to_owned());
    }

    fn exit(&self, _: &tracing::span::Id) {
        self.1.lock().unwrap().pop();
    }
}

#[test]
fn tracing_is_told_names_that_stay_and_no_secrets() {
    let listener = Listener::default();
    let recording = Shared::default();
    let pair = tracing::subscriber::with_default(listener.clone(), || {
        call(DtlsVersions::V13, |pc| {
            pc.record(recording.clone()).unwrap();
            pc.set_span(tracing::info_span!("peer", name = "alice"));
        })
    });
    let lines = listener.0.lock().unwrap().clone();
    let told = |what: &str| lines.iter().any(|line| line.contains(what));
    for what in [
        "alice: message=peer.negotiation_needed",
        "alice: message=peer.signaling_state state=have-local-offer",
        "alice: message=peer.ice_candidate candidate=",
        "alice: message=peer.ice_connection_state state=connected",
        "alice: message=peer.selected_candidate_pair local=10.0.0.1:5000 remote=10.0.0.2:5000",
        "alice: message=peer.dtls_state state=connected version=Some(Dtls13)",
        "alice: message=peer.sctp_state state=connected",
        "alice: message=peer.connection_state state=connected",
        "alice: message=peer.channel_open",
        "alice: message=ice.selected",
        "alice: message=ice.state",
        " message=peer.connection_state state=connected",
    ] {
        assert!(told(what), "{what} is not in {lines:#?}");
    }
    let recorded = recording.bytes();
    let labels = b"SERVER_TRAFFIC_SECRET_0 ";
    let at = recorded
        .windows(labels.len())
        .position(|w| w == labels)
        .unwrap();
    // The label, 32 bytes of client random in hexadecimal, a space, the secret.
    let secret = std::str::from_utf8(&recorded[at + labels.len() + 65..][..64]).unwrap();
    assert!(secret.bytes().all(|b| b.is_ascii_hexdigit()), "{secret}");
    let sdp = pair.ends[0].pc.local_description().unwrap().sdp;
    let password = sdp.split_once("a=ice-pwd:").unwrap().1;
    let password = password.lines().next().unwrap();
    for never in [secret, password, SECRET] {
        assert!(!told(never), "{never}");
    }
}
