//! JSEP (RFC 9429): offers, answers and what they mean, without I/O, time or transports.
//!
//! [`Jsep`] is the signalling state machine with its transceivers and descriptions. It makes descriptions
//! ([`create_offer`](Jsep::create_offer), [`create_answer`](Jsep::create_answer)) and applies them
//! ([`set_local`](Jsep::set_local), [`set_remote`](Jsep::set_remote)); what that means for media is told by [`Change`]s,
//! what it means for the transport is read from [`local`](Jsep::local) and [`remote`](Jsep::remote). A call that fails
//! has changed nothing.
//!
//! - `model`: a description as negotiation sees it; `read` and `write`: to and from SDP.
//! - `state`: the signalling state machine as a table.
//! - `stored`: a description kept, as model or as text.
//! - `numbering`: payload types and extension ids.
//! - `build`: making offers and answers.
//! - `verify`: the rules that a remote description must keep.
//! - `apply`: what a description does to transceivers; `rollback` undoes it.
//! - `needed`: whether negotiation is needed.
//! - `encodings`: the rules for what a sender sends.

mod apply;
mod build;
mod encodings;
mod model;
mod needed;
mod numbering;
mod read;
mod state;
mod stored;
mod transceiver;
mod verify;
mod write;

use std::sync::Arc;

use rand::{Rng, RngExt};

pub use build::LocalTransport;
pub use model::{
    Description, ExtensionMapping, IceParameters, Media, Msid, Rid, Section, Setup, SsrcAttribute,
    SsrcGroup, TransportAttributes,
};
pub use state::next_state;
pub use transceiver::{Association, MediaParameters, StreamSsrcs, Transceiver};

use crate::codec::{Capabilities, Codec};
use crate::config::BundlePolicy;
use crate::error::Error;
use crate::limits::{MAX_MSID_ID, MAX_TRANSCEIVERS};
use crate::parameters::{Encoding, TransceiverInit};
use crate::types::{
    Direction, DtlsRole, Kind, SdpType, SessionDescription, SignalingState, TransceiverId,
};
use numbering::Retired;
use stored::Stored;
use transceiver::Stop;

/// What negotiation is configured with.
#[derive(Debug, Clone)]
pub struct JsepConfig {
    /// Codecs and extensions.
    pub capabilities: Arc<Capabilities>,
    /// Which sections of an offer have transport attributes.
    pub bundle_policy: BundlePolicy,
    /// `a=ice-lite` of ours.
    pub ice_lite: bool,
    /// `a=max-message-size` of ours.
    pub max_message_size: usize,
}

/// What applying a description means for the application and for media.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The signalling state is another.
    State(SignalingState),
    /// The far side sends on this transceiver from now on.
    TrackAdded {
        /// The transceiver.
        transceiver: TransceiverId,
        /// Its kind.
        kind: Kind,
        /// Stream ids.
        streams: Vec<String>,
        /// Track id.
        track: Option<String>,
    },
    /// The far side no longer sends.
    TrackRemoved(TransceiverId),
    /// Stopped for good.
    Stopped(TransceiverId),
    /// Parameters or direction of media are other than before: ask the transceivers.
    Media,
    /// The answer refuses the data section of our offer. [`want_data`](Jsep::want_data) asks for another.
    DataRefused,
}

/// What `create_offer` or `create_answer` returned last.
#[derive(Debug, Clone)]
struct Created {
    text: String,
    description: Description,
    /// Of an offer: which transceiver a section without association was made for.
    mapping: Vec<(TransceiverId, usize, String)>,
}

/// The signalling state machine.
#[derive(Debug, Clone)]
pub struct Jsep {
    config: JsepConfig,
    state: SignalingState,
    session_id: u64,
    version: u64,
    cname: String,
    identity: Option<String>,
    transceivers: Vec<Transceiver>,
    next_transceiver: u32,
    next_mid: u32,
    data_wanted: bool,
    restart_wanted: bool,
    current_local: Option<Box<Stored>>,
    pending_local: Option<Box<Stored>>,
    current_remote: Option<Box<Stored>>,
    pending_remote: Option<Box<Stored>>,
    /// Our DTLS role in the association that the current descriptions are about.
    association_role: Option<DtlsRole>,
    last_offer: Option<Box<Created>>,
    last_answer: Option<Box<Created>>,
    retired: Retired,
}

