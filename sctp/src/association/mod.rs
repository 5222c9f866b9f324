//! The association: a thin conductor over the small machines, each in a file of its own.
//!
//! It owns no protocol rule that one of the machines could own. `input` takes packets apart and
//! hands chunks round, `output` asks the machines what to put into the next packet,
//! `timeouts` does the same when time has passed, `setup` is the script of the handshake and
//! of shutting down.

mod input;
mod output;
mod setup;
mod timeouts;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::acknowledgement::Acknowledger;
use crate::config::Config;
use crate::congestion::{CongestionControl, Controller};
use crate::error::{CloseReason, SendError};
use crate::handshake::{Features, OwnInit, PeerInit};
use crate::limits::MAX_STREAMS_A_RESET;
use crate::loss::LossDetection;
use crate::outstanding::{Limited, Outstanding};
use crate::pacer::Pacer;
use crate::payload::Payload;
use crate::reassembly::{self, Policy, Reassembly};
use crate::reset::Reset;
use crate::rtt::RttEstimator;
use crate::send_queue::{Effort, Piece, SendQueue};
use crate::stats::{Counters, Stats};
use crate::timers::{Timer, Timers};
use crate::wire::ReconfigResult;

/// News from an association.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The association is established: data flows both ways.
    Connected,
    /// The peer lost its state and set up the association anew (RFC 9260 §5.2.4.1); all streams
    /// begin from zero.
    Restarted,
    /// A whole message.
    Message {
        /// The stream it came on.
        stream: u16,
        /// Payload protocol identifier.
        ppid: u32,
        /// It was sent unordered.
        unordered: bool,
        /// Its octets.
        payload: Payload,
    },
    /// A piece of a message, when [`Config::piece_size`] is set. Pieces of messages on different
    /// streams, and of ordered and unordered messages, may alternate.
    MessagePart {
        /// The stream it came on.
        stream: u16,
        /// Payload protocol identifier.
        ppid: u32,
        /// Its octets.
        payload: Payload,
        /// The message begins.
        first: bool,
        /// The message ends.
        last: bool,
    },
    /// The rest of a message whose pieces were being handed over will not come: the peer gave
    /// it up.
    MessageAborted {
        /// The stream.
        stream: u16,
    },
    /// A message was dropped because it is larger than [`Config::max_message_size`].
    MessageRefused {
        /// The stream.
        stream: u16,
    },
    /// The peer reset its outgoing stream: what comes on it now begins from zero.
    IncomingReset {
        /// The stream.
        stream: u16,
    },
    /// The peer reset all of its outgoing streams at once: what comes on any now begins from zero.
    AllIncomingReset,
    /// The peer had all numbers begin anew, TSNs too (RFC 6525 §5.2.4): nothing was on its way.
    NumbersReset,
    /// The peer asks us to reset our outgoing stream (RFC 6525 §4.2). The answer is up to the
    /// application: [`Association::reset_stream`].
    ResetRequested {
        /// The stream.
        stream: u16,
    },
    /// A reset that we asked for is settled.
    OutgoingReset {
        /// The stream.
        stream: u16,
        /// Whether the peer performed it.
        performed: bool,
    },
    /// The number of streams that we may send on, or the peer may, changed.
    StreamsAdded {
        /// Streams that we may send on.
        outbound: u16,
        /// Streams that the peer may send on.
        inbound: u16,
    },
    /// What a stream has queued fell to its low threshold.
    BufferedAmountLow {
        /// The stream.
        stream: u16,
    },
    /// A stream whose message was refused for lack of room has room again.
    Writable {
        /// The stream.
        stream: u16,
    },
    /// The association is over. The last event.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// The explicit congestion notification bits of a packet (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// 00: the transport does not take part.
    #[default]
    NotEct,
    /// 10: it takes part.
    Ect0,
    /// 01: it takes part.
    Ect1,
    /// 11: congestion experienced.
    Ce,
}

