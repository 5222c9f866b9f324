//! Many players in one world: positions over unreliable, unordered channels, thirty times a second.
//!
//! Old positions are worth nothing, so the channels neither order nor repeat: a lost packet is simply overtaken by the
//! next. What must arrive (who came, who left) goes over a second, reliable channel of the same connection.
//!
//! ```text
//! cargo run --release --example game                 # open the printed URL in several windows; move the mouse
//! cargo run --release --example game -- --bots 200   # and 200 players of our own
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tincan_peer::driver::{
    DataChannel, Driver, DriverConfig, DriverError, DriverHandle, PeerEvent,
};
use tincan_peer::{Configuration, DataChannelInit, Message, SessionDescription};
use tokio::sync::{broadcast, watch};

/// Time between two states of the world.
const TICK: Duration = Duration::from_millis(33);

/// Players that one message names: 9 bytes each stay below a datagram, so that a message is lost or arrives whole.
const PLAYERS_A_MESSAGE: usize = 120;

#[derive(Clone)]
struct World {
    driver: DriverHandle,
    players: Arc<Mutex<HashMap<u32, (f32, f32)>>>,
    next: Arc<AtomicU32>,
    /// The last state, ready to be sent.
    state: watch::Sender<Arc<Vec<Message>>>,
    /// Who came and who left, in words.
    news: broadcast::Sender<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (listen, bots) = arguments()?;
    let driver = Driver::bind(DriverConfig::everywhere(0))?;
    let world = World {
        driver: driver.handle(),
        players: Arc::default(),
        next: Arc::default(),
        state: watch::Sender::new(Arc::default()),
        news: broadcast::channel(64).0,
    };
    tokio::spawn(driver.run());
    tokio::spawn(tick(world.clone()));
    if bots > 0 {
        // Players on the same machine as the server: each needs a port of its own.
        let own = DriverConfig {
            port_per_peer: true,
            ..DriverConfig::everywhere(0)
        };
        let driver = Driver::bind(own)?;
        let handle = driver.handle();
        tokio::spawn(driver.run());
        for _ in 0..bots {
            tokio::spawn(bot(world.clone(), handle.clone()));
        }
    }
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("Tincan game: open http://{}/", listener.local_addr()?);
    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/offer", post(offer))
        .with_state(world);
    axum::serve(listener, router).await?;
    Ok(())
}

fn arguments() -> Result<(SocketAddr, usize), lexopt::Error> {
    use lexopt::prelude::{Long, ValueExt};
    let (mut listen, mut bots) = (SocketAddr::from(([127, 0, 0, 1], 8082)), 0);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => listen = parser.value()?.parse()?,
            Long("bots") => bots = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok((listen, bots))
}

/// Makes the messages that say where everybody is: id, x and y as three big-endian numbers each.
async fn tick(world: World) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let players: Vec<(u32, (f32, f32))> = {
            let players = world.players.lock().unwrap_or_else(PoisonError::into_inner);
            players.iter().map(|(id, at)| (*id, *at)).collect()
        };
        let messages = players.chunks(PLAYERS_A_MESSAGE).map(|players| {
            let mut bytes = Vec::with_capacity(players.len() * 8);
            for (id, (x, y)) in players {
                bytes.extend_from_slice(&id.to_be_bytes());
                for part in [x, y] {
                    let part = (part.clamp(0.0, 1.0) * f32::from(u16::MAX)) as u16;
                    bytes.extend_from_slice(&part.to_be_bytes());
                }
            }
            Message::binary(bytes)
        });
        world.state.send_replace(Arc::new(messages.collect()));
    }
}