impl Jsep {
    /// A machine in `stable`, without transceivers.
    pub fn new(config: JsepConfig, rng: &mut impl Rng) -> Self {
        Jsep {
            config,
            state: SignalingState::Stable,
            // RFC 9429 §5.2.1: 63 random bits.
            session_id: rng.random::<u64>() >> 1,
            version: 0,
            cname: random_token(rng, 16),
            identity: None,
            transceivers: Vec::new(),
            next_transceiver: 0,
            next_mid: 0,
            data_wanted: false,
            restart_wanted: false,
            current_local: None,
            pending_local: None,
            current_remote: None,
            pending_remote: None,
            association_role: None,
            last_offer: None,
            last_answer: None,
            retired: Retired::default(),
        }
    }

    /// The signalling state.
    pub fn state(&self) -> SignalingState {
        self.state
    }

    /// The CNAME of all that we send (RFC 7022 short-term).
    pub fn cname(&self) -> &str {
        &self.cname
    }

    /// The transceivers in order of their making.
    pub fn transceivers(&self) -> &[Transceiver] {
        &self.transceivers
    }

    /// One transceiver.
    pub fn transceiver(&self, id: TransceiverId) -> Option<&Transceiver> {
        self.transceivers.iter().find(|t| t.id == id)
    }

    fn transceiver_mut(&mut self, id: TransceiverId) -> Result<&mut Transceiver, Error> {
        if self.state == SignalingState::Closed {
            return Err(Error::Closed);
        }
        self.transceivers
            .iter_mut()
            .find(|t| t.id == id)
            .ok_or(Error::NoTransceiver(id))
    }

    /// Adds a transceiver (W3C §5.1, addTransceiver).
    ///
    /// # Errors
    /// Encodings that break a rule, ids that `a=msid` can't have, too many transceivers, closed.
    pub fn add_transceiver(
        &mut self,
        kind: Kind,
        init: TransceiverInit,
        rng: &mut impl Rng,
    ) -> Result<TransceiverId, Error> {
        if self.state == SignalingState::Closed {
            return Err(Error::Closed);
        }
        check_ids(init.track.as_deref(), &init.streams)?;
        let known = self.config.capabilities.codecs(kind);
        let encodings = encodings::admit(kind, init.send_encodings, known)?;
        if self.transceivers.len() >= MAX_TRANSCEIVERS {
            return Err(Error::TooManyTransceivers);
        }
        let id = self.push_transceiver(kind, init.direction, encodings, rng);
        if let Some(t) = self.transceivers.last_mut() {
            t.streams = each_once(init.streams);
            t.track = init.track;
        }
        Ok(id)
    }

    fn push_transceiver(
        &mut self,
        kind: Kind,
        direction: Direction,
        encodings: Vec<Encoding>,
        rng: &mut impl Rng,
    ) -> TransceiverId {
        let id = TransceiverId(self.next_transceiver);
        self.next_transceiver += 1;
        self.transceivers
            .push(Transceiver::new(id, kind, direction, encodings, rng));
        id
    }

    /// Adds a track to send (W3C §5.1, addTrack): on a transceiver that never sent and has no track, or on a new one.
    ///
    /// # Errors
    /// The track is sent already, ids that `a=msid` can't have, too many transceivers, closed.
    pub fn add_track(
        &mut self,
        kind: Kind,
        track: &str,
        streams: Vec<String>,
        rng: &mut impl Rng,
    ) -> Result<TransceiverId, Error> {
        if self.state == SignalingState::Closed {
            return Err(Error::Closed);
        }
        check_ids(Some(track), &streams)?;
        if self
            .transceivers
            .iter()
            .any(|t| t.stop != Stop::Stopped && t.track.as_deref() == Some(track))
        {
            return Err(Error::TrackAlreadySent);
        }
        let reusable = self.transceivers.iter_mut().find(|t| {
            t.kind == kind && t.track.is_none() && t.stop == Stop::Running && !t.has_sent
        });
        let t = match reusable {
            Some(t) => t,
            None => {
                if self.transceivers.len() >= MAX_TRANSCEIVERS {
                    return Err(Error::TooManyTransceivers);
                }
                let encodings = encodings::admit(kind, Vec::new(), &[])?;
                self.push_transceiver(kind, Direction::RecvOnly, encodings, rng);
                match self.transceivers.last_mut() {
                    Some(t) => t,
                    None => return Err(Error::TooManyTransceivers),
                }
            }
        };
        t.direction = Direction::new(true, t.direction.receives());
        t.streams = each_once(streams);
        t.track = Some(track.to_owned());
        t.silent = false;
        t.from_add_track = true;
        Ok(t.id)
    }

