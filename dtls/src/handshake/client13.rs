//! The client's script of 1.3 after ServerHello (RFC 8446 §4, appendix A.1).

use super::credential::{Wanted, choose, choose_if_any};
use super::established::Established;
use super::{Parts, expect};
use crate::config::Version;
use crate::crypto::schedule13::HandshakeSecrets;
use crate::crypto::signature::{self, Rules};
use crate::crypto::suite::Suite13;
use crate::crypto::transcript::Transcript;
use crate::error::Failure;
use crate::session::Exporter;
use crate::wire::handshake::{HandshakeType, Message};
use crate::wire::hello::ext;
use crate::wire::messages::{
    Certificate13, CertificateRequest13, DigitallySigned, parse_encrypted_extensions,
};

/// What every state here carries.
#[derive(Debug)]
struct Common {
    suite: Suite13,
    secrets: HandshakeSecrets,
    transcript: Transcript,
}

/// What the server wants of our certificate.
#[derive(Debug)]
struct Request {
    context: Vec<u8>,
    schemes: Vec<u16>,
    authorities: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Step {
    EncryptedExtensions,
    CertificateOrRequest,
    Certificate(Option<Request>),
    CertificateVerify(Option<Request>),
    Finished(Option<Request>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    common: Common,
    step: Step,
}

/// ServerHello is in the transcript and the shared secret is known.
pub(crate) fn start(
    parts: &mut Parts,
    suite: Suite13,
    transcript: Transcript,
    shared: &[u8],
) -> Result<super::State, Failure> {
    let secrets = HandshakeSecrets::new(suite, shared, &transcript.current());
    parts.session.cipher_suite = Some(suite.suite.common.suite);
    parts.log("CLIENT_HANDSHAKE_TRAFFIC_SECRET", secrets.client.bytes());
    parts.log("SERVER_HANDSHAKE_TRAFFIC_SECRET", secrets.server.bytes());
    parts.records.unified = true;
    parts.add_read13(2, suite.aead, &secrets.server)?;
    parts.add_write13(2, suite.aead, &secrets.client)?;
    parts.read_from_epoch(2)?;
    let common = Common {
        suite,
        secrets,
        transcript,
    };
    Ok(super::State::Client13(Box::new(State {
        common,
        step: Step::EncryptedExtensions,
    })))
}

impl State {
    pub(crate) fn on_message(
        mut self,
        parts: &mut Parts,
        message: &Message,
    ) -> Result<super::State, Failure> {
        let hash_before = self.common.transcript.current();
        let step = match self.step {
            Step::EncryptedExtensions => {
                expect(message, HandshakeType::EncryptedExtensions)?;
                on_encrypted_extensions(parts, message)?;
                Step::CertificateOrRequest
            }
            Step::CertificateOrRequest if message.kind == HandshakeType::CertificateRequest => {
                Step::Certificate(Some(on_certificate_request(message)?))
            }
            Step::CertificateOrRequest => on_certificate(parts, message, None)?,
            Step::Certificate(request) => on_certificate(parts, message, request)?,
            Step::CertificateVerify(request) => {
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
                    &signature::content13(true, &hash_before),
                    signed.signature,
                )?;
                parts.session.peer_scheme = Some(signed.scheme);
                Step::Finished(request)
            }
            Step::Finished(request) => {
                expect(message, HandshakeType::Finished)?;
                if !self
                    .common
                    .secrets
                    .server
                    .verify_finished(&hash_before, &message.body)
                {
                    return Err(Failure::BadFinished);
                }
                self.common
                    .transcript
                    .add(message.kind, message.sequence, &message.body);
                return finish(parts, self.common, request);
            }
        };
        self.common
            .transcript
            .add(message.kind, message.sequence, &message.body);
        self.step = step;
        Ok(super::State::Client13(Box::new(self)))
    }
}

fn on_encrypted_extensions(parts: &mut Parts, message: &Message) -> Result<(), Failure> {
    let extensions = parse_encrypted_extensions(&message.body)?;
    for kind in extensions.kinds() {
        let offered = match kind {
            ext::USE_SRTP => !parts.config.srtp_profiles.is_empty(),
            ext::ALPN => !parts.config.alpn.is_empty(),
            ext::RECORD_SIZE_LIMIT => parts.config.record_size_limit.is_some(),
            ext::SERVER_NAME => parts.config.server_name.is_some(),
            // The server may say what it would have liked (RFC 8446 §4.2.7).
            ext::SUPPORTED_GROUPS => true,
            _ => false,
        };
        if !offered {
            return Err(Failure::UnsolicitedExtension(kind));
        }
    }
    if extensions
        .raw(ext::SERVER_NAME)
        .is_some_and(|data| !data.is_empty())
    {
        return Err(Failure::Malformed);
    }
    extensions.supported_groups()?;
    debug_assert_eq!(parts.session.version, Some(Version::Dtls13));
    parts.take_server_extensions(&extensions)
}

fn on_certificate_request(message: &Message) -> Result<Request, Failure> {
    let request = CertificateRequest13::parse(&message.body)?;
    // The context is for requests after the handshake (RFC 8446 §4.3.2).
    if !request.context.is_empty() {
        return Err(Failure::Malformed);
    }
    let authorities = request.extensions.authorities()?;
    let schemes = request
        .extensions
        .signature_algorithms()?
        .ok_or(Failure::MissingExtension(ext::SIGNATURE_ALGORITHMS))?;
    Ok(Request {
        context: request.context.to_vec(),
        schemes,
        authorities: authorities.into_iter().map(<[u8]>::to_vec).collect(),
    })
}

fn on_certificate(
    parts: &mut Parts,
    message: &Message,
    request: Option<Request>,
) -> Result<Step, Failure> {
    expect(message, HandshakeType::Certificate)?;
    let certificate = Certificate13::parse(&message.body)?;
    if !certificate.context.is_empty() {
        return Err(Failure::Malformed);
    }
    if let Some(kind) = certificate.extensions.first() {
        return Err(Failure::UnsolicitedExtension(*kind));
    }
    if certificate.chain.is_empty() {
        return Err(Failure::Malformed);
    }
    parts.take_certificates(&certificate.chain)?;
    Ok(Step::CertificateVerify(request))
}

fn finish(
    parts: &mut Parts,
    mut common: Common,
    request: Option<Request>,
) -> Result<super::State, Failure> {
    let secrets = common.secrets.application(&common.transcript.current());
    parts.log("CLIENT_TRAFFIC_SECRET_0", secrets.client.bytes());
    parts.log("SERVER_TRAFFIC_SECRET_0", secrets.server.bytes());
    parts.log("EXPORTER_SECRET", secrets.exporter.secret().bytes());
    parts.add_read13(3, common.suite.aead, &secrets.server)?;
    parts.read_from_epoch(3)?;
    parts.begin_flight();
    if let Some(request) = request {
        let authorities: Vec<&[u8]> = request.authorities.iter().map(Vec::as_slice).collect();
        let wanted = Wanted {
            rules: Rules::Tls13,
            schemes: &request.schemes,
            authorities: &authorities,
        };
        let context = &request.context;
        send_certificate13(parts, &mut common.transcript, context, &wanted, false)?;
    }
    let verify_data = common.secrets.client.finished(&common.transcript.current());
    parts.send(
        &mut common.transcript,
        2,
        HandshakeType::Finished,
        verify_data,
    )?;
    parts.add_write13(3, common.suite.aead, &secrets.client)?;
    parts.session.exporter = Some(Exporter::Dtls13(secrets.exporter));
    Ok(super::State::Established(Established::new13(
        common.suite.aead,
        secrets.server,
        secrets.client,
        true,
    )))
}

/// Certificate and, unless it is empty, CertificateVerify: of either side.
pub(super) fn send_certificate13(
    parts: &mut Parts,
    transcript: &mut Transcript,
    context: &[u8],
    wanted: &Wanted<'_>,
    from_server: bool,
) -> Result<(), Failure> {
    let config = std::sync::Arc::clone(&parts.config);
    let chosen = if from_server {
        choose(&config.certificates, wanted)?
    } else if let Some(chosen) = choose_if_any(&config, wanted)? {
        chosen
    } else {
        let body = Certificate13::write(context, std::iter::empty());
        parts.send(transcript, 2, HandshakeType::Certificate, body)?;
        return Ok(());
    };
    let (certificate, signer) = (chosen.certificate, chosen.signer);
    parts.session.shown = Some(chosen.place);
    let body = Certificate13::write(context, certificate.chain());
    parts.send(transcript, 2, HandshakeType::Certificate, body)?;
    let content = signature::content13(from_server, &transcript.current());
    let signature = signer.sign(&content).map_err(|_| Failure::Crypto)?;
    let mut body = Vec::new();
    DigitallySigned::write(&mut body, signer.scheme().into(), &signature);
    parts.send(transcript, 2, HandshakeType::CertificateVerify, body)?;
    Ok(())
}
