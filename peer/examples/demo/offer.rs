//! `POST /offer`: one JSON object in, one out.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde_json::{Value, json};
use tincan_peer::SessionDescription;

use crate::App;
use crate::echo::{FarSide, Media};
use crate::reply::Refusal;

pub(crate) async fn offer(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refusal> {
    let offer = description(&body?)?;
    let mut far_side = FarSide::new(&app, Media::Echo).await?;
    let (answer, backlog) = far_side.answer_whole(offer).await?;
    tokio::spawn(far_side.run(backlog));
    Ok(Json(json!({ "type": "answer", "sdp": answer.sdp })))
}

fn description(body: &[u8]) -> Result<SessionDescription, Refusal> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("The body is not JSON: {error}.")))?;
    match value.get("type").and_then(Value::as_str) {
        Some("offer") => {}
        Some(other) => {
            return Err(Refusal::bad(format!(
                "\"type\" must be \"offer\", not {other:?}."
            )));
        }
        None => return Err(Refusal::bad("The object has no \"type\" that is a string.")),
    }
    let sdp = value
        .get("sdp")
        .and_then(Value::as_str)
        .ok_or_else(|| Refusal::bad("The object has no \"sdp\" that is a string."))?;
    Ok(SessionDescription::offer(sdp))
}