/// A packet that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Octets appended.
    pub len: usize,
    /// How to mark it.
    pub ecn: Ecn,
    /// It tries whether packets of its size pass (RFC 8899): it may be larger than any before, and its loss harms
    /// nothing. It should leave with "don't fragment", and not in one call with others.
    pub probes: bool,
}

/// Octets that the tables take for a chunk in flight, beyond its payload.
const OUTSTANDING_OVERHEAD: usize = 160;

/// Where an association is in its life (RFC 9260 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Nothing was sent; a peer's INIT is answered.
    Idle,
    /// INIT is sent.
    CookieWait,
    /// COOKIE ECHO is sent.
    CookieEchoed,
    /// Data flows.
    Established,
    /// We shut down once everything is acknowledged.
    ShutdownPending,
    /// SHUTDOWN is sent.
    ShutdownSent,
    /// The peer shuts down; we do once everything is acknowledged.
    ShutdownReceived,
    /// SHUTDOWN ACK is sent.
    ShutdownAckSent,
    /// Over.
    Closed,
}

/// How a message is to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// Payload protocol identifier.
    pub ppid: u32,
    /// Deliver it without regard to the stream's order.
    pub unordered: bool,
    /// How hard to try.
    pub reliability: Reliability,
}

/// How hard to try to deliver a message (RFC 3758, RFC 7496).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// Until it arrives.
    #[default]
    Reliable,
    /// Give up after this many retransmissions.
    MaxRetransmits(u16),
    /// Give up after this time, whether or not it was sent.
    MaxLifetime(Duration),
}

/// Chunks in answer to the peer, and what else is due in the next packet.
#[derive(Debug, Default)]
struct Due {
    /// Packets of one chunk to a given tag: INIT ACK.
    alone: VecDeque<(u32, Box<[u8]>)>,
    /// Finished chunks to bundle: HEARTBEAT ACK, ERROR.
    bundled: VecDeque<Box<[u8]>>,
    init: bool,
    cookie_echo: bool,
    cookie_ack: bool,
    shutdown: bool,
    shutdown_ack: bool,
    /// With the tag reflected or not.
    shutdown_complete: Option<(u32, bool)>,
    /// An ABORT with this cause.
    abort: Option<u16>,
    heartbeat: bool,
    forward: bool,
    /// An ECNE with the lowest TSN of the marked packet.
    ecne: Option<u32>,
    cwr: Option<u32>,
    /// One packet of data whatever the congestion window says: a tail-loss probe.
    probe: bool,
    /// One packet of retransmissions whatever the congestion window says (RFC 9260 §7.2.4).
    fast_retransmit: bool,
    /// Data is in flight that the receiver's window had no room for.
    window_probe: bool,
    /// A path-MTU probe.
    path_probe: bool,
}

/// An SCTP association over a datagram layer, one path, sans-IO.
///
/// Feed it packets with [`handle_input`](Self::handle_input) and time with
/// [`handle_timeout`](Self::handle_timeout); take packets with
/// [`poll_transmit`](Self::poll_transmit) until it gives none, and news with
/// [`poll_event`](Self::poll_event). Any call may follow any other.
#[derive(Debug)]
pub struct Association {
    config: Config,
    state: State,
    began: Instant,
    random: Random,
    cookie_secret: [u8; 32],
    own: OwnInit,
    peer: Option<PeerInit>,
    features: Features,
    cookie: Option<Bytes>,
    timers: Timers,
    rtt: RttEstimator,
    send: SendQueue,
    outstanding: Outstanding,
    loss: LossDetection,
    congestion: Controller,
    pacer: Pacer,
    acks: Acknowledger,
    reassembly: Reassembly,
    window: crate::window::ReceiveWindow,
    path: crate::path_mtu::PathMtu,
    reset: Reset,
    events: VecDeque<Event>,
    close_reason: Option<CloseReason>,
    due: Due,
    /// The peer's last advertised window.
    peer_window: usize,
    /// The window that our last SACK advertised.
    advertised: usize,
    /// Timeouts in a row (RFC 9260 §8.1) or handshake repetitions.
    errors: u32,
    /// The unanswered heartbeat's mark, and when it was sent.
    heartbeat: Option<(u64, Instant)>,
    /// The application had less to send than the window allowed.
    app_limited: bool,
    /// The last chunk sent asks to be acknowledged at once.
    tail_immediate: bool,
    /// Delivered octets until which rate samples count as limited, and by what.
    limited_until: (u64, Limited),
    /// The last FORWARD-TSN, and when.
    forwarded: Option<(u64, Instant)>,
    /// Packets below this number do not bring about another reduction for ECN.
    ecn_until: u64,
    outbound_streams: u16,
    inbound_streams: u16,
    writing: Option<u16>,
    /// When the first INIT was sent, while its answer can be timed.
    handshake_sent: Option<Instant>,
    counters: Counters,
    /// Buffers were given back.
    slimmed: bool,
    /// The application wants the association to end.
    closing: bool,
    /// How often our cookie was stale.
    stale_cookies: u32,
}

