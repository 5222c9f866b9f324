//! `POST /whip` and `POST /whep`: ingest (RFC 9725) and playback (draft-ietf-wish-whep) over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::rejection::StringRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rand::RngExt;
use tincan_peer::driver::Peer;
use tincan_peer::{IceCandidateInit, SessionDescription};

use crate::App;
use crate::echo::{FarSide, Media};
use crate::reply::Refusal;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// The sessions that have a URL.
#[derive(Default)]
pub(crate) struct Resources {
    sessions: Mutex<HashMap<String, Resource>>,
}

#[derive(Clone)]
struct Resource {
    peer: Peer,
    media: Media,
    /// Names the ICE session: changes with a restart (RFC 9725 §4.3.1).
    etag: String,
    /// The client's description, which a restart changes.
    offer: String,
}

impl Resources {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<String, Resource>) -> R) -> R {
        f(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, id: &str) -> Result<Resource, Refusal> {
        self.with(|sessions| sessions.get(id).cloned())
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "There is no such session."))
    }
}

/// 128 random bits: who knows the URL owns the session.
fn token() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

pub(crate) async fn options() -> Response {
    let headers = [(ACCEPT_POST, SDP), (ACCEPT_PATCH, FRAGMENT)];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn require_type(headers: &HeaderMap, wanted: &str) -> Result<(), Refusal> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let given = given.map(|value| value.split(';').next().unwrap_or_default().trim());
    if given.is_some_and(|given| given.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "The Content-Type must be {wanted}, not {}.",
            given.unwrap_or("missing")
        ),
    ))
}

pub(crate) async fn publish(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<String, StringRejection>,
) -> Result<Response, Refusal> {
    require_type(&headers, SDP)?;
    let offer = body?;
    let mut far_side = FarSide::new(&app, Media::Echo).await?;
    far_side.media = Media::Publish(app.studio.clone(), 0);
    create(app, far_side, offer).await
}

pub(crate) async fn play(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<String, StringRejection>,
) -> Result<Response, Refusal> {
    require_type(&headers, SDP)?;
    let offer = body?;
    let far_side = FarSide::new(&app, Media::Play(app.studio.clone())).await?;
    create(app, far_side, offer).await
}

async fn create(app: App, mut far_side: FarSide, offer: String) -> Result<Response, Refusal> {
    let (answer, backlog) = far_side
        .answer_whole(SessionDescription::offer(&*offer))
        .await?;
    // Only a publisher whose offer is good takes the studio from the one before.
    if let Media::Publish(studio, publication) = &mut far_side.media {
        *publication = studio.begin(&far_side.peer);
    }
    let (id, etag) = (token(), format!("\"{}\"", token()));
    let resource = Resource {
        peer: far_side.peer.clone(),
        media: far_side.media.clone(),
        etag: etag.clone(),
        offer,
    };
    app.resources
        .with(|sessions| sessions.insert(id.clone(), resource));
    let location = format!("/session/{id}");
    let resources: Arc<Resources> = app.resources.clone();
    tokio::spawn(async move {
        far_side.run(backlog).await;
        resources.with(|sessions| sessions.remove(&id));
    });
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, etag),
        (ACCEPT_PATCH, FRAGMENT.to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, answer.sdp).into_response())
}

