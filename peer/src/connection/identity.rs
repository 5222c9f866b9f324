//! Assertions made and validated for one connection (W3C Identity for WebRTC §5, §6, §9).

use crate::config::Configuration;
use crate::error::Error;
use crate::event::Event;
use crate::identity::{
    self, GeneratedAssertion, IdentityAssertion, IdentityFault, IdentityProvider,
    IdentityProviderOptions, IdentityRequest, ValidatedAssertion,
};
use crate::types::{SdpType, SessionDescription};

use super::PeerConnection;

/// What is known of who both ends are. Made when the first of it is.
#[derive(Debug, Default)]
pub(super) struct Identity {
    /// Who asserts ours.
    provider: Option<IdentityProviderOptions>,
    ours: Ours,
    /// The far side's assertion that is looked at.
    check: Option<Check>,
    /// Its last assertion that was good, and what it attests to.
    verified: Option<Verified>,
    /// The last one that was not.
    refused: Option<(String, IdentityFault)>,
    peer: Option<IdentityAssertion>,
}

#[derive(Debug, Default, PartialEq)]
enum Ours {
    /// Nobody was asked yet.
    #[default]
    Wanted,
    Asked,
    Made,
    Failed(IdentityFault),
}

/// `a=identity` of a description, and the fingerprints it has to attest to.
#[derive(Debug)]
struct Check {
    value: String,
    fingerprints: Vec<String>,
    claim: GeneratedAssertion,
    asked: bool,
}

#[derive(Debug)]
struct Verified {
    value: String,
    fingerprints: Vec<String>,
}

impl PeerConnection {
    /// `setIdentityProvider`: descriptions carry an assertion of that provider from now on. It is asked for at once, by way of
    /// [`poll_identity`](Self::poll_identity); until it is there [`create_offer`](Self::create_offer) and
    /// [`create_answer`](Self::create_answer) fail with [`Error::IdentityPending`], and
    /// [`Event::NegotiationNeeded`] waits.
    ///
    /// # Errors
    /// [`Error::IdentityProtocol`] when the protocol contains `/` or `\`, [`Error::Closed`].
    pub fn set_identity_provider(&mut self, options: IdentityProviderOptions) -> Result<(), Error> {
        self.check_open()?;
        identity::check_protocol(&options.protocol).map_err(|_| Error::IdentityProtocol)?;
        let state = self.identity.get_or_insert_default();
        if state.provider.as_ref() == Some(&options) {
            return Ok(());
        }
        state.provider = Some(options);
        state.ours = Ours::Wanted;
        self.jsep.set_identity(None);
        self.events.push_back(Event::IdentityRequest);
        Ok(())
    }

    /// `getIdentityAssertion`: the value of `a=identity` that descriptions of ours carry.
    pub fn identity_assertion(&self) -> Option<&str> {
        self.jsep.identity()
    }

    /// `peerIdentity`: who the far side is, once its provider was believed. It never becomes somebody else.
    pub fn peer_identity(&self) -> Option<&IdentityAssertion> {
        self.identity.as_ref()?.peer.as_ref()
    }

    /// What an identity provider is to be asked, each request once. [`Event::IdentityRequest`] says that there is something.
    pub fn poll_identity(&mut self) -> Option<IdentityRequest> {
        let fallback = self.config.peer_identity.clone();
        let contents = || {
            let certificates = self.config.certificates.iter();
            let ours: Vec<String> = certificates.flat_map(|c| c.fingerprints()).collect();
            identity::contents(&ours)
        };
        let state = self.identity.as_mut()?;
        if let (Some(options), Ours::Wanted) = (&state.provider, &state.ours) {
            state.ours = Ours::Asked;
            let mut options = options.clone();
            options.peer_identity = options.peer_identity.or(fallback);
            return Some(IdentityRequest::Generate {
                contents: contents(),
                options,
            });
        }
        let check = state.check.as_mut().filter(|c| !c.asked)?;
        check.asked = true;
        Some(IdentityRequest::Validate {
            domain: check.claim.domain.clone(),
            protocol: check.claim.protocol.clone(),
            assertion: check.claim.assertion.clone(),
        })
    }

