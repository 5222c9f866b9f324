//! Stream re-configuration (RFC 6525): resetting streams, adding streams, both directions.

use std::collections::{BTreeSet, VecDeque};

use crate::limits::{MAX_INCOMING_WANTED, MAX_TSN_RESETS_PUT_OFF, RECONFIG_MEMORY};
use crate::wire::{ChunkWriter, Reconfig, ReconfigResult, chunk_type, padded, parameter_type};
use crate::work;

/// A request of ours that waits for its response.
#[derive(Debug)]
struct Request {
    number: u32,
    kind: RequestKind,
    /// The last response was "in progress" (§5.2.7).
    in_progress: bool,
    /// When it was last sent, the peer had acknowledged all that a reset waits for.
    nothing_missing: bool,
}

#[derive(Debug)]
enum RequestKind {
    Outgoing {
        streams: Vec<u16>,
        last_tsn: u64,
        response: u32,
    },
    Incoming {
        streams: Vec<u16>,
    },
    AddOutgoing {
        count: u16,
    },
    AddIncoming {
        count: u16,
    },
}

/// A TSN reset's answer (§4.4): the TSN with which its sender goes on, and its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreshTsns {
    pub(crate) sender: u32,
    pub(crate) receiver: u32,
}

/// What a request came to.
#[derive(Clone, Copy, Debug)]
struct Answer {
    number: u32,
    result: ReconfigResult,
    tsns: Option<FreshTsns>,
}

/// A peer's request to reset its outgoing streams that waits for data (§5.2.2 E2), or did.
#[derive(Debug)]
struct Deferred {
    number: u32,
    last_tsn: u64,
    streams: Vec<u16>,
    performed: bool,
}

/// What a RE-CONFIG parameter asks the conductor to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Forget these incoming streams' numbers; none listed: of all.
    ResetIncoming(Vec<u16>),
    /// Our request is "in progress": it is to be repeated later.
    AskLater,
    /// Our request about these streams is settled.
    OutgoingDone(Vec<u16>, ReconfigResult),
    /// The peer asks us to reset these outgoing streams.
    ResetOutgoing(Vec<u16>),
    /// The peer may send on this many more streams.
    IncomingAdded(u16),
    /// We may send on this many more streams.
    OutgoingAdded(u16),
    /// Our request to add streams, or to have the peer reset some, was refused or is settled.
    RequestSettled,
    /// All numbers begin anew; the peer's TSNs with this one.
    RestartNumbers(u32),
}

#[derive(Debug)]
pub(crate) struct Reset {
    next_request: u32,
    request: Option<Request>,
    /// The request is to be written into the next packet.
    request_due: bool,
    /// Streams to be reset once what they have queued is sent; each once, however often a peer brings it about.
    waiting: BTreeSet<u16>,
    /// Those that have nothing to send any more.
    ready: BTreeSet<u16>,
    /// Streams that the peer is to reset.
    incoming: Vec<u16>,
    /// The peer's request that the next outgoing reset answers.
    answers: Option<u32>,
    add: u16,
    /// How many more streams the peer is to ask for.
    add_incoming: u16,
    expected: u32,
    last: VecDeque<Answer>,
    deferred: Option<Deferred>,
    tsn_resets_put_off: u32,
    /// Responses to be written.
    responses: VecDeque<Answer>,
}

impl Reset {
    pub(crate) fn new(own_initial_tsn: u32, peer_initial_tsn: u32) -> Self {
        Self {
            next_request: own_initial_tsn,
            request: None,
            request_due: false,
            waiting: BTreeSet::new(),
            ready: BTreeSet::new(),
            incoming: Vec::new(),
            answers: None,
            add: 0,
            add_incoming: 0,
            expected: peer_initial_tsn,
            last: VecDeque::new(),
            deferred: None,
            tsn_resets_put_off: 0,
            responses: VecDeque::new(),
        }
    }

    /// Asks for a stream's reset as soon as it has nothing more to send; `drained`: now.
    pub(crate) fn want(&mut self, stream: u16, drained: bool) {
        self.ready.remove(&stream);
        self.waiting.insert(stream);
        if drained {
            self.drained(stream);
        }
    }

    /// A stream has nothing more to send.
    pub(crate) fn drained(&mut self, stream: u16) {
        if self.waiting.remove(&stream) {
            self.ready.insert(stream);
        }
    }

    /// Whether the stream's reset is still to be asked for.
    pub(crate) fn is_wanted(&self, stream: u16) -> bool {
        self.waiting.contains(&stream) || self.ready.contains(&stream)
    }