async fn offer(State(world): State<World>, Json(offer): Json<Value>) -> Response {
    match join(world, offer["sdp"].as_str().unwrap_or_default()).await {
        Ok(answer) => Json(json!({ "type": "answer", "sdp": answer.sdp })).into_response(),
        Err(error) => (axum::http::StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// A player comes in: its connection makes two channels, `state` and `news`.
async fn join(world: World, offer: &str) -> Result<SessionDescription, DriverError> {
    let (peer, mut events) = world.driver.peer(Configuration::default()).await?;
    peer.set_remote_description(SessionDescription::offer(offer))
        .await?;
    peer.set_local_description(None).await?;
    let mut early = Vec::new();
    let answer = peer
        .gathered(&mut events, |event| early.push(event))
        .await?;
    let id = world.next.fetch_add(1, Ordering::Relaxed);
    tokio::spawn(async move {
        let mut early = early.into_iter();
        loop {
            let event = match early.next() {
                Some(event) => Some(event),
                None => events.next().await,
            };
            match event {
                Some(PeerEvent::DataChannel(channel)) if channel.label() == "state" => {
                    tokio::spawn(play(world.clone(), id, channel));
                }
                Some(PeerEvent::DataChannel(channel)) => {
                    tokio::spawn(tell(world.clone(), id, channel));
                }
                Some(PeerEvent::Event(tincan_peer::Event::ConnectionState(
                    tincan_peer::PeerConnectionState::Failed,
                ))) => peer.close(),
                Some(_) => {}
                None => return,
            }
        }
    });
    Ok(answer)
}

/// Takes where a player is and sends where all are, until the channel closes.
async fn play(world: World, id: u32, mut channel: DataChannel) {
    let sender = channel.sender();
    let mut states = world.state.subscribe();
    let _ = world.news.send(format!("player {id} came"));
    loop {
        tokio::select! {
            message = channel.recv() => {
                let Some(message) = message else { break };
                if let [a, b, c, d] = *message.as_bytes().as_ref() {
                    let part = |high, low| f32::from(u16::from_be_bytes([high, low])) / f32::from(u16::MAX);
                    let at = (part(a, b), part(c, d));
                    world.players.lock().unwrap_or_else(PoisonError::into_inner).insert(id, at);
                }
            }
            changed = states.changed() => {
                if changed.is_err() {
                    break;
                }
                let state = states.borrow_and_update().clone();
                for message in state.iter() {
                    if sender.send(message.clone()).await.is_err() {
                        break;
                    }
                }
            }
        }
    }
    world
        .players
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&id);
    let _ = world.news.send(format!("player {id} left"));
}

/// Sends the news over the reliable channel.
async fn tell(world: World, id: u32, channel: DataChannel) {
    let mut news = world.news.subscribe();
    let mut line = format!("you are player {id}");
    while channel.send(Message::text(line)).await.is_ok() {
        line = match news.recv().await {
            Ok(line) => line,
            Err(broadcast::error::RecvError::Lagged(missed)) => format!("… and {missed} more"),
            Err(broadcast::error::RecvError::Closed) => return,
        };
    }
}

/// A player of our own: circles, and counts what it hears.
async fn bot(world: World, driver: DriverHandle) {
    let run = async {
        let (peer, mut events) = driver.peer(Configuration::default()).await?;
        let loose = DataChannelInit {
            ordered: false,
            max_retransmits: Some(0),
            ..Default::default()
        };
        let mut state = peer.create_data_channel("state", loose).await?;
        let offer = peer.offer_with_candidates(&mut events).await?;
        let answer = join(world.clone(), &offer.sdp).await?;
        peer.set_remote_description(answer).await?;
        tokio::spawn(async move { while events.next().await.is_some() {} });
        let sender = state.sender();
        let (mut ticks, mut turn) = (tokio::time::interval(TICK), rand::random::<f32>() * 6.0);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    turn += 0.03;
                    let part = |v: f32| ((0.5 + 0.4 * v) * f32::from(u16::MAX)) as u16;
                    let at = [part(turn.sin()).to_be_bytes(), part((turn * 1.3).cos()).to_be_bytes()];
                    sender.send(Message::binary(at.concat())).await?;
                }
                message = state.recv() => if message.is_none() {
                    return Ok::<_, DriverError>(());
                },
            }
        }
    };
    if let Err(error) = run.await {
        eprintln!("a bot gave up: {error}");
    }
}
