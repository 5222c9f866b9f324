//! `GET /ws`: a WebSocket for trickled candidates and renegotiation from either side.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde_json::{Value, json};
use tincan_peer::driver::{Peer, PeerEvent};
use tincan_peer::{
    Direction, Event, Kind, PeerConnectionState, SdpType, SessionDescription, SignalingState,
    TransceiverInit,
};

use crate::echo::{self, FarSide, Media, PATIENCE};
use crate::reply::Refusal;
use crate::shared::{candidate_from_json, candidate_to_json, description_to_json};
use crate::{App, MAX_BODY};

pub(crate) async fn ws(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_BODY)
        .on_upgrade(move |socket| session(app, socket))
}

async fn say(socket: &mut WebSocket, value: Value) -> bool {
    // A page that never reads gives its place to others.
    let sent = tokio::time::timeout(PATIENCE, socket.send(Message::text(value.to_string())));
    sent.await.is_ok_and(|sent| sent.is_ok())
}

async fn session(app: App, mut socket: WebSocket) {
    let mut far_side = match FarSide::new(&app, Media::Echo).await {
        Ok(far_side) => far_side,
        Err(refusal) => {
            say(
                &mut socket,
                json!({ "type": "error", "message": refusal.reason }),
            )
            .await;
            return;
        }
    };
    let peer = far_side.peer.clone();
    let mut state = PeerConnectionState::New;
    loop {
        // A page that goes silent before it is connected gives its place to others.
        let patience = async {
            match state {
                PeerConnectionState::Connected => std::future::pending().await,
                _ => tokio::time::sleep(PATIENCE).await,
            }
        };
        let said = tokio::select! {
            () = patience => false,
            event = far_side.events.next() => match event {
                Some(event) => tell(&peer, &far_side.media, event, &mut state, &mut socket).await,
                None => false,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => match obey(&peer, &far_side.media, &text).await {
                    Ok(Reply::Nothing) => true,
                    Ok(Reply::Say(value)) => say(&mut socket, value).await,
                    Ok(Reply::End) => false,
                    Err(refusal) => {
                        say(&mut socket, json!({ "type": "error", "message": refusal.reason })).await
                    }
                },
                Some(Ok(Message::Binary(_))) => {
                    let reason = "Messages are JSON in text frames.";
                    say(&mut socket, json!({ "type": "error", "message": reason })).await
                }
                Some(Ok(_)) => true,
                Some(Err(_)) | None => false,
            },
        };
        if !said || state == PeerConnectionState::Closed {
            break;
        }
    }
    drop(far_side);
    // The page learns that it was not the network.
    say(&mut socket, json!({ "type": "bye" })).await;
}

/// News of the peer, as far as the page must know. Returns whether the session goes on.
async fn tell(
    peer: &Peer,
    media: &Media,
    event: PeerEvent,
    state: &mut PeerConnectionState,
    socket: &mut WebSocket,
) -> bool {
    match event {
        PeerEvent::Event(Event::IceCandidate(candidate)) => {
            say(socket, candidate_to_json(candidate.as_ref())).await
        }
        PeerEvent::Event(Event::NegotiationNeeded) => {
            // Nothing to offer before the page has offered: it begins. And with an offer on the table the need comes
            // again when that is settled.
            let offer = peer.with(|connection, now| {
                connection.remote_description()?;
                if connection.signaling_state() != SignalingState::Stable {
                    return None;
                }
                connection.set_local_description(now, None).ok()?;
                connection.local_description()
            });
            match offer.await {
                Ok(Some(offer)) => say(socket, description_to_json(&offer)).await,
                Ok(None) | Err(_) => true,
            }
        }
        event => {
            echo::handle(peer, media, event, state);
            true
        }
    }
}

enum Reply {
    Nothing,
    Say(Value),
    End,
}

async fn obey(peer: &Peer, media: &Media, text: &str) -> Result<Reply, Refusal> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Refusal::bad(format!("The message is not JSON: {error}.")))?;
    let kind = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let sdp = || {
        value
            .get("sdp")
            .and_then(Value::as_str)
            .ok_or_else(|| Refusal::bad("The message has no \"sdp\" that is a string."))
    };
    match kind {
        // This end is the polite one: an offer that meets ours rolls ours back.
        "offer" => {
            let answer = echo::answer(peer, media, SessionDescription::offer(sdp()?)).await?;
            Ok(Reply::Say(description_to_json(&answer)))
        }
        "answer" => {
            let state = peer
                .with(|connection, _| connection.signaling_state())
                .await?;
            if state != SignalingState::HaveLocalOffer {
                return Err(Refusal::bad("There is no offer to be answered."));
            }
            peer.set_remote_description(SessionDescription::new(SdpType::Answer, sdp()?))
                .await?;
            Ok(Reply::Nothing)
        }
        "candidate" => {
            let candidate = candidate_from_json(&value);
            peer.add_ice_candidate(candidate).await?;
            Ok(Reply::Nothing)
        }
        // Has this end renegotiate: another video comes back, if the page answers with one.
        "add-video" => {
            let init = TransceiverInit {
                direction: Direction::SendRecv,
                ..Default::default()
            };
            peer.add_transceiver(Kind::Video, init).await?;
            Ok(Reply::Nothing)
        }
        "restart-ice" => {
            peer.restart_ice().await?;
            Ok(Reply::Nothing)
        }
        "bye" => Ok(Reply::End),
        other => Err(Refusal::bad(format!(
            "There is no message of type {other:?}."
        ))),
    }
}
