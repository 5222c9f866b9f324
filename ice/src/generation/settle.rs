//! What follows from what is known of the pairs: which one is selected, nominated, worth checking.

use super::{Context, Generation};
use crate::consent::{Consent, Timing};
use crate::pair::{Nomination, Pair, PairId, PairState};
use crate::role::Role;
use crate::selection;

impl Generation {
    /// Draws the conclusions: selects, and in the `current` generation
    /// nominates and parks. `true`: another pair is selected than before.
    pub(crate) fn settle(&mut self, cx: &mut Context<'_>, current: bool) -> bool {
        if self.retired.is_some() {
            return false;
        }
        // Only who nominates has something to wait for, and the role may have changed.
        self.ponder = None;
        if current && cx.role == Role::Controlling && !cx.config.lite {
            self.nominate(cx);
        }
        let chosen = selection::select(&self.list, cx.role, cx.renomination, self.selected);
        // A lite agent waits for the nomination.
        let chosen =
            chosen.filter(|id| !cx.config.lite || self.list.get(*id).is_some_and(Pair::nominated));
        let changed = chosen != self.selected;
        if changed {
            if chosen.is_none() {
                self.lost = Some(cx.now);
                self.unpark();
            } else {
                self.lost = None;
                self.first_valid.get_or_insert(cx.now);
            }
            self.selected = chosen;
            let pair = chosen.and_then(|id| self.list.get(id));
            self.consent = pair.filter(|_| !cx.config.lite).map(|pair| {
                let timing = Timing {
                    interval: cx.config.consent_interval,
                    expiry: cx.config.consent_expiry,
                };
                Consent::new(cx.now, pair, timing, cx.rng)
            });
            self.next_backup = chosen.map(|_| cx.now + cx.config.backup_interval);
        }
        if current {
            self.park(cx);
        }
        changed
    }

    fn nominate(&mut self, cx: &Context<'_>) {
        let situation = selection::Situation {
            now: cx.now,
            first_valid: self.first_valid,
            patience: selection::Patience {
                reflexive: cx.config.reflexive_patience,
                relay: cx.config.relay_patience,
            },
            renomination: cx.renomination,
        };
        match selection::advise(&self.list, &situation) {
            selection::Advice::Nothing => {}
            selection::Advice::Wait(until) => self.ponder = Some(until),
            selection::Advice::Nominate(id) => {
                // 24 bits on the wire (draft-thatcher-ice-renomination §4).
                self.nominations_sent = (self.nominations_sent + 1) & 0x00ff_ffff;
                if let Some(pair) = self.list.get_mut(id) {
                    pair.nomination = Nomination::Pending;
                    pair.nominated_at = Some((Some(self.nominations_sent), 0));
                }
                self.list.trigger(id);
            }
        }
    }

    /// Once a pair is nominated, worse ones are not worth checking, but for a
    /// few that could serve as reserves (RFC 8445 §8.1.2).
    fn park(&mut self, cx: &Context<'_>) {
        let Some(selected) = self.selected else {
            return;
        };
        let Some(current) = self.list.get(selected).filter(|p| p.nominated()) else {
            return;
        };
        if self
            .consent
            .as_ref()
            .is_some_and(|c| c.suspect_since().is_some())
        {
            return;
        }
        let (priority, base, remote_ip) =
            (current.priority, current.base, current.remote_addr.ip());
        let valid = self
            .list
            .iter()
            .filter(|(id, p)| *id != selected && p.is_valid())
            .count();
        let mut reserves = cx.config.backups.saturating_sub(valid);
        let ids: Vec<(PairId, bool)> = self
            .list
            .iter()
            .filter(|(id, p)| {
                *id != selected
                    && p.priority < priority
                    && !p.is_valid()
                    && p.state != PairState::Failed
                    && p.nomination == Nomination::None
            })
            .map(|(id, p)| (id, p.base != base || p.remote_addr.ip() != remote_ip))
            .collect();
        for (id, differs) in ids {
            let keep = differs && reserves > 0;
            reserves = if keep { reserves - 1 } else { reserves };
            let Some(pair) = self.list.get_mut(id) else {
                continue;
            };
            if pair.parked != keep {
                continue;
            }
            pair.parked = !keep;
            if !keep && pair.state == PairState::InProgress {
                pair.state = PairState::Waiting;
                self.transactions.cancel(id);
            }
        }
    }

    /// Everything may be needed again.
    pub(crate) fn unpark(&mut self) {
        for pair in self.list.iter_mut() {
            pair.parked = false;
        }
    }
}
