//! Outstanding requests of one generation.
//!
//! The slot of a transaction is written into the last two octets of its id,
//! so that a response finds it without searching; the other 80 bits are random
//! and the whole id is compared.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};
use tincan_stun::message::TransactionId;
use tincan_stun::transaction::{Reliability, Schedule, Step, Transaction};

use crate::limits::MAX_TRANSACTIONS;
use crate::pair::PairId;
use crate::priority::Priority;
use crate::role::Role;

/// Why a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A connectivity check (RFC 8445 §7.2).
    Check,
    /// Consent freshness or liveness, sent once each (RFC 7675 §5.1).
    Consent,
}

/// What a request says; the same on each retransmission.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) pair: PairId,
    pub(crate) purpose: Purpose,
    pub(crate) role: Role,
    pub(crate) tie_breaker: u64,
    pub(crate) priority: Priority,
    /// With USE-CANDIDATE; the number of the nomination.
    pub(crate) nominate: Option<u32>,
    /// With the NOMINATION attribute too.
    pub(crate) renomination: bool,
}

#[derive(Debug)]
pub(crate) struct Outstanding {
    pub(crate) request: Request,
    transaction: Transaction,
    /// Not sent again and no failure when it times out (RFC 8445 §7.3.1.4).
    cancelled: Option<Instant>,
    last_sent: Instant,
}

impl Outstanding {
    pub(crate) fn id(&self) -> TransactionId {
        self.transaction.id()
    }

    /// The round trip, if it is unambiguous.
    pub(crate) fn rtt(&self, now: Instant) -> Option<Duration> {
        self.transaction.rtt(now)
    }

    pub(crate) fn transmissions(&self) -> u32 {
        self.transaction.transmissions()
    }

    fn due(&self) -> Instant {
        self.cancelled
            .unwrap_or_else(|| self.transaction.poll_timeout())
    }
}

/// A slot in the table.
pub(crate) type Slot = u16;

#[derive(Debug, Default)]
pub(crate) struct Transactions {
    slots: Vec<Option<Outstanding>>,
    free: Vec<Slot>,
    resend: VecDeque<Slot>,
}

