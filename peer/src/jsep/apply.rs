//! What a description does to transceivers (RFC 9429 §5.5–§5.7, §5.9–§5.11; W3C §4.4.1.4).

use std::sync::Arc;

use rand::Rng;

use super::model::{Description, Media, Section};
use super::transceiver::{Association, MediaParameters, Stop};
use super::{Change, Jsep, Stored};
use crate::error::{Error, Side};
use crate::types::{Direction, SdpType, SessionDescription, SignalingState};

impl Jsep {
    /// Applies a local description that was created before (`None`: the one that the state asks for must have been created).
    ///
    /// # Errors
    /// Wrong state, or not what was created last; nothing has changed.
    pub fn set_local(&mut self, type_: SdpType, sdp: &str) -> Result<Vec<Change>, Error> {
        if self.state == SignalingState::Closed {
            return Err(Error::Closed);
        }
        let next = super::next_state(self.state, Side::Local, type_).ok_or(
            Error::WrongSignalingState {
                state: self.state,
                description: type_,
                side: Side::Local,
            },
        )?;
        if type_ == SdpType::Rollback {
            return Ok(self.rollback());
        }
        let created = if type_ == SdpType::Offer {
            &self.last_offer
        } else {
            &self.last_answer
        };
        // W3C §4.4.2: an empty text means the last created.
        let created = created
            .as_ref()
            .filter(|c| sdp.is_empty() || c.text == sdp)
            .ok_or(Error::DescriptionAltered)?;
        let description = created.description.clone();
        let before = self.state;
        let mut changes = Vec::new();
        if type_ == SdpType::Offer {
            if before == SignalingState::Stable {
                self.transceivers.iter_mut().for_each(|t| t.save_stable());
            }
            let mapping = self.offer_mapping().to_vec();
            for (id, index, mid) in mapping {
                for t in &mut self.transceivers {
                    if t.id == id {
                        t.association = Some(Association {
                            mid: mid.clone(),
                            index,
                        });
                    } else if t.index() == Some(index) {
                        // The section is recycled: whoever had it is stopped.
                        t.association = None;
                    }
                }
            }
        }
        let stored = Some(Box::new(Stored::ours(type_, description)));
        self.install(Side::Local, type_, next, stored, &mut changes);
        Ok(changes)
    }

    /// Applies a remote description.
    ///
    /// # Errors
    /// Wrong state, SDP syntax, a rule broken; nothing has changed.
    pub fn set_remote(
        &mut self,
        description: &SessionDescription,
        rng: &mut impl Rng,
    ) -> Result<Vec<Change>, Error> {
        if self.state == SignalingState::Closed {
            return Err(Error::Closed);
        }
        let type_ = description.type_;
        let mut state = self.state;
        // W3C §4.4.2: an offer that meets ours rolls ours back.
        let glare = type_ == SdpType::Offer && state == SignalingState::HaveLocalOffer;
        if glare {
            state = SignalingState::Stable;
        }
        let next =
            super::next_state(state, Side::Remote, type_).ok_or(Error::WrongSignalingState {
                state,
                description: type_,
                side: Side::Remote,
            })?;
        if type_ == SdpType::Rollback {
            return Ok(self.rollback());
        }
        let parsed = super::read::parse(&description.sdp)?;
        self.verify_remote(type_, &parsed)?;
        if type_ == SdpType::Offer {
            self.has_room_for(&parsed, glare)?;
        }
        let mut changes = Vec::new();
        if glare {
            changes.extend(self.rollback());
        }
        if type_ == SdpType::Offer {
            if self.state == SignalingState::Stable {
                self.transceivers.iter_mut().for_each(|t| t.save_stable());
            }
            self.associate_remote_offer(&parsed, rng)?;
            // What answers the offer before this one does not answer this one.
            self.last_answer = None;
        }
        let remote_tracks = self.remote_track_changes(type_, &parsed);
        let stored = Some(Box::new(Stored::theirs(type_, parsed, &description.sdp)));
        self.install(Side::Remote, type_, next, stored, &mut changes);
        changes.extend(remote_tracks);
        Ok(changes)
    }