    /// Stops sending the track of a transceiver (W3C §5.1, removeTrack).
    ///
    /// # Errors
    /// No such transceiver, closed.
    pub fn remove_track(&mut self, id: TransceiverId) -> Result<(), Error> {
        let t = self.transceiver_mut(id)?;
        if t.stop == Stop::Running && t.track.take().is_some() {
            t.direction = Direction::new(false, t.direction.receives());
            t.silent = true;
        }
        Ok(())
    }

    /// Changes or takes away the sender's track without negotiation (W3C §5.2, replaceTrack).
    ///
    /// # Errors
    /// An id that `a=msid` can't have, no such transceiver, stopped, closed.
    pub fn replace_track(&mut self, id: TransceiverId, track: Option<String>) -> Result<(), Error> {
        check_ids(track.as_deref(), &[])?;
        let t = self.transceiver_mut(id)?;
        if t.stop != Stop::Running {
            return Err(Error::TransceiverStopped(id));
        }
        t.silent = track.is_none();
        t.track = track;
        Ok(())
    }

    /// Sets the wanted direction (W3C §5.4).
    ///
    /// # Errors
    /// No such transceiver, stopped, closed.
    pub fn set_direction(&mut self, id: TransceiverId, direction: Direction) -> Result<(), Error> {
        let t = self.transceiver_mut(id)?;
        if t.stop != Stop::Running {
            return Err(Error::TransceiverStopped(id));
        }
        t.direction = direction;
        Ok(())
    }

    /// Sets the sender's stream ids (W3C §5.2, setStreams).
    ///
    /// # Errors
    /// Ids that `a=msid` can't have, no such transceiver, closed.
    pub fn set_streams(&mut self, id: TransceiverId, streams: Vec<String>) -> Result<(), Error> {
        check_ids(None, &streams)?;
        self.transceiver_mut(id)?.streams = each_once(streams);
        Ok(())
    }

    /// Replaces the encodings by ones with the same rids in the same order (W3C §5.2, setParameters).
    ///
    /// # Errors
    /// Rids or their number changed, a codec or scalability mode that can't be sent, a number out of its range.
    pub fn set_encodings(
        &mut self,
        id: TransceiverId,
        encodings: Vec<Encoding>,
    ) -> Result<(), Error> {
        let capabilities = self.config.capabilities.clone();
        let t = self.transceiver_mut(id)?;
        if t.stop != Stop::Running {
            return Err(Error::TransceiverStopped(id));
        }
        let negotiated = t.negotiated.as_ref().map(|n| &n.send_codecs[..]);
        t.encodings = encodings::change(
            t.kind,
            &t.encodings,
            encodings,
            negotiated.unwrap_or_default(),
            capabilities.codecs(t.kind),
        )?;
        Ok(())
    }

    /// Sets codec preferences (W3C §5.4.2.4); an empty list takes them away.
    ///
    /// # Errors
    /// A codec that is none of the capabilities, or no media codec in the list.
    pub fn set_codec_preferences(
        &mut self,
        id: TransceiverId,
        codecs: Vec<Codec>,
    ) -> Result<(), Error> {
        let capabilities = self.config.capabilities.clone();
        let t = self.transceiver_mut(id)?;
        let known = capabilities.codecs(t.kind);
        let supported = codecs
            .iter()
            .all(|c| c.is_rtx() || known.iter().any(|k| k.matches(c)));
        if !codecs.is_empty() && (!supported || !codecs.iter().any(Codec::is_media)) {
            return Err(Error::CodecPreferences);
        }
        t.codec_preferences = Vec::with_capacity(codecs.len());
        for codec in codecs {
            if !t.codec_preferences.contains(&codec) {
                t.codec_preferences.push(codec);
            }
        }
        Ok(())
    }

