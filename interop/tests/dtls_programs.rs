//! OpenSSL's and GnuTLS's programs over UDP on the loopback, DTLS 1.2, both roles: the same exported
//! keys, an SRTP profile, data both ways. A program that is missing is named, and its test passes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that fails should fail its test"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{
    Certificate, ClientAuth, Config, Connection, Fingerprint, HashAlgorithm, Role, SrtpProfile,
    Verification, Version,
};
use tincan_interop::free_address;

/// Longer than any of it takes on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Whether a program is there; says so if it is not.
fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg(if program == "openssl" {
            "version"
        } else {
            "--version"
        })
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Certificate and key of ours as files that the programs read.
struct Files {
    folder: PathBuf,
    certificate: Certificate,
}

impl Files {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let certificate = Certificate::generate(SystemTime::now()).unwrap();
        let der = certificate.chain().next().unwrap();
        let key = certificate.private_key_pkcs8().unwrap();
        std::fs::write(folder.join("cert.pem"), pem("CERTIFICATE", der)).unwrap();
        std::fs::write(folder.join("key.pem"), pem("PRIVATE KEY", key)).unwrap();
        Self {
            folder,
            certificate,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint(HashAlgorithm::Sha256)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group
                .iter()
                .fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet))
                << (8 * (3 - group.len()));
            for place in 0..4 {
                text.push(if place <= group.len() {
                    ALPHABET[(bits >> (18 - 6 * place)) as usize & 63].into()
                } else {
                    '='
                });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// A program that runs, its output as it comes.
struct Program {
    child: Child,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Program {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, output) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for mut stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if sender.send(buffer[..length].to_vec()).is_err() {
                        break;
                    }
                }
            });
        }
        Self {
            child,
            output,
            seen: String::new(),
        }
    }

    fn says(&mut self, what: &str) -> bool {
        while let Ok(more) = self.output.try_recv() {
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
        self.seen.contains(what)
    }

    fn wait_for(&mut self, what: &str) {
        let begun = Instant::now();
        while !self.says(what) {
            match self.output.recv_timeout(LIMIT) {
                Ok(more) => self.seen.push_str(&String::from_utf8_lossy(&more)),
                Err(_) => panic!("no \"{what}\" in:\n{}", self.seen),
            }
            assert!(begun.elapsed() < LIMIT, "no \"{what}\" in:\n{}", self.seen);
        }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our end, on a socket.
struct Ours {
    connection: Connection,
    socket: UdpSocket,
    peer: Option<SocketAddr>,
    data: Vec<u8>,
}

impl Ours {
    fn new(files: &Files, role: Role, peer: Option<SocketAddr>) -> Self {
        let config = Config::builder()
            .certificate(Certificate::generate(SystemTime::now()).unwrap())
            .versions(Version::Dtls12, Version::Dtls13)
            .verification(Verification::Fingerprints(vec![files.fingerprint()]))
            .client_auth(ClientAuth::Request)
            .srtp_profiles(vec![
                SrtpProfile::AesCm128HmacSha1_80,
                SrtpProfile::AeadAes128Gcm,
            ])
            .build()
            .unwrap();
        let mut rng = StdRng::seed_from_u64(std::process::id().into());
        Self {
            connection: Connection::new(config, role, Instant::now(), &mut rng).unwrap(),
            socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
            peer,
            data: Vec::new(),
        }
    }

    fn port(&self) -> String {
        self.socket.local_addr().unwrap().port().to_string()
    }

    fn send(&mut self, data: &[u8]) {
        let mut out = vec![0; self.connection.headroom()];
        out.extend_from_slice(data);
        self.connection.seal_in_place(&mut out, 0).unwrap();
        self.socket.send_to(&out, self.peer.unwrap()).unwrap();
    }

    /// Drives the connection until something is so.
    fn run(&mut self, program: &mut Program, done: impl Fn(&Self, &mut Program) -> bool) {
        let begun = Instant::now();
        let mut buffer = [0; 65_536];
        while !done(self, program) {
            if begun.elapsed() > LIMIT || self.connection.is_closed() {
                let news = self.connection.poll_event();
                panic!("{:?} {news:?}\n{}", self.connection, program.seen);
            }
            let now = Instant::now();
            let mut out = Vec::new();
            while self.connection.poll_transmit(now, &mut out).is_some() {
                if let Some(peer) = self.peer {
                    self.socket.send_to(&out, peer).unwrap();
                }
                out.clear();
            }
            let most = Duration::from_millis(50);
            let wait = self.connection.poll_timeout().map_or(most, |at| {
                at.saturating_duration_since(now)
                    .clamp(Duration::from_millis(1), most)
            });
            self.socket.set_read_timeout(Some(wait)).unwrap();
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                self.peer = Some(from);
                let datagram = BytesMut::from(&buffer[..length]);
                self.connection
                    .handle_input(Instant::now(), datagram)
                    .unwrap();
                while let Some(data) = self.connection.poll_data() {
                    self.data.extend_from_slice(&data);
                }
            }
            self.connection.handle_timeout(Instant::now());
        }
    }

    fn exported(&self) -> String {
        let mut key = [0; 60];
        self.connection
            .export_keying_material("EXTRACTOR-dtls_srtp", None, &mut key)
            .unwrap();
        key.iter().map(|octet| format!("{octet:02X}")).collect()
    }
}

const OPENSSL: [&str; 7] = [
    "-dtls1_2",
    "-use_srtp",
    "SRTP_AES128_CM_SHA1_80",
    "-keymatexport",
    "EXTRACTOR-dtls_srtp",
    "-keymatexportlen",
    "60",
];

/// What both programs' sessions come to: keys, profile, data both ways.
fn talk(ours: &mut Ours, program: &mut Program, says_keys: bool) {
    ours.run(program, |ours, _| ours.connection.is_connected());
    assert_eq!(ours.connection.version(), Some(Version::Dtls12));
    assert_eq!(
        ours.connection.srtp_profile(),
        Some(SrtpProfile::AesCm128HmacSha1_80)
    );
    if says_keys {
        let keys = format!("Keying material: {}", ours.exported());
        ours.run(program, |_, program| program.says(&keys));
        assert!(
            program.says("SRTP Extension negotiated"),
            "{}",
            program.seen
        );
    }
    // The program first: it may not listen to data yet when we know that it is there.
    program.type_line("from there");
    ours.run(program, |ours, _| ours.data.ends_with(b"from there\n"));
    ours.send(b"from here\n");
    ours.run(program, |_, program| program.says("from here"));
}

#[test]
fn our_server_and_openssl_s_client() {
    if !has("openssl") {
        return;
    }
    let files = Files::new("openssl-client");
    let mut ours = Ours::new(&files, Role::Server, None);
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let address = format!("127.0.0.1:{}", ours.port());
    let mut arguments = vec![
        "s_client", "-connect", &address, "-cert", &cert, "-key", &key,
    ];
    arguments.extend(OPENSSL);
    let mut program = Program::start("openssl", &arguments);
    talk(&mut ours, &mut program, true);
}

#[test]
fn our_client_and_openssl_s_server() {
    if !has("openssl") {
        return;
    }
    let files = Files::new("openssl-server");
    let address = free_address().unwrap();
    let mut ours = Ours::new(&files, Role::Client, Some(address));
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let accept = address.to_string();
    // With a timeout of its own, and listening for a cookie.
    let mut arguments = vec![
        "s_server", "-accept", &accept, "-cert", &cert, "-key", &key, "-verify", "1", "-listen",
    ];
    arguments.extend(OPENSSL);
    let mut program = Program::start("openssl", &arguments);
    program.wait_for("ACCEPT");
    talk(&mut ours, &mut program, true);
}

/// What GnuTLS is to use: 1.2 with the suites that we have.
const PRIORITY: &str = "NORMAL:-VERS-ALL:+VERS-DTLS1.2";

#[test]
fn our_server_and_gnutls_cli() {
    if !has("gnutls-cli") {
        return;
    }
    let files = Files::new("gnutls-client");
    let mut ours = Ours::new(&files, Role::Server, None);
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let (cert, key) = (
        format!("--x509certfile={cert}"),
        format!("--x509keyfile={key}"),
    );
    let port = format!("--port={}", ours.port());
    let priority = format!("--priority={PRIORITY}");
    let mut program = Program::start(
        "gnutls-cli",
        &[
            "--udp",
            "--insecure",
            &priority,
            "--srtp-profiles=SRTP_AES128_CM_HMAC_SHA1_80",
            &cert,
            &key,
            &port,
            "127.0.0.1",
        ],
    );
    talk(&mut ours, &mut program, false);
    assert!(
        program.says("SRTP_AES128_CM_HMAC_SHA1_80"),
        "{}",
        program.seen
    );
}

#[test]
fn our_client_and_gnutls_serv() {
    if !has("gnutls-serv") {
        return;
    }
    let files = Files::new("gnutls-server");
    let address = free_address().unwrap();
    let mut ours = Ours::new(&files, Role::Client, Some(address));
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let (cert, key) = (
        format!("--x509certfile={cert}"),
        format!("--x509keyfile={key}"),
    );
    let listen = format!("--port={}", address.port());
    let priority = format!("--priority={PRIORITY}");
    // It answers the first hello with a cookie, and echoes what it gets.
    let mut program = Program::start(
        "gnutls-serv",
        &[
            "--udp",
            "--echo",
            &priority,
            "--srtp-profiles=SRTP_AES128_CM_HMAC_SHA1_80",
            &cert,
            &key,
            &listen,
        ],
    );
    program.wait_for("UDP");
    ours.run(&mut program, |ours, _| ours.connection.is_connected());
    assert_eq!(ours.connection.version(), Some(Version::Dtls12));
    assert_eq!(
        ours.connection.srtp_profile(),
        Some(SrtpProfile::AesCm128HmacSha1_80)
    );
    ours.send(b"there and back\n");
    ours.run(&mut program, |ours, _| ours.data == b"there and back\n");
}
