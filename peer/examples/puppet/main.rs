//! A peer on strings: commands as JSON lines on standard input, an answer to each on standard output.
//!
//! For tests of other stacks, in whatever language they are: `interop/browser` drives it from Node.js, and
//! `interop/scripts/aiortc_peer.py` from Python. What a command may be is in `command` below; `"echo": true` among the
//! options of `new` sends all media and messages back.
//!
//! ```text
//! {"do":"new","echo":true}                         {"ok":null}
//! {"do":"set_remote","type":"offer","sdp":"…"}     {"ok":null}
//! {"do":"set_local"}                               {"ok":{"type":"answer","sdp":"…"}}
//! {"do":"nonsense"}                                {"error":"no command nonsense"}
//! ```

mod media;
#[path = "../shared/mod.rs"]
mod shared;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tincan_peer::driver::{DataChannel, Driver, DriverConfig, DriverHandle, Peer, PeerEvent};
use tincan_peer::{
    Configuration, DataChannelInit, Direction, Encoding, Event, Kind, Message, SdpType,
    SessionDescription, Transceiver, TransceiverInit,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use media::Received;

/// The peer and what happened to it.
struct Puppet {
    peer: Peer,
    news: Arc<Mutex<Vec<Value>>>,
    received: Arc<Mutex<Received>>,
}

type Answer = Result<Value, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let driver = Driver::bind(DriverConfig::loopback())?;
    let handle = driver.handle();
    let driver = tokio::spawn(driver.run());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut out = tokio::io::stdout();
    let mut puppet = None;
    while let Some(line) = lines.next_line().await? {
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(command) => obey(&handle, &mut puppet, &command).await,
            Err(error) => Err(error.into()),
        };
        let said = match answer {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        out.write_all(format!("{said}\n").as_bytes()).await?;
        out.flush().await?;
    }
    if let Some(Puppet { peer, .. }) = puppet {
        peer.close();
    }
    handle.shutdown();
    driver.await?;
    Ok(())
}

async fn obey(handle: &DriverHandle, puppet: &mut Option<Puppet>, command: &Value) -> Answer {
    let what = text(command, "do")?;
    if what == "new" {
        let echo = command["echo"] == true;
        let (peer, events) = handle.peer(Configuration::default()).await?;
        let made = Puppet {
            peer,
            news: Arc::default(),
            received: Arc::default(),
        };
        let (peer, news, received) = (made.peer.clone(), made.news.clone(), made.received.clone());
        tokio::spawn(watch(peer, events, news, received, echo));
        if let Some(old) = puppet.replace(made) {
            old.peer.close();
        }
        return Ok(Value::Null);
    }
    let puppet = puppet.as_ref().ok_or("\"new\" comes first")?;
    self::command(puppet, what, command).await
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value[name]
        .as_str()
        .ok_or_else(|| format!("no string {name:?}"))
}

fn kind(value: &Value) -> Result<Kind, String> {
    match text(value, "kind")? {
        "audio" => Ok(Kind::Audio),
        "video" => Ok(Kind::Video),
        other => Err(format!("no kind {other}")),
    }
}

fn direction(value: &Value) -> Direction {
    match value["direction"].as_str() {
        Some("sendonly") => Direction::SendOnly,
        Some("recvonly") => Direction::RecvOnly,
        Some("inactive") => Direction::Inactive,
        _ => Direction::SendRecv,
    }
}

/// The transceiver that a command names by its place.
async fn transceiver(puppet: &Puppet, command: &Value) -> Result<Transceiver, String> {
    let n = command["n"].as_u64().ok_or("no number \"n\"")? as usize;
    let found = puppet.peer.with(move |pc, _| pc.transceivers().nth(n));
    found
        .await
        .map_err(|e| e.to_string())?
        .ok_or_else(|| format!("no transceiver {n}"))
}

