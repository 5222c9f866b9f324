//! Restriction identifiers and simulcast (RFC 8851, RFC 8853).

use std::fmt::{self, Display};

use super::PayloadType;
use crate::error::{Rule, ValueError};
use crate::scan::{Grammar, Scan, closed_words, from_str, open_words, push_bounded};

/// A restriction identifier's name (RFC 8851 §10): letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RidName(String);

impl RidName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Grammar for RidName {
    const CALLED: &'static str = "rid";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let name = scan.run(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if name.is_empty() {
            return Err(scan.error(Rule::Empty));
        }
        if scan.is_strict() && name.len() > 255 {
            return Err(scan.error_in(name, Rule::Length { min: 1, max: 255 }));
        }
        Ok(Self(name.to_owned()))
    }
}

impl Display for RidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for RidName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

closed_words! {
    /// Which way a restricted stream flows, as seen by the writer.
    RidDirection, "rid" {
        /// The writer sends it.
        Send = "send",
        /// The writer receives it.
        Recv = "recv",
    }
}

open_words! {
    /// What a restriction is about (RFC 8851 §5).
    RidRestriction {
        /// Most pixels across.
        MaxWidth = "max-width",
        /// Most pixels down.
        MaxHeight = "max-height",
        /// Most frames a second.
        MaxFps = "max-fps",
        /// Most pixels a frame.
        MaxFs = "max-fs",
        /// Most bits a second.
        MaxBr = "max-br",
        /// Most pixels a second.
        MaxPps = "max-pps",
        /// Most bits a pixel.
        MaxBpp = "max-bpp",
        /// Streams this one depends on.
        Depend = "depend",
    }
}

/// `a=rid`: a stream with restrictions (RFC 8851 §10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rid {
    /// Its name.
    pub name: RidName,
    /// Which way it flows.
    pub direction: RidDirection,
    /// The payload types it may use; any, if empty.
    pub payload_types: Vec<PayloadType>,
    /// Restrictions in their order, with their values as text.
    pub restrictions: Vec<(RidRestriction, Option<String>)>,
}

impl Rid {
    /// A stream without restrictions.
    pub fn new(name: RidName, direction: RidDirection) -> Self {
        Self {
            name,
            direction,
            payload_types: Vec::new(),
            restrictions: Vec::new(),
        }
    }

    /// The value of a restriction.
    pub fn restriction(&self, wanted: &RidRestriction) -> Option<&str> {
        self.restrictions
            .iter()
            .find(|(restriction, _)| restriction == wanted)
            .and_then(|(_, value)| value.as_deref())
    }
}

impl Grammar for Rid {
    const CALLED: &'static str = "rid";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let name = RidName::read(scan)?;
        scan.space()?;
        let mut rid = Self::new(name, RidDirection::read(scan)?);
        if !scan.more()? {
            return Ok(rid);
        }
        let mut first = true;
        loop {
            scan.run(|byte| byte == b' ');
            let key = scan.run(|b| !matches!(b, b'=' | b';' | b' '));
            if key.is_empty() {
                return Err(scan.error(Rule::Empty));
            }
            let value = scan
                .take(b'=')
                .then(|| scan.run(|b| b != b';').trim_ascii_end());
            if key == "pt" && first {
                // RFC 8851 §10: the list of payload types comes first.
                for text in value.unwrap_or_default().split(',') {
                    match text.parse() {
                        Ok(payload_type) => {
                            push_bounded(scan, &mut rid.payload_types, payload_type)?
                        }
                        Err(_) => return Err(scan.error(Rule::Range { min: 0, max: 127 })),
                    }
                }
            } else {
                let restriction = (RidRestriction::from_word(key), value.map(str::to_owned));
                push_bounded(scan, &mut rid.restrictions, restriction)?;
            }
            first = false;
            if !scan.take(b';') {
                return Ok(rid);
            }
            if scan.is_done() && !scan.is_strict() {
                return Ok(rid);
            }
        }
    }
}

