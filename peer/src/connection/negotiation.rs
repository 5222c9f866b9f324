//! Descriptions and candidates: W3C §4.4.2 on top of [`jsep`](crate::jsep), and what they mean for the transport.

use std::time::Instant;

use rand::rngs::StdRng;
use tincan_ice as ice;

use super::channels::Association;
use super::transport::Plan;
use super::{PeerConnection, ntp_epoch};
use crate::error::Error;
use crate::event::Event;
use crate::jsep::{Change, IceParameters, LocalTransport, Media as SectionMedia};
use crate::limits::MAX_REMOTE_CANDIDATES;
use crate::media::Media;
use crate::types::{
    AnswerOptions, IceCandidate, IceCandidateInit, IceGatheringState, LocalAddress, OfferOptions,
    PeerConnectionState, SdpType, SessionDescription, SignalingState,
};

/// What signalling has gathered and what it waits for.
pub(super) struct Signalling {
    tls_id: String,
    /// Credentials that a restart will have, once told in a description.
    next: Option<ice::Credentials>,
    /// Gathered candidates of the current generation, as `a=candidate` values.
    pub(super) candidates: Vec<String>,
    pub(super) gathered: bool,
    /// Candidates of ours that wait for a local description to be told.
    gathering_begun: bool,
    /// The remote credentials that the agent has.
    applied: Option<IceParameters>,
    /// Remote candidates for credentials that the agent does not have yet.
    waiting: Vec<Trickled>,
    role_decided: bool,
    /// Names that stand for addresses of ours.
    names: Vec<(std::net::IpAddr, ice::MdnsName)>,
}

struct Trickled {
    ufrag: Option<String>,
    /// `None`: end of candidates.
    candidate: Option<ice::Candidate>,
}

impl Signalling {
    pub(super) fn shrink(&mut self) {
        self.candidates.shrink_to_fit();
        self.waiting.shrink_to_fit();
    }

    pub(super) fn new(rng: &mut StdRng) -> Self {
        Signalling {
            // RFC 8842 §5: at least 20 characters.
            tls_id: crate::jsep::random_token(rng, 24),
            next: None,
            candidates: Vec::new(),
            gathered: false,
            gathering_begun: false,
            applied: None,
            waiting: Vec::new(),
            role_decided: false,
            names: Vec::new(),
        }
    }
}

fn parameters(credentials: &ice::Credentials) -> IceParameters {
    IceParameters {
        ufrag: credentials.ufrag.as_str().to_owned(),
        pwd: credentials.pwd.as_str().to_owned(),
    }
}

impl PeerConnection {
    fn local_transport(&mut self, restart: bool) -> LocalTransport {
        let ice = if restart {
            let rng = &mut self.rng;
            parameters(
                self.signalling
                    .next
                    .get_or_insert_with(|| ice::Credentials::random(rng)),
            )
        } else {
            parameters(self.transport.agent.local_credentials())
        };
        LocalTransport {
            ice,
            fingerprints: self
                .config
                .certificates
                .iter()
                .flat_map(|c| c.fingerprints())
                .collect(),
            tls_id: self.signalling.tls_id.clone(),
        }
    }

    /// `createOffer`.
    ///
    /// # Errors
    /// [`Error::CannotCreate`] in `have-remote-offer` and `have-local-pranswer`, [`Error::IdentityPending`] and
    /// [`Error::Identity`] without the assertion of a provider that was set, [`Error::Closed`].
    pub fn create_offer(&mut self, options: OfferOptions) -> Result<SessionDescription, Error> {
        self.own_identity()?;
        let described = self.jsep.local().is_some();
        let restart = described && (options.ice_restart || self.jsep.restart_wanted());
        let transport = self.local_transport(restart);
        let sdp = self.jsep.create_offer(&transport)?;
        Ok(SessionDescription::new(SdpType::Offer, sdp))
    }

    /// `createAnswer`.
    ///
    /// # Errors
    /// [`Error::CannotCreate`] but in `have-remote-offer` and `have-local-pranswer`, [`Error::IdentityPending`] and
    /// [`Error::Identity`] without the assertion of a provider that was set, [`Error::Closed`].
    pub fn create_answer(&mut self, _options: AnswerOptions) -> Result<SessionDescription, Error> {
        self.own_identity()?;
        let restart =
            self.jsep.remote_restarts() && self.signalling.applied != self.remote_parameters();
        let transport = self.local_transport(restart);
        let sdp = self.jsep.create_answer(&transport)?;
        Ok(SessionDescription::new(SdpType::Answer, sdp))
    }

