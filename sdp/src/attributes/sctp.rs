//! SCTP over DTLS: ports, message size, the old `sctpmap`, and `sctp-init`.

use std::fmt::{self, Display};

use crate::base64;
use crate::error::{Rule, ValueError};
use crate::scan::{Grammar, Scan, from_str};

/// `a=sctp-port` (RFC 8841 §5): 0 asks for the association's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SctpPort(pub u16);

impl Grammar for SctpPort {
    const CALLED: &'static str = "sctp-port";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.u16(0, u16::MAX).map(Self)
    }
}

impl Display for SctpPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `a=max-message-size` (RFC 8841 §6): the largest message its writer receives, in bytes; 0 means
/// any size. Where the attribute is missing, 64 KiB count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaxMessageSize(pub u64);

impl MaxMessageSize {
    /// What counts where the attribute is missing (RFC 8841 §6.1).
    pub const DEFAULT: Self = Self(65_536);
}

impl Grammar for MaxMessageSize {
    const CALLED: &'static str = "max-message-size";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.number(0, u64::MAX).map(Self)
    }
}

impl Display for MaxMessageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `a=sctpmap`, of drafts before RFC 8841, with `m=application 9 DTLS/SCTP 5000`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SctpMap {
    /// The SCTP port, which is the m-line's format.
    pub port: u16,
    /// The protocol over SCTP: "webrtc-datachannel".
    pub protocol: String,
    /// Number of streams.
    pub streams: Option<u32>,
}

impl Grammar for SctpMap {
    const CALLED: &'static str = "sctpmap";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let port = scan.u16(0, u16::MAX)?;
        scan.space()?;
        let protocol = scan.token()?.to_owned();
        let streams = if scan.more()? {
            Some(scan.u32(0, u32::MAX)?)
        } else {
            None
        };
        Ok(Self {
            port,
            protocol,
            streams,
        })
    }
}

impl Display for SctpMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.port, self.protocol)?;
        match self.streams {
            Some(streams) => write!(f, " {streams}"),
            None => Ok(()),
        }
    }
}

/// `a=sctp-init`: an SCTP INIT chunk carried in the description (draft-hancke-tsvwg-snap).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SctpInit {
    /// The chunk's bytes.
    pub chunk: Vec<u8>,
}

impl Grammar for SctpInit {
    const CALLED: &'static str = "sctp-init";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let word = scan.word()?;
        match base64::decode(word) {
            Some(chunk) => Ok(Self { chunk }),
            None => Err(scan.error_in(word, Rule::Base64)),
        }
    }
}

impl Display for SctpInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::encode(&self.chunk, f)
    }
}

from_str!(SctpPort, MaxMessageSize, SctpMap, SctpInit);
