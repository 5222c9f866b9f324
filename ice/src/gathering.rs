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

/// A question to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) base: BaseId,
    /// Index in the configuration.
    pub(crate) server: usize,
    pub(crate) addr: SocketAddr,
}

#[derive(Debug)]
struct Task {
    question: Question,
    transaction: Option<Transaction>,
}

#[derive(Debug, Default)]
pub(crate) struct Gatherer {
    waiting: VecDeque<Question>,
    active: Vec<Task>,
    resend: VecDeque<TransactionId>,
}

impl Gatherer {
    pub(crate) fn ask(&mut self, question: Question) {
        self.waiting.push_back(question);
    }

    /// Whether questions are open.
    pub(crate) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.active.is_empty()
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
        transmissions: u32,
    ) -> Option<(Question, TransactionId)> {
        let question = self.waiting.pop_front()?;
        let id = TransactionId::random(rng);
        let schedule = Schedule::DEFAULT
            .with_rto(rto)
            .with_rc(transmissions)
            .with_rm(4);
        let mut transaction = Transaction::new(id, now, schedule, Reliability::Unreliable);
        transaction.step(now);
        self.active.push(Task {
            question,
            transaction: Some(transaction),
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
            t.transaction.as_ref().is_some_and(|x| x.id() == id)
                && t.question.base == base
                && t.question.addr == from
        })?;
        Some(self.active.swap_remove(at).question)
    }

    /// Moves time on; gives a question that nobody answered. Call until `None`.
    pub(crate) fn step(&mut self, now: Instant) -> Option<Question> {
        let mut timed_out = None;
        for (at, task) in self.active.iter_mut().enumerate() {
            let Some(transaction) = &mut task.transaction else {
                continue;
            };
            match transaction.step(now) {
                Step::Wait => {}
                Step::Transmit => self.resend.push_back(transaction.id()),
                Step::TimedOut => {
                    timed_out = Some(at);
                    break;
                }
            }
        }
        timed_out.map(|at| self.active.swap_remove(at).question)
    }

    pub(crate) fn next_resend(&mut self) -> Option<(Question, TransactionId)> {
        while let Some(id) = self.resend.pop_front() {
            let task = self
                .active
                .iter()
                .find(|t| t.transaction.as_ref().is_some_and(|x| x.id() == id));
            if let Some(task) = task {
                return Some((task.question, id));
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.active
            .iter()
            .filter_map(|t| t.transaction.as_ref().map(Transaction::poll_timeout))
            .min()
    }

    pub(crate) fn remove_base(&mut self, base: BaseId) {
        self.waiting.retain(|q| q.base != base);
        self.active.retain(|t| t.question.base != base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn only_the_asked_server_may_answer() {
        let mut rng = StdRng::seed_from_u64(1);
        let server = SocketAddr::from(([192, 0, 2, 1], 3478));
        let other = SocketAddr::from(([192, 0, 2, 2], 3478));
        let question = Question {
            base: BaseId(0),
            server: 0,
            addr: server,
        };
        let mut gatherer = Gatherer::default();
        gatherer.ask(question);
        let now = Instant::now();
        let started = gatherer.start(now, &mut rng, Duration::from_millis(500), 3);
        let id = started
            .map(|(_, id)| id)
            .unwrap_or(TransactionId::new([0; 12]));
        assert_eq!(gatherer.answer(id, BaseId(0), other), None);
        assert_eq!(gatherer.answer(id, BaseId(1), server), None);
        assert_eq!(gatherer.answer(id, BaseId(0), server), Some(question));
        assert!(!gatherer.is_busy());
    }

    #[test]
    fn an_unanswered_question_ends() {
        let mut rng = StdRng::seed_from_u64(2);
        let addr = SocketAddr::from(([192, 0, 2, 1], 3478));
        let mut gatherer = Gatherer::default();
        gatherer.ask(Question {
            base: BaseId(0),
            server: 0,
            addr,
        });
        let begin = Instant::now();
        gatherer.start(begin, &mut rng, Duration::from_millis(500), 3);
        let mut sent = 1;
        let mut ended = None;
        while let Some(now) = gatherer.poll_timeout() {
            if gatherer.step(now).is_some() {
                ended = Some(now - begin);
            }
            while gatherer.next_resend().is_some() {
                sent += 1;
            }
        }
        assert_eq!(
            (sent, ended),
            (3, Some(Duration::from_millis(500 + 1000 + 2000)))
        );
    }
}