    /// Whether a reset of the stream is to be asked for or was, and is not settled.
    pub(crate) fn is_under_way(&self, stream: u16) -> bool {
        let asked = self
            .request
            .as_ref()
            .is_some_and(|request| match &request.kind {
                // In order, as they were taken.
                RequestKind::Outgoing { streams, .. } => streams.binary_search(&stream).is_ok(),
                _ => false,
            });
        asked || self.is_wanted(stream)
    }

    /// Takes the streams that no request was made for yet.
    pub(crate) fn take_waiting(&mut self) -> BTreeSet<u16> {
        let mut all = core::mem::take(&mut self.waiting);
        all.append(&mut self.ready);
        all
    }

    /// Asks for the reset of a stream of the peer's.
    pub(crate) fn want_incoming(&mut self, stream: u16) {
        if !self.incoming.contains(&stream) && self.incoming.len() < MAX_INCOMING_WANTED {
            self.incoming.push(stream);
        }
    }

    /// Asks for more outgoing streams.
    pub(crate) fn want_streams(&mut self, count: u16) {
        self.add = self.add.saturating_add(count);
    }

    /// Asks the peer to add outgoing streams of its own.
    pub(crate) fn want_incoming_streams(&mut self, count: u16) {
        self.add_incoming = self.add_incoming.saturating_add(count);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.ready.is_empty() || !self.incoming.is_empty() || self.add > 0 || self.add_incoming > 0
    }

    /// Makes a request of what can be asked now; `most` bounds the streams in one request.
    pub(crate) fn make_request(&mut self, next_tsn: u64, most: usize) {
        if self.request.is_some() {
            return;
        }
        let ready = std::iter::from_fn(|| self.ready.pop_first());
        let streams: Vec<u16> = ready.take(most).collect();
        work::steps(streams.len());
        let kind = if !streams.is_empty() {
            let response = self
                .answers
                .take()
                .unwrap_or_else(|| self.expected.wrapping_sub(1));
            RequestKind::Outgoing {
                streams,
                last_tsn: next_tsn - 1,
                response,
            }
        } else if !self.incoming.is_empty() {
            let most = most.min(self.incoming.len());
            RequestKind::Incoming {
                streams: self.incoming.drain(..most).collect(),
            }
        } else if self.add > 0 {
            RequestKind::AddOutgoing {
                count: std::mem::take(&mut self.add),
            }
        } else if self.add_incoming > 0 {
            RequestKind::AddIncoming {
                count: std::mem::take(&mut self.add_incoming),
            }
        } else {
            return;
        };
        self.request = Some(Request {
            number: self.next_request,
            kind,
            in_progress: false,
            nothing_missing: false,
        });
        self.request_due = true;
    }

    /// Time to repeat the request; true when no response came. The peer has all our TSNs up to `acknowledged`.
    pub(crate) fn repeat(&mut self, acknowledged: u64) -> bool {
        let Some(request) = &mut self.request else {
            return false;
        };
        self.request_due = true;
        let in_progress = std::mem::take(&mut request.in_progress);
        if in_progress && request.nothing_missing {
            // dcSCTP before 2026 gives a number the same answer for ever. Under the next one it looks again, as others do.
            request.number = request.number.wrapping_add(1);
        }
        request.nothing_missing = match request.kind {
            RequestKind::Outgoing { last_tsn, .. } => last_tsn <= acknowledged,
            _ => false,
        };
        !in_progress
    }

    pub(crate) fn is_due(&self) -> bool {
        self.request_due || !self.responses.is_empty()
    }

    /// Octets that the next chunk takes.
    pub(crate) fn next_len(&self) -> usize {
        if let Some(request) = self.request.as_ref().filter(|_| self.request_due) {
            return match &request.kind {
                RequestKind::Outgoing { streams, .. } => padded(4 + 16 + streams.len() * 2),
                RequestKind::Incoming { streams } => padded(4 + 8 + streams.len() * 2),
                RequestKind::AddOutgoing { .. } | RequestKind::AddIncoming { .. } => 16,
            };
        }
        match self.responses.front() {
            Some(Answer { tsns: Some(_), .. }) => 24,
            _ => 16,
        }
    }