/// `PATCH`: candidates, or an ICE restart (RFC 9725 §4.3).
pub(crate) async fn trickle(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<String, StringRejection>,
) -> Result<Response, Refusal> {
    let resource = app.resources.get(&id)?;
    require_type(&headers, FRAGMENT)?;
    let fragment = Fragment::parse(&body?)?;
    let condition = headers
        .get(header::IF_MATCH)
        .and_then(|value| value.to_str().ok());
    match condition {
        None => Err(Refusal::new(
            StatusCode::PRECONDITION_REQUIRED,
            "A PATCH must name the ICE session in If-Match.",
        )),
        Some("*") => restart(&app, &id, resource, fragment).await,
        Some(etag) if etag == resource.etag => {
            for candidate in fragment.candidates {
                resource.peer.add_ice_candidate(Some(candidate)).await?;
            }
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Some(_) => Err(Refusal::new(
            StatusCode::PRECONDITION_FAILED,
            "If-Match names another ICE session than the current one.",
        )),
    }
}

async fn restart(
    app: &App,
    id: &str,
    resource: Resource,
    fragment: Fragment,
) -> Result<Response, Refusal> {
    let (Some(ufrag), Some(pwd)) = (&fragment.ufrag, &fragment.pwd) else {
        return Err(Refusal::bad(
            "An ICE restart needs a=ice-ufrag and a=ice-pwd.",
        ));
    };
    // The offer of before with the new credentials and without the old candidates.
    let offer: String = resource
        .offer
        .lines()
        .filter(|line| !line.starts_with("a=candidate:") && *line != "a=end-of-candidates")
        .map(|line| match line {
            _ if line.starts_with("a=ice-ufrag:") => format!("a=ice-ufrag:{ufrag}\r\n"),
            _ if line.starts_with("a=ice-pwd:") => format!("a=ice-pwd:{pwd}\r\n"),
            _ => format!("{}\r\n", line.trim_end()),
        })
        .collect();
    let peer = &resource.peer;
    let answer =
        crate::echo::answer(peer, &resource.media, SessionDescription::offer(&*offer)).await?;
    for candidate in fragment.candidates {
        peer.add_ice_candidate(Some(candidate)).await?;
    }
    let etag = format!("\"{}\"", token());
    app.resources.with(|sessions| {
        if let Some(resource) = sessions.get_mut(id) {
            resource.etag.clone_from(&etag);
            resource.offer = offer;
        }
    });
    // Ours in return: credentials and candidates of the first section, which carries the bundle.
    let mut sections = 0;
    let reply: String = answer
        .sdp
        .lines()
        .filter(|line| {
            sections += usize::from(line.starts_with("m="));
            let wanted = [
                "m=",
                "a=mid:",
                "a=ice-",
                "a=candidate:",
                "a=end-of-candidates",
            ];
            sections <= 1 && wanted.iter().any(|prefix| line.starts_with(prefix))
        })
        .map(|line| format!("{line}\r\n"))
        .collect();
    let headers = [
        (header::CONTENT_TYPE, FRAGMENT.to_owned()),
        (header::ETAG, etag),
    ];
    Ok((StatusCode::OK, headers, reply).into_response())
}

/// `DELETE` ends the session.
pub(crate) async fn end(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let resource = app
        .resources
        .with(|sessions| sessions.remove(&id))
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "There is no such session."))?;
    resource.peer.close();
    Ok(StatusCode::OK)
}

/// What a trickle fragment (RFC 8840 §9) says.
struct Fragment {
    ufrag: Option<String>,
    pwd: Option<String>,
    candidates: Vec<IceCandidateInit>,
}

impl Fragment {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let mut fragment = Self {
            ufrag: None,
            pwd: None,
            candidates: Vec::new(),
        };
        let mut mid: Option<String> = None;
        for line in text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
        {
            if let Some(value) = line.strip_prefix("a=mid:") {
                mid = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
                fragment.ufrag = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("a=ice-pwd:") {
                fragment.pwd = Some(value.to_owned());
            } else if line.starts_with("a=candidate:") {
                fragment.candidates.push(IceCandidateInit {
                    candidate: line.trim_start_matches("a=").to_owned(),
                    sdp_mid: mid.clone(),
                    sdp_m_line_index: mid.is_none().then_some(0),
                    username_fragment: fragment.ufrag.clone(),
                    ..Default::default()
                });
            } else if !line.starts_with("a=") && !line.starts_with("m=") {
                return Err(Refusal::bad(format!(
                    "This is not a line of an SDP fragment: {line:?}."
                )));
            }
        }
        Ok(fragment)
    }
}