    /// Stores a description and moves to the next state; an answer makes the pair current.
    fn install(
        &mut self,
        side: Side,
        type_: SdpType,
        next: SignalingState,
        stored: Option<Box<Stored>>,
        changes: &mut Vec<Change>,
    ) {
        let at = changes.len();
        let replaced = match side {
            Side::Local => core::mem::replace(&mut self.pending_local, stored),
            Side::Remote => core::mem::replace(&mut self.pending_remote, stored),
        };
        if type_ != SdpType::Offer {
            self.apply_answer(side, type_, changes);
        }
        let mut past = vec![(replaced, side == Side::Remote)];
        if type_ == SdpType::Answer {
            self.association_role = self.dtls_role();
            let local = core::mem::replace(&mut self.current_local, self.pending_local.take());
            let remote = core::mem::replace(&mut self.current_remote, self.pending_remote.take());
            past.extend([(local, true), (remote, true)]);
            self.last_offer = None;
            self.last_answer = None;
            for t in &mut self.transceivers {
                t.stable = None;
                t.from_pending_offer = false;
            }
            self.drop_stopped(changes);
        }
        self.retire(past);
        if self.state != next {
            self.state = next;
            changes.insert(at, Change::State(next));
        }
    }

    /// Remembers the numbers of descriptions that are past, as far as those in force don't have them.
    fn retire(&mut self, past: impl IntoIterator<Item = (Option<Box<Stored>>, bool)>) {
        let mut any = false;
        for (stored, heard) in past {
            if let Some(stored) = stored {
                self.retired.note(stored.description(), heard);
                any = true;
            }
        }
        if !any {
            return;
        }
        for stored in [&self.current_local, &self.current_remote]
            .into_iter()
            .flatten()
        {
            self.retired.forget(stored.description());
        }
    }

    /// Whether there can be a transceiver for each section of a remote offer. What an offer of ours has associated goes
    /// with it where it is rolled back.
    fn has_room_for(&self, offer: &Description, glare: bool) -> Result<(), Error> {
        let associated = |index: usize, mid: Option<&String>| {
            self.transceivers.iter().any(|t| {
                let association = match (&t.stable, glare) {
                    (stable, true) => stable.as_ref().and_then(|s| s.association.as_ref()),
                    (_, false) => t.association.as_ref(),
                };
                association.is_some_and(|a| a.index == index && mid.is_none_or(|mid| *mid == a.mid))
            })
        };
        let sections = offer.sections.iter().enumerate();
        let new = sections
            .filter(|(_, s)| matches!(s.media, Media::Rtp(_)) && !s.rejected)
            .filter(|(index, s)| !associated(*index, s.mid.as_ref()));
        if self.transceivers.len() + new.count() > crate::limits::MAX_TRANSCEIVERS {
            return Err(Error::TooManyTransceivers);
        }
        Ok(())
    }