    /// The answer to [`IdentityRequest::Generate`]. [`Event::IdentityAssertion`] or [`Event::IdentityFailed`] follows.
    ///
    /// # Errors
    /// [`Error::IdentityNotAsked`] when no such request is open.
    pub fn identity_generated(
        &mut self,
        result: Result<GeneratedAssertion, IdentityFault>,
    ) -> Result<(), Error> {
        let Some(state) = self
            .identity
            .as_mut()
            .filter(|i| i.provider.is_some() && i.ours == Ours::Asked)
        else {
            return Err(Error::IdentityNotAsked);
        };
        let result = result.and_then(|made| {
            identity::check_protocol(&made.protocol)?;
            Ok(made)
        });
        match result {
            Ok(made) => {
                state.ours = Ours::Made;
                self.jsep.set_identity(Some(identity::encode(&made)));
                self.events.push_back(Event::IdentityAssertion);
            }
            Err(fault) => {
                state.ours = Ours::Failed(fault);
                self.events.push_back(Event::IdentityFailed(fault));
            }
        }
        self.update_negotiation_needed();
        Ok(())
    }

    /// The answer to [`IdentityRequest::Validate`]. [`Event::PeerIdentity`] or [`Event::PeerIdentityFailed`] follows: the
    /// provider's word is held against the description's fingerprints, the provider's domain, and whom the
    /// configuration names. A description that waited for it is to be set again.
    ///
    /// # Errors
    /// [`Error::IdentityNotAsked`] when no such request is open.
    pub fn identity_validated(
        &mut self,
        result: Result<ValidatedAssertion, IdentityFault>,
    ) -> Result<(), Error> {
        let target = self.identity_target().map(str::to_owned);
        let Some(state) = self.identity.as_mut() else {
            return Err(Error::IdentityNotAsked);
        };
        let Some(check) = state.check.take_if(|c| c.asked) else {
            return Err(Error::IdentityNotAsked);
        };
        let believed = result.and_then(|validated| {
            let attested = identity::fingerprints(&validated.contents)?;
            if !identity::covers(&attested, &check.fingerprints) {
                return Err(IdentityFault::Fingerprints);
            }
            let trusted = &self.config.third_party_identity;
            identity::check_domain(&check.claim.domain, &validated.identity, trusted)?;
            if target.is_some_and(|target| target != validated.identity) {
                return Err(IdentityFault::NotThePeer);
            }
            Ok((attested, validated.identity))
        });
        match believed {
            Ok((fingerprints, name)) => {
                state.verified = Some(Verified {
                    value: check.value,
                    fingerprints,
                });
                state.refused = None;
                let peer = IdentityAssertion {
                    idp: check.claim.domain,
                    name,
                };
                if state.peer.as_ref() != Some(&peer) {
                    state.peer = Some(peer.clone());
                    self.events.push_back(Event::PeerIdentity(peer));
                }
            }
            Err(fault) => {
                state.refused = Some((check.value, fault));
                self.events.push_back(Event::PeerIdentityFailed(fault));
            }
        }
        Ok(())
    }

    /// Lets a provider that answers at once answer all that is open.
    ///
    /// # Errors
    /// None but what the calls it makes can fail with, which they don't here.
    pub fn serve_identity(&mut self, provider: &mut impl IdentityProvider) -> Result<(), Error> {
        while let Some(request) = self.poll_identity() {
            match request {
                IdentityRequest::Generate { contents, options } => {
                    self.identity_generated(provider.generate_assertion(&contents, &options))?;
                }
                IdentityRequest::Validate {
                    domain,
                    protocol,
                    assertion,
                } => self.identity_validated(
                    provider.validate_assertion(&domain, &protocol, &assertion),
                )?,
            }
        }
        Ok(())
    }

