//! The receiver: answers, says what it has, appends what comes.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tincan_peer::driver::{DataChannel, Driver, DriverConfig, PeerEvent};
use tincan_peer::{Configuration, Message, SessionDescription};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::{Failure, bar, hash_of, hexadecimal, shared};

pub(crate) async fn run(url: &str, folder: &Path) -> Result<(), Failure> {
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .map_err(|error| format!("can't reach the sender at {url}: {error}"))?;
    let driver = Driver::bind(DriverConfig::everywhere(0))?;
    let handle = driver.handle();
    let looping = tokio::spawn(driver.run());
    let (peer, mut events) = handle.peer(Configuration::default()).await?;
    let offer: Value = match socket.next().await {
        Some(Ok(Frame::Text(text))) => serde_json::from_str(&text)?,
        _ => return Err("the sender said nothing".into()),
    };
    let offer = SessionDescription::offer(offer["sdp"].as_str().unwrap_or_default());
    peer.set_remote_description(offer).await?;
    let answer = peer.answer_with_candidates(&mut events).await?;
    socket
        .send(Frame::text(
            shared::description_to_json(&answer).to_string(),
        ))
        .await?;
    let channel = loop {
        match events.next().await {
            Some(PeerEvent::DataChannel(channel)) => break channel,
            Some(_) => {}
            None => return Err("the connection failed".into()),
        }
    };
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let result = tokio::select! {
        result = take(channel, folder) => result,
        _ = socket.next() => Err("the sender is gone; start again to go on".into()),
    };
    if result.is_ok() {
        // The sender leaves when it has our verdict.
        let _ = tokio::time::timeout(Duration::from_secs(5), socket.next()).await;
    }
    peer.close();
    handle.shutdown();
    looping.await?;
    result
}

async fn take(mut channel: DataChannel, folder: &Path) -> Result<(), Failure> {
    let about = channel.recv().await.ok_or("the channel closed")?;
    let about: Value = serde_json::from_str(about.as_text().unwrap_or_default())?;
    let size = about["size"]
        .as_u64()
        .ok_or("the sender did not say the size")?;
    let wanted = about["sha256"]
        .as_str()
        .ok_or("the sender did not say the hash")?;
    // Only the last part of the name: a sender must not choose a folder.
    let name = about["name"]
        .as_str()
        .map(Path::new)
        .and_then(Path::file_name);
    let name = name
        .ok_or("the sender did not say the name")?
        .to_string_lossy()
        .into_owned();
    let part = folder.join(format!("{name}.part"));

    let have = std::fs::metadata(&part)
        .map_or(0, |about| about.len())
        .min(size);
    let (prefix, mut hash) = if have > 0 {
        hash_of(&part, have)?
    } else {
        Default::default()
    };
    channel
        .send(Message::text(
            json!({ "have": have, "sha256": prefix }).to_string(),
        ))
        .await?;
    let agreed = channel.recv().await.ok_or("the channel closed")?;
    let agreed: Value = serde_json::from_str(agreed.as_text().unwrap_or_default())?;
    let from = agreed["from"].as_u64().unwrap_or(0);
    if from != have {
        println!("the part that is here is of another file: from the beginning");
        hash = Sha256::new();
    } else if from > 0 {
        println!("going on at {from} of {size} bytes");
    }
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&part)?;
    file.set_len(from)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(from))?;

    let bar = bar(&name, from, size);
    let mut got = from;
    while got < size {
        let piece = channel
            .recv()
            .await
            .ok_or("the channel closed; start again to go on")?;
        let bytes = piece.as_bytes();
        file.write_all(bytes)?;
        hash.update(bytes);
        got += bytes.len() as u64;
        bar.set_position(got);
    }
    bar.finish();
    file.sync_all()?;
    let found = hexadecimal(hash);
    channel
        .send(Message::text(json!({ "sha256": found }).to_string()))
        .await?;
    if found != wanted || got != size {
        std::fs::remove_file(&part)?;
        return Err(format!("SHA-256 is {found}, not {wanted}").into());
    }
    std::fs::rename(&part, folder.join(&name))?;
    println!("{name}: {size} bytes, SHA-256 {found}");
    Ok(())
}
