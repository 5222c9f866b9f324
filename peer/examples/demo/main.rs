//! The demo: a web server whose far side is a Tincan peer.
//!
//! It serves a page and the signalling that the page and other programs use, and runs all connections on one event
//! loop. Everything is embedded: no outside server, no files.
//!
//! ```text
//! cargo run --release --example demo                          # then open the printed URL
//! cargo run --release --example demo -- --listen 0.0.0.0:8080 # from other machines too
//! cargo run --release --example demo -- --turn                # with a TURN server for the page
//! cargo run --release --example demo -- --tcp 127.0.0.1:0     # for browsers that can't use UDP; see --help for more
//! ```
//!
//! Signalling, all under the printed URL: `POST /offer` (JSON in, JSON out, no trickling), `GET /ws` (trickling and
//! renegotiation from either side), `POST /whip` and `POST /whep` (RFC 9725 and its playback twin). What comes over a
//! data channel or a track goes back on it; `SIGNALLING.md` beside this file has every detail.

mod arguments;
mod echo;
mod offer;
#[path = "../shared/recording.rs"]
mod recording;
#[allow(dead_code, reason = "more than the demo needs")]
#[path = "../../../stun/examples/turn-server/relay/mod.rs"]
mod relay;
mod reply;
#[path = "../shared/mod.rs"]
mod shared;
mod studio;
mod turn;
mod whip;
mod ws;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, patch, post};
use futures_util::StreamExt as _;
use tincan_peer::Configuration;
use tincan_peer::driver::{Driver, DriverHandle};
use tokio::sync::Semaphore;

/// Largest request body. An offer with 256 m-lines has about 1 MB.
const MAX_BODY: usize = 1 << 20;

/// How much of a longer one is read and thrown away, so that its sender hears that it is too long.
const MAX_UNWANTED: usize = 8 * MAX_BODY;

/// Connections at once.
const MAX_SESSIONS: usize = 1024;

/// What all requests share.
#[derive(Clone)]
struct App {
    driver: DriverHandle,
    configuration: Configuration,
    sessions: Arc<Semaphore>,
    studio: Arc<studio::Studio>,
    resources: Arc<whip::Resources>,
    /// Where connections are recorded.
    record: Option<Arc<Path>>,
    recorded: Arc<AtomicUsize>,
    turn: Option<Arc<turn::Turn>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(arguments) = arguments::Arguments::read()? else {
        return Ok(());
    };
    let driver = Driver::bind(arguments.driver)?;
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("can't listen on {}: {error}", arguments.listen))?;
    println!("Tincan demo: open http://{}/", listener.local_addr()?);
    println!("media and data at {:?}", driver.local_addresses());
    let turn = match arguments.turn {
        Some(addr) => Some(Arc::new(turn::Turn::start(addr).await?)),
        None => None,
    };
    if let Some(turn) = &turn {
        println!("TURN over UDP and TCP at port {}", turn.port());
    }

    let handle = driver.handle();
    let app = App {
        driver: handle.clone(),
        configuration: arguments.peers,
        sessions: Arc::new(Semaphore::new(MAX_SESSIONS)),
        studio: Arc::default(),
        resources: Arc::default(),
        record: arguments.record.map(Arc::from),
        recorded: Arc::default(),
        turn,
    };
    let driver = tokio::spawn(driver.run());
    let stop = async move {
        // Without a signal handler the program still ends by being killed.
        let _ = tokio::signal::ctrl_c().await;
        handle.shutdown();
    };
    axum::serve(listener, router(app))
        .with_graceful_shutdown(stop)
        .await?;
    driver.await?;
    Ok(())
}

fn router(app: App) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/offer", post(offer::offer).options(preflight))
        .route("/ws", get(ws::ws))
        .route("/whip", post(whip::publish).options(whip::options))
        .route("/whep", post(whip::play).options(whip::options))
        .route(
            "/session/{id}",
            patch(whip::trickle)
                .delete(whip::end)
                .options(whip::options),
        )
        .route("/stats", get(stats))
        .route("/ice", get(turn::ice))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn(hear_out))
        .layer(axum::middleware::map_response(allow_other_origins))
        .with_state(app)
}

/// Reads a body that is too long before refusing it: a connection that is closed with unread data is reset, and who still
/// writes never sees the answer.
async fn hear_out(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length > MAX_BODY => {
            let mut pieces = request.into_body().into_data_stream();
            let reading = async {
                let mut left = MAX_UNWANTED;
                while let Some(Ok(piece)) = pieces.next().await
                    && left > 0
                {
                    left = left.saturating_sub(piece.len());
                }
            };
            let _ = tokio::time::timeout(echo::PATIENCE, reading).await;
            let reason = format!("The body can't be taken: {length} bytes, more than {MAX_BODY}.");
            reply::Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason).into_response()
        }
        _ => next.run(request).await,
    }
}

async fn preflight() -> impl IntoResponse {
    StatusCode::NO_CONTENT
}

/// Pages from elsewhere may use the signalling: it gives nothing that a program could not have.
async fn allow_other_origins(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type, if-match, authorization"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PATCH, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("location, etag, link, accept-patch"),
    );
    response
}

/// The loop's counters, for people and for tests.
async fn stats(State(app): State<App>) -> Response {
    match app.driver.stats().await {
        Ok(stats) => axum::Json(serde_json::json!({
            "peers": stats.peers,
            "datagramsReceived": stats.datagrams_received,
            "datagramsSent": stats.datagrams_sent,
            "bytesReceived": stats.bytes_received,
            "bytesSent": stats.bytes_sent,
            "receiveCalls": stats.receive_calls,
            "sendCalls": stats.send_calls,
            "unrouted": stats.unrouted,
            "droppedRtp": stats.dropped_rtp,
            "streams": stats.streams,
            "relays": app.turn.as_ref().map_or(0, |turn| turn.allocations()),
        }))
        .into_response(),
        Err(error) => reply::Refusal::from(error).into_response(),
    }
}
