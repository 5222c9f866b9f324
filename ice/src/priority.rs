//! Candidate and pair priorities (RFC 8445 §5.1.2 and §6.1.2.3, RFC 6544 §4.2, RFC 8421).

use std::net::IpAddr;

use crate::candidate::{CandidateKind, TcpType};
use crate::role::Role;

/// A candidate's priority, 1 to 2³¹−1 by the formula; any `u32` from the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(pub u32);

impl Priority {
    /// `2²⁴·type + 2⁸·local + (256 − component)` (RFC 8445 §5.1.2.1).
    #[must_use]
    pub fn compute(kind: CandidateKind, local: u16, component: u16) -> Self {
        let component = u32::from(component.clamp(1, 256));
        Self((type_preference(kind) << 24) + (u32::from(local) << 8) + (256 - component))
    }

    /// The same candidate's priority had it been learned as peer-reflexive:
    /// what the PRIORITY attribute of a check says (RFC 8445 §7.1.1).
    #[must_use]
    pub fn as_peer_reflexive(self) -> Self {
        Self((type_preference(CandidateKind::PeerReflexive) << 24) | (self.0 & 0x00ff_ffff))
    }

    /// The same of a TCP candidate: below every UDP candidate but relayed ones, as
    /// TCP host candidates are (RFC 6544 §4.2).
    #[must_use]
    pub fn as_tcp_peer_reflexive(self) -> Self {
        Self(self.as_peer_reflexive().0 - (TCP_REFLEXIVE_STEP_DOWN << 24))
    }
}

/// How many type preferences TCP candidates stand below UDP ones of the same type:
/// less than 17 would put host TCP above peer-reflexive UDP; browsers have 36.
pub(crate) const TCP_STEP_DOWN: u32 = 36;
/// Of peer-reflexive ones, as browsers have it: 80, between TCP host candidates and
/// server-reflexive ones.
const TCP_REFLEXIVE_STEP_DOWN: u32 = 30;

/// RFC 8445 §5.1.2.2's recommended values.
fn type_preference(kind: CandidateKind) -> u32 {
    match kind {
        CandidateKind::Host => 126,
        CandidateKind::PeerReflexive => 110,
        CandidateKind::ServerReflexive => 100,
        CandidateKind::Relayed => 0,
    }
}

/// Local preference of a UDP base: networks in the caller's order, IPv6
/// before IPv4 in each, so that the families alternate and a broken one
/// delays a check by no more than one slot (RFC 8421 §4).
///
/// `cost` is the network's cost, 0 to 999 as in GOOG-NETWORK-INFO: dearer
/// networks stand after cheaper ones.
#[must_use]
pub(crate) fn udp_local_preference(ip: IpAddr, network: u16, cost: u16) -> u16 {
    let family = u16::from(ip.is_ipv4());
    let order = network.min(511) * 2 + family;
    // Ten classes of cost, each wide enough for all networks.
    let class = (cost.min(999) / 100) * 1024;
    let scoped = if is_link_local(ip) { 16_384 } else { 0 };
    0xffff - order - class - scoped
}

/// Local preference of a TCP base (RFC 6544 §4.2): three bits of direction
/// preference above thirteen others.
#[must_use]
pub(crate) fn tcp_local_preference(
    tcp: TcpType,
    kind: CandidateKind,
    ip: IpAddr,
    network: u16,
) -> u16 {
    let direction = match (kind, tcp) {
        (CandidateKind::Host | CandidateKind::Relayed, TcpType::Active) => 6,
        (CandidateKind::Host | CandidateKind::Relayed, TcpType::Passive) => 4,
        (CandidateKind::Host | CandidateKind::Relayed, TcpType::SimultaneousOpen) => 2,
        (_, TcpType::SimultaneousOpen) => 6,
        (_, TcpType::Active) => 4,
        (_, TcpType::Passive) => 2,
    };
    let other = 0x1fff - (network.min(511) * 2 + u16::from(ip.is_ipv4()));
    (direction << 13) | other
}

pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0) == 0xfe80,
    }
}

/// A pair's priority (RFC 8445 §6.1.2.3), the same number on both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairPriority(pub u64);

impl PairPriority {
    /// `2³²·min(G,D) + 2·max(G,D) + (G>D ? 1 : 0)`, G being the controlling side's.
    #[must_use]
    pub fn compute(role: Role, local: Priority, remote: Priority) -> Self {
        let (g, d) = match role {
            Role::Controlling => (u64::from(local.0), u64::from(remote.0)),
            Role::Controlled => (u64::from(remote.0), u64::from(local.0)),
        };
        // 2·max does not fit beside 2³²·min in the last corner only; saturate there.
        Self((g.min(d) << 32).saturating_add(2 * g.max(d) + u64::from(g > d)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formula_of_the_standard() {
        // RFC 8445 §15.1: host 2130706431, server-reflexive 1694498815.
        assert_eq!(
            Priority::compute(CandidateKind::Host, 65535, 1),
            Priority(2_130_706_431)
        );
        assert_eq!(
            Priority::compute(CandidateKind::ServerReflexive, 65535, 1),
            Priority(1_694_498_815)
        );
        assert_eq!(
            Priority(2_130_706_431).as_peer_reflexive(),
            Priority::compute(CandidateKind::PeerReflexive, 65535, 1)
        );
        let tcp_host = Priority(2_130_706_431 - (TCP_STEP_DOWN << 24));
        assert_eq!(tcp_host.as_tcp_peer_reflexive().0 >> 24, 80);
        assert!(tcp_host.as_tcp_peer_reflexive() < tcp_host);
    }

    #[test]
    fn families_alternate_and_link_local_comes_last() {
        let v6: IpAddr = "2001:db8::1".parse().unwrap_or(IpAddr::from([0; 4]));
        let v4: IpAddr = IpAddr::from([192, 0, 2, 1]);
        let ll: IpAddr = "fe80::1".parse().unwrap_or(IpAddr::from([0; 4]));
        let order = [
            udp_local_preference(v6, 0, 0),
            udp_local_preference(v4, 0, 0),
            udp_local_preference(v6, 1, 0),
            udp_local_preference(v4, 1, 0),
            udp_local_preference(v6, 0, 900),
            udp_local_preference(ll, 0, 0),
        ];
        assert!(order.windows(2).all(|w| w[0] > w[1]), "{order:?}");
    }

    proptest! {
        #[test]
        fn both_ends_compute_the_same_pair_priority(a: u32, b: u32) {
            prop_assert_eq!(
                PairPriority::compute(Role::Controlling, Priority(a), Priority(b)),
                PairPriority::compute(Role::Controlled, Priority(b), Priority(a))
            );
        }

        #[test]
        fn local_preferences_never_wrap(network: u16, cost: u16) {
            let lowest = udp_local_preference("fe80::1".parse::<IpAddr>().unwrap_or(IpAddr::from([0; 4])), network, cost);
            prop_assert!(lowest > 0);
        }
    }
}