    /// RFC 9429 §5.10: every RTP section of a remote offer gets a transceiver.
    fn associate_remote_offer(
        &mut self,
        offer: &Description,
        rng: &mut impl Rng,
    ) -> Result<(), Error> {
        for (index, section) in offer.sections.iter().enumerate() {
            // The section was recycled by the far side: whoever had it is stopped and goes. One that is refused, or has no
            // mid, is the same still.
            let mid = section.mid.as_deref().filter(|_| !section.rejected);
            for t in &mut self.transceivers {
                if t.index() == Some(index) && mid.is_some_and(|mid| t.mid() != Some(mid)) {
                    t.recycle();
                }
            }
            let Media::Rtp(kind) = section.media else {
                continue;
            };
            // W3C §4.4.1.4: simulcast that is asked for gives the encodings their rids.
            let proposed = super::encodings::proposed(kind, &section.simulcast_recv);
            let associated = self
                .transceivers
                .iter_mut()
                .find(|t| t.index() == Some(index));
            if let Some(t) = associated {
                if !section.rejected {
                    t.promote(proposed, rng);
                }
                continue;
            }
            if section.rejected {
                continue;
            }
            // `sendrecv` or `recvonly` there: something of ours may be sent.
            let found = self.transceivers.iter().position(|t| {
                section.direction.receives()
                    && t.kind == kind
                    && t.from_add_track
                    && t.association.is_none()
                    && t.stop == Stop::Running
            });
            let at = match found {
                Some(at) => at,
                None => {
                    if self.transceivers.len() >= crate::limits::MAX_TRANSCEIVERS {
                        return Err(Error::TooManyTransceivers);
                    }
                    let encodings = super::encodings::admit(kind, Vec::new(), &[])?;
                    self.push_transceiver(kind, Direction::RecvOnly, encodings, rng);
                    self.transceivers.len() - 1
                }
            };
            let Some(t) = self.transceivers.get_mut(at) else {
                continue;
            };
            t.promote(proposed, rng);
            t.from_remote |= found.is_none();
            t.from_pending_offer = found.is_none();
            let mid = section.mid.clone().unwrap_or_else(|| format!("m{index}"));
            t.association = Some(Association { mid, index });
        }
        Ok(())
    }

    /// Tracks that come and go with a remote description (W3C §5.1.1).
    fn remote_track_changes(&mut self, type_: SdpType, description: &Description) -> Vec<Change> {
        let mut changes = Vec::new();
        for (index, section) in description.sections.iter().enumerate() {
            let Some(t) = self
                .transceivers
                .iter_mut()
                .find(|t| t.index() == Some(index))
            else {
                continue;
            };
            // From our point of view; a refused section and a stopped transceiver receive nothing.
            let mut direction = if section.rejected {
                Direction::Inactive
            } else {
                section.direction.reversed()
            };
            if t.stop == Stop::Stopped {
                direction = Direction::Inactive;
            }
            if type_ != SdpType::Offer {
                direction = direction
                    .intersection(t.direction_offered(self.pending_local.as_deref(), index));
            }
            let fired = t.fired_direction.is_some_and(Direction::receives);
            t.remote_msids.clone_from(&section.msids);
            if direction.receives() && !fired {
                changes.push(Change::TrackAdded {
                    transceiver: t.id,
                    kind: t.kind,
                    streams: section
                        .msids
                        .iter()
                        .map(|m| m.stream.clone())
                        .filter(|s| s != "-")
                        .collect(),
                    track: section.msids.iter().find_map(|m| m.track.clone()),
                });
            } else if !direction.receives() && fired {
                changes.push(Change::TrackRemoved(t.id));
            }
            t.fired_direction = Some(direction);
        }
        changes
    }

