//! Asking STUN servers what they see of us (RFC 8445 §5.1.1.2).
//!
//! One transaction a base and server; the agent's pacer says when one starts.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;
use tincan_stun::message::TransactionId;
use tincan_stun::transaction::{Reliability, Schedule, Step, Transaction};

use crate::pair::BaseId;
use crate::servers::ServerId;

/// A question to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) base: BaseId,
    pub(crate) server: ServerId,
    pub(crate) addr: SocketAddr,
    /// How often it was asked in vain.
    pub(crate) rounds: u8,
    /// It was answered before: only the NAT is to remember.
    pub(crate) again: bool,
    /// By TCP.
    pub(crate) stream: bool,
}

impl Question {
    /// Asked in vain often enough to be reported; it goes on quietly.
    fn is_quiet(&self) -> bool {
        self.again || self.rounds >= self.reported_rounds()
    }

    fn reported_rounds(&self) -> u8 {
        if self.stream { 1 } else { REPORTED_ROUNDS }
    }

    fn all_rounds(&self) -> u8 {
        if self.stream { 1 } else { ROUNDS }
    }
}

/// A round is three transmissions in 2.5 seconds. After so many a server counts
/// as silent: its error is reported and gathering waits for it no longer.
const REPORTED_ROUNDS: u8 = 4;
/// As long as nothing has connected it is asked on, for 40 seconds in all: the
/// access may just be lossy, and behind a NAT no other candidate will do.
const ROUNDS: u8 = 16;
const TRANSMISSIONS: u32 = 3;
/// By TCP there is one round, as long as four by UDP: TCP repeats by itself.
const STREAM_ROUND: Duration = Duration::from_secs(10);
/// A server that answered before and is silent now is asked again after this.
const SILENT_PAUSE: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Task {
    question: Question,
    transaction: Transaction,
}

#[derive(Debug, Default)]
pub(crate) struct Gatherer {
    waiting: VecDeque<Question>,
    active: Vec<Task>,
    resend: VecDeque<TransactionId>,
    /// Answered, to be asked again then.
    kept: Vec<(Instant, Question)>,
}