    /// `setLocalDescription`; `None` makes the offer or answer that the state asks for.
    ///
    /// # Errors
    /// Wrong state, or an altered description.
    pub fn set_local_description(
        &mut self,
        now: Instant,
        description: Option<SessionDescription>,
    ) -> Result<(), Error> {
        self.check_open()?;
        let (type_, sdp) = match description {
            Some(d) => (d.type_, d.sdp),
            // W3C §4.4.2: the type by the state.
            None => match self.jsep.state() {
                SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPrAnswer => (
                    SdpType::Answer,
                    self.create_answer(AnswerOptions::default())?.sdp,
                ),
                _ => (
                    SdpType::Offer,
                    self.create_offer(OfferOptions::default())?.sdp,
                ),
            },
        };
        let changes = self.jsep.set_local(type_, &sdp)?;
        self.rest.disturb(now);
        if type_ != SdpType::Rollback {
            self.apply_local_ice(now, type_);
        } else {
            self.undo_restart(now);
        }
        self.apply(now, changes);
        Ok(())
    }

    /// `setRemoteDescription`. In `have-local-offer` an offer rolls ours back first, as the W3C has it.
    ///
    /// # Errors
    /// Wrong state, SDP syntax, or a rule broken; nothing has changed then. [`Error::IdentityPending`] and
    /// [`Error::Identity`] where it has to be known who the far side is.
    pub fn set_remote_description(
        &mut self,
        now: Instant,
        description: SessionDescription,
    ) -> Result<(), Error> {
        self.check_open()?;
        self.check_description(&description.sdp)?;
        self.admit_identity(&description)?;
        let changes = self.jsep.set_remote(&description, &mut self.rng)?;
        self.rest.disturb(now);
        self.undo_restart(now);
        if description.type_ == SdpType::Offer {
            self.decide_role(ice::Role::Controlled);
        }
        self.note_identity(&description.sdp);
        self.apply(now, changes);
        Ok(())
    }

    /// W3C §4.4.1.4: the offerer controls, unless the far side is lite; decided once.
    fn decide_role(&mut self, role: ice::Role) {
        if core::mem::replace(&mut self.signalling.role_decided, true) {
            return;
        }
        let lite = self.jsep.remote().is_some_and(|d| d.ice_lite);
        self.transport
            .agent
            .set_role(if lite && !self.config.ice_lite {
                ice::Role::Controlling
            } else {
                role
            });
    }

    /// A local description names credentials: gathering begins, or begins anew.
    fn apply_local_ice(&mut self, now: Instant, type_: SdpType) {
        if type_ == SdpType::Offer {
            self.decide_role(ice::Role::Controlling);
        }
        let Some(ufrag) = self
            .jsep
            .local()
            .and_then(|d| d.transport_section())
            .and_then(|(_, s)| s.transport.ice.as_ref())
            .map(|ice| ice.ufrag.clone())
        else {
            return;
        };
        if let Some(next) = self.signalling.next.take_if(|n| n.ufrag.as_str() == ufrag) {
            self.signalling.candidates.clear();
            self.signalling.gathered = false;
            self.transport.agent.restart_with(now, next);
            self.ask_names();
        }
        if !core::mem::replace(&mut self.signalling.gathering_begun, true) {
            if self.transport.agent.open_pool(now) {
                self.signalling.candidates.clear();
            }
            self.tell_pooled();
            for address in self.addresses.clone() {
                self.gather(now, address);
            }
            self.ask_names();
            self.hosts_told();
        }
        self.drain_ice_events();
    }

    /// After a rollback: credentials that only the offer taken back named are none of ours any more.
    fn undo_restart(&mut self, now: Instant) {
        let told = self
            .jsep
            .local()
            .and_then(|d| d.transport_section())
            .and_then(|(_, s)| s.transport.ice.clone());
        let Some(told) = told else { return };
        let stale = |agent: &ice::Agent| agent.local_credentials().ufrag.as_str() != told.ufrag;
        if !stale(&self.transport.agent) {
            return;
        }
        self.signalling.candidates.clear();
        let undone = self.transport.agent.local_credentials().ufrag.clone();
        self.transport.agent.cancel_restart(now);
        if stale(&self.transport.agent) {
            // Two restarts lie between: the agreed credentials begin anew.
            if let Ok(credentials) = ice::Credentials::new(&told.ufrag, &told.pwd) {
                self.transport.agent.restart_with(now, credentials);
                self.signalling.applied = None;
            }
        }
        self.drain_ice_events();
        // The far side would refuse them: it knows no such description.
        self.events.forget_candidates(undone.as_str());
    }

