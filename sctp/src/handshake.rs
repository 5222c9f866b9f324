//! Setting up an association (RFC 9260 §5): what INIT says, and the signed cookie in which all of
//! it waits at the peer, so that an INIT costs no state here.

use std::time::Duration;

use ring::hmac;

use crate::config::Config;
use crate::limits::MAX_COOKIE;
use crate::wire::{ChunkWriter, Init, chunk_type, parameter_type};

/// Alternate error detection by DTLS (RFC 9653 §8).
const EDMID_DTLS: u32 = 1;

/// Extensions one side can do, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) reconfig: bool,
    pub(crate) forward_tsn: bool,
    pub(crate) interleaving: bool,
    pub(crate) interleaved_forward_tsn: bool,
    pub(crate) ecn: bool,
    pub(crate) zero_checksum: bool,
    pub(crate) pad: bool,
}

impl Features {
    pub(crate) fn ours(config: &Config) -> Self {
        Self {
            reconfig: true,
            forward_tsn: config.partial_reliability,
            interleaving: config.interleaving,
            interleaved_forward_tsn: config.interleaving && config.partial_reliability,
            ecn: config.ecn,
            zero_checksum: config.zero_checksum,
            pad: true,
        }
    }

    fn of(init: &Init<'_>) -> Self {
        let mut found = Self::default();
        for parameter in init.parameters() {
            match parameter.kind {
                parameter_type::FORWARD_TSN_SUPPORTED => found.forward_tsn = true,
                parameter_type::ECN_CAPABLE => found.ecn = true,
                parameter_type::ZERO_CHECKSUM => {
                    found.zero_checksum = parameter.value == EDMID_DTLS.to_be_bytes();
                }
                parameter_type::SUPPORTED_EXTENSIONS => {
                    for kind in parameter.value {
                        match *kind {
                            chunk_type::RE_CONFIG => found.reconfig = true,
                            chunk_type::FORWARD_TSN => found.forward_tsn = true,
                            chunk_type::I_DATA => found.interleaving = true,
                            chunk_type::I_FORWARD_TSN => found.interleaved_forward_tsn = true,
                            chunk_type::PAD => found.pad = true,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// What both can do.
    pub(crate) fn and(self, other: Self) -> Self {
        let interleaving = self.interleaving && other.interleaving;
        Self {
            reconfig: self.reconfig && other.reconfig,
            forward_tsn: if interleaving {
                self.interleaved_forward_tsn && other.interleaved_forward_tsn
            } else {
                self.forward_tsn && other.forward_tsn
            },
            interleaving,
            interleaved_forward_tsn: interleaving
                && self.interleaved_forward_tsn
                && other.interleaved_forward_tsn,
            ecn: self.ecn && other.ecn,
            zero_checksum: self.zero_checksum && other.zero_checksum,
            pad: self.pad && other.pad,
        }
    }

    fn to_bits(self) -> u8 {
        [
            self.reconfig,
            self.forward_tsn,
            self.interleaving,
            self.interleaved_forward_tsn,
            self.ecn,
            self.zero_checksum,
            self.pad,
        ]
        .iter()
        .enumerate()
        .fold(0, |bits, (place, on)| bits | (u8::from(*on) << place))
    }

    fn from_bits(bits: u8) -> Self {
        let on = |place: u8| bits & (1 << place) != 0;
        Self {
            reconfig: on(0),
            forward_tsn: on(1),
            interleaving: on(2),
            interleaved_forward_tsn: on(3),
            ecn: on(4),
            zero_checksum: on(5),
            pad: on(6),
        }
    }
}

/// What an INIT or INIT ACK told about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerInit {
    pub(crate) tag: u32,
    pub(crate) window: u32,
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
    pub(crate) initial_tsn: u32,
    pub(crate) features: Features,
}

impl PeerInit {
    pub(crate) fn of(init: &Init<'_>) -> Self {
        Self {
            tag: init.initiate_tag,
            window: init.window,
            outbound: init.outbound_streams,
            inbound: init.inbound_streams,
            initial_tsn: init.initial_tsn,
            features: Features::of(init),
        }
    }
}

/// Our side of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnInit {
    pub(crate) tag: u32,
    pub(crate) initial_tsn: u32,
}

/// What a state cookie holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    /// When it was made, from the association's beginning.
    pub(crate) created: Duration,
    pub(crate) own: OwnInit,
    pub(crate) peer: PeerInit,
    /// Our tag and the peer's of the association that existed then, or zeros (§5.2.2).
    pub(crate) tie_tags: (u32, u32),
}

/// Octets before the signature.
const COOKIE_BODY: usize = 44;
/// HMAC-SHA-256.
const SIGNATURE: usize = 32;

impl Cookie {
    pub(crate) fn seal(&self, secret: &[u8; 32]) -> [u8; COOKIE_BODY + SIGNATURE] {
        let mut body = Vec::with_capacity(COOKIE_BODY);
        body.extend_from_slice(&(self.created.as_millis() as u64).to_be_bytes());
        let words = [
            self.own.tag,
            self.own.initial_tsn,
            self.peer.tag,
            self.peer.window,
            u32::from(self.peer.outbound) << 16 | u32::from(self.peer.inbound),
            self.peer.initial_tsn,
            u32::from(self.peer.features.to_bits()),
            self.tie_tags.0,
            self.tie_tags.1,
        ];
        for word in words {
            body.extend_from_slice(&word.to_be_bytes());
        }
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &body);
        let mut sealed = [0; COOKIE_BODY + SIGNATURE];
        let (head, tail) = sealed.split_at_mut(COOKIE_BODY);
        head.copy_from_slice(&body);
        tail.copy_from_slice(signature.as_ref());
        sealed
    }

    /// The cookie, if we signed it.
    pub(crate) fn open(bytes: &[u8], secret: &[u8; 32]) -> Option<Self> {
        let (body, signature) = bytes.split_at_checked(COOKIE_BODY)?;
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), body, signature).ok()?;
        let (created, rest) = body.split_first_chunk::<8>()?;
        let mut words = [0u32; 9];
        for (word, bytes) in words.iter_mut().zip(rest.chunks_exact(4)) {
            *word = u32::from_be_bytes(*bytes.first_chunk()?);
        }
        let [
            tag,
            tsn,
            peer_tag,
            window,
            streams,
            peer_tsn,
            features,
            tie_own,
            tie_peer,
        ] = words;
        Some(Self {
            created: Duration::from_millis(u64::from_be_bytes(*created)),
            own: OwnInit {
                tag,
                initial_tsn: tsn,
            },
            peer: PeerInit {
                tag: peer_tag,
                window,
                outbound: (streams >> 16) as u16,
                inbound: streams as u16,
                initial_tsn: peer_tsn,
                features: Features::from_bits(features as u8),
            },
            tie_tags: (tie_own, tie_peer),
        })
    }
}

