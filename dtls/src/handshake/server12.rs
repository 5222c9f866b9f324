//! The server's script of 1.2 after ClientHello (RFC 5246 §7.3, RFC 6347 §4.2).

use rustls::crypto::ActiveKeyExchange;

use super::credential::choose_with;
use super::established::Established;
use super::server::knows_renegotiation;
use super::{Parts, expect};
use crate::config::{ClientAuth, Version};
use crate::crypto::schedule12::MasterSecret;
use crate::crypto::signature::{self, Rules};
use crate::crypto::suite::Suite12;
use crate::crypto::transcript::{Form, Pending, Transcript};
use crate::error::Failure;
use crate::record::Protection;
use crate::session::Exporter;
use crate::wire::Write;
use crate::wire::handshake::{HandshakeType, Message};
use crate::wire::hello::{ClientHello, DOWNGRADE_12, ServerHello, ext, extension};
use crate::wire::messages::{
    CertificateRequest12, DigitallySigned, ServerKeyExchange, parse_certificate12,
    parse_client_key_exchange, write_certificate12,
};

enum Step {
    Certificate(Box<dyn ActiveKeyExchange>),
    ClientKeyExchange(Box<dyn ActiveKeyExchange>),
    CertificateVerify(MasterSecret),
    Finished(MasterSecret),
}