    /// What was gathered before there was a description to tell it with.
    fn tell_pooled(&mut self) {
        let pooled = self.signalling.candidates.clone();
        if pooled.is_empty() {
            return;
        }
        self.set_gathering_state(IceGatheringState::Gathering);
        for candidate in pooled {
            let init = self.candidate_event(format!("candidate:{candidate}"));
            self.events
                .extend(init.map(|init| Event::IceCandidate(Some(init))));
        }
        if self.signalling.gathered {
            self.on_gathering(ice::GatheringState::Complete);
        }
    }

    pub(super) fn gather(&mut self, now: Instant, address: LocalAddress) {
        let base = ice::LocalBase::new(
            address.addr,
            super::transport::host_transport(address.transport),
        )
        .with_use(super::transport::socket_use(address.transport));
        let ip = address.addr.ip();
        let name = self.signalling.names.iter().find(|(own, _)| *own == ip);
        let base = match name {
            Some((_, name)) => base.with_name(*name),
            None => base,
        };
        // An address no far side could reach, or one too many: others may do.
        let _ = self.transport.agent.add_host(now, base);
    }

    /// Tells of a socket on which the driver receives for this connection: a base for candidates. Those given before the
    /// local description are gathered together; later ones are trickled.
    pub fn add_local_address(&mut self, now: Instant, address: LocalAddress) {
        if self.addresses.contains(&address) || self.check_open().is_err() {
            return;
        }
        self.addresses.push(address);
        if self.signalling.gathering_begun {
            self.gather(now, address);
            self.hosts_told();
            self.after_input(now);
        } else if self.config.ice_candidate_pool_size > 0 {
            // The pool (RFC 9429 §3.5.4): gathered now, told with the local description.
            self.gather(now, address);
            self.drain_ice_events();
        }
    }

    /// As [`add_local_address`](Self::add_local_address); the far side is told `name` instead of the address. Whoever drives
    /// the connection answers for the name by multicast DNS.
    pub fn add_hidden_address(&mut self, now: Instant, address: LocalAddress, name: ice::MdnsName) {
        self.signalling.names.push((address.addr.ip(), name));
        self.add_local_address(now, address);
    }

    /// The socket is gone, as after a change of network.
    pub fn remove_local_address(&mut self, now: Instant, address: LocalAddress) {
        self.addresses.retain(|a| *a != address);
        self.transport.agent.remove_host(
            now,
            address.addr,
            super::transport::host_transport(address.transport),
        );
        if self.jsep.state() != SignalingState::Closed {
            self.after_input(now);
        }
    }

    /// Carries out what a description meant.
    fn apply(&mut self, now: Instant, changes: Vec<Change>) {
        let mut media = false;
        let mut data_refused = false;
        // W3C §4.4.1.4: `[[LastReturnedParameters]]` is no more.
        self.transactions.clear();
        for change in changes {
            match change {
                Change::State(state) => self.events.push_back(Event::SignalingState(state)),
                Change::TrackAdded {
                    transceiver,
                    kind,
                    streams,
                    track,
                } => {
                    self.events.push_back(Event::Track {
                        transceiver,
                        receiver: self.receiver_of(transceiver),
                        kind,
                        streams,
                        track,
                    });
                }
                Change::TrackRemoved(transceiver) => {
                    self.events.push_back(Event::TrackRemoved { transceiver })
                }
                Change::Stopped(transceiver) => self
                    .events
                    .push_back(Event::TransceiverStopped { transceiver }),
                Change::Media => media = true,
                Change::DataRefused => data_refused = true,
            }
        }
        let decided = matches!(
            self.jsep.state(),
            SignalingState::Stable
                | SignalingState::HaveLocalPrAnswer
                | SignalingState::HaveRemotePrAnswer
        );
        if decided {
            self.apply_answer(now, media);
        }
        if data_refused {
            self.channels.refused(&mut self.events);
        }
        self.update_states();
        if self.jsep.state() == SignalingState::Stable {
            // W3C §4.4.1.4 step 14.3: cleared and looked at anew.
            self.states.negotiation_needed = false;
            self.update_negotiation_needed();
        }
    }

