//! Parameters of the codecs, one type each.

use std::fmt::{self, Display};

use super::parameters::{ParameterValue, Parameters};
use crate::attributes::PayloadType;
use crate::limits::MAX_LIST;

/// Types of parameters that are written in the order of their fields.
macro_rules! parameters {
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty = $key:literal,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: Option<$type>,)+
            /// All other parameters, and known ones whose value makes no sense, in their order.
            pub others: Parameters,
        }

        impl $name {
            /// Reads the parameters.
            pub fn read(text: &str) -> Self {
                let mut others = Parameters::read(text);
                Self {
                    $($field: others.take($key),)+
                    others,
                }
            }
        }

        impl From<&Parameters> for $name {
            fn from(parameters: &Parameters) -> Self {
                let mut others = parameters.clone();
                Self {
                    $($field: others.take($key),)+
                    others,
                }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut separator = "";
                $(if let Some(value) = &self.$field {
                    write!(f, concat!("{}", $key, "="), separator)?;
                    value.write(f)?;
                    separator = ";";
                })+
                if !self.others.is_empty() {
                    write!(f, "{separator}{}", self.others)?;
                }
                Ok(())
            }
        }
    )+};
}

parameters! {
    /// VP8 (RFC 7741 §6.1).
    Vp8 {
        /// Most frames a second.
        max_fr: u32 = "max-fr",
        /// Most macroblocks a frame.
        max_fs: u32 = "max-fs",
    }

    /// VP9 (RFC 9628 §6).
    Vp9 {
        /// Most frames a second.
        max_fr: u32 = "max-fr",
        /// Most macroblocks a frame.
        max_fs: u32 = "max-fs",
        /// Profile: 0 to 3; 0 where nothing is said.
        profile_id: u8 = "profile-id",
    }

    /// H.264 (RFC 6184 §8.1), written in the order that browsers use.
    H264 {
        /// Whether each side may use a level of its own; no where nothing is said.
        level_asymmetry_allowed: bool = "level-asymmetry-allowed",
        /// 0: single NAL units, 1: non-interleaved, 2: interleaved; 0 where nothing is said.
        packetization_mode: u8 = "packetization-mode",
        /// Profile and level; Baseline, level 1, where nothing is said.
        profile_level_id: ProfileLevelId = "profile-level-id",
        /// Most macroblocks a second.
        max_mbps: u32 = "max-mbps",
        /// Most static macroblocks a second.
        max_smbps: u32 = "max-smbps",
        /// Most macroblocks a frame.
        max_fs: u32 = "max-fs",
        /// Largest coded picture buffer, in units of the level.
        max_cpb: u32 = "max-cpb",
        /// Largest decoded picture buffer, in units of the level.
        max_dpb: u32 = "max-dpb",
        /// Most bits a second, in units of the level.
        max_br: u32 = "max-br",
        /// Most frames a second, in hundredths.
        max_fps: u32 = "max-fps",
        /// Whether redundant slices can be decoded.
        redundant_pic_cap: bool = "redundant-pic-cap",
        /// Parameter sets, in base64, separated by commas.
        sprop_parameter_sets: String = "sprop-parameter-sets",
        /// Whether parameter sets travel in the stream alone.
        in_band_parameter_sets: bool = "in-band-parameter-sets",
    }

    /// H.265 (RFC 7798 §7.1), written in the order that browsers use.
    H265 {
        /// Level times 30: 93 is 3.1; 93 where nothing is said.
        level_id: u8 = "level-id",
        /// Profile space; 0 where nothing is said.
        profile_space: u8 = "profile-space",
        /// Profile: 1 is Main, 2 is Main 10; 1 where nothing is said.
        profile_id: u8 = "profile-id",
        /// Tier: 0 is Main, 1 is High; 0 where nothing is said.
        tier_flag: bool = "tier-flag",
        /// Transmission mode: SRST, MRST or MRMT.
        tx_mode: String = "tx-mode",
        /// Six bytes of constraints in hexadecimal.
        interop_constraints: String = "interop-constraints",
        /// Four bytes of profiles in hexadecimal.
        profile_compatibility_indicator: String = "profile-compatibility-indicator",
        /// The highest level received.
        max_recv_level_id: u8 = "max-recv-level-id",
        /// Most luma samples a second.
        max_lsr: u64 = "max-lsr",
        /// Most luma samples a picture.
        max_lps: u32 = "max-lps",
        /// Most bits a second, in units of the level.
        max_br: u32 = "max-br",
        /// Most frames a second, in hundredths.
        max_fps: u32 = "max-fps",
        /// Video parameter sets in base64.
        sprop_vps: String = "sprop-vps",
        /// Sequence parameter sets in base64.
        sprop_sps: String = "sprop-sps",
        /// Picture parameter sets in base64.
        sprop_pps: String = "sprop-pps",
    }

    /// AV1 (RTP payload format for AV1, §7.2), written in the order that browsers use.
    Av1 {
        /// Level index: 0 to 31; 5 where nothing is said.
        level_idx: u8 = "level-idx",
        /// Profile: 0 to 2; 0 where nothing is said.
        profile: u8 = "profile",
        /// Tier: 0 or 1; 0 where nothing is said.
        tier: u8 = "tier",
    }

    /// H.263 (RFC 4629 §8.1).
    H263 {
        /// Profile.
        profile: u8 = "profile",
        /// Level.
        level: u8 = "level",
    }

    /// Opus (RFC 7587 §6.1), written in the order that browsers use.
    Opus {
        /// The highest rate that is played, in hertz.
        max_playback_rate: u32 = "maxplaybackrate",
        /// The highest rate that is sent, in hertz.
        sprop_max_capture_rate: u32 = "sprop-maxcapturerate",
        /// Most media in a packet, in milliseconds.
        max_ptime: u32 = "maxptime",
        /// Media in a packet, in milliseconds.
        ptime: u32 = "ptime",
        /// Least media in a packet, in milliseconds (not of the RFC; browsers write it).
        min_ptime: u32 = "minptime",
        /// Most bits a second received.
        max_average_bitrate: u32 = "maxaveragebitrate",
        /// Whether stereo is preferred for receiving.
        stereo: bool = "stereo",
        /// Whether stereo is likely sent.
        sprop_stereo: bool = "sprop-stereo",
        /// Whether constant bit rate is preferred for receiving.
        cbr: bool = "cbr",
        /// Whether in-band error correction can be used for receiving.
        use_in_band_fec: bool = "useinbandfec",
        /// Whether discontinuous transmission is preferred for receiving.
        use_dtx: bool = "usedtx",
    }

    /// iSAC.
    Isac {
        /// Most bits a second.
        max_bitrate: u32 = "maxbitrate",
        /// Most bytes a packet.
        max_payload_size: u32 = "maxpayloadsize",
    }

    /// iLBC (RFC 3952 §4).
    Ilbc {
        /// Frame length: 20 or 30 milliseconds; 30 where nothing is said.
        mode: u8 = "mode",
    }

    /// AMR and AMR-WB (RFC 4867 §8).
    Amr {
        /// Whether the octet-aligned format is used.
        octet_align: bool = "octet-align",
        /// The modes that may be used, separated by commas.
        mode_set: String = "mode-set",
        /// Frames between changes of the mode.
        mode_change_period: u8 = "mode-change-period",
        /// What the sender of the parameters can do about it: 1 or 2.
        mode_change_capability: u8 = "mode-change-capability",
        /// Whether modes only change to neighbours.
        mode_change_neighbor: bool = "mode-change-neighbor",
        /// Whether frames carry checksums.
        crc: bool = "crc",
        /// Whether bits are sorted by their weight.
        robust_sorting: bool = "robust-sorting",
        /// Most frames interleaved.
        interleaving: u32 = "interleaving",
        /// Most redundancy, in milliseconds.
        max_red: u32 = "max-red",
    }

    /// G.723 (RFC 4856 §2.1.2).
    G723 {
        /// `yes` where silence suppression of annex A is used, which is meant where nothing is
        /// said.
        annex_a: String = "annexa",
        /// Bit rate: 5.3 or 6.3.
        bitrate: String = "bitrate",
    }

    /// G.729 (RFC 4856 §2.1.9).
    G729 {
        /// `yes` where silence suppression of annex B is used, which is meant where nothing is
        /// said.
        annex_b: String = "annexb",
    }

    /// Linear PCM (RFC 3190 §6, RFC 4856 §2.1.12).
    L16 {
        /// What each channel is.
        channel_order: String = "channel-order",
        /// Emphasis.
        emphasis: String = "emphasis",
    }

    /// Retransmissions (RFC 4588 §8.1).
    Rtx {
        /// The payload type that is retransmitted.
        apt: PayloadType = "apt",
        /// How long packets can be retransmitted, in milliseconds.
        rtx_time: u32 = "rtx-time",
    }

    /// Flexible forward error correction (RFC 8627 §5.1).
    FlexFec {
        /// How long repair packets can be waited for, in microseconds.
        repair_window: u64 = "repair-window",
        /// Columns.
        l: u32 = "L",
        /// Rows.
        d: u32 = "D",
        /// Kind of protection.
        to_p: u8 = "ToP",
    }
}