/// A source of the few random numbers that an established association needs: 32 octets instead of
/// the 320 of a generator that keeps its output ready.
#[derive(Debug)]
struct Random([u8; 32]);

impl Random {
    fn from_rng(rng: &mut impl Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        let mut rng = StdRng::from_seed(self.0);
        rng.fill_bytes(&mut self.0);
        rng.next_u64()
    }
}

impl Association {
    /// An association that has not begun: call [`connect`](Self::connect), or wait for the peer
    /// to do so. `rng` seeds everything random in it.
    pub fn new(config: Config, now: Instant, rng: &mut impl Rng) -> Self {
        let config = config.sane();
        let mut rng = StdRng::from_rng(rng);
        let mut cookie_secret = [0; 32];
        rng.fill_bytes(&mut cookie_secret);
        let own = OwnInit {
            tag: rng.next_u32().max(1),
            initial_tsn: rng.next_u32(),
        };
        let policy = Policy {
            piece: config.piece_size,
            largest: config.max_message_size,
        };
        // With DATA one message is under way at a time: its TSNs are consecutive (RFC 9260 §6.9).
        let unit = match config.piece_size {
            _ if !config.interleaving => 0,
            Some(piece) => piece,
            None => config.max_message_size,
        };
        Self {
            state: State::Idle,
            began: now,
            cookie_secret,
            own,
            peer: None,
            features: Features::default(),
            cookie: None,
            timers: Timers::default(),
            rtt: RttEstimator::new(config.rto_initial, config.rto_min, config.rto_max),
            send: SendQueue::new(config.scheduler),
            outstanding: Outstanding::new(now, own.initial_tsn),
            loss: LossDetection::new(),
            congestion: Controller::new(config.congestion, config.mtu),
            pacer: Pacer::new(now),
            acks: Acknowledger::new(0),
            reassembly: Reassembly::new(false, policy),
            window: crate::window::ReceiveWindow::new(
                config.receive_window,
                config.max_receive_window,
                unit,
            ),
            path: crate::path_mtu::PathMtu::new(config.mtu, config.max_mtu),
            reset: Reset::new(own.initial_tsn, 0),
            events: VecDeque::new(),
            close_reason: None,
            due: Due::default(),
            peer_window: 0,
            advertised: config.receive_window,
            errors: 0,
            heartbeat: None,
            app_limited: true,
            tail_immediate: false,
            limited_until: (0, Limited::No),
            forwarded: None,
            ecn_until: 0,
            outbound_streams: config.outbound_streams,
            inbound_streams: config.inbound_streams,
            writing: None,
            handshake_sent: None,
            counters: Counters::default(),
            config,
            random: Random::from_rng(&mut rng),
            slimmed: false,
            closing: false,
            stale_cookies: 0,
        }
    }

    /// Where the association is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it ended, once it has.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// How many streams we may send on: identifiers below this are valid.
    pub fn outbound_streams(&self) -> u16 {
        self.outbound_streams
    }

    /// Whether both sides can reset streams (RFC 6525).
    pub fn can_reset_streams(&self) -> bool {
        self.features.reconfig
    }

    /// Whether messages of different streams are interleaved (RFC 8260).
    pub fn interleaves(&self) -> bool {
        self.features.interleaving
    }

