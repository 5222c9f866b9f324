//! `compare -- stun`.
//!
//! The message is RFC 5769 §2.1, a connectivity check as ICE sends it. Keys are made beforehand
//! wherever the contender lets them be.

use std::error::Error;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use bytecodec::{DecodeExt, EncodeExt};
use hmac::{Hmac, KeyInit, Mac};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha1::Sha1;
use stun_types::message::{IntegrityAlgorithm, MessageWriteExt};
use stun_types::prelude::MessageWrite;
use tincan_benches::{Better, Comparison, counts_allocations};
use tincan_stun::attributes::{
    ChannelNumber, ErrorCode, Nonce, Realm, RequestedTransport, Username, XorMappedAddress,
    XorPeerAddress,
};
use tincan_stun::integrity::Key;
use tincan_stun::message::{Class, Message, Method, TransactionId, Writer};
use tincan_stun::turn::server::{Config, Event, FiveTuple, Input, RelayId, Server, Users};
use tincan_stun::turn::{ChannelData, MAX_DATA_HEADROOM, Transport};

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

const REQUEST: [u8; 108] = [
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
];

/// Where MESSAGE-INTEGRITY begins in it.
const COVERED: usize = 76;

/// What a connectivity check and its answer hold, in the words of stun_codec.
mod codec {
    use stun_codec::rfc5245::attributes::{IceControlled, Priority};
    use stun_codec::rfc5389::attributes::{
        Fingerprint, MessageIntegrity, Software, Username, XorMappedAddress,
    };

    stun_codec::define_attribute_enums!(
        CodecAttribute,
        CodecAttributeDecoder,
        CodecAttributeEncoder,
        [
            Software,
            Username,
            MessageIntegrity,
            Fingerprint,
            XorMappedAddress,
            Priority,
            IceControlled
        ]
    );
}

use codec::CodecAttribute;

type Outcome = Result<(), Box<dyn Error>>;

/// Runs every case of the area.
pub(crate) fn run() {
    for (name, case) in [
        ("parse", parse as fn() -> Outcome),
        ("verify", verify),
        ("build", build),
        ("relay", relay),
    ] {
        if let Err(error) = case() {
            eprintln!("stun {name}: {error}");
        }
    }
}

fn codec_decode(octets: &[u8]) -> Option<stun_codec::Message<CodecAttribute>> {
    let mut decoder = stun_codec::MessageDecoder::<CodecAttribute>::new();
    decoder.decode_from_bytes(octets).ok()?.ok()
}

fn parse() -> Outcome {
    let octets = black_box(REQUEST);
    let decoder = stun_rs::MessageDecoderBuilder::default().build();
    Message::parse(&octets)?;
    codec_decode(&octets).ok_or("stun_codec does not read it")?;
    Comparison::new("stun", "parse", "ns", Better::Less)
        .time("ours", || Message::parse(black_box(&octets)).is_ok())
        .time("stun-types", || {
            stun_types::message::Message::from_bytes(black_box(&octets)).is_ok()
        })
        .time("stun_codec", || codec_decode(black_box(&octets)))
        .time("stun-rs", || decoder.decode(black_box(&octets)).is_ok())
        .run();
    Comparison::new("stun", "parse-and-check-fingerprint", "ns", Better::Less)
        .time("ours", || {
            Message::parse(black_box(&octets)).is_ok_and(|m| m.verify_fingerprint().is_ok())
        })
        .time("stun-types", || {
            stun_types::message::Message::from_bytes(black_box(&octets)).is_ok()
        })
        .run();
    Ok(())
}

fn bare(octets: &[u8]) -> impl FnMut() -> [u8; 20] {
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(PASSWORD.bytes()) {
        *to = from;
    }
    let keyed = Hmac::<Sha1>::new((&block).into());
    let octets = octets.to_vec();
    move || {
        keyed
            .clone()
            .chain_update(black_box(&octets))
            .finalize()
            .into_bytes()
            .into()
    }
}

