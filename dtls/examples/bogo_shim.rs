//! Speaks the shim protocol of BoringSSL's `ssl/test/runner`, so that its DTLS
//! tests can be run against this crate. See `bogo/README.md`.
//!
//! Exit codes: 0 success, 1 failure with the reason on standard error, 89 when
//! a flag asks for what is not implemented.
#![allow(clippy::print_stderr, clippy::print_stdout, clippy::exit)]

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::{SeedableRng, rngs::StdRng};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::sign::{Signer, SigningKey};
use rustls::{AlertDescription, NamedGroup, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use tincan_dtls::{
    Certificate, ClientAuth, CloseReason, Config, Connection, Event, Role, SrtpProfile,
    Verification, VerifyPeer, Version, provider, rustls,
};

const UNIMPLEMENTED: i32 = 89;

/// A flag and a reason a line.
const UNIMPLEMENTED_FLAGS: &str = include_str!("../bogo/unimplemented.txt");

/// A timeout this near is taken to have passed: the runner tests for it, since
/// real timers fire a little early.
const FUDGE: Duration = Duration::from_millis(15);

/// `println!` to standard error and the exit code for failure.
fn fail(reason: impl fmt::Display) -> ! {
    eprintln!("{reason}");
    exit(1)
}

fn unimplemented(what: impl fmt::Display) -> ! {
    eprintln!("unimplemented: {what}");
    exit(UNIMPLEMENTED)
}

/// What the flags say.
#[derive(Debug, Default)]
struct Options {
    port: u16,
    ipv6: bool,
    shim_id: u64,
    server: bool,
    min_version: Option<u16>,
    max_version: Option<u16>,
    no_12: bool,
    no_13: bool,
    no_old: bool,
    cert_file: Option<String>,
    key_file: Option<String>,
    trust_cert: bool,
    host_name: Option<String>,
    curves: Vec<u16>,
    key_shares: Option<Vec<u16>>,
    verify_prefs: Vec<u16>,
    signing_prefs: Vec<u16>,
    require_client_certificate: bool,
    verify_peer: bool,
    verify_fail: bool,
    custom_verify: bool,
    advertise_alpn: Vec<u8>,
    select_alpn: Option<String>,
    decline_alpn: bool,
    reject_alpn: bool,
    expect_alpn: Option<String>,
    shim_writes_first: bool,
    initial_write: Option<String>,
    repeat_initial_write: usize,
    srtp_profiles: Vec<SrtpProfile>,
    expect_version: Option<u16>,
    mtu: Option<usize>,
    export_length: usize,
    export_label: String,
    export_context: String,
    use_export_context: bool,
    check_close_notify: bool,
    max_message: Option<usize>,
    credentials: usize,
    shuts_down: bool,
    expect_signature_algorithm: Option<u16>,
    expect_curve: Option<u16>,
    initial_timeout: Option<Duration>,
    expect_cipher: Option<u16>,
    expect_peer_cert_file: Option<String>,
    expect_no_peer_cert: bool,
    key_update: bool,
    key_update_before_read: bool,
    expect_hrr: Option<bool>,
    cipher_aes: Option<u16>,
}

fn parse_options() -> Options {
    let mut options = Options {
        repeat_initial_write: 1,
        ..Options::default()
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut flag = argument.as_str();
        let mut skip = false;
        for (prefix, skipped) in [
            ("-on-shim", false),
            ("-on-handshaker", true),
            ("-on-initial", false),
            ("-on-resume", true),
            ("-on-retry", true),
        ] {
            if let Some(rest) = flag.strip_prefix(prefix) {
                flag = rest;
                skip |= skipped;
            }
        }
        let mut value = || {
            arguments
                .next()
                .unwrap_or_else(|| fail(format_args!("no value for {argument}")))
        };
        if skip {
            // Flags of connections that are never made; the ones with a value.
            const WITH_VALUE: [&str; 14] = [
                "-application-settings",
                "-expect-peer-application-settings",
                "-expect-version",
                "-max-version",
                "-min-version",
                "-cert-file",
                "-key-file",
                "-curves",
                "-verify-prefs",
                "-expect-peer-signature-algorithm",
                "-expect-curve-id",
                "-advertise-alpn",
                "-select-alpn",
                "-expect-alpn",
            ];
            if WITH_VALUE.contains(&flag) {
                value();
            }
            continue;
        }
        let mut number = || -> u64 {
            value()
                .parse()
                .unwrap_or_else(|_| fail(format_args!("bad number for {flag}")))
        };
        match flag {
            "-is-handshaker-supported" => {
                println!("No");
                exit(0);
            }
            "-port" => options.port = number() as u16,
            "-ipv6" => options.ipv6 = true,
            "-shim-id" => options.shim_id = number(),
            "-server" => options.server = true,
            "-min-version" => options.min_version = Some(number() as u16),
            "-max-version" => options.max_version = Some(number() as u16),
            "-no-tls13" => options.no_13 = true,
            "-no-tls12" => options.no_12 = true,
            "-no-tls11" | "-no-tls1" => options.no_old = true,
            "-cert-file" => options.cert_file = Some(value()),
            "-key-file" => options.key_file = Some(value()),
            "-trust-cert" => {
                value();
                options.trust_cert = true;
            }
            "-host-name" => options.host_name = Some(value()),
            "-curves" => options.curves.push(number() as u16),
            "-key-shares" => options
                .key_shares
                .get_or_insert_default()
                .push(number() as u16),
            "-no-key-shares" => options.key_shares = Some(Vec::new()),
            "-verify-prefs" => options.verify_prefs.push(number() as u16),
            "-signing-prefs" => options.signing_prefs.push(number() as u16),
            "-require-any-client-certificate" => options.require_client_certificate = true,
            "-verify-peer" => options.verify_peer = true,
            "-use-custom-verify-callback" => options.custom_verify = true,
            "-verify-fail" => options.verify_fail = true,
            "-advertise-alpn" => options.advertise_alpn = value().into_bytes(),
            "-select-alpn" => options.select_alpn = Some(value()),
            "-decline-alpn" => options.decline_alpn = true,
            "-reject-alpn" => options.reject_alpn = true,
            "-expect-alpn" => options.expect_alpn = Some(value()),
            "-shim-writes-first" => options.shim_writes_first = true,
            "-shim-initial-write" => options.initial_write = Some(value()),
            "-repeat-shim-initial-write" => options.repeat_initial_write = number() as usize,
            "-srtp-profiles" => {
                options.srtp_profiles = value()
                    .split(':')
                    .filter_map(|name| match name {
                        "SRTP_AES128_CM_SHA1_80" => Some(SrtpProfile::AesCm128HmacSha1_80),
                        "SRTP_AES128_CM_SHA1_32" => Some(SrtpProfile::AesCm128HmacSha1_32),
                        "SRTP_AEAD_AES_128_GCM" => Some(SrtpProfile::AeadAes128Gcm),
                        "SRTP_AEAD_AES_256_GCM" => Some(SrtpProfile::AeadAes256Gcm),
                        _ => None,
                    })
                    .collect();
            }
            "-expect-version" => options.expect_version = Some(number() as u16),
            "-mtu" => options.mtu = Some(number() as usize),
            "-export-keying-material" => options.export_length = number() as usize,
            "-export-label" => options.export_label = value(),
            "-export-context" => options.export_context = value(),
            "-use-export-context" => options.use_export_context = true,
            "-check-close-notify" => options.check_close_notify = true,
            "-shim-shuts-down" => options.shuts_down = true,
            "-expect-peer-signature-algorithm" => {
                options.expect_signature_algorithm = Some(number() as u16);
            }
            "-expect-curve-id" => options.expect_curve = Some(number() as u16),
            "-initial-timeout-duration-ms" => {
                options.initial_timeout = Some(Duration::from_millis(number()));
            }
            "-expect-cipher" => options.expect_cipher = Some(number() as u16),
            "-expect-cipher-aes" => options.cipher_aes = Some(number() as u16),
            "-expect-cipher-no-aes" => drop(number()),
            "-expect-peer-cert-file" => options.expect_peer_cert_file = Some(value()),
            "-expect-no-peer-cert" => options.expect_no_peer_cert = true,
            "-new-x509-credential" => {
                options.credentials += 1;
                if options.credentials > 1 || options.cert_file.is_some() {
                    unimplemented("several credentials");
                }
            }
            "-key-update" => options.key_update = true,
            "-key-update-before-read" => options.key_update_before_read = true,
            "-expect-hrr" => options.expect_hrr = Some(true),
            "-expect-no-hrr" => options.expect_hrr = Some(false),
            // What we do anyway, or what makes no difference here.
            "-dtls"
            | "-async"
            | "-implicit-handshake"
            | "-no-ticket"
            | "-use-old-client-cert-callback"
            | "-use-early-callback"
            | "-install-ddos-callback"
            | "-no-op-extra-handshake"
            | "-handshake-twice"
            | "-peek-then-read"
            | "-permute-extensions"
            | "-use-exporter-between-reads"
            | "-expect-extended-master-secret"
            | "-expect-secure-renegotiation"
            | "-expect-no-session"
            | "-expect-verify-result"
            | "-expect-session-miss"
            | "-expect-no-session-id"
            | "-server-preference"
            | "-renegotiate-ignore"
            | "-expect-no-server-name"
            | "-enable-early-data"
            | "-expect-no-offer-early-data" => (),
            "-max-cert-list" => options.max_message = Some(number() as usize),
            "-write-settings" | "-handshaker-path" | "-read-size" => {
                value();
            }
            other => match UNIMPLEMENTED_FLAGS
                .lines()
                .filter_map(|line| line.split_once("  "))
                .find(|(flag, _)| *flag == other)
            {
                Some((flag, reason)) => unimplemented(format_args!("{flag}: {reason}")),
                None => fail(format_args!("unknown flag {other}")),
            },
        }
    }
    options
}

/// A key that signs only with the schemes of `-signing-prefs`, in their order.
#[derive(Debug)]
struct RestrictedKey {
    inner: Arc<dyn SigningKey>,
    prefs: Vec<u16>,
}

impl SigningKey for RestrictedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.prefs
            .iter()
            .map(|pref| SignatureScheme::from(*pref))
            .filter(|pref| offered.contains(pref))
            .find_map(|pref| self.inner.choose_scheme(&[pref]))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.inner.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.inner.algorithm()
    }
}