    /// Queues a message. It may be called before the association is established.
    pub fn send(
        &mut self,
        now: Instant,
        stream: u16,
        data: Bytes,
        options: SendOptions,
    ) -> Result<(), SendError> {
        self.check_sendable(stream)?;
        if data.is_empty() {
            return Err(SendError::Empty);
        }
        if self.writing == Some(stream) {
            return Err(SendError::Busy);
        }
        self.push(now, stream, data, options, true, true);
        Ok(())
    }

    /// Begins or goes on with a message given piece by piece, so that it is never in memory as a
    /// whole. The last piece is held back until another one or
    /// [`finish_message`](Self::finish_message) follows. Without interleaving other streams wait
    /// until the message ends; one message at a time can be written so.
    pub fn send_piece(
        &mut self,
        now: Instant,
        stream: u16,
        data: Bytes,
        options: SendOptions,
    ) -> Result<(), SendError> {
        self.check_sendable(stream)?;
        if data.is_empty() {
            return Err(SendError::Empty);
        }
        let begin = match self.writing {
            None => true,
            Some(writing) if writing == stream => false,
            Some(_) => return Err(SendError::Busy),
        };
        self.writing = Some(stream);
        self.push(now, stream, data, options, begin, false);
        Ok(())
    }

    /// Ends the message given piece by piece.
    pub fn finish_message(&mut self, stream: u16) -> Result<(), SendError> {
        if self.writing != Some(stream) {
            return Err(SendError::NotWriting);
        }
        self.writing = None;
        self.send.finish_message(stream);
        Ok(())
    }

    fn check_sendable(&self, stream: u16) -> Result<(), SendError> {
        match self.state {
            State::ShutdownPending
            | State::ShutdownSent
            | State::ShutdownReceived
            | State::ShutdownAckSent
            | State::Closed => Err(SendError::Closed),
            _ if stream >= self.outbound_streams => Err(SendError::NoSuchStream),
            _ => Ok(()),
        }
    }

    fn push(
        &mut self,
        now: Instant,
        stream: u16,
        data: Bytes,
        options: SendOptions,
        begin: bool,
        end: bool,
    ) {
        // Before the handshake it is not known whether the peer lets messages be given up;
        // the retransmission queue never acts on an effort when it does not.
        let effort = match options.reliability {
            Reliability::Reliable => Effort::default(),
            Reliability::MaxRetransmits(most) => Effort {
                deadline: None,
                retransmissions: Some(most),
            },
            Reliability::MaxLifetime(life) => Effort {
                deadline: now.checked_add(life),
                retransmissions: None,
            },
        };
        let effort = if self.gives_up() {
            effort
        } else {
            Effort::default()
        };
        let SendOptions {
            ppid, unordered, ..
        } = options;
        self.send.push(
            now,
            stream,
            Piece {
                data,
                ppid,
                unordered,
                effort,
                begin,
                end,
            },
        );
        self.app_limited &= !self.send.has_sendable();
        self.tell_drained();
    }

    /// Whether messages may be given up: yes until the peer says that it cannot.
    fn gives_up(&self) -> bool {
        match self.peer {
            Some(_) => self.features.forward_tsn,
            None => self.config.partial_reliability,
        }
    }

    /// Octets of a stream that are queued and have not been sent once.
    pub fn buffered_amount(&self, stream: u16) -> usize {
        self.send.stream_bytes(stream)
    }

    /// A mark behind all data that was sent up to now, for [`is_acknowledged`](Self::is_acknowledged).
    pub fn sent_mark(&self) -> u64 {
        self.outstanding.next_tsn()
    }

    /// Whether the peer has acknowledged all data before a [`sent_mark`](Self::sent_mark), given up data included.
    pub fn is_acknowledged(&self, mark: u64) -> bool {
        let through = self.outstanding.cumulative() + 1 >= mark;
        through || self.state != State::Closed && self.outstanding.is_empty()
    }

    /// Octets of all streams that are queued and have not been sent once.
    pub fn total_buffered_amount(&self) -> usize {
        self.send.bytes()
    }

