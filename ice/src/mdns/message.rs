//! The few DNS messages that mDNS candidates need (RFC 6762).

use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::mdns_name::MdnsName;

/// RFC 6762 §10: records with a host's name.
const TTL: u32 = 120;
/// RFC 6762 §6.7: for those who know only unicast DNS.
const LEGACY_TTL: u32 = 10;

/// Most octets of a packet (RFC 6762 §17).
const MAX_PACKET: usize = 9_000;
/// Fewest octets of a question: the root's name, type and class; and of a record: a time to live and a length besides.
const MIN_QUESTION: usize = 5;
const MIN_RECORD: usize = 11;

/// Whether a packet can hold as much as its header counts: a reader that believes the counts makes room for 65 535
/// records, megabytes, because of twelve octets.
fn is_plausible(packet: &[u8]) -> bool {
    let count = |at: usize| {
        let field = packet.get(at..at + 2)?;
        Some(usize::from(u16::from_be_bytes(field.try_into().ok()?)))
    };
    let counts = [4, 6, 8, 10].map(count);
    let [
        Some(questions),
        Some(answers),
        Some(authorities),
        Some(additionals),
    ] = counts
    else {
        return false;
    };
    let records = answers + authorities + additionals;
    packet.len() <= MAX_PACKET
        && questions * MIN_QUESTION + records * MIN_RECORD <= packet.len() - 12
}

/// A question for one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: MdnsName,
    pub(super) kind: Kind,
    /// A unicast response is preferred (RFC 6762 §5.4).
    pub(super) unicast: bool,
}

/// The family asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Any,
}

impl Kind {
    pub(super) fn fits(self, ip: IpAddr) -> bool {
        match self {
            Self::A => ip.is_ipv4(),
            Self::Aaaa => ip.is_ipv6(),
            Self::Any => true,
        }
    }
}

/// What a packet says, as far as we care.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) id: u16,
    pub(super) questions: Vec<Question>,
    /// Addresses of names, with the time to live; zero is a goodbye.
    pub(super) answers: Vec<(MdnsName, IpAddr, u32)>,
}

/// Reads a packet; `None` if it is no DNS message or nothing of ours.
pub(super) fn parse(packet: &[u8]) -> Option<Content> {
    if !is_plausible(packet) {
        return None;
    }
    let message = Message::from_vec(packet).ok()?;
    let mut content = Content {
        id: message.metadata.id,
        ..Content::default()
    };
    if message.metadata.op_code != OpCode::Query {
        return None;
    }
    if message.metadata.message_type == MessageType::Query {
        let of_ours = |q: &Query| {
            let kind = match q.query_type() {
                RecordType::A => Kind::A,
                RecordType::AAAA => Kind::Aaaa,
                RecordType::ANY => Kind::Any,
                _ => return None,
            };
            let name = q.name().to_ascii().parse().ok()?;
            Some(Question {
                name,
                kind,
                unicast: q.mdns_unicast_response(),
            })
        };
        content.questions = message.queries.iter().filter_map(of_ours).collect();
    } else {
        let of_ours = |r: &Record| {
            let ip = match &r.data {
                RData::A(a) => IpAddr::V4(a.0),
                RData::AAAA(a) => IpAddr::V6(a.0),
                _ => return None,
            };
            Some((r.name.to_ascii().parse().ok()?, ip, r.ttl))
        };
        content.answers = message
            .answers
            .iter()
            .chain(&message.additionals)
            .filter_map(of_ours)
            .collect();
    }
    Some(content)
}

fn dns_name(name: MdnsName) -> Option<Name> {
    Name::from_str(&format!("{name}.")).ok()
}

/// Writes a query for both families, asking for a unicast response if `unicast`
/// (draft-ietf-mmusic-mdns-ice-candidates §3.2.1).
pub(super) fn write_query(name: MdnsName, unicast: bool, out: &mut Vec<u8>) -> Option<usize> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    for kind in [RecordType::A, RecordType::AAAA] {
        let mut query = Query::query(dns_name(name)?, kind);
        query.set_query_class(DNSClass::IN);
        query.set_mdns_unicast_response(unicast);
        message.add_query(query);
    }
    append(&message, out)
}

/// Writes the address of a name; `legacy` repeats the question's id and says
/// nothing that unicast DNS does not know (RFC 6762 §6.7).
pub(super) fn write_response(
    name: MdnsName,
    ip: IpAddr,
    legacy: Option<u16>,
    goodbye: bool,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let mut message = Message::new(legacy.unwrap_or(0), MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    let (kind, data) = match ip {
        IpAddr::V4(v4) => (RecordType::A, RData::A(v4.into())),
        IpAddr::V6(v6) => (RecordType::AAAA, RData::AAAA(v6.into())),
    };
    let ttl = match (goodbye, legacy) {
        (true, _) => 0,
        (false, Some(_)) => LEGACY_TTL,
        (false, None) => TTL,
    };
    let mut record = Record::from_rdata(dns_name(name)?, ttl, data);
    record.mdns_cache_flush = legacy.is_none();
    if legacy.is_some() {
        message.add_query(Query::query(dns_name(name)?, kind));
    }
    message.add_answer(record);
    append(&message, out)
}

fn append(message: &Message, out: &mut Vec<u8>) -> Option<usize> {
    let bytes = message.to_vec().ok()?;
    out.extend_from_slice(&bytes);
    Some(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn name() -> MdnsName {
        MdnsName::random(&mut StdRng::seed_from_u64(1))
    }

    #[test]
    fn a_query_asks_for_both_families_and_a_unicast_response() {
        let mut out = Vec::new();
        write_query(name(), true, &mut out);
        let content = parse(&out).unwrap_or_default();
        let ask = |kind| Question {
            name: name(),
            kind,
            unicast: true,
        };
        assert_eq!(content.questions, [ask(Kind::A), ask(Kind::Aaaa)]);
    }

    /// Twelve octets that count 65 535 records of each kind made a reader reserve megabytes.
    #[test]
    fn counts_that_the_packet_cannot_hold_are_not_believed() {
        let mut out = Vec::new();
        write_query(name(), true, &mut out);
        assert!(parse(&out).is_some());
        for at in [4, 6, 8, 10] {
            let mut bent = out.clone();
            if let Some(count) = bent.get_mut(at..at + 2) {
                count.copy_from_slice(&[0xff, 0xff]);
            }
            assert!(!is_plausible(&bent), "{at}");
            assert_eq!(parse(&bent), None, "{at}");
        }
        let long = [&out[..], &[0; MAX_PACKET][..]].concat();
        assert_eq!(parse(&long), None);
        assert_eq!(parse(&out[..11]), None);
    }

    #[test]
    fn responses_carry_one_address() {
        for ip in ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>()) {
            let Ok(ip) = ip else { continue };
            let mut out = Vec::new();
            write_response(name(), ip, None, false, &mut out);
            assert_eq!(parse(&out).unwrap_or_default().answers, [(name(), ip, TTL)]);
            out.clear();
            write_response(name(), ip, Some(77), false, &mut out);
            let content = parse(&out).unwrap_or_default();
            assert_eq!(
                (content.id, content.answers),
                (77, vec![(name(), ip, LEGACY_TTL)])
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
