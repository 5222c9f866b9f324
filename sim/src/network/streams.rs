//! Streams: what hosts do with them and hear of them.

use std::net::SocketAddr;
use std::time::Duration;

use super::events::Event;
use super::{Delivery, HostId, Network, TCP_CONNECT_RETRY, TCP_CONNECT_TIMEOUT};
use crate::packet::{Datagram, Packet};
use crate::tcp::{Connection, Kind, Segment, TcpCommand, TcpEvent};

impl Network {
    /// A host does something with a stream.
    pub fn tcp(&mut self, host: HostId, command: TcpCommand) {
        match command {
            TcpCommand::Listen(addr) => {
                if let Some(host) = self.hosts.get_mut(host.0) {
                    host.listeners.insert(addr);
                }
            }
            TcpCommand::Connect { local, remote } => {
                if let Some(host) = self.hosts.get_mut(host.0) {
                    host.connections
                        .insert((local, remote), Connection::default());
                }
                self.push(
                    self.now + TCP_CONNECT_TIMEOUT,
                    Event::ConnectTimeout(host, local, remote),
                );
                self.push(
                    self.now + TCP_CONNECT_RETRY,
                    Event::ConnectAgain(host, local, remote, TCP_CONNECT_RETRY),
                );
                self.send_segment(host, local, remote, Kind::Syn, Vec::new());
            }
            TcpCommand::Send {
                local,
                remote,
                bytes,
            } => {
                self.send_segment(host, local, remote, Kind::Data, bytes);
            }
            TcpCommand::Close { local, remote } => {
                self.send_segment(host, local, remote, Kind::Fin, Vec::new());
                if let Some(host) = self.hosts.get_mut(host.0) {
                    host.connections.remove(&(local, remote));
                }
            }
        }
    }

    /// A connection that is not open yet is asked for again, after twice the time (RFC 6298 §5.5): a NAT or a firewall
    /// may have swallowed the first request.
    pub(super) fn connect_again(
        &mut self,
        host: HostId,
        local: SocketAddr,
        remote: SocketAddr,
        waited: Duration,
    ) {
        let waiting = self
            .hosts
            .get(host.0)
            .and_then(|h| h.connections.get(&(local, remote)))
            .is_some_and(|c| !c.open && c.next_out > 0);
        if waiting {
            self.first_segment_again(host, local, remote);
            let wait = 2 * waited;
            self.push(
                self.now + wait,
                Event::ConnectAgain(host, local, remote, wait),
            );
        }
    }

    fn first_segment_again(&mut self, host: HostId, local: SocketAddr, remote: SocketAddr) {
        let segment = Segment {
            kind: Kind::Syn,
            number: 0,
        };
        self.send_packet(
            host,
            Packet {
                datagram: Datagram::new(local, remote, Vec::new()),
                segment: Some(segment),
                number: 0,
                hops: 0,
            },
        );
    }

    pub(super) fn send_segment(
        &mut self,
        host: HostId,
        local: SocketAddr,
        remote: SocketAddr,
        kind: Kind,
        bytes: Vec<u8>,
    ) {
        let connection = self
            .hosts
            .get_mut(host.0)
            .and_then(|h| h.connections.get_mut(&(local, remote)));
        let number = match (connection, kind) {
            (_, Kind::Reset) => 0,
            (Some(connection), _) if connection.open || kind != Kind::Data => {
                let number = connection.next_out;
                connection.next_out += 1;
                number
            }
            _ => return,
        };
        let datagram = Datagram::new(local, remote, bytes);
        self.send_packet(
            host,
            Packet {
                datagram,
                segment: Some(Segment { kind, number }),
                number: 0,
                hops: 0,
            },
        );
    }

    pub(super) fn deliver_segment(&mut self, id: HostId, segment: Segment, datagram: Datagram) {
        let (local, remote) = (datagram.dst, datagram.src);
        let Some(host) = self.hosts.get_mut(id.0) else {
            return;
        };
        if segment.kind == Kind::Reset {
            if host.connections.remove(&(local, remote)).is_some() {
                let event = TcpEvent::Closed { local, remote };
                self.deliveries.push_back(Delivery::Tcp(id, event));
            }
            return;
        }
        if segment.kind == Kind::Syn && !host.connections.contains_key(&(local, remote)) {
            if !host.listeners.contains(&local) {
                return self.send_segment(id, local, remote, Kind::Reset, Vec::new());
            }
            host.connections
                .insert((local, remote), Connection::default());
        }
        let Some(connection) = host.connections.get_mut(&(local, remote)) else {
            return self.send_segment(id, local, remote, Kind::Reset, Vec::new());
        };
        for (kind, bytes) in connection.in_order(segment, datagram.payload) {
            self.stream_part(id, local, remote, kind, bytes);
        }
    }

    pub(super) fn stream_part(
        &mut self,
        id: HostId,
        local: SocketAddr,
        remote: SocketAddr,
        kind: Kind,
        bytes: Vec<u8>,
    ) {
        let Some(host) = self.hosts.get_mut(id.0) else {
            return;
        };
        let Some(connection) = host.connections.get_mut(&(local, remote)) else {
            return;
        };
        let event = match kind {
            Kind::Syn => {
                // The far end's first packet; on a simultaneous open both have asked.
                let asked = connection.next_out > 0;
                let was_open = std::mem::replace(&mut connection.open, true);
                if !asked {
                    self.send_segment(id, local, remote, Kind::SynAck, Vec::new());
                }
                if was_open {
                    return;
                }
                if asked {
                    // Ours may have come to a NAT before theirs had left it.
                    self.first_segment_again(id, local, remote);
                    TcpEvent::Connected { local, remote }
                } else {
                    TcpEvent::Accepted { local, remote }
                }
            }
            Kind::SynAck => {
                connection.open = true;
                TcpEvent::Connected { local, remote }
            }
            Kind::Data => TcpEvent::Data {
                local,
                remote,
                bytes,
            },
            Kind::Fin | Kind::Reset => {
                host.connections.remove(&(local, remote));
                TcpEvent::Closed { local, remote }
            }
        };
        self.deliveries.push_back(Delivery::Tcp(id, event));
    }

    /// Whether the host has this connection open.
    pub fn has_connection(&self, host: HostId, local: SocketAddr, remote: SocketAddr) -> bool {
        self.hosts
            .get(host.0)
            .and_then(|host| host.connections.get(&(local, remote)))
            .is_some_and(|connection| connection.open)
    }
}