/// See the module.
pub(crate) struct State {
    suite: Suite12,
    transcript: Transcript,
    client_random: [u8; 32],
    server_random: [u8; 32],
    step: Step,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server12")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// Chooses, and sends ServerHello to ServerHelloDone.
pub(crate) fn start(
    parts: &mut Parts,
    pending: &Pending,
    hello: &ClientHello<'_>,
) -> Result<super::State, Failure> {
    match hello.extensions.raw(ext::EXTENDED_MASTER_SECRET) {
        Some([]) => (),
        Some(_) => return Err(Failure::Malformed),
        None => return Err(Failure::NoExtendedMasterSecret),
    }
    if hello
        .extensions
        .ec_point_formats()?
        .is_some_and(|formats| !formats.contains(&0))
    {
        return Err(Failure::IllegalHello);
    }
    let config = std::sync::Arc::clone(&parts.config);
    let groups = hello.extensions.supported_groups()?.unwrap_or_default();
    let group = config
        .groups(Version::Dtls12)
        .find(|group| groups.contains(&group.name().into()))
        .ok_or(Failure::NoCommonGroup)?;
    let schemes = hello
        .extensions
        .signature_algorithms()?
        .ok_or(Failure::NoCommonSignatureScheme)?;
    let authorities = hello.extensions.authorities()?;
    let (chosen, suite) = choose_with(&config.certificates, &authorities, |certificate| {
        // The groups are also the curves that a certificate's key may have
        // (RFC 8422 §5.3).
        if certificate
            .curve()
            .is_some_and(|curve| !groups.contains(&curve))
        {
            return Err(Failure::NoCommonGroup);
        }
        config
            .suites12
            .iter()
            .filter(|suite| hello.cipher_suites.contains(&suite.id()))
            .find_map(|suite| {
                let fitting: Vec<u16> = schemes
                    .iter()
                    .copied()
                    .filter(|scheme| signature::key_kind(*scheme) == suite.key_kind())
                    .collect();
                let signer = signature::choose(certificate.key(), &fitting, Rules::Tls12)?;
                Some((signer, *suite))
            })
            .ok_or(Failure::NoCommonCipherSuite)
    })?;
    let (certificate, signer) = (chosen.certificate, chosen.signer);
    parts.session.shown = Some(chosen.place);
    parts.session.cipher_suite = Some(suite.suite.common.suite);
    let group_id: u16 = group.name().into();
    parts.session.group = Some(group_id);
    let exchange = group.start().map_err(|_| Failure::Crypto)?;

    let mut transcript = pending.start(Form::Dtls12, suite.hash());
    parts.reassembly.set_max_message(parts.config.max_message);
    parts.begin_flight();
    let mut server_random = parts.random();
    if config.offers(Version::Dtls13) {
        server_random[24..].copy_from_slice(&DOWNGRADE_12);
    }
    let mut extensions = Vec::new();
    extension(&mut extensions, ext::EXTENDED_MASTER_SECRET, |_| ());
    if knows_renegotiation(hello) {
        extension(&mut extensions, ext::RENEGOTIATION_INFO, |out| {
            out.vec8(|_| ())
        });
    }
    if hello.extensions.has(ext::EC_POINT_FORMATS) {
        extension(&mut extensions, ext::EC_POINT_FORMATS, |out| {
            out.vec8(|out| out.u8(0))
        });
    }
    parts.write_server_extensions(&hello.extensions, &mut extensions)?;
    parts.answer_connection_id(&hello.extensions, &mut extensions)?;
    let body = ServerHello::write(&server_random, &[], suite.id(), &extensions);
    parts.send(&mut transcript, 0, HandshakeType::ServerHello, body)?;
    let body = write_certificate12(certificate.chain());
    parts.send(&mut transcript, 0, HandshakeType::Certificate, body)?;
    let mut body = ServerKeyExchange::params(group_id, exchange.pub_key());
    let mut content = Vec::with_capacity(64 + body.len());
    content.bytes(&hello.random);
    content.bytes(&server_random);
    content.bytes(&body);
    let signature = signer.sign(&content).map_err(|_| Failure::Crypto)?;
    DigitallySigned::write(&mut body, signer.scheme().into(), &signature);
    parts.send(&mut transcript, 0, HandshakeType::ServerKeyExchange, body)?;
    let asks = config.client_auth != ClientAuth::None;
    if asks {
        let body = CertificateRequest12::write(&config.schemes12);
        parts.send(&mut transcript, 0, HandshakeType::CertificateRequest, body)?;
    }
    parts.send(
        &mut transcript,
        0,
        HandshakeType::ServerHelloDone,
        Vec::new(),
    )?;
    let step = if asks {
        Step::Certificate(exchange)
    } else {
        Step::ClientKeyExchange(exchange)
    };
    Ok(super::State::Server12(Box::new(State {
        suite,
        transcript,
        client_random: hello.random,
        server_random,
        step,
    })))
}

impl State {
    pub(crate) fn on_message(
        mut self,
        parts: &mut Parts,
        message: &Message,
    ) -> Result<super::State, Failure> {
        match self.step {
            Step::Certificate(exchange) => {
                expect(message, HandshakeType::Certificate)?;
                self.transcript
                    .add(message.kind, message.sequence, &message.body);
                let chain = parse_certificate12(&message.body)?;
                if !chain.is_empty() {
                    parts.take_certificates(&chain)?;
                } else if parts.config.client_auth == ClientAuth::Require {
                    return Err(Failure::NoCertificate);
                }
                self.step = Step::ClientKeyExchange(exchange);
            }
            Step::ClientKeyExchange(exchange) => {
                expect(message, HandshakeType::ClientKeyExchange)?;
                self.transcript
                    .add(message.kind, message.sequence, &message.body);
                let share = parse_client_key_exchange(&message.body)?;
                let pre_master = super::complete(exchange, share)?;
                let master = MasterSecret::extended(
                    self.suite,
                    pre_master.secret_bytes(),
                    &self.transcript.current(),
                    self.client_random,
                    self.server_random,
                );
                parts.log("CLIENT_RANDOM", master.bytes());
                let (client, _) = master.keys();
                parts.records.add_read(
                    1,
                    Protection::tls12(parts.config.backend, self.suite.aead, &client)?,
                );
                self.step = if parts.session.peer_certificates.is_empty() {
                    parts.read_from_epoch(1)?;
                    Step::Finished(master)
                } else {
                    Step::CertificateVerify(master)
                };
            }
            Step::CertificateVerify(master) => {
                expect(message, HandshakeType::CertificateVerify)?;
                let signed = DigitallySigned::parse(&message.body)?;
                if !parts.config.schemes12.contains(&signed.scheme) {
                    return Err(Failure::WrongSignatureScheme);
                }
                let raw = self.transcript.take_raw();
                signature::verify(
                    &parts.config.provider,
                    parts.peer_leaf()?,
                    Rules::Tls12,
                    signed.scheme,
                    &raw,
                    signed.signature,
                )?;
                parts.session.peer_scheme = Some(signed.scheme);
                self.transcript
                    .add(message.kind, message.sequence, &message.body);
                parts.read_from_epoch(1)?;
                self.step = Step::Finished(master);
            }
            Step::Finished(master) => {
                expect(message, HandshakeType::Finished)?;
                if !master.verify_finished(true, &self.transcript.current(), &message.body) {
                    return Err(Failure::BadFinished);
                }
                self.transcript
                    .add(message.kind, message.sequence, &message.body);
                let (_, server) = master.keys();
                parts.begin_flight();
                parts.records.add_write(
                    1,
                    Protection::tls12(parts.config.backend, self.suite.aead, &server)?,
                );
                parts.flight.push_change_cipher_spec(0);
                let verify_data = master.finished(false, &self.transcript.current()).to_vec();
                parts.send(
                    &mut self.transcript,
                    1,
                    HandshakeType::Finished,
                    verify_data,
                )?;
                parts.sent_last_flight = true;
                parts.session.exporter = Some(Exporter::Dtls12(master));
                return Ok(super::State::Established(Established::new12(false)));
            }
        }
        Ok(super::State::Server12(Box::new(self)))
    }
}
