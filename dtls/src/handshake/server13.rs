//! The server's script of 1.3 after ClientHello (RFC 8446 §4, appendix A.2).

use super::client13::send_certificate13;
use super::credential::Wanted;
use super::established::Established;
use super::{Parts, expect};
use crate::config::{ClientAuth, Version};
use crate::crypto::schedule13::{ApplicationSecrets, HandshakeSecrets};
use crate::crypto::signature::{self, Rules};
use crate::crypto::suite::Suite13;
use crate::crypto::transcript::Transcript;
use crate::error::Failure;
use crate::session::Exporter;
use crate::wire::Write;
use crate::wire::handshake::{HandshakeType, Message};
use crate::wire::hello::{ClientHello, DTLS13, ServerHello, ext, extension, u16s};
use crate::wire::messages::{Certificate13, CertificateRequest13, DigitallySigned};

#[derive(Debug)]
enum Step {
    Certificate,
    CertificateVerify,
    Finished,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    suite: Suite13,
    secrets: HandshakeSecrets,
    application: ApplicationSecrets,
    transcript: Transcript,
    step: Step,
}

/// ClientHello is in the transcript and one of its shares was chosen.
pub(crate) fn start(
    parts: &mut Parts,
    suite: Suite13,
    mut transcript: Transcript,
    hello: &ClientHello<'_>,
    (group_id, share): (u16, &[u8]),
) -> Result<super::State, Failure> {
    let schemes = hello
        .extensions
        .signature_algorithms()?
        .ok_or(Failure::MissingExtension(ext::SIGNATURE_ALGORITHMS))?;
    let group = parts
        .config
        .group(group_id, Version::Dtls13)
        .ok_or(Failure::NoCommonGroup)?;
    let completed = group
        .start_and_complete(share)
        .map_err(|_| Failure::BadKeyShare)?;
    parts.session.group = Some(group_id);
    parts.session.cipher_suite = Some(suite.suite.common.suite);
    parts.reassembly.set_max_message(parts.config.max_message);
    parts.begin_flight();

    let mut extensions = Vec::new();
    extension(&mut extensions, ext::SUPPORTED_VERSIONS, |out| {
        out.u16(DTLS13)
    });
    extension(&mut extensions, ext::KEY_SHARE, |out| {
        out.u16(group_id);
        out.vec16(|out| out.bytes(&completed.pub_key));
    });
    parts.answer_connection_id(&hello.extensions, &mut extensions)?;
    let random = parts.random();
    // A 1.3 server does not echo the session ID (RFC 9147 §5.3).
    let body = ServerHello::write(&random, &[], suite.id(), &extensions);
    parts.send(&mut transcript, 0, HandshakeType::ServerHello, body)?;

    let shared = completed.secret.secret_bytes();
    let secrets = HandshakeSecrets::new(suite, shared, &transcript.current());
    parts.log("CLIENT_HANDSHAKE_TRAFFIC_SECRET", secrets.client.bytes());
    parts.log("SERVER_HANDSHAKE_TRAFFIC_SECRET", secrets.server.bytes());
    parts.records.unified = true;
    parts.add_write13(2, suite.aead, &secrets.server)?;
    parts.add_read13(2, suite.aead, &secrets.client)?;
    parts.read_from_epoch(2)?;

    let mut extensions = Vec::new();
    parts.write_server_extensions(&hello.extensions, &mut extensions)?;
    let mut body = Vec::new();
    body.vec16(|out| out.bytes(&extensions));
    parts.send(&mut transcript, 2, HandshakeType::EncryptedExtensions, body)?;
    let asks = parts.config.client_auth != ClientAuth::None;
    if asks {
        let mut extensions = Vec::new();
        let ours = parts.config.schemes13.clone();
        extension(&mut extensions, ext::SIGNATURE_ALGORITHMS, |out| {
            u16s(out, ours)
        });
        let body = CertificateRequest13::write(&extensions);
        parts.send(&mut transcript, 2, HandshakeType::CertificateRequest, body)?;
    }
    let authorities = hello.extensions.authorities()?;
    let wanted = Wanted {
        rules: Rules::Tls13,
        schemes: &schemes,
        authorities: &authorities,
    };
    send_certificate13(parts, &mut transcript, &[], &wanted, true)?;
    let verify_data = secrets.server.finished(&transcript.current());
    parts.send(&mut transcript, 2, HandshakeType::Finished, verify_data)?;

    let application = secrets.application(&transcript.current());
    parts.log("CLIENT_TRAFFIC_SECRET_0", application.client.bytes());
    parts.log("SERVER_TRAFFIC_SECRET_0", application.server.bytes());
    parts.log("EXPORTER_SECRET", application.exporter.secret().bytes());
    parts.add_write13(3, suite.aead, &application.server)?;
    // Data that overtake the client's Finished can be read, and are held.
    parts.add_read13(3, suite.aead, &application.client)?;
    parts.session.exporter = Some(Exporter::Dtls13(application.exporter.clone()));
    let step = if asks {
        Step::Certificate
    } else {
        Step::Finished
    };
    Ok(super::State::Server13(Box::new(State {
        suite,
        secrets,
        application,
        transcript,
        step,
    })))
}

impl State {
    pub(crate) fn on_message(
        mut self,
        parts: &mut Parts,
        message: &Message,
    ) -> Result<super::State, Failure> {
        let hash_before = self.transcript.current();
        match self.step {
            Step::Certificate => {
                expect(message, HandshakeType::Certificate)?;
                self.step = on_certificate(parts, message)?;
            }
            Step::CertificateVerify => {
                expect(message, HandshakeType::CertificateVerify)?;
                let signed = DigitallySigned::parse(&message.body)?;
                if !parts.config.schemes13.contains(&signed.scheme) {
                    return Err(Failure::WrongSignatureScheme);
                }
                signature::verify(
                    &parts.config.provider,
                    parts.peer_leaf()?,
                    Rules::Tls13,
                    signed.scheme,
                    &signature::content13(false, &hash_before),
                    signed.signature,
                )?;
                parts.session.peer_scheme = Some(signed.scheme);
                self.step = Step::Finished;
            }
            Step::Finished => {
                expect(message, HandshakeType::Finished)?;
                if !self
                    .secrets
                    .client
                    .verify_finished(&hash_before, &message.body)
                {
                    return Err(Failure::BadFinished);
                }
                parts.read_from_epoch(3)?;
                parts.end_flight();
                // Nothing of ours follows that would acknowledge it.
                parts.acks.send_now();
                return Ok(super::State::Established(Established::new13(
                    self.suite.aead,
                    self.application.client,
                    self.application.server,
                    false,
                )));
            }
        }
        self.transcript
            .add(message.kind, message.sequence, &message.body);
        Ok(super::State::Server13(Box::new(self)))
    }
}

fn on_certificate(parts: &mut Parts, message: &Message) -> Result<Step, Failure> {
    let certificate = Certificate13::parse(&message.body)?;
    if !certificate.context.is_empty() {
        return Err(Failure::Malformed);
    }
    if let Some(kind) = certificate.extensions.first() {
        return Err(Failure::UnsolicitedExtension(*kind));
    }
    if certificate.chain.is_empty() {
        return if parts.config.client_auth == ClientAuth::Require {
            Err(Failure::NoCertificate)
        } else {
            Ok(Step::Finished)
        };
    }
    parts.take_certificates(&certificate.chain)?;
    Ok(Step::CertificateVerify)
}
