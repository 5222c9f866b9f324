//! Binding requests, with the choices of NAT behaviour discovery (RFC 5780 §6).

use std::net::SocketAddr;
use std::time::Instant;

use super::Server;
use super::config::{Discovery, FiveTuple};
use crate::attributes::{
    ChangeRequest, ErrorCode, MappedAddress, OtherAddress, Padding, ResponseOrigin, ResponsePort,
    UnknownAttributes, XorMappedAddress,
};
use crate::limits::{MAX_PADDING_ANSWERED, MAX_UNKNOWN_LISTED};
use crate::message::{AttributeType, Class, Message, Method, Writer};
use crate::turn::Transport;

/// USERNAME and the like are known but not asked for: Binding is open to all.
const KNOWN: [AttributeType; 8] = [
    AttributeType::CHANGE_REQUEST,
    AttributeType::PADDING,
    AttributeType::RESPONSE_PORT,
    AttributeType::USERNAME,
    AttributeType::REALM,
    AttributeType::NONCE,
    AttributeType::USERHASH,
    AttributeType::PASSWORD_ALGORITHM,
];

impl Discovery {
    /// Where an answer is sent from (table of RFC 5780 §6.1).
    fn origin(&self, local: SocketAddr, change: ChangeRequest) -> SocketAddr {
        let flip = |is_primary: bool, changed: bool| is_primary != changed;
        let ip = flip(local.ip() == self.primary.ip(), change.ip);
        let port = flip(local.port() == self.primary.port(), change.port);
        self.at(ip, port)
    }

    fn at(&self, primary_ip: bool, primary_port: bool) -> SocketAddr {
        let ip = if primary_ip {
            self.primary
        } else {
            self.alternate
        }
        .ip();
        let port = if primary_port {
            self.primary
        } else {
            self.alternate
        }
        .port();
        SocketAddr::new(ip, port)
    }

    /// All four, on which the driver listens.
    pub fn addresses(&self) -> [SocketAddr; 4] {
        [(true, true), (true, false), (false, true), (false, false)].map(|(i, p)| self.at(i, p))
    }
}

impl Server {
    pub(super) fn binding(&mut self, now: Instant, client: FiveTuple, message: &Message<'_>) {
        if message.has_fingerprint() && message.verify_fingerprint().is_err() {
            self.stats.malformed += 1;
            return;
        }
        let Some(budget) = self.budget(now, &client, message) else {
            return;
        };
        let udp = client.transport == Transport::Udp;
        let id = message.transaction_id();
        let fingerprint = message.has_fingerprint();
        let end = |w: Writer<'_>| {
            if fingerprint {
                w.fingerprint().finish()
            } else {
                w.finish()
            }
        };
        let discovery = self.config.discovery.filter(|_| udp);
        // Without discovery its attributes are unknown ones.
        let known = if discovery.is_some() {
            &KNOWN[..]
        } else {
            &KNOWN[3..]
        };
        let unknown: Vec<_> = message
            .unknown_required(known)
            .take(MAX_UNKNOWN_LISTED)
            .collect();
        let ports = message.try_get::<ResponsePort>();
        let change = message.try_get::<ChangeRequest>();
        let error = match (&ports, &change) {
            _ if !unknown.is_empty() => Some(ErrorCode::UNKNOWN_ATTRIBUTE),
            (Ok(port), Ok(_)) => {
                // RFC 5780 §6.1, §7.5: not both. A port below 1024 would let strangers
                // knock at a third party's services.
                let padded = message.has(AttributeType::PADDING);
                let bad = port.is_some_and(|p| padded || p.0 < 1024);
                bad.then_some(ErrorCode::BAD_REQUEST)
            }
            _ => Some(ErrorCode::BAD_REQUEST),
        };
        if let Some(error) = error {
            let queued = self.outbox.push_within(budget, client, |out| {
                let mut w =
                    Writer::new(out, Class::Error, Method::BINDING, id).push(&error.terse());
                if !unknown.is_empty() {
                    w = w.push(&UnknownAttributes::List(&unknown));
                }
                end(w)
            });
            if self.settle(now, &client, queued) {
                self.stats.refused += 1;
            }
            return;
        }
        let mut to = client;
        let change = change.ok().flatten().unwrap_or_default();
        if let Some(discovery) = discovery {
            to.local = discovery.origin(client.local, change);
        }
        if let Ok(Some(port)) = ports {
            to.remote.set_port(port.0);
        }
        let padding = message
            .get::<Padding<'_>>()
            .map(|p| Padding(p.0.get(..MAX_PADDING_ANSWERED).unwrap_or(p.0)));
        let queued = self.outbox.push_within(budget, to, |out| {
            let mut w = Writer::new(out, Class::Success, Method::BINDING, id)
                .push(&XorMappedAddress(client.remote));
            if let Some(discovery) = discovery {
                let both = ChangeRequest {
                    ip: true,
                    port: true,
                };
                // RFC 5780 §6.1: the address in both ways, so that the client sees what
                // rewrites addresses on the path.
                w = w
                    .push(&MappedAddress(client.remote))
                    .push(&ResponseOrigin(to.local))
                    .push(&OtherAddress(discovery.origin(client.local, both)))
                    .push_opt(padding.as_ref());
            }
            end(w)
        });
        if self.settle(now, &client, queued) {
            self.stats.granted += 1;
        }
    }
}