async fn command(puppet: &Puppet, what: &str, command: &Value) -> Answer {
    let peer = &puppet.peer;
    match what {
        "set_local" => {
            let described = match command["type"].as_str() {
                Some("rollback") => Some(SessionDescription::rollback()),
                _ => None,
            };
            let local = peer.set_local_description(described).await?;
            Ok(json!(local.as_ref().map(shared::description_to_json)))
        }
        "set_remote" => {
            let type_: SdpType = text(command, "type")?.parse()?;
            let sdp = command["sdp"].as_str().unwrap_or_default();
            peer.set_remote_description(SessionDescription::new(type_, sdp))
                .await?;
            Ok(Value::Null)
        }
        "local" => {
            let local = peer.local_description().await?;
            Ok(json!(local.as_ref().map(shared::description_to_json)))
        }
        "candidate" => {
            peer.add_ice_candidate(shared::candidate_from_json(command))
                .await?;
            Ok(Value::Null)
        }
        "add_transceiver" => {
            let rids = command["rids"].as_array().into_iter().flatten();
            let init = TransceiverInit {
                direction: direction(command),
                send_encodings: rids.filter_map(Value::as_str).map(Encoding::rid).collect(),
                ..Default::default()
            };
            peer.add_transceiver(kind(command)?, init).await?;
            Ok(Value::Null)
        }
        "set_direction" => {
            let id = transceiver(puppet, command).await?.id;
            let direction = direction(command);
            peer.with(move |pc, _| pc.set_direction(id, direction))
                .await??;
            Ok(Value::Null)
        }
        "stop" => {
            let id = transceiver(puppet, command).await?.id;
            peer.with(move |pc, now| pc.stop(now, id)).await??;
            Ok(Value::Null)
        }
        "restart" => {
            peer.restart_ice().await?;
            Ok(Value::Null)
        }
        "add_channel" => {
            let label = text(command, "label")?;
            let channel = peer
                .create_data_channel(label, DataChannelInit::default())
                .await?;
            tokio::spawn(read(channel, puppet.news.clone(), false));
            Ok(Value::Null)
        }
        "say" => {
            let message = Message::text(text(command, "text")?);
            let sent = peer.with(move |pc, now| {
                let keys: Vec<_> = pc.channels().collect();
                keys.into_iter()
                    .map(|key| pc.send(now, key, message.clone()))
                    .filter(Result::is_ok)
                    .count()
            });
            Ok(json!(sent.await?))
        }
        "tones" => {
            let id = transceiver(puppet, command).await?.sender;
            let tones = text(command, "tones")?.to_owned();
            let (length, gap) = (Duration::from_millis(100), Duration::from_millis(70));
            peer.with(move |pc, now| pc.insert_dtmf(now, id, &tones, length, gap))
                .await??;
            Ok(Value::Null)
        }
        // Packets of one payload for all transceivers that send: enough for counting at the far side.
        "send" => {
            let count = command["count"].as_u64().unwrap_or(1) as u16;
            Ok(json!(media::send(peer, count).await?))
        }
        "view" => Ok(peer.with(|pc, _| view(pc)).await?),
        "news" => Ok(json!(std::mem::take(&mut *lock(&puppet.news)))),
        "received" => Ok(lock(&puppet.received).to_json()),
        "stats" => Ok(peer.with(|pc, now| media::stats(&pc.stats(now))).await?),
        other => Err(format!("no command {other}").into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn view(pc: &tincan_peer::PeerConnection) -> Value {
    let transceivers: Vec<Value> = pc
        .transceivers()
        .map(|t| {
            json!({
                "mid": t.mid,
                "kind": t.kind.as_str(),
                "direction": t.direction.as_str(),
                "current": t.current_direction.map(Direction::as_str),
                "stopped": t.stopped,
            })
        })
        .collect();
    json!({
        "signaling": pc.signaling_state().as_str(),
        "connection": pc.connection_state().as_str(),
        "transceivers": transceivers,
    })
}

/// Takes the events: candidates and the need for negotiation are news, channels and tracks get a task each.
async fn watch(
    peer: Peer,
    mut events: tincan_peer::driver::Events,
    news: Arc<Mutex<Vec<Value>>>,
    received: Arc<Mutex<Received>>,
    echo: bool,
) {
    while let Some(event) = events.next().await {
        match event {
            PeerEvent::DataChannel(channel) => {
                tokio::spawn(read(channel, news.clone(), echo));
            }
            PeerEvent::Track(track) => {
                let back = echo.then(|| peer.sender(track.transceiver()));
                tokio::spawn(media::take(track, received.clone(), back));
            }
            PeerEvent::Event(Event::KeyFrameRequest { transceiver, .. }) if echo => {
                peer.request_key_frame(transceiver);
            }
            PeerEvent::Event(Event::IceCandidate(candidate)) => {
                lock(&news).push(shared::candidate_to_json(candidate.as_ref()));
            }
            PeerEvent::Event(Event::NegotiationNeeded) => {
                lock(&news).push(json!({ "type": "negotiationneeded" }));
            }
            PeerEvent::Event(Event::ToneChange { tone, .. }) => {
                lock(&news).push(json!({ "type": "tone", "tone": tone }));
            }
            _ => {}
        }
    }
}

/// Messages are news, and go back where that is asked for.
async fn read(mut channel: DataChannel, news: Arc<Mutex<Vec<Value>>>, echo: bool) {
    while let Some(message) = channel.recv().await {
        lock(&news).push(json!({
            "type": "message",
            "label": channel.label(),
            "text": message.as_text(),
            "len": message.len(),
        }));
        if echo && channel.send(message).await.is_err() {
            break;
        }
    }
}