    /// [`Event::BufferedAmountLow`] comes when the amount falls from above to `octets`.
    pub fn set_buffered_amount_low_threshold(&mut self, stream: u16, octets: usize) {
        self.send.set_low(stream, octets);
    }

    /// The threshold of [`set_buffered_amount_low_threshold`](Self::set_buffered_amount_low_threshold).
    pub fn buffered_amount_low_threshold(&self, stream: u16) -> usize {
        self.send.low(stream)
    }

    /// Asks for [`Event::Writable`] once the stream has less than `below` octets queued.
    pub fn notify_writable(&mut self, stream: u16, below: usize) {
        self.send.want_room(stream, below);
    }

    /// A stream's weight under weighted fair queueing, or its priority: larger is more, 256 is
    /// usual.
    pub fn set_stream_priority(&mut self, stream: u16, priority: u16) {
        self.send.set_weight(stream, priority);
    }

    /// Resets an outgoing stream once what it has queued is sent (RFC 6525 §5.1.2);
    /// [`Event::OutgoingReset`] tells the end. Messages queued after this call wait for it.
    pub fn reset_stream(&mut self, now: Instant, stream: u16) -> Result<(), SendError> {
        self.check_sendable(stream)?;
        if self.peer.is_some() && !self.features.reconfig {
            self.events.push_back(Event::OutgoingReset {
                stream,
                performed: false,
            });
            return Ok(());
        }
        self.want_reset(stream);
        self.request_reset(now);
        Ok(())
    }

    /// Whether a reset of the stream that was asked for is not settled.
    pub(crate) fn is_resetting(&self, stream: u16) -> bool {
        self.reset.is_under_way(stream)
    }

    /// Asks the peer to reset its outgoing stream (RFC 6525 §5.1.3): it may refuse.
    /// [`Event::IncomingReset`] tells that it did it.
    pub fn request_peer_reset(&mut self, now: Instant, stream: u16) -> Result<(), SendError> {
        if stream >= self.inbound_streams {
            return Err(SendError::NoSuchStream);
        }
        if self.state != State::Established || !self.features.reconfig {
            return Err(SendError::Closed);
        }
        self.reset.want_incoming(stream);
        self.request_reset(now);
        Ok(())
    }

    /// Asks the peer for `count` more outgoing streams (RFC 6525 §5.1.5).
    pub fn add_streams(&mut self, now: Instant, count: u16) -> Result<(), SendError> {
        if self.state != State::Established || !self.features.reconfig {
            return Err(SendError::Closed);
        }
        let room = u16::MAX - self.outbound_streams;
        self.reset.want_streams(count.min(room));
        self.request_reset(now);
        Ok(())
    }

    /// Asks the peer to ask for `count` more outgoing streams of its own (RFC 6525 §5.1.6): it may
    /// refuse. [`Event::StreamsAdded`] tells that it did it.
    pub fn request_peer_streams(&mut self, now: Instant, count: u16) -> Result<(), SendError> {
        if self.state != State::Established || !self.features.reconfig {
            return Err(SendError::Closed);
        }
        let room = u16::MAX - self.inbound_streams;
        self.reset.want_incoming_streams(count.min(room));
        self.request_reset(now);
        Ok(())
    }

    /// The stream is to be reset once what it has queued now is sent.
    fn want_reset(&mut self, stream: u16) {
        self.send.pause(stream);
        self.reset.want(stream, self.send.is_empty(stream));
    }

    fn request_reset(&mut self, _now: Instant) {
        while let Some(stream) = self.send.take_emptied() {
            if self.send.is_empty(stream) {
                self.reset.drained(stream);
            }
        }
        // What is queued behind a reset goes out before the association is shut down.
        if !self.sends_data() || !self.reset.is_waiting() {
            return;
        }
        let most = ((self.path.base() - 40) / 2).min(MAX_STREAMS_A_RESET);
        self.reset.make_request(self.outstanding.next_tsn(), most);
    }

