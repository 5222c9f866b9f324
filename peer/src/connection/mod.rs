//! The peer connection: passes things between the machines of the other crates and keeps the W3C's states.
//!
//! - `names`: names of servers and candidates that want addresses;
//! - `negotiation`: descriptions and candidates, by way of [`jsep`](crate::jsep);
//! - `transport`: ICE, DTLS and SRTP, the one path of the connection;
//! - `channels`: data channels over SCTP;
//! - `identity`: who the far side is;
//! - `io`: datagrams and time, in and out;
//! - `memory`: what it takes, and the budget;
//! - `rest`: what is given back when nothing happens;
//! - `states`: the W3C's aggregate states; `report`: statistics;
//! - `taps`: what watches; `recording`: pcapng; `log`: events as JSON;
//! - `tracks`: transceivers, RTP in and out; `senders`: their senders and receivers.

mod channels;
mod identity;
mod io;
#[cfg(feature = "qlog")]
mod log;
mod memory;
mod names;
mod negotiation;
#[cfg(feature = "capture")]
mod recording;
mod report;
mod rest;
mod senders;
mod states;
mod taps;
mod tracks;
mod transport;
mod transports;

#[cfg(feature = "driver")]
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tincan_dtls as dtls;
use tincan_ice as ice;

use crate::certificate::Certificate;
use crate::config::{Configuration, DtlsVersions, IceTransportPolicy};
use crate::error::Error;
use crate::event::Event;
use crate::jsep::{Jsep, JsepConfig};
use crate::media::{Media, Reception};
use crate::parameters::TransactionId;
use crate::queue::Events;
use crate::types::*;

pub(crate) use memory::Shares;
pub use names::Lookup;
pub use senders::{ContributingSource, Dtmf, Receiver, Sender, SynchronizationSource};
pub use tracks::Transceiver;
pub use transports::{DtlsTransport, IceTransport, SctpTransport};

use channels::Channels;
use io::Held;
use names::Names;
use negotiation::Signalling;
use rest::Rest;
use states::States;
use taps::Taps;
use transport::Transport;

/// One end of a connection (`RTCPeerConnection`), without I/O.
pub struct PeerConnection {
    config: Configuration,
    rng: StdRng,
    events: Events,
    jsep: Jsep,
    signalling: Signalling,
    states: States,
    transport: Transport,
    channels: Channels,
    /// Made with the first negotiated transceiver: many connections carry data only.
    media: Option<Box<Media>>,
    held: Held,
    taps: Taps,
    rest: Rest,
    /// Of transceivers whose receivers were told something.
    receptions: Vec<(TransceiverId, Reception)>,
    /// By which senders and receivers know that they are of this connection.
    tag: u32,
    /// `[[LastReturnedParameters]]` of senders, as far as it can't be made again.
    transactions: Vec<(TransceiverId, TransactionId)>,
    started: Instant,
    addresses: Vec<LocalAddress>,
    names: Names,
    identity: Option<Box<identity::Identity>>,
}

impl PeerConnection {
    /// Most bytes that one datagram of [`poll_transmit`](Self::poll_transmit) can have: what the configuration's
    /// `max_datagram` can be.
    pub const MAX_DATAGRAM: usize = 65_507;

    /// A new connection (W3C §4.4.1.1).
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(mut config: Configuration, now: Instant, rng: &mut impl Rng) -> Result<Self, Error> {
        config.validate()?;
        let expired = |now| {
            config
                .certificates
                .iter()
                .any(|c| c.expires().is_some_and(|e| e < now))
        };
        if config.wall_clock.is_some_and(expired) {
            return Err(Error::CertificateExpired);
        }
        if config.certificates.is_empty() {
            config.certificates.push(match config.wall_clock {
                Some(wall_clock) => Certificate::generate(wall_clock)?,
                None => Certificate::timeless()?,
            });
        }
        let mut rng = StdRng::from_rng(rng);
        let jsep = Jsep::new(
            JsepConfig {
                capabilities: config.capabilities.clone(),
                bundle_policy: config.bundle_policy,
                ice_lite: config.ice_lite,
                max_message_size: config.max_message_size,
            },
            &mut rng,
        );
        let (names, servers) = Names::sort(&config);
        let mut ice = ice_config(&config);
        for server in servers {
            ice = ice.with_server(server);
        }
        let agent = ice::Agent::new(ice, now, &mut rng);
        let dtls = dtls_config(&config, None)?;
        let signalling = Signalling::new(&mut rng);
        let tag = rng.random();
        let shares = config.memory_budget.map(Shares::of);
        let channels = Channels::new(config.max_buffered_amount, shares);
        Ok(PeerConnection {
            rng,
            events: Shares::events(shares),
            jsep,
            signalling,
            states: States::default(),
            transport: Transport::new(agent, dtls, shares.map(|s| s.srtp_streams)),
            channels,
            media: None,
            held: Held::default(),
            taps: Taps::new(now),
            rest: Rest::new(now),
            receptions: Vec::new(),
            tag,
            transactions: Vec::new(),
            started: now,
            addresses: Vec::new(),
            names,
            identity: None,
            config,
        })
    }