    /// `stop` of a transceiver (W3C §5.4): neither sends nor receives; its section is refused in the next exchange.
    ///
    /// # Errors
    /// No such transceiver, closed.
    pub fn stop(&mut self, id: TransceiverId) -> Result<(), Error> {
        let t = self.transceiver_mut(id)?;
        if t.stop == Stop::Running {
            t.stop = if t.association.is_none() {
                Stop::Stopped
            } else {
                Stop::Stopping
            };
            t.direction = Direction::Inactive;
        }
        Ok(())
    }

    /// A data channel was made: offers get a data section, until an answer refuses it.
    pub fn want_data(&mut self) {
        self.data_wanted = true;
    }

    /// The next offer restarts ICE (W3C §4.4.2, restartIce).
    pub fn want_restart(&mut self) {
        self.restart_wanted = self.current_local.is_some() || self.pending_local.is_some();
    }

    /// Whether the next offer is to restart ICE.
    pub fn restart_wanted(&self) -> bool {
        self.restart_wanted
    }

    /// `a=identity` of ours in descriptions from now on (RFC 8827 §5).
    pub fn set_identity(&mut self, identity: Option<String>) {
        self.identity = identity;
    }

    /// `a=identity` of ours.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Keeps the descriptions agreed on as text alone; they are read again when something asks for them. For a time
    /// in which nothing is negotiated: a model takes several times the room of its text.
    pub fn rest(&mut self) {
        for stored in [&mut self.current_local, &mut self.current_remote]
            .into_iter()
            .flatten()
        {
            stored.rest();
        }
        self.transceivers.shrink_to_fit();
        self.retired.shrink();
    }

    /// `close`.
    pub fn close(&mut self) {
        self.state = SignalingState::Closed;
        for t in &mut self.transceivers {
            t.stop = Stop::Stopped;
            t.direction = Direction::Inactive;
            t.current_direction = None;
        }
    }

    /// The local description in force: pending, else current.
    pub fn local(&self) -> Option<&Description> {
        self.pending_local
            .as_ref()
            .or(self.current_local.as_ref())
            .map(|s| s.description())
    }

    /// The local description that is not agreed on yet.
    pub fn pending_local(&self) -> Option<&Description> {
        self.pending_local.as_ref().map(|s| s.description())
    }

    /// The remote description in force: pending, else current.
    pub fn remote(&self) -> Option<&Description> {
        self.pending_remote
            .as_ref()
            .or(self.current_remote.as_ref())
            .map(|s| s.description())
    }

    /// The remote description that was agreed last.
    pub fn current_remote(&self) -> Option<&Description> {
        self.current_remote.as_ref().map(|s| s.description())
    }

    /// The local description that was agreed last.
    pub fn current_local(&self) -> Option<&Description> {
        self.current_local.as_ref().map(|s| s.description())
    }

    /// Whether the pending remote offer restarts ICE (RFC 9429 §5.10), so that an answer needs new credentials.
    pub fn remote_restarts(&self) -> bool {
        let ice = |s: &Option<Box<Stored>>| {
            s.as_ref()
                .and_then(|s| s.description().transport_section())
                .and_then(|(_, s)| s.transport.ice.clone())
        };
        match (ice(&self.current_remote), ice(&self.pending_remote)) {
            (Some(current), Some(pending)) => current != pending,
            _ => false,
        }
    }

    /// The text of a local description, with candidates.
    pub fn local_text(
        &self,
        pending: bool,
        candidates: &[String],
        end_of_candidates: bool,
    ) -> Option<SessionDescription> {
        let stored = if pending {
            &self.pending_local
        } else {
            &self.current_local
        }
        .as_ref()?;
        let text = write::to_text(stored.description(), candidates, end_of_candidates);
        Some(SessionDescription::new(stored.type_, text))
    }

