//! The stateless front of a server that is open to the world: no connection
//! is made for an address that has not proved that it can receive
//! (RFC 6347 §4.2.1, RFC 9147 §5.1). WebRTC needs none of this: there ICE
//! proves addresses.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use rand::Rng;
use ring::{digest, hmac};
use rustls::AlertDescription;

use crate::config::{Config, Version};
use crate::connection::{Connection, Proved};
use crate::crypto::suite::Suite13;
use crate::crypto::transcript::{Form, Pending, Transcript};
use crate::error::{Error, Failure};
use crate::handshake::server::{Choice, Retry, choose_version, retry_request};
use crate::limits::{
    COOKIE_LIFETIME, GATE_PARTIAL_LIFETIME, MAX_GATE_HELLO, MAX_GATE_PARTIALS, MAX_VERIFY_REQUESTS,
};
use crate::reassembly::{Outcome, Reassembly};
use crate::record::{Opened, RecordLayer};
use crate::wire::handshake::{Fragment, HandshakeType, Message};
use crate::wire::hello::{ClientHello, DTLS10, DTLS12, ext};
use crate::wire::record::{ContentType, RecordNumber};
use crate::wire::{Malformed, Reader, Write};

/// Octets of the MAC in a cookie.
const MAC: usize = 32;

/// What became of a datagram at the [`Gate`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing to do: no ClientHello, not all of it, or one that cannot lead
    /// to a handshake.
    Dropped,
    /// A datagram of this length was appended, to be sent to where the
    /// question came from. It is never longer than the question, in all the
    /// datagrams that it took.
    Reply(usize),
    /// The address is proved: the connection begins, and has its answer ready.
    Accepted(Box<Connection>),
}

