//! The servers candidates are gathered from: those in force, and those before
//! them that something still hangs on.

use crate::config::Server;
use crate::limits::MAX_SERVERS;

/// Number of a server within its agent; stays the same as long as the server
/// is in use.
pub(crate) type ServerId = usize;

#[derive(Debug, Default)]
pub(crate) struct Servers {
    table: Vec<Option<Server>>,
    active: Vec<ServerId>,
}

impl Servers {
    pub(crate) fn get(&self, id: ServerId) -> Option<&Server> {
        self.table.get(id)?.as_ref()
    }

    /// Those in force.
    pub(crate) fn active(&self) -> impl Iterator<Item = (ServerId, &Server)> {
        self.active
            .iter()
            .filter_map(|id| Some((*id, self.get(*id)?)))
    }

    pub(crate) fn is_active(&self, id: ServerId) -> bool {
        self.active.contains(&id)
    }

    /// Puts others in force, the first [`MAX_SERVERS`] of them. One that stays
    /// keeps its number, and so does one that is `in_use`.
    pub(crate) fn set(
        &mut self,
        servers: impl IntoIterator<Item = Server>,
        in_use: impl Fn(ServerId) -> bool,
    ) {
        let mut wanted: Vec<Server> = Vec::new();
        for server in servers {
            if wanted.len() < MAX_SERVERS && !wanted.contains(&server) {
                wanted.push(server);
            }
        }
        for (id, slot) in self.table.iter_mut().enumerate() {
            if !in_use(id) && slot.as_ref().is_some_and(|s| !wanted.contains(s)) {
                *slot = None;
            }
        }
        self.active.clear();
        for server in wanted {
            let known = self.table.iter().position(|s| s.as_ref() == Some(&server));
            let free = || self.table.iter().position(Option::is_none);
            let id = known.or_else(free).unwrap_or(self.table.len());
            match self.table.get_mut(id) {
                Some(slot) => *slot = Some(server),
                None => self.table.push(Some(server)),
            }
            self.active.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn server(n: u8) -> Server {
        Server::stun(SocketAddr::from(([192, 0, 2, n], 3478)))
    }

    #[test]
    fn numbers_stay_with_servers_that_stay_or_are_in_use() {
        let mut servers = Servers::default();
        servers.set([server(1), server(2), server(2), server(3)], |_| false);
        assert_eq!(servers.active().count(), 3, "one of the two equal ones");
        servers.set([server(3), server(4)], |id| id == 1);
        let active: Vec<_> = servers.active().map(|(id, s)| (id, s.clone())).collect();
        assert_eq!(active, [(2, server(3)), (0, server(4))]);
        assert_eq!(servers.get(1), Some(&server(2)), "in use");
        servers.set([], |_| false);
        assert!(servers.table.iter().all(Option::is_none));
    }

    #[test]
    fn servers_are_bounded_however_often_they_change() {
        let mut servers = Servers::default();
        for round in 0..100u8 {
            servers.set((0..50).map(|n| server(n ^ round)), |_| false);
            assert_eq!(servers.active().count(), MAX_SERVERS);
            assert!(servers.table.len() <= 2 * MAX_SERVERS);
        }
    }
}