    /// `getConfiguration`.
    pub fn configuration(&self) -> &Configuration {
        &self.config
    }

    /// `setConfiguration` (W3C §4.4.1.6). New ICE servers and another transport policy count from the next gathering phase:
    /// the first local description, or the next ICE restart ([`restart_ice`](Self::restart_ice) asks for one). Of
    /// candidates that a pool holds only those are told that the policy allows then.
    ///
    /// # Errors
    /// What is wrong with it, or what can't change any more.
    pub fn set_configuration(&mut self, mut config: Configuration) -> Result<(), Error> {
        self.check_open()?;
        config.validate()?;
        if config.certificates.is_empty() {
            config.certificates.clone_from(&self.config.certificates);
        }
        self.config
            .allows_change_to(&config, self.jsep.local().is_some())?;
        self.keep_identity_target(&mut config)?;
        if self.config.ice_servers != config.ice_servers {
            let (names, servers) = Names::sort(&config);
            self.names = names;
            self.transport.agent.set_servers(servers);
        }
        if self.config.ice_transport_policy != config.ice_transport_policy {
            self.transport.agent.set_policy(ice_policy(&config));
        }
        let pool = config.ice_candidate_pool_size > 0 && self.config.ice_candidate_pool_size == 0;
        self.config = config;
        if pool && !self.signalling_begun() {
            // RFC 9429 §4.1.18: a pool that grows is gathered at once.
            let now = self.taps.clock();
            for address in self.addresses.clone() {
                self.gather(now, address);
            }
            self.drain_ice_events();
            self.held.wake = true;
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.jsep.state() == SignalingState::Closed {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// The certificates in use.
    pub fn certificates(&self) -> &[Certificate] {
        &self.config.certificates
    }

    /// Username fragments that a demultiplexer should route here: the current one and, while ICE restarts, the previous.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.transport.agent.local_ufrags()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if self.channels.is_held_back() && !self.events.holds_back() {
            self.channels.poll_events(&mut self.events);
            self.update_states();
            // SCTP's window is open again: the far side wants to know.
            self.held.wake = true;
        }
        let event = event?;
        self.taps.event(&event, &self.transport);
        Some(event)
    }

    /// Puts everything that this connection tells `tracing` into a span of the caller's; without one it is told without.
    pub fn set_span(&mut self, span: tracing::Span) {
        self.taps.set_span(span);
    }

    /// `createDataChannel`.
    ///
    /// # Errors
    /// Options that contradict, or an id in use.
    pub fn create_data_channel(
        &mut self,
        now: Instant,
        label: &str,
        init: DataChannelInit,
    ) -> Result<ChannelKey, Error> {
        self.check_open()?;
        let key = self.channels.create(now, label, init, &mut self.events)?;
        self.jsep.want_data();
        self.update_negotiation_needed();
        Ok(key)
    }

    /// Label, options and state of a channel; closed channels are forgotten.
    pub fn channel(&self, key: ChannelKey) -> Option<ChannelInfo> {
        self.channels.info(key)
    }

    /// The channels that are not closed.
    pub fn channels(&self) -> impl Iterator<Item = ChannelKey> {
        self.channels.keys()
    }

    /// `send`. On an error the message was not taken; the clone of a [`Message`] costs nothing.
    ///
    /// # Errors
    /// Not open, too large for the far side or for [`memory_budget`](Configuration::memory_budget) (3/16 of it), or the
    /// buffer full.
    pub fn send(&mut self, now: Instant, key: ChannelKey, message: Message) -> Result<(), Error> {
        let len = message.len();
        if let Some(shares) = self.shares().filter(|shares| len > shares.outgoing) {
            let max = shares.outgoing;
            return Err(Error::MessageTooLarge { len, max });
        }
        self.check_outgoing(len)?;
        self.channels.send(now, key, message)
    }

    /// The addresses that data go between, if not through a relay of ours.
    #[cfg(feature = "driver")]
    pub(crate) fn selected_path(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.transport.agent.selected_path()
    }

    /// A channel's state; `None` when it is closed.
    #[cfg(feature = "driver")]
    pub(crate) fn channel_state(&self, key: ChannelKey) -> Option<DataChannelState> {
        self.channels.state(key)
    }

    /// `bufferedAmount` in bytes; 0 for an unknown channel.
    pub fn buffered_amount(&self, key: ChannelKey) -> usize {
        self.channels.buffered_amount(key)
    }

    /// A mark behind all that data channels have sent up to now.
    #[cfg(feature = "driver")]
    pub(crate) fn sent_mark(&self) -> u64 {
        self.channels.sent_mark()
    }

    /// Whether the far side has all that a channel sent before a mark.
    #[cfg(feature = "driver")]
    pub(crate) fn is_acknowledged(&self, key: ChannelKey, mark: u64) -> bool {
        self.channels.is_acknowledged(key, mark)
    }

    /// The longest message that the far side and the budget take; `None` until the former has said so.
    #[cfg(feature = "driver")]
    pub(crate) fn max_message_size(&self) -> Option<usize> {
        self.channels.max_message_size()
    }

    /// `bufferedAmountLowThreshold` in bytes.
    pub fn set_buffered_amount_low_threshold(&mut self, key: ChannelKey, bytes: usize) {
        self.channels.set_low_threshold(key, bytes);
    }

    /// `close` of a channel: what is buffered still goes out.
    ///
    /// # Errors
    /// No such channel.
    pub fn close_channel(&mut self, now: Instant, key: ChannelKey) -> Result<(), Error> {
        self.channels.close_channel(now, key, &mut self.events)
    }

    /// `close`: says goodbye to the far side with what [`poll_transmit`](Self::poll_transmit) still gives; no event but
    /// those that wait comes after it.
    pub fn close(&mut self, now: Instant) {
        if self.jsep.state() == SignalingState::Closed {
            return;
        }
        self.jsep.close();
        self.channels.close(now);
        if let Some(media) = &mut self.media {
            media.close();
        }
        self.states.close();
        self.held.closing(now);
    }
}

fn ice_config(config: &Configuration) -> ice::Config {
    ice::Config::new()
        .with_lite(config.ice_lite)
        .with_policy(ice_policy(config))
}

fn ice_policy(config: &Configuration) -> ice::Policy {
    match config.ice_transport_policy {
        IceTransportPolicy::All => ice::Policy::All,
        IceTransportPolicy::Relay => ice::Policy::Relay,
    }
}

fn dtls_config(
    config: &Configuration,
    key_log: Option<Arc<dyn dtls::rustls::KeyLog>>,
) -> Result<Arc<dtls::Config>, Error> {
    let layer = |e: dtls::Error| Error::Layer {
        layer: "dtls",
        reason: e.to_string(),
    };
    let mut builder = dtls::Config::builder()
        // In the order in which we choose as a server: GCM is twice as fast where there are AES instructions.
        .srtp_profiles(vec![
            dtls::SrtpProfile::AeadAes128Gcm,
            dtls::SrtpProfile::AeadAes256Gcm,
            dtls::SrtpProfile::AesCm128HmacSha1_80,
        ])
        .mtu(config.max_datagram.min(crate::limits::MAX_DATAGRAM) - 80);
    builder = match config.dtls_versions {
        DtlsVersions::Both => builder,
        DtlsVersions::V12 => builder.versions(dtls::Version::Dtls12, dtls::Version::Dtls12),
        DtlsVersions::V13 => builder.versions(dtls::Version::Dtls13, dtls::Version::Dtls13),
    };
    if !config.post_quantum {
        let mut provider = dtls::provider::default_provider();
        provider
            .kx_groups
            .retain(|group| group.name() != rustls::NamedGroup::X25519MLKEM768);
        builder = builder.provider(Arc::new(provider));
    }
    if let Some(certificate) = config.certificates.first() {
        builder = builder.certificate(certificate.inner.certificate.clone());
    }
    if let Some(key_log) = key_log {
        builder = builder.key_log(key_log);
    }
    builder.build().map_err(layer)
}

/// The epoch of our RTCP reports.
fn ntp_epoch(config: &Configuration) -> Duration {
    config
        .wall_clock
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
        .unwrap_or(Duration::from_secs(1_735_689_600))
}

impl core::fmt::Debug for PeerConnection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PeerConnection")
            .field("signaling_state", &self.jsep.state())
            .field("connection_state", &self.states.connection)
            .finish_non_exhaustive()
    }
}