impl Transactions {
    /// Opens a transaction that is sent now; `None` if the table is full.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        rng: &mut impl Rng,
        request: Request,
        schedule: Schedule,
        reliability: Reliability,
    ) -> Option<Slot> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < MAX_TRANSACTIONS => {
                if self.slots.is_empty() {
                    // An idle agent has one request under way, and room for four of them is more than that.
                    self.slots.reserve_exact(1);
                }
                self.slots.push(None);
                u16::try_from(self.slots.len() - 1).ok()?
            }
            None => return None,
        };
        let mut id: [u8; 12] = rng.random();
        id[10..].copy_from_slice(&slot.to_be_bytes());
        let mut transaction = Transaction::new(TransactionId::new(id), now, schedule, reliability);
        // The first transmission is the caller's, now.
        transaction.step(now);
        let outstanding = Outstanding {
            request,
            transaction,
            cancelled: None,
            last_sent: now,
        };
        if let Some(entry) = self.slots.get_mut(usize::from(slot)) {
            *entry = Some(outstanding);
        }
        Some(slot)
    }

    /// Gives back room that was kept for more.
    pub(crate) fn shrink(&mut self) {
        while self.slots.pop_if(|slot| slot.is_none()).is_some() {}
        let slots = self.slots.len();
        self.free.retain(|slot| usize::from(*slot) < slots);
        self.slots.shrink_to_fit();
        self.free.shrink_to_fit();
        self.resend.shrink_to_fit();
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Outstanding> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    /// The slot of a response's id.
    pub(crate) fn find(&self, id: TransactionId) -> Option<Slot> {
        let bytes: [u8; 12] = *id.as_bytes();
        let slot = u16::from_be_bytes([bytes[10], bytes[11]]);
        (self.get(slot)?.id() == id).then_some(slot)
    }

    /// Closes one.
    pub(crate) fn take(&mut self, slot: Slot) -> Option<Outstanding> {
        let taken = self.slots.get_mut(usize::from(slot))?.take()?;
        self.free.push(slot);
        Some(taken)
    }

    /// Cancels the live checks of a pair: not sent again, no failure on
    /// timeout, a late response still counts (RFC 8445 §7.3.1.4). Of older
    /// cancelled ones nothing is kept.
    pub(crate) fn cancel(&mut self, pair: PairId) {
        self.release(|o| {
            o.request.pair == pair && o.request.purpose == Purpose::Check && o.cancelled.is_some()
        });
        for o in self.slots.iter_mut().flatten() {
            if o.request.pair == pair && o.request.purpose == Purpose::Check {
                o.cancelled = Some(o.last_sent + CANCELLED_WAIT);
            }
        }
    }

    /// Forgets everything about a pair.
    pub(crate) fn forget(&mut self, pair: PairId) {
        self.release(|o| o.request.pair == pair);
    }

    fn release(&mut self, gone: impl Fn(&Outstanding) -> bool) {
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            if entry.as_ref().is_some_and(&gone) {
                *entry = None;
                if let Ok(slot) = u16::try_from(slot) {
                    self.free.push(slot);
                }
            }
        }
    }

    /// When the live check of a pair was sent last.
    pub(crate) fn check_sent_at(&self, pair: PairId) -> Option<Instant> {
        self.live_check(pair).map(|o| o.last_sent)
    }

    fn live_check(&self, pair: PairId) -> Option<&Outstanding> {
        self.slots.iter().flatten().find(|o| {
            o.request.pair == pair && o.request.purpose == Purpose::Check && o.cancelled.is_none()
        })
    }

    /// Whether a check with USE-CANDIDATE is under way on a pair.
    pub(crate) fn is_nominating(&self, pair: PairId) -> bool {
        self.live_check(pair)
            .is_some_and(|o| o.request.nominate.is_some())
    }

    /// Moves time on. Call until `None`; what is to be sent is queued for
    /// [`next_resend`](Self::next_resend).
    pub(crate) fn step(&mut self, now: Instant) -> Option<Request> {
        for index in 0..self.slots.len() {
            let Some(entry) = self.slots.get_mut(index) else {
                break;
            };
            let Some(o) = entry else { continue };
            if now < o.due() {
                continue;
            }
            let slot = u16::try_from(index).unwrap_or(u16::MAX);
            if o.cancelled.is_some() {
                *entry = None;
                self.free.push(slot);
                continue;
            }
            match o.transaction.step(now) {
                Step::Wait => {}
                Step::Transmit => {
                    o.last_sent = now;
                    self.resend.push_back(slot);
                }
                Step::TimedOut => {
                    let request = o.request;
                    *entry = None;
                    self.free.push(slot);
                    return Some(request);
                }
            }
        }
        None
    }

    /// The next transaction whose request is to be sent again.
    pub(crate) fn next_resend(&mut self) -> Option<Slot> {
        while let Some(slot) = self.resend.pop_front() {
            if self.get(slot).is_some_and(|o| o.cancelled.is_none()) {
                return Some(slot);
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.slots.iter().flatten().map(Outstanding::due).min()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// How long a late response to a cancelled check is awaited.
const CANCELLED_WAIT: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn request(pair: u16) -> Request {
        Request {
            pair: PairId(pair),
            purpose: Purpose::Check,
            role: Role::Controlling,
            tie_breaker: 1,
            priority: Priority(1),
            nominate: None,
            renomination: false,
        }
    }

    fn start(table: &mut Transactions, now: Instant, pair: u16) -> Option<Slot> {
        let mut rng = StdRng::seed_from_u64(u64::from(pair));
        table.start(
            now,
            &mut rng,
            request(pair),
            Schedule::DEFAULT,
            Reliability::Unreliable,
        )
    }

    #[test]
    fn a_response_finds_its_request_and_no_other() {
        let mut table = Transactions::default();
        let now = Instant::now();
        let a = start(&mut table, now, 1);
        let b = start(&mut table, now, 2);
        let id = a.and_then(|a| table.get(a)).map(Outstanding::id);
        assert_eq!(id.and_then(|id| table.find(id)), a);
        assert_ne!(a, b);
        let forged = id.map(|id| {
            let mut bytes = *id.as_bytes();
            bytes[0] ^= 1;
            TransactionId::new(bytes)
        });
        assert_eq!(forged.and_then(|id| table.find(id)), None);
    }

    #[test]
    fn seven_transmissions_and_then_the_timeout() {
        let mut table = Transactions::default();
        let begin = Instant::now();
        start(&mut table, begin, 1);
        let mut sent = 1;
        let failed_after = loop {
            let Some(now) = table.poll_timeout() else {
                break None;
            };
            let timed_out = table.step(now);
            while table.next_resend().is_some() {
                sent += 1;
            }
            if timed_out.is_some() {
                break Some(now - begin);
            }
        };
        assert_eq!(sent, 7);
        assert_eq!(failed_after, Some(Duration::from_millis(39_500)));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn cancelled_ones_are_silent_and_leave_without_a_word() {
        let mut table = Transactions::default();
        let begin = Instant::now();
        let slot = start(&mut table, begin, 1);
        table.cancel(PairId(1));
        let id = slot.and_then(|s| table.get(s)).map(Outstanding::id);
        assert_eq!(
            id.and_then(|id| table.find(id)),
            slot,
            "late responses count"
        );
        let mut now = begin;
        while let Some(next) = table.poll_timeout() {
            assert!(next > now);
            now = next;
            assert!(table.step(now).is_none());
            assert_eq!(table.next_resend(), None);
        }
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn the_table_is_bounded_and_slots_are_used_again() {
        let mut table = Transactions::default();
        let now = Instant::now();
        for n in 0..MAX_TRANSACTIONS {
            assert!(start(&mut table, now, u16::try_from(n).unwrap_or(0)).is_some());
        }
        assert_eq!(start(&mut table, now, 7), None);
        table.forget(PairId(3));
        assert_eq!(start(&mut table, now, 7), Some(3));
    }
}