    /// Appends one chunk; true when it was a request, whose timer must run.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(request) = self.request.as_ref().filter(|_| self.request_due) {
            let mut value = request.number.to_be_bytes().to_vec();
            let kind = match &request.kind {
                RequestKind::Outgoing {
                    streams,
                    last_tsn,
                    response,
                } => {
                    value.extend_from_slice(&response.to_be_bytes());
                    value.extend_from_slice(&(*last_tsn as u32).to_be_bytes());
                    for stream in streams {
                        value.extend_from_slice(&stream.to_be_bytes());
                    }
                    parameter_type::OUTGOING_RESET
                }
                RequestKind::Incoming { streams } => {
                    for stream in streams {
                        value.extend_from_slice(&stream.to_be_bytes());
                    }
                    parameter_type::INCOMING_RESET
                }
                RequestKind::AddOutgoing { count } => {
                    value.extend_from_slice(&count.to_be_bytes());
                    value.extend_from_slice(&[0, 0]);
                    parameter_type::ADD_OUTGOING
                }
                RequestKind::AddIncoming { count } => {
                    value.extend_from_slice(&count.to_be_bytes());
                    value.extend_from_slice(&[0, 0]);
                    parameter_type::ADD_INCOMING
                }
            };
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(kind, &value)
                .finish();
            self.request_due = false;
            return true;
        }
        if let Some(answer) = self.responses.pop_front() {
            let mut value = answer.number.to_be_bytes().to_vec();
            value.extend_from_slice(&answer.result.to_wire().to_be_bytes());
            if let Some(tsns) = answer.tsns {
                value.extend_from_slice(&tsns.sender.to_be_bytes());
                value.extend_from_slice(&tsns.receiver.to_be_bytes());
            }
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(parameter_type::RECONFIG_RESPONSE, &value)
                .finish();
        }
        false
    }

    fn respond(&mut self, number: u32, result: ReconfigResult) {
        self.answer(Answer {
            number,
            result,
            tsns: None,
        });
    }

    fn answer(&mut self, answer: Answer) {
        self.responses.retain(|a| a.number != answer.number);
        if self.responses.len() < RECONFIG_MEMORY {
            self.responses.push_back(answer);
        }
    }

    fn settle(&mut self, number: u32, result: ReconfigResult) {
        self.settle_with(Answer {
            number,
            result,
            tsns: None,
        });
    }

    fn settle_with(&mut self, answer: Answer) {
        self.last.retain(|a| a.number != answer.number);
        if self.last.len() >= RECONFIG_MEMORY {
            self.last.pop_front();
        }
        self.last.push_back(answer);
        self.answer(answer);
    }

    /// A request's number: whether it is the next one. Earlier ones are answered here (§5.2.1). One whose forerunner was
    /// lost is not: pion has many on the way (against §5.1.1), and never repeats what was answered.
    fn is_next(&mut self, number: u32) -> bool {
        if let Some(answer) = self.last.iter().find(|a| a.number == number).copied() {
            self.answer(answer);
            return false;
        }
        let ahead = number.wrapping_sub(self.expected);
        if ahead >= 1 << 31 {
            self.respond(number, ReconfigResult::BadSequenceNumber);
        }
        ahead == 0
    }

    /// Takes in a parameter. `cumulative` is what has been received; `unwrap` widens a TSN;
    /// `fresh` are the TSNs with which both could begin anew, unless something is on its way.
    pub(crate) fn handle(
        &mut self,
        parameter: &Reconfig<'_>,
        cumulative: u64,
        unwrap: impl Fn(u32) -> u64,
        fresh: Option<FreshTsns>,
    ) -> Option<Action> {
        match *parameter {
            Reconfig::OutgoingReset {
                request,
                last_tsn,
                streams,
                response,
            } => {
                let answered = self.request.as_ref().is_some_and(|r| {
                    r.number == response && matches!(r.kind, RequestKind::Incoming { .. })
                });
                if answered {
                    self.finish_request();
                }
                if !self.is_next(request) {
                    return None;
                }
                let streams: Vec<u16> = Reconfig::stream_ids(streams).collect();
                let last_tsn = unwrap(last_tsn);
                // dcSCTP before 2026 repeats what was "in progress" under the next number.
                let again = self.deferred.as_ref().filter(|d| {
                    d.number.wrapping_add(1) == request
                        && d.last_tsn == last_tsn
                        && d.streams == streams
                });
                let again = again.map(|d| d.performed);
                let waits = self.deferred.as_ref().is_some_and(|d| !d.performed);
                if waits && again.is_none() {
                    // The one that waits for data is not to be lost; this one has its turn when it is repeated.
                    return None;
                }
                self.expected = self.expected.wrapping_add(1);
                if last_tsn > cumulative {
                    self.settle(request, ReconfigResult::InProgress);
                    self.deferred = Some(Deferred {
                        number: request,
                        last_tsn,
                        streams,
                        performed: false,
                    });
                    return None;
                }
                self.settle(request, ReconfigResult::Performed);
                self.deferred = None;
                // Nothing was sent since: the streams may have new users.
                (again != Some(true)).then_some(Action::ResetIncoming(streams))
            }
            Reconfig::IncomingReset { request, streams } => {
                if !self.is_next(request) {
                    return None;
                }
                self.expected = self.expected.wrapping_add(1);
                let streams: Vec<u16> = Reconfig::stream_ids(streams).collect();
                if streams.is_empty() {
                    self.settle(request, ReconfigResult::Denied);
                    return None;
                }
                self.settle(request, ReconfigResult::InProgress);
                self.answers = Some(request);
                Some(Action::ResetOutgoing(streams))
            }
            Reconfig::TsnReset { request } => {
                if !self.is_next(request) {
                    return None;
                }
                let waits = self.deferred.as_ref().is_some_and(|d| !d.performed);
                if self.request.is_some() || waits {
                    self.expected = self.expected.wrapping_add(1);
                    self.settle(request, ReconfigResult::AlreadyInProgress);
                    return None;
                }
                let Some(tsns) = fresh else {
                    // What is on its way would be lost. The peer repeats its request: no answer
                    // is better than "in progress", which usrsctp takes for the last word.
                    self.tsn_resets_put_off += 1;
                    if self.tsn_resets_put_off > MAX_TSN_RESETS_PUT_OFF {
                        self.tsn_resets_put_off = 0;
                        self.expected = self.expected.wrapping_add(1);
                        self.settle(request, ReconfigResult::Denied);
                    }
                    return None;
                };
                self.tsn_resets_put_off = 0;
                self.expected = self.expected.wrapping_add(1);
                self.settle_with(Answer {
                    number: request,
                    result: ReconfigResult::Performed,
                    tsns: Some(tsns),
                });
                Some(Action::RestartNumbers(tsns.receiver))
            }
            Reconfig::AddOutgoing { request, count } => {
                if !self.is_next(request) {
                    return None;
                }
                self.expected = self.expected.wrapping_add(1);
                self.settle(request, ReconfigResult::Performed);
                Some(Action::IncomingAdded(count))
            }
            Reconfig::AddIncoming { request, count } => {
                if self.is_next(request) {
                    self.expected = self.expected.wrapping_add(1);
                    self.settle(request, ReconfigResult::Performed);
                    self.want_streams(count);
                }
                None
            }
            Reconfig::Response { request, result } => self.on_response(request, result),
        }
    }

    fn on_response(&mut self, number: u32, result: ReconfigResult) -> Option<Action> {
        let request = self.request.as_mut().filter(|r| r.number == number)?;
        if result == ReconfigResult::InProgress {
            request.in_progress = true;
            return Some(Action::AskLater);
        }
        match self.finish_request()? {
            RequestKind::Outgoing { streams, .. } => Some(Action::OutgoingDone(streams, result)),
            RequestKind::AddOutgoing { count } => Some(match result {
                ReconfigResult::Performed => Action::OutgoingAdded(count),
                _ => Action::RequestSettled,
            }),
            RequestKind::Incoming { .. } | RequestKind::AddIncoming { .. } => {
                Some(Action::RequestSettled)
            }
        }
    }

    fn finish_request(&mut self) -> Option<RequestKind> {
        let request = self.request.take()?;
        self.request_due = false;
        self.next_request = request.number.wrapping_add(1);
        Some(request.kind)
    }

    /// Gives back what is not used.
    pub(crate) fn slim(&mut self) {
        // Its repetition would have come.
        let _ = self.deferred.take_if(|deferred| deferred.performed);
        self.incoming.shrink_to_fit();
        self.last.shrink_to_fit();
        self.responses.shrink_to_fit();
    }

    /// Whether a request of ours waits for its response.
    pub(crate) fn is_asking(&self) -> bool {
        self.request.is_some()
    }

    /// The data that a deferred reset waited for may have come (§5.2.2 E3).
    pub(crate) fn on_cumulative(&mut self, cumulative: u64) -> Option<Action> {
        let deferred = self.deferred.as_mut()?;
        if deferred.performed || deferred.last_tsn > cumulative {
            return None;
        }
        deferred.performed = true;
        let (number, streams) = (deferred.number, deferred.streams.clone());
        self.settle(number, ReconfigResult::Performed);
        Some(Action::ResetIncoming(streams))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each packet may bring a request about while thousands of streams still have data queued.
    #[test]
    fn a_request_costs_the_streams_that_it_names() {
        let mut reset = Reset::new(1, 1);
        for stream in 0..60_000 {
            reset.want(stream, false);
        }
        let steps = work::counted(|| {
            for _ in 0..100 {
                reset.make_request(1, 200);
            }
        });
        assert_eq!((steps, reset.is_asking()), (0, false));
        for stream in 0..300 {
            reset.drained(stream);
        }
        for named in [200, 100, 0] {
            assert_eq!(work::counted(|| reset.make_request(1, 200)), named);
            let answer = Reconfig::Response {
                request: reset.next_request,
                result: ReconfigResult::Performed,
            };
            let _ = reset.handle(&answer, 0, u64::from, None);
        }
        assert_eq!(reset.take_waiting().len(), 59_700);
    }
}
