//! The flags of the shim protocol, as the runner's own sources define them.

use std::fmt;
use std::process::exit;
use std::time::Duration;

use tincan_dtls::SrtpProfile;

const UNIMPLEMENTED: i32 = 89;

/// A flag and a reason a line.
const UNIMPLEMENTED_FLAGS: &str = include_str!("../../bogo/unimplemented.txt");

/// `println!` to standard error and the exit code for failure.
pub(crate) fn fail(reason: impl fmt::Display) -> ! {
    eprintln!("{reason}");
    exit(1)
}

pub(crate) fn unimplemented(what: impl fmt::Display) -> ! {
    eprintln!("unimplemented: {what}");
    exit(UNIMPLEMENTED)
}

/// What the flags say.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) ipv6: bool,
    pub(crate) shim_id: u64,
    pub(crate) server: bool,
    pub(crate) min_version: Option<u16>,
    pub(crate) max_version: Option<u16>,
    pub(crate) no_12: bool,
    pub(crate) no_13: bool,
    pub(crate) no_old: bool,
    /// The default credential, and those that go before it.
    pub(crate) default: Credential,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) expect_selected: Option<i64>,
    pub(crate) trust_cert: bool,
    pub(crate) host_name: Option<String>,
    pub(crate) curves: Vec<u16>,
    pub(crate) key_shares: Option<Vec<u16>>,
    pub(crate) verify_prefs: Vec<u16>,
    pub(crate) require_client_certificate: bool,
    pub(crate) verify_peer: bool,
    pub(crate) verify_fail: bool,
    pub(crate) custom_verify: bool,
    pub(crate) advertise_alpn: Vec<u8>,
    pub(crate) select_alpn: Option<String>,
    pub(crate) decline_alpn: bool,
    pub(crate) reject_alpn: bool,
    pub(crate) expect_alpn: Option<String>,
    pub(crate) shim_writes_first: bool,
    pub(crate) initial_write: Option<String>,
    pub(crate) repeat_initial_write: usize,
    pub(crate) srtp_profiles: Vec<SrtpProfile>,
    pub(crate) expect_version: Option<u16>,
    pub(crate) mtu: Option<usize>,
    pub(crate) export_length: usize,
    pub(crate) export_label: String,
    pub(crate) export_context: String,
    pub(crate) use_export_context: bool,
    pub(crate) check_close_notify: bool,
    pub(crate) max_message: Option<usize>,
    pub(crate) shuts_down: bool,
    pub(crate) expect_signature_algorithm: Option<u16>,
    pub(crate) expect_curve: Option<u16>,
    pub(crate) initial_timeout: Option<Duration>,
    pub(crate) expect_cipher: Option<u16>,
    pub(crate) expect_peer_cert_file: Option<String>,
    pub(crate) expect_no_peer_cert: bool,
    pub(crate) key_update: bool,
    pub(crate) key_update_before_read: bool,
    pub(crate) expect_hrr: Option<bool>,
    pub(crate) cipher_aes: Option<u16>,
    pub(crate) expect_server_name: Option<String>,
    pub(crate) no_server_name_ack: bool,
    pub(crate) expect_advertised_alpn: Option<String>,
    pub(crate) send_alert: bool,
}

/// A certificate and its key, as the flags say.
#[derive(Debug, Default)]
pub(crate) struct Credential {
    pub(crate) cert_file: Option<String>,
    pub(crate) key_file: Option<String>,
    pub(crate) signing_prefs: Vec<u16>,
    pub(crate) must_match_issuer: bool,
}

impl Options {
    /// What flags of a credential are about: the newest one.
    fn credential(&mut self) -> &mut Credential {
        self.credentials.last_mut().unwrap_or(&mut self.default)
    }
}

pub(crate) fn parse_options() -> Options {
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
            "-cert-file" => options.credential().cert_file = Some(value()),
            "-key-file" => options.credential().key_file = Some(value()),
            "-must-match-issuer" => options.credential().must_match_issuer = true,
            "-new-x509-credential" => options.credentials.push(Credential::default()),
            "-expect-selected-credential" => {
                options.expect_selected = value().parse().ok();
            }
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
            "-signing-prefs" => {
                let scheme = number() as u16;
                options.credential().signing_prefs.push(scheme);
            }
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
            "-expect-server-name" => options.expect_server_name = Some(value()),
            "-no-server-name-ack" => options.no_server_name_ack = true,
            "-expect-advertised-alpn" => options.expect_advertised_alpn = Some(value()),
            "-send-alert" => options.send_alert = true,
            "-expect-early-data-reason" => match value().as_str() {
                "disabled" => (),
                reason => unimplemented(format_args!("early data: {reason}")),
            },
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
            | "-renegotiate-freely"
            | "-expect-no-server-name"
            | "-enable-early-data"
            | "-expect-no-offer-early-data" => (),
            "-max-cert-list" => options.max_message = Some(number() as usize),
            "-write-settings"
            | "-handshaker-path"
            | "-read-size"
            | "-quic-use-legacy-codepoint" => {
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
