//! Tables with small numbers as keys.

use std::net::SocketAddr;

use super::config::RelayId;
use crate::attributes::ReservationToken;

/// Values by index; indexes are used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(index) => {
                if let Some(slot) = self.slots.get_mut(index as usize) {
                    *slot = Some(value);
                }
                index
            }
            None => {
                self.slots.push(Some(value));
                (self.slots.len() - 1) as u32
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let value = self.slots.get_mut(index as usize)?.take()?;
        self.free.push(index);
        Some(value)
    }
}

/// What a relay serves.
#[derive(Clone, Copy, Debug)]
pub(super) enum RelayUse {
    /// This allocation.
    Allocation(u32),
    /// Nobody yet: EVEN-PORT kept it.
    Reserved {
        token: ReservationToken,
        addr: Option<SocketAddr>,
    },
}

#[derive(Debug, Default)]
struct RelaySlot {
    generation: u32,
    used: Option<RelayUse>,
}

/// All relays: a look-up is two array reads.
#[derive(Debug, Default)]
pub(super) struct Relays {
    slots: Vec<RelaySlot>,
    free: Vec<u32>,
    /// Few, and only asked on Allocate.
    reserved: Vec<RelayId>,
}

impl Relays {
    pub(super) fn insert(&mut self, used: RelayUse) -> RelayId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(RelaySlot::default());
            (self.slots.len() - 1) as u32
        });
        let mut id = RelayId {
            index,
            generation: 0,
        };
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.used = Some(used);
            id.generation = slot.generation;
        }
        if matches!(used, RelayUse::Reserved { .. }) {
            self.reserved.push(id);
        }
        id
    }

    #[inline]
    pub(super) fn get(&self, id: RelayId) -> Option<RelayUse> {
        self.slots
            .get(id.index as usize)
            .filter(|s| s.generation == id.generation)?
            .used
    }

    #[inline]
    pub(super) fn allocation_of(&self, id: RelayId) -> Option<u32> {
        match self.get(id)? {
            RelayUse::Allocation(index) => Some(index),
            RelayUse::Reserved { .. } => None,
        }
    }

    pub(super) fn set(&mut self, id: RelayId, used: RelayUse) {
        if let Some(slot) = self.slots.get_mut(id.index as usize)
            && slot.generation == id.generation
        {
            slot.used = Some(used);
            if matches!(used, RelayUse::Allocation(_)) {
                self.reserved.retain(|r| *r != id);
            }
        }
    }

    /// `false` when it was free already.
    pub(super) fn free(&mut self, id: RelayId) -> bool {
        let Some(slot) = self.slots.get_mut(id.index as usize) else {
            return false;
        };
        if slot.generation != id.generation || slot.used.is_none() {
            return false;
        }
        slot.used = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        self.reserved.retain(|r| *r != id);
        true
    }

    pub(super) fn is_reserved(&self, id: RelayId) -> bool {
        matches!(self.get(id), Some(RelayUse::Reserved { .. }))
    }

    pub(super) fn reserved_count(&self) -> usize {
        self.reserved.len()
    }

    /// The relay that a token names, with its address.
    pub(super) fn by_token(&self, wanted: ReservationToken) -> Option<(RelayId, SocketAddr)> {
        self.reserved.iter().find_map(|id| match self.get(*id)? {
            RelayUse::Reserved {
                token,
                addr: Some(addr),
            } if token == wanted => Some((*id, addr)),
            _ => None,
        })
    }
}