    /// Both descriptions are known: the transport gets its far side, media and data their parameters.
    fn apply_answer(&mut self, now: Instant, media: bool) {
        self.apply_remote_ice(now);
        let remote = self.jsep.remote().and_then(|d| d.transport_section());
        if let (Some(role), Some((_, section))) = (self.jsep.dtls_role(), remote) {
            let plan = Plan {
                role,
                fingerprints: section.transport.fingerprints.clone(),
                tls_id: section.transport.tls_id.clone(),
            };
            if self.transport.set_plan(now, plan, &mut self.rng) {
                self.channels.begin_anew(now, &mut self.events);
            }
        }
        if media {
            self.apply_media(now);
        }
        self.apply_data(now);
        self.after_input(now);
    }

    fn apply_media(&mut self, now: Instant) {
        if self.media.is_none()
            && self
                .jsep
                .transceivers()
                .iter()
                .any(|t| t.negotiated().is_some())
        {
            let mut media = Media::new(now, self.jsep.cname(), ntp_epoch(&self.config));
            if let Some(shares) = self.shares() {
                media.set_shares(shares);
            }
            media.set_connected(self.states.connection == PeerConnectionState::Connected);
            self.media = Some(Box::new(media));
        }
        self.reconcile_media();
    }

    /// Media learns of what changed at the transceivers.
    pub(super) fn reconcile_media(&mut self) {
        self.receptions
            .retain(|(id, _)| self.jsep.transceiver(*id).is_some());
        if let Some(media) = &mut self.media {
            media.reconcile(self.jsep.transceivers(), &self.receptions);
        }
    }

    fn apply_data(&mut self, now: Instant) {
        let section = |d: Option<&crate::jsep::Description>| {
            d.and_then(|d| d.data_section().map(|(_, s)| s.clone()))
        };
        let (local, remote) = (section(self.jsep.local()), section(self.jsep.remote()));
        let Some((local, remote, role)) = local
            .zip(remote)
            .zip(self.jsep.dtls_role())
            .map(|((local, remote), role)| (local, remote, role))
        else {
            if self.jsep.state() == SignalingState::Stable {
                self.channels.disassociate(now, &mut self.events);
            }
            return;
        };
        debug_assert!(local.media == SectionMedia::Data);
        let association = Association {
            role,
            local_port: local.sctp_port.unwrap_or(5000),
            remote_port: remote.sctp_port.unwrap_or(5000),
            remote_max_message_size: remote.max_message_size,
            max_message_size: self.config.max_message_size,
            mtu: self.sctp_mtu(),
        };
        self.channels
            .associate(now, association, &mut self.rng, &mut self.events);
    }

    fn remote_parameters(&self) -> Option<IceParameters> {
        self.jsep
            .remote()?
            .transport_section()?
            .1
            .transport
            .ice
            .clone()
    }

    /// Gives the far side's credentials and candidates to the agent.
    fn apply_remote_ice(&mut self, now: Instant) {
        let Some(remote) = self.jsep.remote() else {
            return;
        };
        let Some((_, section)) = remote.transport_section() else {
            return;
        };
        let Some(ice) = section.transport.ice.clone() else {
            return;
        };
        let transport = section.transport.clone();
        if self.signalling.applied.as_ref() != Some(&ice) {
            let Ok(credentials) = ice::Credentials::new(&ice.ufrag, &ice.pwd) else {
                return;
            };
            self.transport.agent.set_remote_options(ice::RemoteOptions {
                lite: remote.ice_lite,
                renomination: transport.ice_options.iter().any(|o| o == "renomination"),
                pacing: None,
            });
            self.transport
                .agent
                .set_remote_credentials(now, credentials);
            self.signalling.applied = Some(ice.clone());
        }
        for line in &transport.candidates {
            // A line that can't be used is no reason to refuse the others (RFC 8839 §5.1).
            if let Ok(candidate) = line.parse::<ice::Candidate>() {
                let _ = self.transport.agent.add_remote_candidate(now, candidate);
            }
        }
        if transport.end_of_candidates {
            self.transport.agent.end_of_remote_candidates(now);
        }
        for trickled in core::mem::take(&mut self.signalling.waiting) {
            if trickled.ufrag.as_ref().is_some_and(|u| *u != ice.ufrag) {
                continue;
            }
            match trickled.candidate {
                Some(candidate) => {
                    let _ = self.transport.agent.add_remote_candidate(now, candidate);
                }
                None => self.transport.agent.end_of_remote_candidates(now),
            }
        }
        self.drain_ice_events();
    }