impl Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.direction)?;
        let mut separator = " ";
        for (at, payload_type) in self.payload_types.iter().enumerate() {
            write!(f, "{}{payload_type}", if at == 0 { " pt=" } else { "," })?;
            separator = ";";
        }
        for (restriction, value) in &self.restrictions {
            write!(f, "{separator}{restriction}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
            separator = ";";
        }
        Ok(())
    }
}

/// One encoding of a simulcast list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SimulcastStream {
    /// The `a=rid` it means.
    pub rid: RidName,
    /// Whether it begins paused: `~`.
    pub paused: bool,
}

/// Streams of one direction; each is a list of alternatives, of which one flows.
pub type SimulcastList = Vec<Vec<SimulcastStream>>;

/// `a=simulcast`: several encodings of one source (RFC 8853 §5.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Simulcast {
    /// What the writer sends.
    pub send: SimulcastList,
    /// What the writer receives.
    pub recv: SimulcastList,
    /// Whether `recv` is written in front of `send`.
    pub recv_first: bool,
}

impl Simulcast {
    /// Sends one stream for each name.
    pub fn send(rids: impl IntoIterator<Item = RidName>) -> Self {
        Self {
            send: Self::list(rids),
            ..Self::default()
        }
    }

    /// Receives one stream for each name.
    pub fn recv(rids: impl IntoIterator<Item = RidName>) -> Self {
        Self {
            recv: Self::list(rids),
            ..Self::default()
        }
    }

    fn list(rids: impl IntoIterator<Item = RidName>) -> SimulcastList {
        rids.into_iter()
            .map(|rid| vec![SimulcastStream { rid, paused: false }])
            .collect()
    }
}

fn read_list(scan: &mut Scan<'_>) -> Result<SimulcastList, ValueError> {
    let mut list = Vec::new();
    let mut total = 0;
    loop {
        let mut alternatives = Vec::new();
        loop {
            let paused = scan.take(b'~');
            let rid = RidName::read(scan)?;
            total += 1;
            if total > crate::limits::MAX_LIST {
                return Err(scan.error(Rule::ListTooLong(crate::limits::MAX_LIST)));
            }
            alternatives.push(SimulcastStream { rid, paused });
            if !scan.take(b',') {
                break;
            }
        }
        list.push(alternatives);
        if !scan.take(b';') {
            return Ok(list);
        }
    }
}

impl Grammar for Simulcast {
    const CALLED: &'static str = "simulcast";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let mut simulcast = Self::default();
        if !scan.is_strict() {
            scan.run(|byte| byte == b' ');
        }
        loop {
            let direction = RidDirection::read(scan)?;
            scan.space()?;
            let list = match direction {
                RidDirection::Send => &mut simulcast.send,
                RidDirection::Recv => &mut simulcast.recv,
            };
            if !list.is_empty() {
                return Err(scan.error(Rule::Repeated));
            }
            *list = read_list(scan)?;
            if simulcast.send.is_empty() {
                simulcast.recv_first = true;
            }
            if !scan.more()? {
                simulcast.recv_first &= !simulcast.send.is_empty();
                return Ok(simulcast);
            }
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, word: &str, list: &SimulcastList) -> fmt::Result {
    f.write_str(word)?;
    let mut separator = " ";
    for alternatives in list {
        for (at, stream) in alternatives.iter().enumerate() {
            f.write_str(if at == 0 { separator } else { "," })?;
            if stream.paused {
                f.write_str("~")?;
            }
            write!(f, "{}", stream.rid)?;
        }
        separator = ";";
    }
    Ok(())
}

impl Display for Simulcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lists = [("send", &self.send), ("recv", &self.recv)];
        if self.recv_first {
            lists.reverse();
        }
        let mut separator = "";
        for (word, list) in lists {
            if !list.is_empty() {
                f.write_str(separator)?;
                write_list(f, word, list)?;
                separator = " ";
            }
        }
        Ok(())
    }
}

from_str!(RidName, Rid, Simulcast);
