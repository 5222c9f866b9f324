//! A file from one machine to another over a data channel, with a progress bar, a hash at the end, and resuming.
//!
//! ```text
//! cargo run --release --example files -- send big.iso --listen 0.0.0.0:9000   # on the machine that has it
//! cargo run --release --example files -- receive ws://that-machine:9000/ws    # on the other
//! ```
//!
//! The sender is the signalling server too (one WebSocket). What has arrived stands in `NAME.part`; whichever side is
//! killed, start it again with the same words and the transfer goes on where it stopped.

mod receive;
mod send;
#[path = "../shared/mod.rs"]
mod shared;

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of one message.
pub(crate) const PIECE: usize = 64 * 1024;

/// What is being asked for.
enum Job {
    Send { file: PathBuf, listen: SocketAddr },
    Receive { url: String, folder: PathBuf },
}

fn job() -> Result<Job, lexopt::Error> {
    use lexopt::prelude::{Long, Value, ValueExt};
    let mut words = Vec::new();
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 9000));
    let mut folder = PathBuf::from(".");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => listen = parser.value()?.parse()?,
            Long("into") => folder = parser.value()?.into(),
            Value(word) => words.push(word.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    match words.as_slice() {
        [verb, file] if verb == "send" => Ok(Job::Send {
            file: file.into(),
            listen,
        }),
        [verb, url] if verb == "receive" => Ok(Job::Receive {
            url: url.clone(),
            folder,
        }),
        _ => Err("files send FILE [--listen ADDR:PORT] | files receive URL [--into FOLDER]".into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match job()? {
        Job::Send { file, listen } => send::run(&file, listen).await,
        Job::Receive { url, folder } => receive::run(&url, &folder).await,
    }
}

/// SHA-256 of the first `len` bytes of a file, in hexadecimal, and the state to go on hashing from.
pub(crate) fn hash_of(path: &Path, len: u64) -> Result<(String, Sha256), Failure> {
    let mut hash = Sha256::new();
    let mut rest = std::fs::File::open(path)?.take(len);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = rest.read(&mut buffer)?;
        if count == 0 {
            return Ok((hexadecimal(hash.clone()), hash));
        }
        hash.update(&buffer[..count]);
    }
}

pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A bar that stands where a resumed transfer begins.
pub(crate) fn bar(name: &str, from: u64, size: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg} [{bar:40}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(size)
        .with_style(style)
        .with_message(name.to_owned());
    bar.set_position(from);
    bar.reset_eta();
    bar
}