    /// The text of a remote description, with the candidates added since.
    pub fn remote_text(&self, pending: bool) -> Option<SessionDescription> {
        let stored = if pending {
            &self.pending_remote
        } else {
            &self.current_remote
        }
        .as_ref()?;
        Some(SessionDescription::new(
            stored.type_,
            read::with_candidates(stored.text(), &stored.trickled),
        ))
    }

    /// Notes a trickled remote candidate for `remote_text`.
    pub(crate) fn note_candidate(&mut self, index: usize, candidate: &str) {
        for stored in [&mut self.pending_remote, &mut self.current_remote]
            .into_iter()
            .flatten()
        {
            if stored.trickled.len() < crate::limits::MAX_REMOTE_CANDIDATES {
                stored.trickled.push((index, candidate.to_owned()));
            }
        }
    }

    /// Our DTLS role, by the answer that began the association; `None` before.
    pub fn dtls_role(&self) -> Option<DtlsRole> {
        let agreed = agreed_role(
            self.pending_local.as_deref(),
            self.pending_remote.as_deref(),
        );
        let (Some(agreed), Some(kept)) = (agreed, self.association_role) else {
            return agreed.or(self.association_role);
        };
        let [before, now] = [&self.current_remote, &self.pending_remote].map(|stored| {
            stored
                .as_ref()
                .and_then(|s| s.description().transport_section())
                .map(|(_, section)| section)
        });
        match before.zip(now) {
            Some((before, now)) if verify::continues(before, now) => Some(kept),
            _ => Some(agreed),
        }
    }
}

/// Our DTLS role by an answer and its offer.
fn agreed_role(local: Option<&Stored>, remote: Option<&Stored>) -> Option<DtlsRole> {
    let (local, remote) = (local?, remote?);
    let answer_is_local = local.type_ != SdpType::Offer;
    let answer = if answer_is_local { local } else { remote };
    let (_, section) = answer.description().transport_section()?;
    let role = match section.transport.setup {
        Some(Setup::Active) => DtlsRole::Client,
        Some(Setup::Passive) => DtlsRole::Server,
        _ => return None,
    };
    Some(match (answer_is_local, role) {
        (true, role) => role,
        (false, DtlsRole::Client) => DtlsRole::Server,
        (false, DtlsRole::Server) => DtlsRole::Client,
    })
}

/// The `a=identity` value of a description.
///
/// # Errors
/// No SDP.
pub(crate) fn identity_of(sdp: &str) -> Result<Option<String>, Error> {
    Ok(read::parse(sdp)?.identity)
}

/// Characters for cnames and ids: all that RFC 8866's `token` and ICE's `ice-char` share.
const TOKEN: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A random text of letters and digits: six bits of randomness a character, nearly.
pub(crate) fn random_token(rng: &mut impl Rng, len: usize) -> String {
    (0..len)
        .map(|_| {
            char::from(
                TOKEN
                    .get(rng.random_range(0..TOKEN.len()))
                    .copied()
                    .unwrap_or(b'x'),
            )
        })
        .collect()
}

/// Ids for `a=msid`, and no stream `-`, which is none (RFC 9429 §5.2.1). RFC 8830 §2 has 1 to 64 characters of a token;
/// others write more than that, and what they write is sent on: refused is what would be read as something else.
fn check_ids(track: Option<&str>, streams: &[String]) -> Result<(), Error> {
    let breaks = |b: u8| b <= b' ' || b == 0x7f;
    let fits = |id: &str| (1..=MAX_MSID_ID).contains(&id.len()) && !id.bytes().any(breaks);
    if track.is_none_or(fits) && streams.iter().all(|id| id != "-" && fits(id)) {
        Ok(())
    } else {
        Err(Error::MsidToken)
    }
}

/// The ids of streams, none twice.
fn each_once(streams: Vec<String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::with_capacity(streams.len());
    for stream in streams {
        if !once.contains(&stream) {
            once.push(stream);
        }
    }
    once
}