    /// The target peer identity: configured, or what was believed before (W3C Identity §9).
    fn identity_target(&self) -> Option<&str> {
        let believed = self.peer_identity().map(|peer| peer.name.as_str());
        self.config.peer_identity.as_deref().or(believed)
    }

    /// Whom a connection is for can't change once that is set, nor be set once somebody is there (W3C Identity §9,
    /// setting the configuration).
    pub(super) fn keep_identity_target(&self, config: &mut Configuration) -> Result<(), Error> {
        let same = match (&config.peer_identity, self.identity_target()) {
            (Some(new), Some(target)) => new == target,
            (Some(_), None) => self.jsep.remote().is_none(),
            (None, _) => {
                config.peer_identity.clone_from(&self.config.peer_identity);
                true
            }
        };
        if same {
            Ok(())
        } else {
            Err(Error::ConfigurationFixed)
        }
    }

    /// Whether an offer or answer has to wait for our assertion, or can't have one.
    pub(super) fn own_identity(&self) -> Result<(), Error> {
        match &self.identity {
            Some(state) if state.provider.is_some() => match state.ours {
                Ours::Made => Ok(()),
                Ours::Failed(fault) => Err(Error::Identity(fault)),
                Ours::Wanted | Ours::Asked => Err(Error::IdentityPending),
            },
            _ => Ok(()),
        }
    }

    /// Whether a remote description may be applied as far as identity goes: with a target its identity is believed
    /// first.
    pub(super) fn admit_identity(&mut self, description: &SessionDescription) -> Result<(), Error> {
        if description.type_ == SdpType::Rollback || self.identity_target().is_none() {
            return Ok(());
        }
        let value = crate::jsep::identity_of(&description.sdp)?;
        let fingerprints = identity::fingerprints_in(&description.sdp);
        let state = self.identity.get_or_insert_default();
        let verified = state.verified.as_ref();
        let Some(value) = value else {
            // RFC 8827 §5.1: what was believed of these fingerprints stays true.
            return match verified {
                Some(v) if identity::covers(&v.fingerprints, &fingerprints) => Ok(()),
                _ => Err(Error::Identity(IdentityFault::Missing)),
            };
        };
        if let Some(verified) = verified.filter(|v| v.value == value) {
            return if identity::covers(&verified.fingerprints, &fingerprints) {
                Ok(())
            } else {
                Err(Error::Identity(IdentityFault::Fingerprints))
            };
        }
        // Told once; asked again, the provider may think better of it.
        if let Some((_, fault)) = state.refused.take_if(|(refused, _)| *refused == value) {
            return Err(Error::Identity(fault));
        }
        self.check_identity(value, fingerprints)
            .map_err(Error::Identity)?;
        Err(Error::IdentityPending)
    }

    /// A remote description was applied: its identity is looked at, unless that was done before.
    pub(super) fn note_identity(&mut self, sdp: &str) {
        let Some(value) = self.jsep.remote().and_then(|d| d.identity.clone()) else {
            return;
        };
        let verified = self.identity.as_ref().and_then(|i| i.verified.as_ref());
        if verified.is_some_and(|v| v.value == value) {
            return;
        }
        if let Err(fault) = self.check_identity(value, identity::fingerprints_in(sdp)) {
            self.events.push_back(Event::PeerIdentityFailed(fault));
        }
    }

    /// Has an assertion validated. One at a time: a newer description's takes the place of an older one's.
    fn check_identity(
        &mut self,
        value: String,
        fingerprints: Vec<String>,
    ) -> Result<(), IdentityFault> {
        let claim = identity::decode(&value)?;
        let state = self.identity.get_or_insert_default();
        if let Some(check) = state.check.as_mut().filter(|c| c.value == value) {
            check.fingerprints = fingerprints;
            return Ok(());
        }
        state.check = Some(Check {
            value,
            fingerprints,
            claim,
            asked: false,
        });
        self.events.push_back(Event::IdentityRequest);
        Ok(())
    }
}