#[derive(Debug)]
struct Refuse(AlertDescription);

impl VerifyPeer for Refuse {
    fn verify(&self, _: &[Vec<u8>]) -> Result<(), AlertDescription> {
        Err(self.0)
    }
}

fn chain(path: &str) -> Vec<Vec<u8>> {
    CertificateDer::pem_file_iter(Path::new(path))
        .unwrap_or_else(|error| fail(format_args!("{path}: {error}")))
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| fail(format_args!("{path}: {error}")))
}

fn version(wire: u16) -> Version {
    match wire {
        0xfefc | 0x0304 => Version::Dtls13,
        0xfefd | 0x0303 => Version::Dtls12,
        other => unimplemented(format_args!("version {other:04x}")),
    }
}

fn configure(options: &Options) -> Arc<Config> {
    let mut crypto = provider::default_provider();
    if !options.curves.is_empty() {
        let all = crypto.kx_groups.clone();
        crypto.kx_groups = options
            .curves
            .iter()
            .map(|curve| {
                all.iter()
                    .copied()
                    .find(|group| u16::from(group.name()) == *curve)
                    .unwrap_or_else(|| unimplemented(format_args!("group {curve}")))
            })
            .collect();
    }
    if !options.verify_prefs.is_empty() {
        let all = crypto.signature_verification_algorithms;
        let mapping: Vec<_> = options
            .verify_prefs
            .iter()
            .filter_map(|pref| {
                all.mapping
                    .iter()
                    .find(|(scheme, _)| u16::from(*scheme) == *pref)
                    .copied()
            })
            .collect();
        crypto.signature_verification_algorithms = WebPkiSupportedAlgorithms {
            all: all.all,
            mapping: Vec::leak(mapping),
        };
    }
    let mut oldest = options
        .min_version
        .map_or(Version::Dtls12, |wire| match wire {
            0xfeff | 0x0301 | 0x0302 => Version::Dtls12,
            wire => version(wire),
        });
    let mut newest = options.max_version.map_or(Version::Dtls13, version);
    if options.no_13 {
        newest = Version::Dtls12;
    }
    if options.no_12 {
        oldest = Version::Dtls13;
    }
    let mut builder = Config::builder()
        .versions(oldest, newest)
        .verification(
            match (
                options.verify_fail,
                options.custom_verify,
                options.verify_peer,
            ) {
                (true, true, _) => {
                    Verification::Custom(Arc::new(Refuse(AlertDescription::CertificateUnknown)))
                }
                (true, false, true) => {
                    Verification::Custom(Arc::new(Refuse(AlertDescription::HandshakeFailure)))
                }
                // A failure that is only reported.
                _ => Verification::Any,
            },
        )
        .client_auth(if options.require_client_certificate {
            ClientAuth::Require
        } else if options.verify_peer {
            ClientAuth::Request
        } else {
            ClientAuth::None
        })
        .srtp_profiles(options.srtp_profiles.clone());
    if let (Some(cert), Some(key)) = (&options.cert_file, &options.key_file) {
        let der = PrivateKeyDer::from_pem_file(Path::new(key))
            .unwrap_or_else(|error| fail(format_args!("{key}: {error}")));
        let mut key = crypto
            .key_provider
            .load_private_key(der)
            .unwrap_or_else(|error| unimplemented(format_args!("key {key}: {error}")));
        if !options.signing_prefs.is_empty() {
            key = Arc::new(RestrictedKey {
                inner: key,
                prefs: options.signing_prefs.clone(),
            });
        }
        let certificate =
            Certificate::from_signing_key(chain(cert), key).unwrap_or_else(|error| fail(error));
        builder = builder.certificate(certificate);
    }
    if let Some(shares) = &options.key_shares {
        builder = builder.key_shares(shares.iter().map(|id| NamedGroup::from(*id)).collect());
    }
    let mut protocols = Vec::new();
    if options.server {
        if let Some(name) = &options.select_alpn {
            protocols.push(name.clone().into_bytes());
        } else if options.reject_alpn {
            protocols.push(b"none of yours".to_vec());
        }
    } else {
        let mut rest = options.advertise_alpn.as_slice();
        while let Some((length, tail)) = rest.split_first() {
            let (name, tail) = tail.split_at(usize::from(*length).min(tail.len()));
            protocols.push(name.to_vec());
            rest = tail;
        }
    }
    if !protocols.is_empty() && !options.decline_alpn {
        builder = builder.alpn(protocols);
    }
    if let Some(name) = &options.host_name {
        builder = builder.server_name(name.clone());
    }
    if let Some(octets) = options.max_message {
        builder = builder.max_message(octets);
    }
    if let Some(mtu) = options.mtu {
        builder = builder.mtu(mtu);
    }
    if let Some(timeout) = options.initial_timeout {
        builder = builder.initial_timeout(timeout);
    }
    builder
        .provider(Arc::new(crypto))
        .build()
        .unwrap_or_else(|error| fail(format_args!("configuration: {error}")))
}