impl ParameterValue for PayloadType {
    fn read(text: &str) -> Option<Self> {
        u8::read(text).and_then(Self::new)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt(f)
    }
}

/// H.264's profile and level (RFC 6184 §8.1): three bytes of the sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProfileLevelId {
    /// Profile: 0x42 Baseline, 0x4d Main, 0x64 High.
    pub profile_idc: u8,
    /// Constraint flags.
    pub profile_iop: u8,
    /// Level times 10: 0x1f is 3.1.
    pub level_idc: u8,
    /// Whether it is written with upper-case digits.
    pub upper_case: bool,
}

impl ProfileLevelId {
    /// What counts where nothing is said: Baseline, level 1.
    pub const DEFAULT: Self = Self::new(0x42, 0x00, 0x0a);

    /// Profile, constraint flags and level.
    pub const fn new(profile_idc: u8, profile_iop: u8, level_idc: u8) -> Self {
        Self {
            profile_idc,
            profile_iop,
            level_idc,
            upper_case: false,
        }
    }
}

impl ParameterValue for ProfileLevelId {
    fn read(text: &str) -> Option<Self> {
        if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let upper_case = text.bytes().any(|byte| byte.is_ascii_uppercase());
        if upper_case && text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        let [_, profile_idc, profile_iop, level_idc] =
            u32::from_str_radix(text, 16).ok()?.to_be_bytes();
        Some(Self {
            profile_idc,
            profile_iop,
            level_idc,
            upper_case,
        })
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [0, self.profile_idc, self.profile_iop, self.level_idc];
        let number = u32::from_be_bytes(bytes);
        if self.upper_case {
            write!(f, "{number:06X}")
        } else {
            write!(f, "{number:06x}")
        }
    }
}

