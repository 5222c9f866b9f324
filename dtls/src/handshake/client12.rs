//! The client's script of 1.2 after ServerHello (RFC 5246 §7.3, RFC 6347 §4.2).

use rustls::crypto::SharedSecret;

use super::credential::{Wanted, choose_if_any};
use super::established::Established;
use super::{Parts, expect, expect_empty};
use crate::config::Version;
use crate::crypto::schedule12::MasterSecret;
use crate::crypto::signature::{self, Rules};
use crate::crypto::suite::{KeyKind, Suite12};
use crate::crypto::transcript::Transcript;
use crate::error::Failure;
use crate::record::Protection;
use crate::session::Exporter;
use crate::wire::Write;
use crate::wire::handshake::{HandshakeType, Message};
use crate::wire::hello::{ServerHello, ext};
use crate::wire::messages::{
    CertificateRequest12, DigitallySigned, ECDSA_SIGN, RSA_SIGN, ServerKeyExchange,
    parse_certificate12, write_certificate12,
};

/// Our ephemeral key's outcome.
struct KeyExchange {
    public_key: Vec<u8>,
    pre_master: SharedSecret,
}

impl std::fmt::Debug for KeyExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyExchange(..)")
    }
}

#[derive(Debug)]
enum Step {
    Certificate,
    ServerKeyExchange,
    RequestOrDone(KeyExchange),
    Done(KeyExchange, CertificateRequest12),
    Finished(MasterSecret),
}

/// What every state here carries.
#[derive(Debug)]
struct Common {
    suite: Suite12,
    transcript: Transcript,
    client_random: [u8; 32],
    server_random: [u8; 32],
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    common: Common,
    step: Step,
}

/// ServerHello is in the transcript and its suite is one of ours.
pub(crate) fn start(
    parts: &mut Parts,
    suite: Suite12,
    transcript: Transcript,
    client_random: [u8; 32],
    hello: &ServerHello<'_>,
) -> Result<super::State, Failure> {
    let extensions = &hello.extensions;
    match extensions.raw(ext::EXTENDED_MASTER_SECRET) {
        Some([]) => (),
        Some(_) => return Err(Failure::Malformed),
        None => return Err(Failure::NoExtendedMasterSecret),
    }
    if extensions
        .raw(ext::SERVER_NAME)
        .is_some_and(|data| !data.is_empty())
    {
        return Err(Failure::Malformed);
    }
    if extensions
        .renegotiation_info()?
        .is_some_and(|info| !info.is_empty())
    {
        return Err(Failure::RenegotiationMismatch);
    }
    // Extensions of 1.3 are no answer here, though the hello offered them.
    if let Some(kind) = [
        ext::SUPPORTED_VERSIONS,
        ext::SUPPORTED_GROUPS,
        ext::SIGNATURE_ALGORITHMS,
        ext::KEY_SHARE,
        ext::COOKIE,
    ]
    .into_iter()
    .find(|kind| extensions.has(*kind))
    {
        return Err(Failure::UnsolicitedExtension(kind));
    }
    if extensions
        .ec_point_formats()?
        .is_some_and(|formats| !formats.contains(&0))
    {
        return Err(Failure::IllegalHello);
    }
    parts.session.cipher_suite = Some(suite.suite.common.suite);
    parts.take_server_extensions(extensions)?;
    parts.take_connection_id(extensions)?;
    let common = Common {
        suite,
        transcript,
        client_random,
        server_random: hello.random,
    };
    Ok(super::State::Client12(Box::new(State {
        common,
        step: Step::Certificate,
    })))
}

impl State {
    pub(crate) fn on_message(
        mut self,
        parts: &mut Parts,
        message: &Message,
    ) -> Result<super::State, Failure> {
        if message.kind == HandshakeType::HelloRequest && message.body.is_empty() {
            return Ok(super::State::Client12(Box::new(self)));
        }
        let hash_before = self.common.transcript.current();
        self.common
            .transcript
            .add(message.kind, message.sequence, &message.body);
        self.step = match self.step {
            Step::Certificate => {
                expect(message, HandshakeType::Certificate)?;
                let chain = parse_certificate12(&message.body)?;
                if chain.is_empty() {
                    return Err(Failure::Malformed);
                }
                parts.take_certificates(&chain)?;
                Step::ServerKeyExchange
            }
            Step::ServerKeyExchange => {
                expect(message, HandshakeType::ServerKeyExchange)?;
                Step::RequestOrDone(self.common.on_server_key_exchange(parts, message)?)
            }
            Step::RequestOrDone(exchange) if message.kind == HandshakeType::CertificateRequest => {
                Step::Done(exchange, CertificateRequest12::parse(&message.body)?)
            }
            Step::RequestOrDone(exchange) => {
                expect(message, HandshakeType::ServerHelloDone)?;
                expect_empty(&message.body)?;
                self.common.send_flight(parts, exchange, None)?
            }
            Step::Done(exchange, request) => {
                expect(message, HandshakeType::ServerHelloDone)?;
                expect_empty(&message.body)?;
                self.common.send_flight(parts, exchange, Some(request))?
            }
            Step::Finished(master) => {
                expect(message, HandshakeType::Finished)?;
                if !master.verify_finished(false, &hash_before, &message.body) {
                    return Err(Failure::BadFinished);
                }
                parts.session.exporter = Some(Exporter::Dtls12(master));
                parts.end_flight();
                return Ok(super::State::Established(Established::new12(true)));
            }
        };
        Ok(super::State::Client12(Box::new(self)))
    }
}