/// Appends an INIT chunk, or an INIT ACK with `cookie`. `unknown` are the peer's parameters to
/// report.
pub(crate) fn write_init<'p>(
    config: &Config,
    own: OwnInit,
    cookie: Option<&[u8]>,
    unknown: impl Iterator<Item = &'p [u8]>,
    out: &mut Vec<u8>,
) {
    let features = Features::ours(config);
    let kind = if cookie.is_some() {
        chunk_type::INIT_ACK
    } else {
        chunk_type::INIT
    };
    let window = u32::try_from(config.receive_window).unwrap_or(u32::MAX);
    let mut chunk = ChunkWriter::new(out, kind, 0)
        .u32(own.tag)
        .u32(window)
        .u16(config.outbound_streams)
        .u16(config.inbound_streams)
        .u32(own.initial_tsn);
    if let Some(cookie) = cookie {
        chunk = chunk.parameter(parameter_type::STATE_COOKIE, cookie);
    }
    if features.forward_tsn {
        chunk = chunk.parameter(parameter_type::FORWARD_TSN_SUPPORTED, &[]);
    }
    if features.ecn {
        chunk = chunk.parameter(parameter_type::ECN_CAPABLE, &[]);
    }
    if features.zero_checksum {
        chunk = chunk.parameter(parameter_type::ZERO_CHECKSUM, &EDMID_DTLS.to_be_bytes());
    }
    let mut extensions = vec![chunk_type::RE_CONFIG, chunk_type::PAD];
    if features.forward_tsn {
        extensions.push(chunk_type::FORWARD_TSN);
    }
    if features.interleaving {
        extensions.push(chunk_type::I_DATA);
    }
    if features.interleaved_forward_tsn {
        extensions.push(chunk_type::I_FORWARD_TSN);
    }
    chunk = chunk.parameter(parameter_type::SUPPORTED_EXTENSIONS, &extensions);
    for parameter in unknown {
        if chunk.len() + parameter.len() + 8 > MAX_COOKIE {
            break;
        }
        chunk = chunk.parameter(parameter_type::UNRECOGNIZED, parameter);
    }
    chunk.finish();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cookie(words: [u32; 8], bits: u8, millis: u64) -> Cookie {
        Cookie {
            created: Duration::from_millis(millis),
            own: OwnInit {
                tag: words[0],
                initial_tsn: words[1],
            },
            peer: PeerInit {
                tag: words[2],
                window: words[3],
                outbound: words[4] as u16,
                inbound: (words[4] >> 16) as u16,
                initial_tsn: words[5],
                features: Features::from_bits(bits),
            },
            tie_tags: (words[6], words[7]),
        }
    }

    proptest! {
        #[test]
        fn a_sealed_cookie_opens_and_a_changed_one_does_not(
            words: [u32; 8], bits in 0u8..128, millis in 0u64..1 << 40, flip in 0usize..76 * 8,
        ) {
            let secret = [7; 32];
            let cookie = cookie(words, bits, millis);
            let mut sealed = cookie.seal(&secret);
            prop_assert_eq!(Cookie::open(&sealed, &secret), Some(cookie));
            prop_assert_eq!(Cookie::open(&sealed, &[8; 32]), None);
            sealed[flip / 8] ^= 1 << (flip % 8);
            prop_assert_eq!(Cookie::open(&sealed, &secret), None);
        }
    }

    #[test]
    fn an_init_says_what_the_config_offers() {
        let config = Config {
            zero_checksum: true,
            ecn: true,
            ..Config::default()
        };
        let own = OwnInit {
            tag: 9,
            initial_tsn: 5,
        };
        let mut out = Vec::new();
        write_init(&config, own, None, std::iter::empty(), &mut out);
        let init = Init::parse(&out[4..]).unwrap();
        let peer = PeerInit::of(&init);
        assert_eq!((peer.tag, peer.initial_tsn), (9, 5));
        assert_eq!(peer.features, Features::ours(&config));
    }
}