fn verify() -> Outcome {
    let octets = black_box(REQUEST);
    let key = Key::from_bytes(PASSWORD.as_bytes());
    Message::parse(&octets)?.verify_integrity(&key)?;
    let their_key = stun_types::message::ShortTermCredentials::new(PASSWORD.to_owned()).make_key();
    let rs_key = stun_rs::HMACKey::new_short_term(PASSWORD).map_err(|e| format!("{e:?}"))?;
    let context = stun_rs::DecoderContextBuilder::default()
        .with_key(rs_key)
        .with_validation()
        .build();
    let decoder = stun_rs::MessageDecoderBuilder::default()
        .with_context(context)
        .build();
    // "bare-hmac-sha1" is the physical limit: the covered octets under a keyed state, no parsing.
    Comparison::new("stun", "parse-and-verify-integrity", "ns", Better::Less)
        .time("ours", || {
            Message::parse(black_box(&octets)).is_ok_and(|m| m.verify_integrity(&key).is_ok())
        })
        .time(
            "bare-hmac-sha1",
            bare(REQUEST.get(..COVERED).unwrap_or_default()),
        )
        .time("stun-types", || {
            stun_types::message::Message::from_bytes(black_box(&octets))
                .is_ok_and(|m| m.validate_integrity_with_key(&their_key).is_ok())
        })
        .time("stun_codec", || {
            codec_decode(black_box(&octets)).is_some_and(|m| {
                m.get_attribute::<stun_codec::rfc5389::attributes::MessageIntegrity>()
                    .is_some_and(|mi| mi.check_short_term_credential(PASSWORD).is_ok())
            })
        })
        .time("stun-rs", || decoder.decode(black_box(&octets)).is_ok())
        .run();
    Ok(())
}

fn build() -> Outcome {
    let request = REQUEST;
    let from: SocketAddr = "192.0.2.1:32853".parse()?;
    let key = Key::from_bytes(PASSWORD.as_bytes());
    let id = Message::parse(&request)?.transaction_id();
    let mut out = Vec::with_capacity(256);
    let mut ours = move || {
        out.clear();
        Writer::new(&mut out, Class::Success, Method::BINDING, id)
            .push(&XorMappedAddress(black_box(from)))
            .integrity(&key)
            .fingerprint()
            .finish()
            .is_ok()
    };
    let their_key = stun_types::message::ShortTermCredentials::new(PASSWORD.to_owned()).make_key();
    let theirs = stun_types::message::Message::from_bytes(&request)?;
    let rs_key = stun_rs::HMACKey::new_short_term(PASSWORD).map_err(|e| format!("{e:?}"))?;
    let encoder = stun_rs::MessageEncoderBuilder::default().build();
    let covered = [7; 32];
    Comparison::new("stun", "build-binding-response", "ns", Better::Less)
        .time("ours", &mut ours)
        .time("bare-hmac-sha1", bare(&covered))
        .time("stun-types", || {
            let write = stun_types::message::MessageWriteVec::with_capacity(256);
            let mut m = stun_types::message::Message::builder_success(&theirs, write);
            let address = stun_types::attribute::XorMappedAddress::new(
                black_box(from),
                theirs.transaction_id(),
            );
            m.add_attribute(&address).is_ok()
                && m.add_message_integrity_with_key(&their_key, IntegrityAlgorithm::Sha1)
                    .is_ok()
                && m.add_fingerprint().is_ok()
                && !black_box(m.finish()).is_empty()
        })
        .time("stun_codec", || {
            use stun_codec::rfc5389::attributes::{Fingerprint, MessageIntegrity};
            let mut m = stun_codec::Message::<CodecAttribute>::new(
                stun_codec::MessageClass::SuccessResponse,
                stun_codec::rfc5389::methods::BINDING,
                stun_codec::TransactionId::new(*id.as_bytes()),
            );
            m.add_attribute(stun_codec::rfc5389::attributes::XorMappedAddress::new(
                black_box(from),
            ));
            let Ok(mi) = MessageIntegrity::new_short_term_credential(&m, PASSWORD) else {
                return Vec::new();
            };
            m.add_attribute(mi);
            let Ok(fingerprint) = Fingerprint::new(&m) else {
                return Vec::new();
            };
            m.add_attribute(fingerprint);
            stun_codec::MessageEncoder::new()
                .encode_into_bytes(m)
                .unwrap_or_default()
        })
        .time("stun-rs", || {
            use stun_rs::attributes::stun::{Fingerprint, MessageIntegrity, XorMappedAddress};
            let m = stun_rs::StunMessageBuilder::new(
                stun_rs::methods::BINDING,
                stun_rs::MessageClass::SuccessResponse,
            )
            .with_attribute(XorMappedAddress::from(black_box(from)))
            .with_attribute(MessageIntegrity::new(rs_key.clone()))
            .with_attribute(Fingerprint::default())
            .build();
            let mut buffer = [0; 256];
            encoder.encode(&mut buffer, &m).is_ok()
        })
        .run();
    if counts_allocations() {
        let octets = black_box(REQUEST);
        let key = Key::from_bytes(PASSWORD.as_bytes());
        Comparison::new("stun", "heap-parse-and-verify", "allocations", Better::Less)
            .allocations("ours", || {
                Message::parse(black_box(&octets)).is_ok_and(|m| m.verify_integrity(&key).is_ok())
            })
            .run();
        Comparison::new(
            "stun",
            "heap-build-binding-response",
            "allocations",
            Better::Less,
        )
        .allocations("ours", ours)
        .run();
    }
    Ok(())
}