impl Common {
    fn on_server_key_exchange(
        &self,
        parts: &mut Parts,
        message: &Message,
    ) -> Result<KeyExchange, Failure> {
        let exchange = ServerKeyExchange::parse(&message.body)?;
        let signed = &exchange.signed;
        if !parts.config.schemes12.contains(&signed.scheme)
            || signature::key_kind(signed.scheme) != self.suite.key_kind()
        {
            return Err(Failure::WrongSignatureScheme);
        }
        let mut content = Vec::with_capacity(64 + exchange.params.len());
        content.bytes(&self.client_random);
        content.bytes(&self.server_random);
        content.bytes(exchange.params);
        signature::verify(
            &parts.config.provider,
            parts.peer_leaf()?,
            Rules::Tls12,
            signed.scheme,
            &content,
            signed.signature,
        )?;
        parts.session.peer_scheme = Some(signed.scheme);
        let group = parts
            .config
            .group(exchange.group, Version::Dtls12)
            .ok_or(Failure::WrongGroup)?;
        parts.session.group = Some(exchange.group);
        let completed = group
            .start_and_complete(exchange.public_key)
            .map_err(|_| Failure::BadKeyShare)?;
        Ok(KeyExchange {
            public_key: completed.pub_key,
            pre_master: completed.secret,
        })
    }

    fn send_flight(
        &mut self,
        parts: &mut Parts,
        exchange: KeyExchange,
        request: Option<CertificateRequest12>,
    ) -> Result<Step, Failure> {
        let config = std::sync::Arc::clone(&parts.config);
        parts.begin_flight();
        let mut signer = None;
        if let Some(request) = request {
            let mut certificate = None;
            let schemes: Vec<u16> = request
                .schemes
                .iter()
                .copied()
                .filter(|scheme| {
                    let kind = match signature::key_kind(*scheme) {
                        KeyKind::Rsa => RSA_SIGN,
                        KeyKind::Elliptic => ECDSA_SIGN,
                    };
                    request.types.contains(&kind)
                })
                .collect();
            let authorities: Vec<&[u8]> = request.authorities.iter().map(Vec::as_slice).collect();
            let wanted = Wanted {
                rules: Rules::Tls12,
                schemes: &schemes,
                authorities: &authorities,
            };
            if let Some(chosen) = choose_if_any(&config, &wanted)? {
                certificate = Some(chosen.certificate);
                signer = Some(chosen.signer);
                parts.session.shown = Some(chosen.place);
            }
            let chain = certificate
                .into_iter()
                .flat_map(|certificate| certificate.chain());
            let body = write_certificate12(chain);
            parts.send(&mut self.transcript, 0, HandshakeType::Certificate, body)?;
        }
        let mut body = Vec::new();
        body.vec8(|out| out.bytes(&exchange.public_key));
        parts.send(
            &mut self.transcript,
            0,
            HandshakeType::ClientKeyExchange,
            body,
        )?;
        let master = MasterSecret::extended(
            self.suite,
            exchange.pre_master.secret_bytes(),
            &self.transcript.current(),
            self.client_random,
            self.server_random,
        );
        parts.log("CLIENT_RANDOM", master.bytes());
        let raw = self.transcript.take_raw();
        if let Some(signer) = signer {
            let signature = signer.sign(&raw).map_err(|_| Failure::Crypto)?;
            let mut body = Vec::new();
            DigitallySigned::write(&mut body, signer.scheme().into(), &signature);
            parts.send(
                &mut self.transcript,
                0,
                HandshakeType::CertificateVerify,
                body,
            )?;
        }
        let (client, server) = master.keys();
        parts.records.add_write(
            1,
            Protection::tls12(parts.config.backend, self.suite.aead, &client)?,
        );
        parts.records.add_read(
            1,
            Protection::tls12(parts.config.backend, self.suite.aead, &server)?,
        );
        parts.flight.push_change_cipher_spec(0);
        let verify_data = master.finished(true, &self.transcript.current()).to_vec();
        parts.send(
            &mut self.transcript,
            1,
            HandshakeType::Finished,
            verify_data,
        )?;
        parts.read_from_epoch(1)?;
        Ok(Step::Finished(master))
    }
}
