//! The handshake transcript. Until the version and the hash are known the
//! messages are kept; then they are hashed in the form of that version.

use rustls::crypto::hash::{Context, Hash, Output};

use crate::wire::Write;
use crate::wire::handshake::HandshakeType;

/// How a message's header enters the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// 1.2: with the DTLS header of an unfragmented message (RFC 6347 §4.2.6).
    Dtls12,
    /// 1.3: with TLS's four-octet header (RFC 9147 §5.2).
    Tls13,
}

fn header(form: Form, kind: HandshakeType, sequence: u16, length: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(12);
    head.u8(kind.into());
    head.u24(length);
    if form == Form::Dtls12 {
        head.u16(sequence);
        head.u24(0);
        head.u24(length);
    }
    head
}

/// Messages of which the hash is not known yet.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pending {
    messages: Vec<(HandshakeType, u16, Vec<u8>)>,
}

impl Pending {
    pub(crate) fn add(&mut self, kind: HandshakeType, sequence: u16, body: &[u8]) {
        self.messages.push((kind, sequence, body.to_vec()));
    }

    /// Forgets everything: a HelloVerifyRequest starts anew (RFC 6347 §4.2.1).
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
    }

    pub(crate) fn start(&self, form: Form, hash: &'static dyn Hash) -> Transcript {
        let raw = (form == Form::Dtls12).then(Vec::new);
        let mut transcript = Transcript {
            form,
            hash,
            context: hash.start(),
            raw,
        };
        for (kind, sequence, body) in &self.messages {
            transcript.add(*kind, *sequence, body);
        }
        transcript
    }
}

/// A running hash over the messages so far.
pub(crate) struct Transcript {
    form: Form,
    hash: &'static dyn Hash,
    context: Box<dyn Context>,
    /// 1.2 signs the messages themselves, with whatever hash the scheme has
    /// (RFC 5246 §7.4.8): kept until then.
    raw: Option<Vec<u8>>,
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcript")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl Transcript {
    pub(crate) fn add(&mut self, kind: HandshakeType, sequence: u16, body: &[u8]) {
        let header = header(self.form, kind, sequence, body.len());
        self.context.update(&header);
        self.context.update(body);
        if let Some(raw) = &mut self.raw {
            raw.extend_from_slice(&header);
            raw.extend_from_slice(body);
        }
    }

    pub(crate) fn current(&self) -> Output {
        self.context.fork_finish()
    }

    /// The messages so far, taken out: nothing signs them after this.
    pub(crate) fn take_raw(&mut self) -> Vec<u8> {
        self.raw.take().unwrap_or_default()
    }

    /// Puts the first ClientHello's hash in its place (RFC 8446 §4.4.1).
    pub(crate) fn replace_with_message_hash(&mut self) {
        let digest = self.current();
        self.restart_from_message_hash(digest.as_ref());
    }

    /// As [`Self::replace_with_message_hash`] with a digest that came back in
    /// a cookie.
    pub(crate) fn restart_from_message_hash(&mut self, digest: &[u8]) {
        self.context = self.hash.start();
        self.add(HandshakeType::MessageHash, 0, digest);
    }
}