    /// `addIceCandidate`; `None` or an empty candidate is the end of candidates.
    ///
    /// # Errors
    /// No remote description, or a candidate that is malformed or for an unknown section.
    pub fn add_ice_candidate(
        &mut self,
        now: Instant,
        candidate: Option<IceCandidateInit>,
    ) -> Result<(), Error> {
        self.check_open()?;
        let init = candidate.unwrap_or_default();
        if !init.candidate.is_empty() && init.sdp_mid.is_none() && init.sdp_m_line_index.is_none() {
            return Err(Error::CandidateWithoutSection);
        }
        let Some(remote) = self.jsep.remote() else {
            return Err(Error::NoRemoteDescription);
        };
        let index = match (&init.sdp_mid, init.sdp_m_line_index) {
            (Some(mid), _) => Some(
                remote
                    .section_of(mid)
                    .ok_or(Error::CandidateSectionUnknown)?
                    .0,
            ),
            (None, Some(index)) if usize::from(index) < remote.sections.len() => {
                Some(usize::from(index))
            }
            (None, Some(_)) => return Err(Error::CandidateSectionUnknown),
            (None, None) => None,
        };
        if let Some(ufrag) = &init.username_fragment {
            // W3C: of a generation that some applied description has.
            let current = self.jsep.current_remote();
            let known = [Some(remote), current]
                .into_iter()
                .flatten()
                .flat_map(|d| &d.sections);
            let known = known
                .filter_map(|s| s.transport.ice.as_ref())
                .any(|ice| ice.ufrag == *ufrag);
            if !known {
                return Err(Error::CandidateSectionUnknown);
            }
        }
        let parsed = if init.candidate.is_empty() {
            None
        } else {
            let text = init.candidate.trim_start_matches("a=");
            Some(
                text.parse::<ice::Candidate>()
                    .map_err(|_| Error::CandidateMalformed)?,
            )
        };
        let target = self.remote_parameters();
        if let Some(index) = index.filter(|_| parsed.is_some()) {
            let text = init
                .candidate
                .trim_start_matches("a=")
                .trim_start_matches("candidate:");
            self.jsep.note_candidate(index, text);
        }
        if target.is_some() && target == self.signalling.applied {
            match parsed {
                Some(candidate) => {
                    let _ = self.transport.agent.add_remote_candidate(now, candidate);
                }
                None => self.transport.agent.end_of_remote_candidates(now),
            }
            self.after_input(now);
            return Ok(());
        }
        if self.signalling.waiting.len() >= MAX_REMOTE_CANDIDATES {
            return Err(Error::TooManyCandidates);
        }
        self.signalling.waiting.push(Trickled {
            ufrag: init.username_fragment,
            candidate: parsed,
        });
        Ok(())
    }

    /// `restartIce`: the next offer restarts ICE; fires `negotiationneeded`.
    pub fn restart_ice(&mut self) {
        self.jsep.want_restart();
        self.update_negotiation_needed();
    }

    /// Takes over ICE's news.
    pub(super) fn drain_ice_events(&mut self) {
        let mut restored = false;
        while let Some(event) = self.transport.agent.poll_event() {
            if self.jsep.state() == SignalingState::Closed {
                continue;
            }
            match event {
                ice::Event::Candidate(candidate) => self.on_local_candidate(&candidate),
                ice::Event::GatheringState(state) => self.on_gathering(state),
                ice::Event::ConnectionState(state) => {
                    let worked = self.ice_works();
                    self.set_ice_state(state);
                    restored |= !worked && self.ice_works();
                }
                ice::Event::SelectedPair(pair) => {
                    restored = true;
                    self.search_path(self.taps.clock());
                    if let (Some(local), Some(remote)) =
                        (pair.local.socket_addr(), pair.remote.socket_addr())
                    {
                        self.events
                            .push_back(Event::SelectedCandidatePair { local, remote });
                    }
                }
                ice::Event::CandidateError(error) => {
                    self.events.push_back(Event::IceCandidateError(
                        crate::event::IceCandidateError {
                            address: error.address,
                            url: error.url.to_string(),
                            code: error.code,
                            text: error.text,
                        },
                    ));
                }
                ice::Event::Resolve(name) => self.names.ask_candidate(name),
                _ => {}
            }
        }
        if restored {
            if let Some(dtls) = self.transport.dtls_mut() {
                dtls.path_restored();
            }
            self.channels.path_restored(self.taps.clock());
        }
    }

