//! The sender: serves the signalling, offers, and sends from where the receiver wants it.

use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use tincan_peer::driver::{DataChannel, Driver, DriverConfig, DriverHandle};
use tincan_peer::{Configuration, DataChannelInit, Message, SessionDescription};
use tokio::sync::Notify;

use crate::{Failure, PIECE, bar, hash_of, shared};

#[derive(Clone)]
struct Offered {
    driver: DriverHandle,
    path: Arc<Path>,
    name: String,
    size: u64,
    hash: String,
    done: Arc<Notify>,
}

pub(crate) async fn run(path: &Path, listen: SocketAddr) -> Result<(), Failure> {
    let size = std::fs::metadata(path)?.len();
    let name = path
        .file_name()
        .ok_or("that is no file")?
        .to_string_lossy()
        .into_owned();
    println!("hashing {name} ({size} bytes) …");
    let (hash, _) = hash_of(path, size)?;
    println!("SHA-256 {hash}");
    let driver = Driver::bind(DriverConfig::everywhere(0))?;
    let offered = Offered {
        driver: driver.handle(),
        path: path.into(),
        name,
        size,
        hash,
        done: Arc::default(),
    };
    let looping = tokio::spawn(driver.run());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("now: files receive ws://{}/ws", listener.local_addr()?);
    let router = Router::new()
        .route("/ws", get(ws))
        .with_state(offered.clone());
    tokio::select! {
        result = async { axum::serve(listener, router).await } => result?,
        () = offered.done.notified() => println!("the receiver has it, and the hashes agree"),
    }
    offered.driver.shutdown();
    looping.await?;
    Ok(())
}

async fn ws(State(offered): State<Offered>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| async move {
        match serve(&offered, socket).await {
            Ok(()) => offered.done.notify_one(),
            // The receiver will come again.
            Err(error) => println!("interrupted: {error}"),
        }
    })
}

async fn serve(offered: &Offered, mut socket: WebSocket) -> Result<(), Failure> {
    let (peer, mut events) = offered.driver.peer(Configuration::default()).await?;
    let channel = peer
        .create_data_channel("file", DataChannelInit::default())
        .await?;
    let offer = peer.offer_with_candidates(&mut events).await?;
    socket
        .send(Frame::text(shared::description_to_json(&offer).to_string()))
        .await?;
    let answer: Value = match socket.recv().await {
        Some(Ok(Frame::Text(text))) => serde_json::from_str(&text)?,
        _ => return Err("the receiver left before it answered".into()),
    };
    let answer = SessionDescription::answer(answer["sdp"].as_str().unwrap_or_default());
    peer.set_remote_description(answer).await?;
    tokio::spawn(async move { while events.next().await.is_some() {} });
    tokio::select! {
        result = transfer(offered, channel) => result,
        // The socket lives as long as the receiver: its end tells sooner than consent does.
        _ = socket.recv() => Err("the receiver is gone".into()),
    }
}

async fn transfer(offered: &Offered, mut channel: DataChannel) -> Result<(), Failure> {
    let about = json!({ "name": offered.name, "size": offered.size, "sha256": offered.hash });
    channel.send(Message::text(about.to_string())).await?;
    let wish = channel.recv().await.ok_or("the channel closed")?;
    let wish: Value = serde_json::from_str(wish.as_text().unwrap_or_default())?;
    let have = wish["have"].as_u64().unwrap_or(0).min(offered.size);
    // What the receiver has counts only if it is the beginning of this file.
    let same = have > 0 && wish["sha256"].as_str() == Some(&hash_of(&offered.path, have)?.0);
    let from = if same { have } else { 0 };
    channel
        .send(Message::text(json!({ "from": from }).to_string()))
        .await?;
    let bar = bar(&offered.name, from, offered.size);
    let mut file = std::fs::File::open(&offered.path)?;
    file.seek(SeekFrom::Start(from))?;
    loop {
        let mut piece = vec![0; PIECE];
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        piece.truncate(count);
        channel.send(Message::binary(piece)).await?;
        bar.inc(count as u64);
    }
    let verdict = channel
        .recv()
        .await
        .ok_or("the channel closed before the verdict")?;
    bar.finish();
    let verdict: Value = serde_json::from_str(verdict.as_text().unwrap_or_default())?;
    if verdict["sha256"].as_str() == Some(&offered.hash) {
        Ok(())
    } else {
        Err("the receiver got other bytes".into())
    }
}
