//! A TURN server of the simplest kind: no credentials, no lifetimes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use tincan_sim::{Datagram, TcpCommand, TcpEvent};
use tincan_stun::attributes::{
    ChannelNumber, Data, ErrorCode, Lifetime, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use tincan_stun::framing::{Framing, StreamDecoder};
use tincan_stun::message::{Class, Message, Method, TransactionId, Writer};
use tincan_stun::turn::ChannelData;

/// UDP and TCP port, and the one that stands for TLS.
pub const PORT: u16 = 3478;
pub const TLS_PORT: u16 = 443;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Client {
    tcp: bool,
    addr: SocketAddr,
    /// Our end.
    server: SocketAddr,
}

#[derive(Default)]
struct Allocation {
    /// Of the request that made it.
    id: Option<TransactionId>,
    port: u16,
    permissions: BTreeSet<IpAddr>,
    channels: BTreeMap<u16, SocketAddr>,
}

pub struct TurnServer {
    ip: IpAddr,
    allocations: BTreeMap<Client, Allocation>,
    decoders: BTreeMap<(SocketAddr, SocketAddr), StreamDecoder>,
    next_port: u16,
    pub refuse_all: bool,
    /// Peers are not to its liking.
    pub refuse_permissions: bool,
    /// Hears nothing.
    pub deaf: bool,
    /// Says nothing to those that have no allocation and do not ask for one, as pion's does.
    pub reserved: bool,
    pub relayed: usize,
    pub released: usize,
    pub channel_data: usize,
    pub(super) ready: VecDeque<Datagram>,
    pub(super) commands: VecDeque<TcpCommand>,
}

impl TurnServer {
    pub fn new(ip: IpAddr) -> Self {
        let listen = [PORT, TLS_PORT].map(|port| TcpCommand::Listen(SocketAddr::new(ip, port)));
        Self {
            ip,
            allocations: BTreeMap::new(),
            decoders: BTreeMap::new(),
            next_port: 20_000,
            refuse_all: false,
            refuse_permissions: false,
            deaf: false,
            reserved: false,
            relayed: 0,
            released: 0,
            channel_data: 0,
            ready: VecDeque::new(),
            commands: VecDeque::from(listen),
        }
    }

    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// Starts anew: no allocation is known, and connections break.
    pub fn forget(&mut self) {
        for client in std::mem::take(&mut self.allocations).into_keys() {
            if client.tcp {
                let (local, remote) = (client.server, client.addr);
                self.commands.push_back(TcpCommand::Close { local, remote });
            }
        }
        self.decoders.clear();
    }

    fn send(&mut self, client: Client, bytes: Vec<u8>) {
        if client.tcp {
            let (local, remote) = (client.server, client.addr);
            self.commands.push_back(TcpCommand::Send {
                local,
                remote,
                bytes,
            });
        } else {
            self.ready
                .push_back(Datagram::new(client.server, client.addr, bytes));
        }
    }

    pub(super) fn datagram(&mut self, datagram: Datagram) {
        if datagram.dst.port() == PORT {
            let client = Client {
                tcp: false,
                addr: datagram.src,
                server: datagram.dst,
            };
            self.message(client, &datagram.payload);
            return;
        }
        // To a relayed address.
        let owner = self
            .allocations
            .iter()
            .find(|(_, a)| a.port == datagram.dst.port());
        let Some((&client, allocation)) = owner else {
            return;
        };
        if !allocation.permissions.contains(&datagram.src.ip()) {
            return;
        }
        let channel = allocation
            .channels
            .iter()
            .find(|(_, peer)| **peer == datagram.src);
        let mut out = Vec::new();
        if let Some((number, _)) = channel {
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(&(datagram.payload.len() as u16).to_be_bytes());
            out.extend_from_slice(&datagram.payload);
            if client.tcp {
                out.resize(out.len().next_multiple_of(4), 0);
            }
        } else {
            Writer::new(
                &mut out,
                Class::Indication,
                Method::DATA,
                TransactionId::new([7; 12]),
            )
            .push(&XorPeerAddress(datagram.src))
            .push(&Data(&datagram.payload))
            .finish()
            .unwrap();
        }
        self.relayed += 1;
        self.send(client, out);
    }

    pub(super) fn stream(&mut self, event: TcpEvent) {
        match event {
            TcpEvent::Data {
                local,
                remote,
                bytes,
            } => {
                let fresh = || StreamDecoder::new(Framing::Turn);
                let mut decoder = self.decoders.remove(&(local, remote)).unwrap_or_else(fresh);
                decoder.extend(&bytes);
                while let Ok(Some(packet)) = decoder.next_packet() {
                    let packet = packet.to_vec();
                    self.message(
                        Client {
                            tcp: true,
                            addr: remote,
                            server: local,
                        },
                        &packet,
                    );
                }
                self.decoders.insert((local, remote), decoder);
            }
            TcpEvent::Closed { local, remote } => {
                self.decoders.remove(&(local, remote));
                self.allocations.remove(&Client {
                    tcp: true,
                    addr: remote,
                    server: local,
                });
            }
            _ => {}
        }
    }

    fn message(&mut self, client: Client, bytes: &[u8]) {
        if self.deaf {
            return;
        }
        if let Some(channel) = ChannelData::parse(bytes) {
            let Some(allocation) = self.allocations.get(&client) else {
                return;
            };
            let Some(peer) = allocation.channels.get(&channel.channel.number()) else {
                return;
            };
            let from = SocketAddr::new(self.ip, allocation.port);
            self.ready
                .push_back(Datagram::new(from, *peer, channel.data.to_vec()));
            self.relayed += 1;
            self.channel_data += 1;
            return;
        }
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        let id = message.transaction_id();
        let peers: Vec<SocketAddr> = message.get_all::<XorPeerAddress>().map(|p| p.0).collect();
        let mut out = Vec::new();
        let mut class = Class::Success;
        let standing = self.allocations.get(&client).map(|a| a.id);
        let allowed = match message.method() {
            Method::ALLOCATE => standing.is_none_or(|made_by| made_by == Some(id)),
            Method::BINDING => true,
            _ => standing.is_some(),
        };
        if self.reserved && !allowed && standing.is_none() {
            return;
        }
        let forbidden = self.refuse_permissions && !peers.is_empty();
        if self.refuse_all || !allowed || forbidden {
            class = Class::Error;
        }
        let mut writer = Writer::new(&mut out, class, message.method(), id);
        if class == Class::Error {
            let code = if self.refuse_all {
                ErrorCode::ALLOCATION_QUOTA_REACHED
            } else if forbidden {
                ErrorCode::FORBIDDEN
            } else {
                ErrorCode::ALLOCATION_MISMATCH
            };
            writer.push(&code).finish().unwrap();
            return self.send(client, out);
        }
        match message.method() {
            Method::ALLOCATE => {
                self.next_port += 1;
                let port = self.next_port;
                let allocation = self.allocations.entry(client).or_default();
                if allocation.id.is_none() {
                    allocation.id = Some(id);
                    allocation.port = port;
                }
                writer = writer
                    .push(&XorRelayedAddress(SocketAddr::new(
                        self.ip,
                        allocation.port,
                    )))
                    .push(&XorMappedAddress(client.addr))
                    .push(&Lifetime(600));
            }
            Method::REFRESH => {
                let lifetime = message.get::<Lifetime>().map_or(600, |l| l.0);
                if lifetime == 0 {
                    self.allocations.remove(&client);
                    self.released += 1;
                }
                writer = writer.push(&Lifetime(lifetime));
            }
            Method::CREATE_PERMISSION | Method::CHANNEL_BIND => {
                let allocation = self.allocations.get_mut(&client).unwrap();
                allocation
                    .permissions
                    .extend(peers.iter().map(SocketAddr::ip));
                if let Some(number) = message.get::<ChannelNumber>() {
                    allocation.channels.insert(number.number(), peers[0]);
                }
            }
            Method::SEND => {
                let allocation = &self.allocations[&client];
                let from = SocketAddr::new(self.ip, allocation.port);
                if let Some(data) = message.get::<Data<'_>>()
                    && allocation.permissions.contains(&peers[0].ip())
                {
                    self.ready
                        .push_back(Datagram::new(from, peers[0], data.0.to_vec()));
                    self.relayed += 1;
                }
                return;
            }
            Method::BINDING => writer = writer.push(&XorMappedAddress(client.addr)),
            _ => return,
        }
        writer.fingerprint().finish().unwrap();
        self.send(client, out);
    }
}