    /// RFC 9429 §5.11.
    fn apply_answer(&mut self, side: Side, type_: SdpType, changes: &mut Vec<Change>) {
        let (Some(local), Some(remote)) =
            (self.pending_local.as_ref(), self.pending_remote.as_ref())
        else {
            return;
        };
        let (local, remote) = (local.description(), remote.description());
        let answer = if side == Side::Local { local } else { remote };
        let offer_restarts = {
            let ice = |d: Option<&Description>| {
                d.and_then(Description::transport_section)
                    .and_then(|(_, s)| s.transport.ice.clone())
            };
            let before = ice(self.current_local.as_ref().map(|s| s.description()));
            before.is_some() && before != ice(Some(local))
        };
        changes.push(Change::Media);
        let data_refused = type_ == SdpType::Answer
            && local.data_section().is_some()
            && remote.data_section().is_none();
        if data_refused {
            changes.push(Change::DataRefused);
        }
        for (index, answered) in answer.sections.iter().enumerate() {
            let Some(t) = self
                .transceivers
                .iter_mut()
                .find(|t| t.index() == Some(index))
            else {
                continue;
            };
            if answered.rejected {
                if type_ == SdpType::Answer && t.stop != Stop::Stopped {
                    t.stop = Stop::Stopped;
                }
                t.current_direction = None;
                t.negotiated = None;
                continue;
            }
            let (Some(ours), Some(theirs)) =
                (local.sections.get(index), remote.sections.get(index))
            else {
                continue;
            };
            let direction = if side == Side::Local {
                answered.direction
            } else {
                answered.direction.reversed()
            };
            t.current_direction = Some(direction);
            t.has_sent |= direction.sends();
            if side == Side::Local {
                let received = t.fired_direction.is_some_and(Direction::receives);
                if !direction.receives() && received {
                    changes.push(Change::TrackRemoved(t.id));
                    t.fired_direction = Some(direction);
                }
            }
            let parameters = media_parameters(ours, theirs, direction);
            // What an answer of ours leaves out while nothing is sent can come back, and an answer to an offer of ours that
            // had no layers, as while the sender is on hold, does not refuse them.
            let asked = match side {
                Side::Local => direction.sends(),
                Side::Remote => ours.rids.iter().any(|r| r.send),
            };
            if t.encodings.len() > 1 && asked {
                t.narrow(&parameters.send_rids);
            }
            if type_ == SdpType::Answer {
                super::encodings::forget_codecs(&mut t.encodings, &parameters.send_codecs);
            }
            if t.negotiated.as_deref() != Some(&parameters) {
                t.negotiated = Some(Arc::new(parameters));
            }
        }
        if type_ == SdpType::Answer && offer_restarts {
            self.restart_wanted = false;
        }
        // The next channel that is made asks again.
        self.data_wanted &= !data_refused;
    }

    /// W3C §4.4.1.4 step 13: stopped transceivers whose section is refused leave the set.
    fn drop_stopped(&mut self, changes: &mut Vec<Change>) {
        let refused = |index: usize| {
            [&self.current_local, &self.current_remote]
                .into_iter()
                .flatten()
                .any(|s| {
                    s.description()
                        .sections
                        .get(index)
                        .is_none_or(|s| s.rejected)
                })
        };
        let mut gone = Vec::new();
        for t in &self.transceivers {
            let leaves = t.stop == Stop::Stopped && t.index().is_none_or(refused);
            if leaves {
                gone.push(t.id);
                if t.fired_direction.is_some_and(Direction::receives) {
                    changes.push(Change::TrackRemoved(t.id));
                }
                changes.push(Change::Stopped(t.id));
            }
        }
        self.transceivers.retain(|t| !gone.contains(&t.id));
    }

    /// RFC 9429 §5.7: back to the last stable state.
    pub(super) fn rollback(&mut self) -> Vec<Change> {
        let remote = self.state == SignalingState::HaveRemoteOffer;
        let mut changes = vec![Change::State(SignalingState::Stable), Change::Media];
        let (ours, theirs) = (self.pending_local.take(), self.pending_remote.take());
        self.retire([(ours, false), (theirs, true)]);
        self.last_answer = None;
        self.state = SignalingState::Stable;
        let mut gone = Vec::new();
        for t in &mut self.transceivers {
            t.restore_stable();
            if remote {
                let receives = t.current_direction.is_some_and(Direction::receives);
                let fired = t.fired_direction.is_some_and(Direction::receives);
                if fired && !receives {
                    changes.push(Change::TrackRemoved(t.id));
                } else if receives && !fired {
                    changes.push(Change::TrackAdded {
                        transceiver: t.id,
                        kind: t.kind,
                        streams: t
                            .remote_msids
                            .iter()
                            .map(|m| m.stream.clone())
                            .filter(|s| s != "-")
                            .collect(),
                        track: t.remote_msids.iter().find_map(|m| m.track.clone()),
                    });
                }
                t.fired_direction = t.current_direction;
            }
            if t.stop == Stop::Stopping && t.association.is_none() {
                // No section to be refused is left.
                t.stop = Stop::Stopped;
                gone.push(t.id);
                changes.push(Change::Stopped(t.id));
            } else if t.from_pending_offer {
                t.from_pending_offer = false;
                if !t.from_add_track {
                    t.stop = Stop::Stopped;
                    gone.push(t.id);
                    changes.push(Change::Stopped(t.id));
                }
            }
        }
        self.transceivers.retain(|t| !gone.contains(&t.id));
        changes
    }
}