    /// Drops what a stream has queued; a message that was partly sent is given up if the peer
    /// supports partial reliability, and sent otherwise.
    pub fn discard_queued(&mut self, now: Instant, stream: u16) {
        if !self.gives_up() {
            return;
        }
        if self.writing == Some(stream) {
            self.writing = None;
        }
        if let Some((unordered, message, ppid, number)) = self.send.discard(stream) {
            self.outstanding.abandon_message(stream, message, unordered);
            self.outstanding
                .append_abandoned_end(stream, message, unordered, ppid, number);
            self.due.forward = true;
        }
        self.tell_drained();
        self.request_reset(now);
        self.progress_shutdown(now);
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.take_event()?;
        if let Event::Message { payload, .. } | Event::MessagePart { payload, .. } = &event {
            self.release(reassembly::cost(payload));
        }
        Some(event)
    }

    /// The next piece of news; a message in it still takes its part of the receive buffer.
    #[inline]
    pub(crate) fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The application took a message of this cost.
    #[inline]
    pub(crate) fn release(&mut self, cost: usize) {
        self.reassembly.release(cost);
        // A window that was nearly closed is worth a SACK of its own when it opens
        // (RFC 9260 §6.2).
        if self.advertised < self.window.size() / 2 {
            let window = self.window.advertise(self.reassembly.held());
            if window >= self.advertised + self.window.size() / 4 {
                self.counters.window_updates += 1;
                let _ = self.acks.packet_received(true);
                self.timers.stop(Timer::Acknowledgement);
                self.advertised = window;
            }
        }
    }

    /// The application has something of this cost to take.
    pub(crate) fn charge(&mut self, cost: usize) {
        self.reassembly.charge(cost);
    }

    fn tell_drained(&mut self) {
        while let Some((stream, drained)) = self.send.take_drained() {
            if drained.low {
                self.events.push_back(Event::BufferedAmountLow { stream });
            }
            if drained.room {
                self.events.push_back(Event::Writable { stream });
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A snapshot of counters and estimates.
    pub fn stats(&self) -> Stats {
        let held = self.reassembly.held();
        Stats {
            counters: self.counters,
            smoothed_rtt: self.rtt.smoothed(),
            min_rtt: self.rtt.minimum(),
            congestion_window: self.congestion.window(),
            bytes_in_flight: self.outstanding.in_flight(),
            chunks_outstanding: self.outstanding.len(),
            bytes_queued: self.send.bytes(),
            bytes_waiting: held.waiting,
            bytes_unread: held.unread,
            receive_window: self.window.size(),
            peer_window: self.peer_window,
            mtu: self.path.current(),
            messages_abandoned: self.outstanding.abandoned_messages(),
            messages_expired: self.send.expired(),
            bytes_delivered: self.outstanding.delivered(),
        }
    }

    /// Octets that are queued or in flight, with what their bookkeeping takes.
    pub fn outgoing(&self) -> usize {
        self.send.bytes()
            + self.outstanding.unacked_payload()
            + self.outstanding.len() * OUTSTANDING_OVERHEAD
    }

    /// Octets of memory in use, about: what is queued, in flight, waiting for missing data, and waiting for the
    /// application. Costs nothing to ask.
    pub fn memory_usage(&self) -> usize {
        let held = self.reassembly.held();
        size_of::<Self>() + self.outgoing() + held.waiting + held.unread
    }

    fn close_with(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        self.close_reason = Some(reason);
        self.timers.close();
        self.send.clear();
        self.outstanding.clear();
        self.reassembly.begin_anew(self.features.interleaving);
        self.events.push_back(Event::Closed { reason });
    }

    fn settle_reset(&mut self, streams: Vec<u16>, result: ReconfigResult) {
        let performed = matches!(
            result,
            ReconfigResult::Performed | ReconfigResult::NothingToDo
        );
        for stream in streams {
            if performed {
                self.send.restart(stream);
            } else {
                self.send.resume(stream);
            }
            if self.reset.is_wanted(stream) {
                // Asked for anew meanwhile.
                self.want_reset(stream);
            }
            self.events
                .push_back(Event::OutgoingReset { stream, performed });
        }
    }
}