struct Shim {
    stream: TcpStream,
    connection: Connection,
    options: Options,
    /// Moves only when the runner says so.
    now: Instant,
    connected: bool,
}

impl Shim {
    fn flush(&mut self) -> io::Result<()> {
        let mut datagram = Vec::new();
        while self
            .connection
            .poll_transmit(self.now, &mut datagram)
            .is_some()
        {
            self.write_packet(&datagram)?;
            datagram.clear();
        }
        Ok(())
    }

    fn write_packet(&mut self, datagram: &[u8]) -> io::Result<()> {
        let mut frame = vec![b'P'];
        frame.extend_from_slice(&(datagram.len() as u32).to_be_bytes());
        frame.extend_from_slice(datagram);
        self.stream.write_all(&frame)
    }

    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        // Our own records come first, as they would on a socket.
        self.flush()?;
        let mut out = vec![0; self.connection.headroom()];
        out.extend_from_slice(data);
        if let Err(error) = self.connection.seal_in_place(&mut out, 0) {
            fail(format_args!("cannot send: {error}"));
        }
        self.write_packet(&out)
    }

    /// Closes our side and waits for the other, so that nothing we sent is lost.
    fn finish(&mut self, code: i32) -> ! {
        let _ = self.flush();
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = self.stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut sink = [0; 4096];
        while matches!(self.stream.read(&mut sink), Ok(length) if length > 0) {}
        exit(code)
    }

    fn check_expectations(&mut self) {
        let (connection, options) = (&self.connection, &self.options);
        let mut wrong = Vec::new();
        let mut check = |right: bool, what: &str| {
            if !right {
                wrong.push(what.to_owned());
            }
        };
        let wire = match connection.version() {
            Some(Version::Dtls13) => 0xfefc,
            _ => 0xfefd,
        };
        check(
            options
                .expect_version
                .is_none_or(|expected| expected == wire),
            "version",
        );
        let group = connection.key_exchange_group().map(u16::from);
        check(
            options
                .expect_curve
                .is_none_or(|expected| Some(expected) == group),
            "group",
        );
        let scheme = connection.peer_signature_scheme().map(u16::from);
        check(
            options
                .expect_signature_algorithm
                .is_none_or(|expected| Some(expected) == scheme),
            "peer signature algorithm",
        );
        let suite = connection.cipher_suite().map(u16::from);
        check(
            options
                .expect_cipher
                .is_none_or(|expected| Some(expected) == suite),
            "cipher",
        );
        check(
            options
                .cipher_aes
                .is_none_or(|expected| Some(expected) == suite),
            "cipher",
        );
        check(
            options
                .expect_hrr
                .is_none_or(|expected| expected == connection.was_retried()),
            "hello retry request",
        );
        if let Some(expected) = &options.expect_alpn {
            check(
                connection.alpn().unwrap_or_default() == expected.as_bytes(),
                "ALPN",
            );
        }
        let peer = connection.peer_certificates();
        check(
            !options.expect_no_peer_cert || peer.is_empty(),
            "a peer certificate",
        );
        if let Some(path) = &options.expect_peer_cert_file {
            check(peer == chain(path), "peer certificates");
        }
        if !options.expect_no_peer_cert && (!options.server || options.require_client_certificate) {
            check(!peer.is_empty(), "no peer certificate");
        }
        if !wrong.is_empty() {
            eprintln!("unexpected: {}", wrong.join(", "));
            self.finish(1);
        }
    }

    fn on_connected(&mut self) -> io::Result<()> {
        self.connected = true;
        self.flush()?;
        self.check_expectations();
        if self.options.export_length > 0 {
            let mut material = vec![0; self.options.export_length];
            let context = self
                .options
                .use_export_context
                .then_some(self.options.export_context.as_bytes());
            let exported = self.connection.export_keying_material(
                &self.options.export_label,
                context,
                &mut material,
            );
            if let Err(error) = exported {
                fail(format_args!("export: {error}"));
            }
            self.send(&material)?;
        }
        if self.options.shim_writes_first {
            let text = self
                .options
                .initial_write
                .clone()
                .unwrap_or_else(|| "hello".to_owned());
            for _ in 0..self.options.repeat_initial_write {
                self.send(text.as_bytes())?;
            }
        }
        if self.options.shuts_down {
            self.connection.close(self.now);
        } else if self.options.key_update_before_read {
            self.update_keys();
        }
        self.flush()
    }

    fn update_keys(&mut self) {
        // Where it cannot, an event says why.
        let _ = self.connection.update_keys(self.now, false);
    }

    /// Does what the connection's news ask for.
    fn react(&mut self) -> io::Result<()> {
        self.flush()?;
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Connected { .. } => self.on_connected()?,
                Event::Closed(CloseReason::Failed(failure)) => {
                    eprintln!("failed: {failure:?}");
                    self.finish(1);
                }
                Event::Closed(CloseReason::Local) => {
                    self.flush()?;
                    self.finish(0);
                }
                Event::Closed(_) => {
                    while let Some(data) = self.connection.poll_data() {
                        drop(data);
                    }
                    self.finish(if self.connected { 0 } else { 1 });
                }
                _ => (),
            }
        }
        while let Some(data) = self.connection.poll_data() {
            if self.options.key_update {
                self.update_keys();
            }
            let echo: Vec<u8> = data.iter().map(|octet| octet ^ 0xff).collect();
            self.send(&echo)?;
            if self.options.key_update_before_read {
                self.update_keys();
            }
        }
        self.flush()
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn expect_timeout(&mut self) -> io::Result<()> {
        let expected = u64::from_be_bytes(self.array()?);
        let actual = self
            .connection
            .poll_timeout()
            .map(|at| at.saturating_duration_since(self.now))
            .map(|left| if left <= FUDGE { Duration::ZERO } else { left });
        let expected = (expected != u64::MAX).then(|| Duration::from_nanos(expected));
        if actual != expected {
            eprintln!("timeout is {actual:?}, expected {expected:?}");
            self.finish(1);
        }
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        match self.array::<1>()? {
            [b'P'] => {
                let length = u32::from_be_bytes(self.array()?) as usize;
                let mut datagram = BytesMut::zeroed(length);
                self.stream.read_exact(&mut datagram)?;
                if self.connection.handle_input(self.now, datagram).is_err() {
                    fail("input refused");
                }
            }
            [b'T'] => {
                let time = Duration::from_nanos(u64::from_be_bytes(self.array()?));
                self.stream.write_all(b"t")?;
                self.now += time;
                self.connection.handle_timeout(self.now + FUDGE);
            }
            [b'M'] => {
                let mtu = u32::from_be_bytes(self.array()?) as usize;
                self.connection.set_mtu(mtu);
            }
            [b'E'] => self.expect_timeout()?,
            [b'U'] => {
                let milliseconds = u32::from_be_bytes(self.array()?);
                self.connection
                    .set_initial_timeout(Duration::from_millis(u64::from(milliseconds)));
            }
            [other] => fail(format_args!("unknown opcode {other}")),
        }
        self.react()
    }
}

fn main() {
    let options = parse_options();
    let config = configure(&options);
    let host = if options.ipv6 { "::1" } else { "127.0.0.1" };
    let stream = TcpStream::connect((host, options.port))
        .and_then(|mut stream| {
            stream.set_nodelay(true)?;
            stream.write_all(&options.shim_id.to_le_bytes())?;
            Ok(stream)
        })
        .unwrap_or_else(|error| fail(format_args!("connect: {error}")));
    let now = Instant::now();
    let role = if options.server {
        Role::Server
    } else {
        Role::Client
    };
    let mut rng = StdRng::seed_from_u64(options.shim_id);
    let connection = Connection::new(config, role, now, &mut rng)
        .unwrap_or_else(|error| fail(format_args!("connection: {error}")));
    let mut shim = Shim {
        stream,
        connection,
        options,
        now,
        connected: false,
    };
    let mut result = shim.react();
    while result.is_ok() {
        result = shim.step();
    }
    // The runner ends many tests by closing the socket.
    if let Err(error) = result {
        if shim.connected && error.kind() == io::ErrorKind::UnexpectedEof {
            shim.finish(0);
        }
        fail(format_args!("socket: {error}"));
    }
}
