//! Direction, packet times, frame rate, content, label.

use std::fmt::{self, Display};

use crate::error::ValueError;
use crate::scan::{Grammar, Scan, closed_words, from_str, push_bounded};

closed_words! {
    /// Which way media flow, as seen by who wrote the description (RFC 8866 §6.7).
    Direction, "direction" {
        /// Both ways.
        SendRecv = "sendrecv",
        /// The writer sends.
        SendOnly = "sendonly",
        /// The writer receives.
        RecvOnly = "recvonly",
        /// Neither way.
        Inactive = "inactive",
    }
}

impl Direction {
    /// The direction that sends and receives as said.
    pub fn new(send: bool, recv: bool) -> Self {
        match (send, recv) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The direction as the far side sees it.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both directions allow; both seen from the same side.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }
}

/// Reads a decimal number with an optional fraction and writes it as it was.
macro_rules! decimal {
    ($(#[$meta:meta])* $name:ident, $called:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            thousandths: u64,
        }

        impl $name {
            /// A whole number.
            pub fn new(value: u32) -> Self {
                Self { thousandths: u64::from(value) * 1000 }
            }

            /// A number in thousandths of the unit.
            pub fn from_thousandths(thousandths: u32) -> Self {
                Self { thousandths: thousandths.into() }
            }

            /// The number in thousandths of the unit.
            pub fn thousandths(self) -> u64 {
                self.thousandths
            }

            /// The number, as a float.
            pub fn as_f64(self) -> f64 {
                self.thousandths as f64 / 1000.0
            }
        }

        impl Grammar for $name {
            const CALLED: &'static str = $called;

            fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
                let whole = scan.number(0, u32::MAX.into())?;
                let mut fraction = 0;
                if scan.take(b'.') {
                    let digits = scan.run(|byte| byte.is_ascii_digit());
                    // What is finer than a thousandth is left out.
                    for at in 0..3 {
                        let digit = digits.as_bytes().get(at).map_or(0, |digit| digit - b'0');
                        fraction = fraction * 10 + u64::from(digit);
                    }
                }
                Ok(Self { thousandths: whole * 1000 + fraction })
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.thousandths / 1000)?;
                match self.thousandths % 1000 {
                    0 => Ok(()),
                    rest if rest % 100 == 0 => write!(f, ".{}", rest / 100),
                    rest if rest % 10 == 0 => write!(f, ".{:02}", rest / 10),
                    rest => write!(f, ".{rest:03}"),
                }
            }
        }

        from_str!($name);
    };
}

decimal! {
    /// `a=ptime`: media in one packet, in milliseconds (RFC 8866 §6.4).
    PTime, "ptime"
}

decimal! {
    /// `a=maxptime`: most media in one packet, in milliseconds (RFC 8866 §6.5).
    MaxPTime, "maxptime"
}

decimal! {
    /// `a=framerate`: most frames a second (RFC 8866 §6.13).
    FrameRate, "framerate"
}

/// `a=content`: what a stream shows: "slides", "speaker", "main", … (RFC 4796 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Content {
    /// The tags in their order.
    pub tags: Vec<String>,
}

impl Grammar for Content {
    const CALLED: &'static str = "content";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let mut tags = Vec::new();
        loop {
            let tag = scan.token_until(b',')?.to_owned();
            push_bounded(scan, &mut tags, tag)?;
            if !scan.take(b',') {
                return Ok(Self { tags });
            }
        }
    }
}

impl Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tags.join(","))
    }
}

/// `a=label`: a pointer to the stream for other protocols (RFC 4574 §4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label(String);

impl Label {
    /// The pointer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Grammar for Label {
    const CALLED: &'static str = "label";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.token().map(|token| Self(token.to_owned()))
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

from_str!(Content, Label);