impl super::Transceiver {
    /// A lone encoding without rid becomes those of the simulcast that is asked for.
    fn promote(&mut self, proposed: Vec<crate::parameters::Encoding>, rng: &mut impl Rng) {
        let lone = self.encodings.len() == 1 && self.encodings.iter().all(|e| e.rid.is_none());
        if lone && !proposed.is_empty() {
            self.replace_encodings(proposed, rng);
        }
    }

    /// The direction that our pending offer has for this section.
    fn direction_offered(&self, offer: Option<&Stored>, index: usize) -> Direction {
        offer
            .and_then(|s| s.description().sections.get(index))
            .map_or(Direction::SendRecv, |s| {
                if s.rejected {
                    Direction::Inactive
                } else {
                    s.direction
                }
            })
    }
}

/// What two sections agree on.
fn media_parameters(local: &Section, remote: &Section, direction: Direction) -> MediaParameters {
    let common = |from: &Section, other: &Section| {
        let counterpart = |c: &crate::codec::Codec| {
            other
                .codecs
                .iter()
                .find(|o| o.matches(c) || (o.payload_type == c.payload_type && o.same_encoding(c)))
        };
        let primary = |c: &crate::codec::Codec| counterpart(c).is_some();
        let mut list: Vec<crate::codec::Codec> = Vec::with_capacity(from.codecs.len());
        for codec in &from.codecs {
            let taken = match codec.apt() {
                Some(apt) => {
                    from.codec(apt).is_some_and(primary)
                        && other.codecs.iter().any(crate::codec::Codec::is_rtx)
                }
                None => primary(codec),
            };
            if taken {
                let mut codec = codec.clone();
                if let Some(theirs) = counterpart(&codec) {
                    // RFC 4585 §4.2: what one of both does not know is not to be sent.
                    codec.feedback.retain(|f| theirs.has_feedback(f));
                }
                list.push(codec);
            }
        }
        list
    };
    MediaParameters {
        mid: local
            .mid
            .clone()
            .or_else(|| remote.mid.clone())
            .unwrap_or_default(),
        kind: local
            .kind()
            .or(remote.kind())
            .unwrap_or(crate::types::Kind::Video),
        send_codecs: common(remote, local),
        receive_codecs: common(local, remote),
        extensions: local
            .extensions
            .iter()
            .filter(|l| {
                remote
                    .extensions
                    .iter()
                    .any(|r| r.uri == l.uri && r.id == l.id)
            })
            .cloned()
            .collect(),
        remote_ssrcs: remote.ssrcs.iter().map(|s| s.ssrc).collect(),
        remote_groups: remote.ssrc_groups.clone(),
        remote_rids: if local.simulcast_recv.is_empty() {
            remote
                .rids
                .iter()
                .filter(|r| r.send)
                .map(|r| r.id.clone())
                .collect()
        } else {
            local.simulcast_recv.clone()
        },
        send_rids: if remote.simulcast_recv.is_empty() {
            local
                .rids
                .iter()
                .filter(|l| l.send && remote.rids.iter().any(|r| !r.send && r.id == l.id))
                .map(|r| r.id.clone())
                .collect()
        } else {
            local
                .simulcast_send
                .iter()
                .filter(|id| remote.simulcast_recv.contains(id))
                .cloned()
                .collect()
        },
        reduced_size: local.rtcp_rsize && remote.rtcp_rsize,
        max_ptime: remote.max_ptime,
        max_bitrate: remote.bandwidth,
        direction,
    }
}
