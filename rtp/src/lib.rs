#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod bits;
mod bytes_ext;
pub mod clock;
pub mod control;
mod error;
pub mod extension;
pub mod format;
mod header;
mod leb128;
pub mod limits;
mod list;
mod packet;
pub mod receive;
pub mod rtcp;
pub mod rtx;
pub mod send;
mod sequence;
pub mod sync;
mod types;
mod work;

pub use clock::NtpTime;
pub use error::{ParseError, WriteError};
pub use header::{Header, PacketWriter};
pub use list::ShortList;
pub use packet::{FIXED_HEADER, Packet, PacketMut, is_rtcp};
pub use sequence::{SequenceNumber, SequenceUnwrapper, TimestampUnwrapper};
pub use types::{PayloadType, Ssrc};