    /// Whether the first local description was set.
    pub(super) fn signalling_begun(&self) -> bool {
        self.signalling.gathering_begun
    }

    fn on_local_candidate(&mut self, candidate: &ice::Candidate) {
        let text = candidate.to_string();
        let value = text
            .trim_start_matches("a=")
            .trim_start_matches("candidate:")
            .to_owned();
        if let Some(init) = self.candidate_event(format!("candidate:{value}")) {
            self.events.push_back(Event::IceCandidate(Some(init)));
        }
        self.signalling.candidates.push(value);
    }

    fn candidate_event(&self, candidate: String) -> Option<IceCandidate> {
        let (index, section) = self.jsep.local()?.transport_section()?;
        let parsed = candidate.parse::<ice::Candidate>().ok();
        let origin = parsed.as_ref().and_then(|c| self.transport.agent.origin(c));
        let relayed = parsed.is_some_and(|c| c.kind == ice::CandidateKind::Relayed);
        Some(IceCandidate {
            relay_protocol: origin
                .as_ref()
                .filter(|_| relayed)
                .map(|o| super::transport::protocol(o.transport)),
            url: origin.map(|o| o.url.to_string()),
            candidate,
            sdp_mid: section.mid.clone(),
            sdp_m_line_index: u16::try_from(index).ok(),
            username_fragment: Some(
                self.transport
                    .agent
                    .local_credentials()
                    .ufrag
                    .as_str()
                    .to_owned(),
            ),
        })
    }

    fn on_gathering(&mut self, state: ice::GatheringState) {
        if !self.signalling.gathering_begun {
            // The pool's state is nobody's business yet.
            self.signalling.gathered = state == ice::GatheringState::Complete;
            return;
        }
        match state {
            ice::GatheringState::New => {}
            ice::GatheringState::Gathering => {
                self.signalling.gathered = false;
                self.set_gathering_state(IceGatheringState::Gathering);
            }
            ice::GatheringState::Complete => {
                self.signalling.gathered = true;
                self.set_gathering_state(IceGatheringState::Complete);
                self.events.push_back(Event::IceCandidate(None));
            }
        }
    }

    /// `localDescription`: the pending one, else the current one, with the candidates gathered by now.
    pub fn local_description(&self) -> Option<SessionDescription> {
        self.pending_local_description()
            .or_else(|| self.current_local_description())
    }

    /// `currentLocalDescription`.
    pub fn current_local_description(&self) -> Option<SessionDescription> {
        self.jsep
            .local_text(false, &self.signalling.candidates, self.signalling.gathered)
    }

    /// `pendingLocalDescription`.
    pub fn pending_local_description(&self) -> Option<SessionDescription> {
        self.jsep
            .local_text(true, &self.signalling.candidates, self.signalling.gathered)
    }

    /// `remoteDescription`.
    pub fn remote_description(&self) -> Option<SessionDescription> {
        self.pending_remote_description()
            .or_else(|| self.current_remote_description())
    }

    /// `currentRemoteDescription`.
    pub fn current_remote_description(&self) -> Option<SessionDescription> {
        self.jsep.remote_text(false)
    }

    /// `pendingRemoteDescription`.
    pub fn pending_remote_description(&self) -> Option<SessionDescription> {
        self.jsep.remote_text(true)
    }

    /// `canTrickleIceCandidates`; `None` before a remote description.
    pub fn can_trickle_ice_candidates(&self) -> Option<bool> {
        let remote = self.jsep.remote()?;
        Some(
            remote
                .sections
                .iter()
                .any(|s| s.transport.ice_options.iter().any(|o| o == "trickle")),
        )
    }
}