impl Gatherer {
    /// Gives back room that was kept for more.
    pub(crate) fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
        self.active.shrink_to_fit();
        self.resend.shrink_to_fit();
        self.kept.shrink_to_fit();
    }

    pub(crate) fn ask(&mut self, question: Question) {
        self.waiting.push_back(question);
    }

    /// Whether questions are open that gathering waits for.
    pub(crate) fn is_busy(&self) -> bool {
        let active = self.active.iter().map(|t| &t.question);
        self.waiting.iter().chain(active).any(|q| !q.is_quiet())
    }

    /// A path was found: no need to go on asking silent servers, nor, unless
    /// gathering is continual, those that have answered.
    pub(crate) fn relax(&mut self, continual: bool) {
        let wanted = |q: &Question| !q.is_quiet() || (continual && q.again);
        self.waiting.retain(wanted);
        self.active.retain(|t| wanted(&t.question));
        if !continual {
            self.kept.clear();
        }
    }

    /// Asks a question that was answered again at `at`.
    pub(crate) fn keep(&mut self, at: Instant, question: Question) {
        self.kept.push((
            at,
            Question {
                rounds: 0,
                again: true,
                ..question
            },
        ));
    }

    /// Whether this server is asked, or to be asked again, from this base.
    pub(crate) fn asks(&self, base: BaseId, server: ServerId) -> bool {
        self.questions()
            .any(|q| q.base == base && q.server == server)
    }

    /// Whether this is a connection to a server that is asked by TCP.
    pub(crate) fn asks_by_stream(&self, base: BaseId, addr: SocketAddr) -> bool {
        self.questions()
            .any(|q| q.stream && q.base == base && q.addr == addr)
    }

    /// Whether anything hangs on this server.
    pub(crate) fn uses(&self, server: ServerId) -> bool {
        self.questions().any(|q| q.server == server)
    }

    fn questions(&self) -> impl Iterator<Item = &Question> {
        let active = self.active.iter().map(|t| &t.question);
        let kept = self.kept.iter().map(|(_, q)| q);
        self.waiting.iter().chain(active).chain(kept)
    }

    /// Forgets questions to servers that are none any more, and asks at once
    /// what was to be asked again: ICE begins anew.
    pub(crate) fn begin_anew(&mut self, is_active: impl Fn(ServerId) -> bool) {
        self.waiting.retain(|q| is_active(q.server));
        self.active.retain(|t| is_active(t.question.server));
        for (_, question) in std::mem::take(&mut self.kept) {
            if is_active(question.server) {
                self.waiting.push_back(Question {
                    again: false,
                    ..question
                });
            }
        }
    }

    /// Whether [`start`](Self::start) would start one.
    pub(crate) fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Opens the next transaction; it is sent now.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        rng: &mut impl Rng,
        rto: Duration,
    ) -> Option<(Question, TransactionId)> {
        let question = self.waiting.pop_front()?;
        let id = TransactionId::random(rng);
        let schedule = Schedule::DEFAULT
            .with_rto(rto)
            .with_rc(TRANSMISSIONS)
            .with_rm(2)
            .with_ti(STREAM_ROUND);
        let reliability = if question.stream {
            Reliability::Reliable
        } else {
            Reliability::Unreliable
        };
        let mut transaction = Transaction::new(id, now, schedule, reliability);
        transaction.step(now);
        self.active.push(Task {
            question,
            transaction,
        });
        Some((question, id))
    }

    /// The question that a response answers; it is closed.
    pub(crate) fn answer(
        &mut self,
        id: TransactionId,
        base: BaseId,
        from: SocketAddr,
    ) -> Option<Question> {
        let at = self.active.iter().position(|t| {
            t.transaction.id() == id && t.question.base == base && t.question.addr == from
        })?;
        Some(self.active.swap_remove(at).question)
    }

    /// Moves time on; gives a question to be reported as unanswered. Call until
    /// `None`.
    pub(crate) fn step(&mut self, now: Instant) -> Option<Question> {
        let waiting = &mut self.waiting;
        self.kept.retain(|(at, question)| {
            if *at <= now {
                waiting.push_back(*question);
            }
            *at > now
        });
        let mut at = 0;
        while let Some(task) = self.active.get_mut(at) {
            match task.transaction.step(now) {
                Step::Wait => at += 1,
                Step::Transmit => {
                    self.resend.push_back(task.transaction.id());
                    at += 1;
                }
                Step::TimedOut => {
                    let mut question = self.active.swap_remove(at).question;
                    question.rounds += 1;
                    if question.again {
                        // The candidate stands: whoever uses it will see.
                        self.kept.push((now + SILENT_PAUSE, question));
                        continue;
                    }
                    if question.rounds < question.all_rounds() {
                        self.waiting.push_back(question);
                    }
                    if question.rounds == question.reported_rounds() {
                        return Some(question);
                    }
                }
            }
        }
        None
    }

    pub(crate) fn next_resend(&mut self) -> Option<(Question, TransactionId)> {
        while let Some(id) = self.resend.pop_front() {
            let task = self.active.iter().find(|t| t.transaction.id() == id);
            if let Some(task) = task {
                return Some((task.question, id));
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let active = self.active.iter().map(|t| t.transaction.poll_timeout());
        active.chain(self.kept.iter().map(|(at, _)| *at)).min()
    }

    /// The server can't be reached from there: its questions that were not
    /// reported yet.
    pub(crate) fn give_up(&mut self, base: BaseId, addr: SocketAddr) -> Vec<Question> {
        let meant = |q: &Question| q.base == base && q.addr == addr;
        let active = self.active.iter().map(|t| &t.question);
        let given_up = self
            .waiting
            .iter()
            .chain(active)
            .filter(|q| meant(q) && !q.is_quiet())
            .copied()
            .collect();
        self.waiting.retain(|q| !meant(q));
        self.active.retain(|t| !meant(&t.question));
        given_up
    }

    pub(crate) fn remove_base(&mut self, base: BaseId) {
        self.waiting.retain(|q| q.base != base);
        self.active.retain(|t| t.question.base != base);
        self.kept.retain(|(_, q)| q.base != base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn question(addr: SocketAddr, stream: bool) -> Question {
        Question {
            base: BaseId(0),
            server: 0,
            addr,
            rounds: 0,
            again: false,
            stream,
        }
    }

    #[test]
    fn only_the_asked_server_may_answer() {
        let mut rng = StdRng::seed_from_u64(1);
        let server = SocketAddr::from(([192, 0, 2, 1], 3478));
        let other = SocketAddr::from(([192, 0, 2, 2], 3478));
        let question = question(server, false);
        let mut gatherer = Gatherer::default();
        gatherer.ask(question);
        let now = Instant::now();
        let started = gatherer.start(now, &mut rng, Duration::from_millis(500));
        let id = started
            .map(|(_, id)| id)
            .unwrap_or(TransactionId::new([0; 12]));
        assert_eq!(gatherer.answer(id, BaseId(0), other), None);
        assert_eq!(gatherer.answer(id, BaseId(1), server), None);
        assert_eq!(gatherer.answer(id, BaseId(0), server), Some(question));
        assert!(!gatherer.is_busy());
    }

    #[test]
    fn an_unanswered_question_is_reported_asked_on_quietly_and_ends() {
        let mut rng = StdRng::seed_from_u64(2);
        let addr = SocketAddr::from(([192, 0, 2, 1], 3478));
        let mut gatherer = Gatherer::default();
        gatherer.ask(question(addr, false));
        let begin = Instant::now();
        let (mut now, mut sent, mut reported, mut idle) = (begin, 0, vec![], None);
        loop {
            while gatherer
                .start(now, &mut rng, Duration::from_millis(500))
                .is_some()
            {
                sent += 1;
            }
            let Some(next) = gatherer.poll_timeout() else {
                break;
            };
            now = next;
            if gatherer.step(now).is_some() {
                reported.push(now - begin);
            }
            while gatherer.next_resend().is_some() {
                sent += 1;
            }
            if !gatherer.is_busy() {
                idle.get_or_insert(now - begin);
            }
        }
        let ten = Duration::from_secs(10);
        assert_eq!((sent, reported, idle), (48, vec![ten], Some(ten)));
        assert_eq!(now - begin, Duration::from_secs(40));
    }

    #[test]
    fn by_tcp_a_question_is_sent_once_and_reported_after_ten_seconds() {
        let mut rng = StdRng::seed_from_u64(3);
        let addr = SocketAddr::from(([192, 0, 2, 1], 3478));
        let mut gatherer = Gatherer::default();
        gatherer.ask(question(addr, true));
        let begin = Instant::now();
        let rto = Duration::from_millis(500);
        assert!(gatherer.start(begin, &mut rng, rto).is_some());
        assert!(gatherer.asks_by_stream(BaseId(0), addr));
        let end = gatherer.poll_timeout();
        assert_eq!(end, Some(begin + Duration::from_secs(10)));
        let reported = gatherer.step(begin + Duration::from_secs(10));
        assert_eq!(reported.map(|q| q.addr), Some(addr));
        assert_eq!(gatherer.next_resend(), None);
        assert!(!gatherer.has_work() && !gatherer.is_busy());
    }
}