/// A server with `clients` allocations, each with a channel to a peer of its own.
struct Relay {
    server: Server,
    users: Users,
    now: Instant,
    clients: Vec<(FiveTuple, RelayId, SocketAddr)>,
}

fn client(i: u32) -> Result<FiveTuple, Box<dyn Error>> {
    let port = u16::try_from(10_000 + i)?;
    Ok(FiveTuple {
        local: "192.0.2.1:3478".parse()?,
        remote: SocketAddr::from(([198, 51, 100, 7], port)),
        transport: Transport::Udp,
    })
}

impl Relay {
    fn new(clients: u32) -> Result<Relay, Box<dyn Error>> {
        let mut users = Users::new("bench");
        users.add("u", "p");
        let now = Instant::now();
        let config = Config::new("bench")
            .quotas(100_000, 100_000)
            .strangers(u32::MAX);
        let server = Server::new(config, now, &mut StdRng::seed_from_u64(1));
        let mut relay = Relay {
            server,
            users,
            now,
            clients: Vec::new(),
        };
        for i in 0..clients {
            relay.allocate(i)?;
        }
        Ok(relay)
    }

    fn ask(&mut self, client: FiveTuple, request: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        self.server
            .handle_input(self.now, client, request, &mut self.users);
        let mut relay_opened = None;
        while let Some(event) = self.server.poll_event() {
            if let Event::OpenRelay { relay, .. } = event {
                let port = u16::try_from(20_000 + relay.index())?;
                let at = SocketAddr::from(([203, 0, 113, 1], port));
                self.server.relay_opened(self.now, relay, at, None);
                relay_opened = Some(relay);
            }
        }
        if let Some(relay) = relay_opened {
            let peer = SocketAddr::from(([203, 0, 113, 9], client.remote.port()));
            self.clients.push((client, relay, peer));
        }
        let mut out = Vec::new();
        self.server
            .poll_transmit(self.now, &mut out)
            .ok_or("no answer")?;
        Ok(out)
    }

