//! What the examples with a web page have in common: descriptions and candidates as browsers write them in JSON.
#![allow(dead_code, reason = "each example uses a part")]

use serde_json::{Value, json};
use tincan_peer::{IceCandidateInit, SessionDescription};

/// `RTCSessionDescriptionInit`.
pub(crate) fn description_to_json(description: &SessionDescription) -> Value {
    json!({ "type": description.type_.as_str(), "sdp": description.sdp })
}

/// `{"type":"candidate","candidate":RTCIceCandidateInit}`; `null` ends the candidates.
pub(crate) fn candidate_to_json(candidate: Option<&IceCandidateInit>) -> Value {
    let candidate = candidate.map(|candidate| {
        json!({
            "candidate": candidate.candidate,
            "sdpMid": candidate.sdp_mid,
            "sdpMLineIndex": candidate.sdp_m_line_index,
            "usernameFragment": candidate.username_fragment,
        })
    });
    json!({ "type": "candidate", "candidate": candidate })
}

/// The candidate of such a message; `None` where there is none, which ends the candidates.
pub(crate) fn candidate_from_json(message: &Value) -> Option<IceCandidateInit> {
    let candidate = message.get("candidate")?.as_object()?;
    let text = |name: &str| {
        candidate
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let index = candidate.get("sdpMLineIndex").and_then(Value::as_u64);
    Some(IceCandidateInit {
        candidate: text("candidate").unwrap_or_default(),
        sdp_mid: text("sdpMid"),
        sdp_m_line_index: index.and_then(|index| u16::try_from(index).ok()),
        username_fragment: text("usernameFragment"),
        ..Default::default()
    })
}