/// Asks clients for a cookie before anything is kept for them. The one thing
/// held is a small table of ClientHellos that came in parts
/// ([`MAX_GATE_PARTIALS`] times [`MAX_GATE_HELLO`] at most).
pub struct Gate {
    config: Arc<Config>,
    current: hmac::Key,
    previous: hmac::Key,
    rotated: Instant,
    partials: VecDeque<Partial>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("partials", &self.partials.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Partial {
    /// Its digest: of one length whatever the caller's form.
    address: [u8; 32],
    sequence: u16,
    since: Instant,
    /// Of the datagrams that brought it: what may be answered with as many.
    octets: usize,
    reassembly: Reassembly,
}

/// A whole ClientHello.
struct Question {
    message: Message,
    /// The record that brought (the last of) it.
    number: RecordNumber,
    /// Of the datagrams that brought it.
    octets: usize,
}

impl Gate {
    /// A front for connections of `config`.
    ///
    /// # Errors
    /// [`Error::Config`] without a certificate, [`Error::Crypto`] when the
    /// provider gives no randomness.
    pub fn new(config: Arc<Config>, now: Instant) -> Result<Self, Error> {
        if config.certificates.is_empty() {
            return Err(Error::Config("a server needs a certificate"));
        }
        Ok(Self {
            current: new_key(&config)?,
            previous: new_key(&config)?,
            config,
            rotated: now,
            partials: VecDeque::new(),
        })
    }

    /// Looks at a datagram from an address that no connection is known for.
    /// `address` is any octets that tell addresses apart; a reply is appended
    /// to `out`.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the provider fails.
    pub fn handle_input(
        &mut self,
        now: Instant,
        address: &[u8],
        datagram: BytesMut,
        out: &mut Vec<u8>,
        rng: &mut impl Rng,
    ) -> Result<Verdict, Error> {
        self.rotate(now)?;
        let Some(question) = self.find_hello(now, address, datagram) else {
            return Ok(Verdict::Dropped);
        };
        let Question {
            message,
            number,
            octets,
        } = question;
        let start = out.len();
        let mut answer = self.answer(address, &message, number, out);
        if matches!(answer, Err(Failure::BadCookie)) {
            // RFC 9147 §5.1: the client is to begin again without a cookie.
            out.truncate(start);
            let alert = [2, AlertDescription::IllegalParameter.into()];
            answer = reply(ContentType::ALERT, DTLS12, &alert, number, out)
                .map(|()| Answer::Ask)
                .map_err(Failure::from);
        }
        match answer {
            Ok(Answer::Ask) if out.len() - start <= octets => Ok(Verdict::Reply(out.len() - start)),
            Ok(Answer::Ask) | Err(_) => {
                out.truncate(start);
                Ok(Verdict::Dropped)
            }
            Ok(Answer::Proved(retry)) => {
                let proved = Proved {
                    message,
                    number,
                    retry,
                };
                let config = Arc::clone(&self.config);
                Connection::accepted(config, now, rng, proved)
                    .map(|connection| Verdict::Accepted(Box::new(connection)))
            }
        }
    }

    fn rotate(&mut self, now: Instant) -> Result<(), Error> {
        let age = now.saturating_duration_since(self.rotated);
        if age >= COOKIE_LIFETIME {
            let fresh = new_key(&self.config)?;
            self.previous = std::mem::replace(&mut self.current, fresh);
            self.rotated = now;
        }
        if age >= 2 * COOKIE_LIFETIME {
            // Nobody came for so long that both were too old.
            self.previous = new_key(&self.config)?;
        }
        self.partials
            .retain(|partial| now.saturating_duration_since(partial.since) < GATE_PARTIAL_LIFETIME);
        Ok(())
    }

    /// The ClientHello that this datagram has or completes.
    fn find_hello(&mut self, now: Instant, address: &[u8], datagram: BytesMut) -> Option<Question> {
        let mut records = RecordLayer::new();
        // Made for the first fragment: a datagram may have very many.
        let mut digest = None;
        let octets = datagram.len();
        // A datagram counts once, however many fragments it has.
        let mut uncounted = octets;
        let mut left = Some(datagram);
        while let Some(datagram) = left.take() {
            let (mut record, rest) = records.split(datagram)?;
            left = rest;
            let Opened::Record {
                number,
                content_type: ContentType::HANDSHAKE,
                payload,
            } = records.open(&mut record)
            else {
                continue;
            };
            let mut reader = Reader::new(record.get(payload.range()).unwrap_or_default());
            while let Ok(fragment) = Fragment::read(&mut reader) {
                // The first hello, or one with a cookie.
                if fragment.kind != HandshakeType::ClientHello
                    || fragment.sequence > MAX_VERIFY_REQUESTS
                    || fragment.length > MAX_GATE_HELLO
                {
                    continue;
                }
                if fragment.offset == 0 && fragment.bytes.len() == fragment.length {
                    let (kind, sequence) = (fragment.kind, fragment.sequence);
                    let message = Message {
                        kind,
                        sequence,
                        body: fragment.bytes.to_vec(),
                    };
                    return Some(Question {
                        message,
                        number,
                        octets,
                    });
                }
                let more = std::mem::take(&mut uncounted);
                let address = *digest.get_or_insert_with(|| digest_of(address));
                if let Some((message, octets)) = self.collect(now, address, &fragment, more) {
                    return Some(Question {
                        message,
                        number,
                        octets,
                    });
                }
            }
        }
        None
    }

    /// Adds a fragment that `octets` more came with; returns the message that it
    /// completes and how many octets that took.
    fn collect(
        &mut self,
        now: Instant,
        address: [u8; 32],
        fragment: &Fragment<'_>,
        octets: usize,
    ) -> Option<(Message, usize)> {
        let found = self.partials.iter().position(|partial| {
            partial.address == address && partial.sequence == fragment.sequence
        });
        let at = found.unwrap_or_else(|| {
            if self.partials.len() == MAX_GATE_PARTIALS {
                self.partials.pop_front();
            }
            let mut reassembly = Reassembly::new(MAX_GATE_HELLO);
            if let Some(before) = fragment.sequence.checked_sub(1) {
                reassembly.start_after(before);
            }
            let sequence = fragment.sequence;
            self.partials.push_back(Partial {
                address,
                sequence,
                since: now,
                octets: 0,
                reassembly,
            });
            self.partials.len() - 1
        });
        let partial = self.partials.get_mut(at)?;
        if !matches!(partial.reassembly.insert(fragment), Ok(Outcome::Kept)) {
            self.partials.remove(at);
            return None;
        }
        partial.octets += octets;
        let message = partial.reassembly.pop()?;
        let octets = partial.octets;
        self.partials.remove(at);
        Some((message, octets))
    }

    fn answer(
        &self,
        address: &[u8],
        message: &Message,
        number: RecordNumber,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Failure> {
        let hello = ClientHello::parse(&message.body)?;
        match choose_version(&self.config, &hello)? {
            Version::Dtls12 => {
                let bound = bound12(address, &hello);
                if !hello.cookie.is_empty() && self.verify(&bound, hello.cookie) {
                    return Ok(Answer::Proved(None));
                }
                let mac = hmac::sign(&self.current, &bound);
                let mut body = Vec::new();
                // 1.0 whatever is negotiated (RFC 6347 §4.2.1).
                body.u16(DTLS10);
                body.vec8(|out| out.bytes(mac.as_ref()));
                let body = whole(HandshakeType::HelloVerifyRequest, message.sequence, &body);
                reply(ContentType::HANDSHAKE, DTLS10, &body, number, out)?;
                Ok(Answer::Ask)
            }
            Version::Dtls13 => {
                let choice = Choice::make(&self.config, &hello)?;
                if let Some(cookie) = hello.extensions.cookie()? {
                    let retry = self.restore(address, &hello, choice.suite, cookie)?;
                    return Ok(Answer::Proved(Some(Box::new(retry))));
                }
                // The second message with no cookie leads nowhere.
                if message.sequence != 0 {
                    return Err(Failure::MissingExtension(ext::COOKIE));
                }
                let mut pending = Pending::default();
                pending.add(message.kind, message.sequence, &message.body);
                let transcript = pending.start(Form::Tls13, choice.suite.hash());
                let group = choice.share().is_none().then_some(choice.best);
                let cookie = self.seal13(
                    address,
                    &hello,
                    choice.suite,
                    group,
                    transcript.current().as_ref(),
                );
                let body = retry_request(choice.suite, group, Some(&cookie));
                let body = whole(HandshakeType::ServerHello, message.sequence, &body);
                reply(ContentType::HANDSHAKE, DTLS12, &body, number, out)?;
                Ok(Answer::Ask)
            }
        }
    }

    /// The cookie of 1.3 brings back what is to be known of the first hello:
    /// suite, group asked for and hash, under a MAC.
    fn seal13(
        &self,
        address: &[u8],
        hello: &ClientHello<'_>,
        suite: Suite13,
        group: Option<u16>,
        hash: &[u8],
    ) -> Vec<u8> {
        let mut cookie = Vec::with_capacity(4 + hash.len() + MAC);
        cookie.u16(suite.id());
        cookie.u16(group.unwrap_or(0));
        cookie.bytes(hash);
        let mac = hmac::sign(&self.current, &bound13(address, hello, &cookie));
        cookie.bytes(mac.as_ref());
        cookie
    }

    fn restore(
        &self,
        address: &[u8],
        hello: &ClientHello<'_>,
        suite: Suite13,
        cookie: &[u8],
    ) -> Result<Retry, Failure> {
        let at = cookie.len().checked_sub(MAC).ok_or(Failure::BadCookie)?;
        let (contents, mac) = cookie.split_at_checked(at).ok_or(Failure::BadCookie)?;
        if !self.verify(&bound13(address, hello, contents), mac) {
            return Err(Failure::BadCookie);
        }
        let mut reader = Reader::new(contents);
        if reader.u16()? != suite.id() {
            return Err(Failure::HelloChanged);
        }
        let group = Some(reader.u16()?).filter(|group| *group != 0);
        let hash = reader.take(reader.remaining())?;
        let mut transcript: Transcript = Pending::default().start(Form::Tls13, suite.hash());
        transcript.restart_from_message_hash(hash);
        let request = retry_request(suite, group, Some(cookie));
        transcript.add(HandshakeType::ServerHello, 0, &request);
        Ok(Retry {
            suite,
            group,
            transcript,
            first: None,
        })
    }

    fn verify(&self, bound: &[u8], mac: &[u8]) -> bool {
        hmac::verify(&self.current, bound, mac).is_ok()
            || hmac::verify(&self.previous, bound, mac).is_ok()
    }
}

enum Answer {
    Ask,
    Proved(Option<Box<Retry>>),
}

fn new_key(config: &Config) -> Result<hmac::Key, Error> {
    let mut secret = zeroize::Zeroizing::new([0; 32]);
    config
        .provider
        .secure_random
        .fill(secret.as_mut())
        .map_err(|_| Error::Crypto)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()))
}

fn digest_of(address: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let digest = digest::digest(&digest::SHA256, address);
    out.copy_from_slice(digest.as_ref());
    out
}

/// What a 1.2 cookie is good for: this address and this hello.
fn bound12(address: &[u8], hello: &ClientHello<'_>) -> Vec<u8> {
    let mut bound = b"1.2".to_vec();
    bound.vec16(|out| out.bytes(address));
    bound.bytes(&hello.random);
    bound.vec8(|out| out.bytes(hello.session_id));
    for suite in &hello.cipher_suites {
        bound.u16(*suite);
    }
    bound
}

fn bound13(address: &[u8], hello: &ClientHello<'_>, contents: &[u8]) -> Vec<u8> {
    let mut bound = b"1.3".to_vec();
    bound.vec16(|out| out.bytes(address));
    bound.bytes(&hello.random);
    bound.bytes(contents);
    bound
}

/// A stateless message, in one piece, under the number of the hello that it answers: one with an earlier number would be
/// taken for a repetition (RFC 6347 §4.2.1 with erratum 5186).
fn whole(kind: HandshakeType, sequence: u16, body: &[u8]) -> Vec<u8> {
    let fragment = Fragment {
        kind,
        length: body.len(),
        sequence,
        offset: 0,
        bytes: body,
    };
    let mut out = Vec::new();
    fragment.write(&mut out);
    out
}

/// A stateless record, under the number of the one that it answers.
fn reply(
    content_type: ContentType,
    version: u16,
    payload: &[u8],
    number: RecordNumber,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let mut records = RecordLayer::new();
    records.plain_version = version;
    records.start_plain_write_at(number.sequence);
    let start = out.len();
    out.resize(start + records.headroom(0), 0);
    out.extend_from_slice(payload);
    records
        .seal(0, content_type, out, start)
        .map(|_| ())
        .map_err(|_| Malformed)
}