    fn allocate(&mut self, i: u32) -> Outcome {
        let client = client(i)?;
        let key = Key::long_term_md5("u", "bench", "p");
        let mut request = Vec::new();
        let bare = |out: &mut Vec<u8>| {
            Writer::new(
                out,
                Class::Request,
                Method::ALLOCATE,
                TransactionId::new([1; 12]),
            )
            .push(&RequestedTransport::UDP)
            .finish()
        };
        bare(&mut request)?;
        let challenge = self.ask(client, &request)?;
        let challenge = Message::parse(&challenge)?;
        let nonce = challenge.get::<Nonce<'_>>().ok_or("no nonce")?.0;
        let sign = |w: Writer<'_>| {
            w.push(&Username("u"))
                .push(&Realm("bench"))
                .push(&Nonce(nonce))
                .integrity(&key)
                .finish()
        };
        request.clear();
        let id = TransactionId::new([2; 12]);
        let w = Writer::new(&mut request, Class::Request, Method::ALLOCATE, id);
        sign(w.push(&RequestedTransport::UDP))?;
        let answer = self.ask(client, &request)?;
        if Message::parse(&answer)?.get::<ErrorCode<'_>>().is_some() {
            return Err("refused".into());
        }
        let peer = self.clients.last().ok_or("no relay")?.2;
        request.clear();
        let id = TransactionId::new([3; 12]);
        let w = Writer::new(&mut request, Class::Request, Method::CHANNEL_BIND, id);
        sign(w.push(&ChannelNumber::MIN).push(&XorPeerAddress(peer)))?;
        self.ask(client, &request)?;
        Ok(())
    }
}

const PAYLOAD: usize = 1200;

fn relay() -> Outcome {
    for count in [1, 1000] {
        let mut relay = Relay::new(count)?;
        let mut datagram = ChannelData::header(ChannelNumber::MIN, PAYLOAD as u16).to_vec();
        datagram.resize(4 + PAYLOAD, 7);
        let now = relay.now;
        let mut next = 0;
        let Relay {
            server,
            users,
            clients,
            ..
        } = &mut relay;
        let source = vec![7u8; PAYLOAD];
        let mut target = vec![0u8; PAYLOAD];
        let mut out = |server: &mut Server| {
            next = (next + 1) % clients.len();
            let Some((client, ..)) = clients.get(next) else {
                return 0;
            };
            match server.handle_input(now, *client, black_box(&datagram), users) {
                Input::Relay { range, .. } => range.len(),
                Input::Consumed => 0,
            }
        };
        if out(server) != PAYLOAD {
            return Err("not relayed".into());
        }
        // Nanoseconds a packet: 200 would be five million packets a second.
        Comparison::new("stun", format!("relay-to-peer-{count}"), "ns", Better::Less)
            .time("ours", || out(server))
            .time("copying-1200-octets", || {
                target.copy_from_slice(black_box(&source));
                black_box(target.first().copied())
            })
            .run();
        if counts_allocations() {
            Comparison::new(
                "stun",
                format!("heap-relay-to-peer-{count}"),
                "allocations",
                Better::Less,
            )
            .allocations("ours", || out(server))
            .run();
        }
        let mut buffer = vec![0u8; MAX_DATA_HEADROOM + PAYLOAD + 3];
        let mut next = 0;
        let mut back = |server: &mut Server| {
            next = (next + 1) % clients.len();
            let Some((_, relay, peer)) = clients.get(next) else {
                return 0;
            };
            let payload = MAX_DATA_HEADROOM..MAX_DATA_HEADROOM + PAYLOAD;
            let to = server.handle_peer_datagram(now, *relay, *peer, &mut buffer, payload);
            to.map_or(0, |to| to.range.len())
        };
        if back(server) != PAYLOAD + 4 {
            return Err("not relayed back".into());
        }
        Comparison::new(
            "stun",
            format!("relay-to-client-{count}"),
            "ns",
            Better::Less,
        )
        .time("ours", || back(server))
        .time("copying-1200-octets", || {
            target.copy_from_slice(black_box(&source));
            black_box(target.first().copied())
        })
        .run();
        if counts_allocations() {
            Comparison::new(
                "stun",
                format!("heap-relay-to-client-{count}"),
                "allocations",
                Better::Less,
            )
            .allocations("ours", || back(server))
            .run();
        }
    }
    Ok(())
}
