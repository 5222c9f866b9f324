//! A conference room: every browser that opens the page sees and hears all the others.
//!
//! The server forwards RTP packets and decodes nothing (selective forwarding). Each browser has one connection, over
//! which it sends its own picture and sound and gets everybody else's; when somebody comes or goes, the server
//! renegotiates with all others.
//!
//! ```text
//! cargo run --release --example conference                       # open the printed URL in several windows
//! cargo run --release --example conference -- --listen 0.0.0.0:8081
//! ```
//!
//! Browsers give a page the camera only on `localhost` or over TLS; elsewhere the page sends a drawn picture.

mod room;
#[path = "../shared/mod.rs"]
mod shared;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::{Html, Response};
use axum::routing::get;
use room::{Member, Room};
use serde_json::{Value, json};
use tincan_peer::driver::{
    Driver, DriverConfig, DriverError, DriverHandle, Events, Peer, PeerEvent,
};
use tincan_peer::{
    Configuration, Event, PeerConnectionState, SdpType, SessionDescription, SignalingState,
};

/// Largest message on the WebSocket.
const MAX_MESSAGE: usize = 1 << 20;

#[derive(Clone)]
struct App {
    driver: DriverHandle,
    room: Arc<Room>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = listen_address()?;
    let driver = Driver::bind(DriverConfig::everywhere(0))?;
    let app = App {
        driver: driver.handle(),
        room: Arc::default(),
    };
    tokio::spawn(driver.run());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!(
        "Tincan conference: open http://{}/ in several windows",
        listener.local_addr()?
    );
    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/ws", get(ws))
        .with_state(app);
    axum::serve(listener, router).await?;
    Ok(())
}

fn listen_address() -> Result<SocketAddr, lexopt::Error> {
    use lexopt::prelude::{Long, ValueExt};
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 8081));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => listen = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(listen)
}

async fn ws(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(move |socket| async move {
            if let Err(error) = visit(&app, socket).await {
                eprintln!("a visit ended: {error}");
            }
        })
}

/// One browser, from coming to going.
async fn visit(app: &App, mut socket: WebSocket) -> Result<(), DriverError> {
    let (peer, mut events) = app.driver.peer(Configuration::default()).await?;
    // Everybody else's tracks are offered once the browser has offered its own.
    let member = app.room.enter(&peer);
    let result = talk(app, &peer, &member, &mut events, &mut socket).await;
    app.room.leave(&member).await;
    peer.close();
    result
}

async fn talk(
    app: &App,
    peer: &Peer,
    member: &Member,
    events: &mut Events,
    socket: &mut WebSocket,
) -> Result<(), DriverError> {
    let mut welcomed = false;
    loop {
        let reply = tokio::select! {
            event = events.next() => match event {
                None => return Ok(()),
                Some(PeerEvent::Track(track)) => {
                    app.room.publish(member, peer, track).await?;
                    None
                }
                Some(PeerEvent::Event(event)) => match event {
                    Event::IceCandidate(candidate) => {
                        Some(shared::candidate_to_json(candidate.as_ref()))
                    }
                    Event::NegotiationNeeded if welcomed => offer(peer).await?,
                    Event::KeyFrameRequest { transceiver, .. } => {
                        app.room.request_key_frame(member, transceiver);
                        None
                    }
                    Event::TransceiverStopped { transceiver }
                    | Event::TrackRemoved { transceiver } => {
                        app.room.unpublish(member, transceiver).await;
                        None
                    }
                    Event::ConnectionState(PeerConnectionState::Failed) => return Ok(()),
                    _ => None,
                },
                Some(_) => None,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    let answered = obey(peer, &text).await?;
                    if !welcomed && answered.as_ref().is_some_and(|v| v["type"] == "answer") {
                        welcomed = true;
                        app.room.welcome(member, peer).await?;
                    }
                    answered
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => None,
            },
        };
        if let Some(reply) = reply
            && socket.send(Message::text(reply.to_string())).await.is_err()
        {
            return Ok(());
        }
    }
}

/// Our offer, unless one is on the table: then the need comes again when that is settled.
async fn offer(peer: &Peer) -> Result<Option<Value>, DriverError> {
    let offer = peer.with(|connection, now| {
        if connection.signaling_state() != SignalingState::Stable {
            return None;
        }
        connection.set_local_description(now, None).ok()?;
        connection.local_description()
    });
    Ok(offer.await?.as_ref().map(shared::description_to_json))
}

async fn obey(peer: &Peer, text: &str) -> Result<Option<Value>, DriverError> {
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        return Ok(None);
    };
    let sdp = message["sdp"].as_str().unwrap_or_default();
    let refused = |error: DriverError| match error {
        DriverError::Connection(error) => Ok(Some(
            json!({ "type": "error", "message": error.to_string() }),
        )),
        error => Err(error),
    };
    match message["type"].as_str() {
        // The server is the polite end: an offer that meets its own rolls that back.
        Some("offer") => {
            if let Err(error) = peer
                .set_remote_description(SessionDescription::offer(sdp))
                .await
            {
                return refused(error);
            }
            let answer = peer.set_local_description(None).await?;
            Ok(answer.as_ref().map(shared::description_to_json))
        }
        Some("answer") => {
            let answer = SessionDescription::new(SdpType::Answer, sdp);
            match peer.set_remote_description(answer).await {
                Ok(()) => Ok(None),
                Err(error) => refused(error),
            }
        }
        Some("candidate") => {
            match peer
                .add_ice_candidate(shared::candidate_from_json(&message))
                .await
            {
                Ok(()) => Ok(None),
                Err(error) => refused(error),
            }
        }
        _ => Ok(None),
    }
}
