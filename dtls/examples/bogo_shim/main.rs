//! Speaks the shim protocol of BoringSSL's `ssl/test/runner`, so that its DTLS
//! tests can be run against this crate. See `bogo/README.md`.
//!
//! Exit codes: 0 success, 1 failure with the reason on standard error, 89 when
//! a flag asks for what is not implemented.
#![allow(clippy::print_stderr, clippy::print_stdout, clippy::exit)]

mod options;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use options::{Credential, Options, fail, parse_options, unimplemented};
use rand::{SeedableRng, rngs::StdRng};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::sign::{Signer, SigningKey};
use rustls::{AlertDescription, NamedGroup, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use tincan_dtls::{
    Certificate, ClientAuth, CloseReason, Config, Connection, Event, Role, Verification,
    VerifyPeer, Version, limits, provider, rustls,
};

/// A timeout this near is taken to have passed: the runner tests for it, since
/// real timers fire a little early.
const FUDGE: Duration = Duration::from_millis(15);

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

fn load(credential: &Credential, crypto: &CryptoProvider) -> Option<Certificate> {
    let (cert, key) = (
        credential.cert_file.as_ref()?,
        credential.key_file.as_ref()?,
    );
    let der = PrivateKeyDer::from_pem_file(Path::new(key))
        .unwrap_or_else(|error| fail(format_args!("{key}: {error}")));
    let mut key = crypto
        .key_provider
        .load_private_key(der)
        .unwrap_or_else(|error| unimplemented(format_args!("key {key}: {error}")));
    if !credential.signing_prefs.is_empty() {
        key = Arc::new(RestrictedKey {
            inner: key,
            prefs: credential.signing_prefs.clone(),
        });
    }
    let certificate =
        Certificate::from_signing_key(chain(cert), key).unwrap_or_else(|error| fail(error));
    Some(if credential.must_match_issuer {
        certificate.only_for_issuer()
    } else {
        certificate
    })
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
        .insist_on_own_certificate(true)
        .srtp_profiles(options.srtp_profiles.clone());
    let credentials = options.credentials.iter().chain([&options.default]);
    builder = builder.certificates(
        credentials
            .filter_map(|credential| load(credential, &crypto))
            .collect(),
    );
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
    builder = builder.acknowledge_server_name(!options.no_server_name_ack);
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
        if let Some(expected) = &options.expect_server_name {
            check(
                connection.server_name() == Some(expected.as_str()),
                "server name",
            );
        }
        if let Some(expected) = &options.expect_advertised_alpn {
            let mut offered = Vec::new();
            for name in connection.offered_alpn() {
                offered.push(name.len() as u8);
                offered.extend_from_slice(name);
            }
            check(offered == expected.as_bytes(), "offered ALPN");
        }
        if let Some(expected) = options.expect_selected {
            // The default comes last, and is called -1.
            let place = connection.shown_certificate();
            let place = place.filter(|place| *place < options.credentials.len());
            check(
                place.map_or(-1, |place| place as i64) == expected,
                "credential",
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
        if self.options.send_alert {
            self.connection
                .abort(self.now, AlertDescription::DecompressionFailure);
            return self.flush();
        }
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
            // What only ends the wait for the peer sends nothing; BoringSSL
            // leaves that end to its caller.
            .filter(|left| *left <= limits::MAX_RTO)
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
