//! Whether negotiation is needed (W3C §4.7.3).

use super::transceiver::Stop;
use super::{Jsep, Stored};
use crate::types::{Direction, SdpType, SignalingState};

impl Jsep {
    /// The check of W3C §4.7.3; to be asked in `stable` only: elsewhere it says no.
    pub fn negotiation_needed(&self) -> bool {
        if self.state != SignalingState::Stable {
            return false;
        }
        if self.restart_wanted {
            return true;
        }
        let local = self.current_local.as_deref();
        let agreed = [self.current_local(), self.current_remote()]
            .iter()
            .all(|d| d.is_some_and(|d| d.data_section().is_some()));
        if self.data_wanted && !agreed {
            return true;
        }
        self.transceivers.iter().any(|t| match t.stop {
            Stop::Stopping => true,
            Stop::Stopped => t.index().is_some_and(|index| !self.is_refused(index)),
            Stop::Running => match t.index() {
                None => true,
                Some(index) => local.is_none_or(|local| self.differs(t, local, index)),
            },
        })
    }

    fn is_refused(&self, index: usize) -> bool {
        [&self.current_local, &self.current_remote]
            .into_iter()
            .flatten()
            .any(|s| {
                s.description()
                    .sections
                    .get(index)
                    .is_none_or(|s| s.rejected)
            })
    }

    /// Step 5.3: whether the section says something else than the transceiver.
    fn differs(&self, t: &super::Transceiver, local: &Stored, index: usize) -> bool {
        let Some(section) = local.description().sections.get(index) else {
            return true;
        };
        if t.direction.sends() {
            let said = section
                .msids
                .iter()
                .map(|m| m.stream.as_str())
                .filter(|s| *s != "-");
            if section.msids.is_empty() || !said.eq(t.streams.iter().map(String::as_str)) {
                return true;
            }
        }
        let remote = self
            .current_remote
            .as_ref()
            .and_then(|s| s.description().sections.get(index));
        let remote_direction = remote.map_or(Direction::Inactive, |s| s.direction);
        if local.type_ == SdpType::Offer {
            section.direction != t.direction && remote_direction.reversed() != t.direction
        } else {
            section.direction != t.direction.intersection(remote_direction.reversed())
        }
    }
}