impl Display for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// Redundant data (RFC 2198 §5): `111/111`, the primary encoding's payload type first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Red {
    /// The payload types, from the primary to the oldest.
    pub payload_types: Vec<PayloadType>,
}

impl Red {
    /// Reads the list; none if it is not one.
    pub fn read(text: &str) -> Option<Self> {
        let parameters = Parameters::read(text);
        let text = match parameters.iter().next() {
            None => return Some(Self::default()),
            Some((text, None)) if parameters.len() == 1 => text,
            Some(_) => return None,
        };
        let payload_types: Option<Vec<_>> = text
            .split('/')
            .take(MAX_LIST)
            .map(PayloadType::read)
            .collect();
        Some(Self {
            payload_types: payload_types?,
        })
    }
}

impl Display for Red {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, payload_type) in self.payload_types.iter().enumerate() {
            let separator = if at > 0 { "/" } else { "" };
            write!(f, "{separator}{payload_type}")?;
        }
        Ok(())
    }
}

/// Telephone events that can be received (RFC 4733 §7.1.1): `0-15,66`. None listed means 0 to 15.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Ranges, both ends included; single events are ranges of one.
    pub events: Vec<(u8, u8)>,
}

impl TelephoneEvent {
    /// The digits and letters of a telephone: 0 to 15.
    pub fn dtmf() -> Self {
        Self {
            events: vec![(0, 15)],
        }
    }

    /// Reads the list; none if it is not one.
    pub fn read(text: &str) -> Option<Self> {
        // RFC 4733 wants `events=` in front; nobody writes it.
        let parameters = Parameters::read(text);
        let text = match parameters.iter().next() {
            None => return Some(Self::default()),
            Some(("events", Some(text)) | (text, None)) if parameters.len() == 1 => text,
            Some(_) => return None,
        };
        let events: Option<Vec<_>> = text
            .split(',')
            .take(MAX_LIST)
            .map(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let range = (u8::read(first.trim_ascii())?, u8::read(last.trim_ascii())?);
                (range.0 <= range.1).then_some(range)
            })
            .collect();
        Some(Self { events: events? })
    }

    /// Whether an event can be received.
    pub fn contains(&self, event: u8) -> bool {
        if self.events.is_empty() {
            return event <= 15;
        }
        self.events
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&event))
    }
}

impl Display for TelephoneEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.events.iter().enumerate() {
            let separator = if at > 0 { "," } else { "" };
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
        }
        Ok(())
    }
}
