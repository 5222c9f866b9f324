//! Has connections written down: packets for Wireshark, decrypted, and a log of events.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use tincan_peer::driver::Peer;

/// Writes `NAME.pcapng` and `NAME.sqlog` into the folder until the connection is gone. To be called before the
/// negotiation: the secrets of later handshakes are in the recording, and who gets it can read the data.
pub(crate) async fn record(
    peer: &Peer,
    folder: &Path,
    name: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    std::fs::create_dir_all(folder)?;
    let file = |extension: &str| {
        File::create(folder.join(name).with_extension(extension)).map(BufWriter::new)
    };
    let (packets, events) = (file("pcapng")?, file("sqlog")?);
    let title = name.to_owned();
    peer.with(move |connection, _| {
        connection.record(packets)?;
        connection.log_events(&title, events)
    })
    .await??;
    Ok(())
}
