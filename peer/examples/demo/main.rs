//! The demo: a web server whose far side is a Tincan peer.
//!
//! It serves a page and the signalling that the page and other programs use, and runs all connections on one event
//! loop. Everything is embedded: no outside server, no files.
//!
//! ```text
//! cargo run --release --example demo                          # then open the printed URL
//! cargo run --release --example demo -- --listen 0.0.0.0:8080 # from other machines too
//! ```
//!
//! Signalling, all under the printed URL: `POST /offer` (JSON in, JSON out, no trickling), `GET /ws` (trickling and
//! renegotiation from either side), `POST /whip` and `POST /whep` (RFC 9725 and its playback twin). What comes over a
//! data channel or a track goes back on it; `SIGNALLING.md` beside this file has every detail.

mod echo;
mod offer;
#[path = "../shared/recording.rs"]
mod recording;
mod reply;
#[path = "../shared/mod.rs"]
mod shared;
mod studio;
mod whip;
mod ws;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, patch, post};
use tincan_peer::Configuration;
use tincan_peer::driver::{Driver, DriverConfig, DriverHandle};
use tokio::sync::Semaphore;

/// Largest request body. An offer with 256 m-lines has about 1 MB.
const MAX_BODY: usize = 1 << 20;

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
}

struct Arguments {
    listen: SocketAddr,
    udp: Vec<SocketAddr>,
    record: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    use lexopt::prelude::{Long, Short, ValueExt};
    let mut arguments = Arguments {
        listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
        udp: Vec::new(),
        record: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => arguments.listen = parser.value()?.parse()?,
            Long("udp") => arguments.udp.push(parser.value()?.parse()?),
            Long("record") => arguments.record = Some(parser.value()?.into()),
            Short('h') | Long("help") => {
                println!(
                    "demo [--listen ADDR:PORT] [--udp ADDR:PORT]... [--record FOLDER]\n\n\
                     --listen  where the page and the signalling are served (default 127.0.0.1:8080)\n\
                     --udp     a UDP address for media and data (default: all interfaces, any port)\n\
                     --record  write a recording for Wireshark (secrets inside) and a log of events of each\n\
                     \x20         connection there"
                );
                std::process::exit(0);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(arguments)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments()?;
    let mut config = DriverConfig::everywhere(0);
    if !arguments.udp.is_empty() {
        config.udp = arguments.udp;
    }
    let driver = Driver::bind(config)?;
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("can't listen on {}: {error}", arguments.listen))?;
    println!("Tincan demo: open http://{}/", listener.local_addr()?);
    println!("media and data over UDP at {:?}", driver.local_addresses());

    let handle = driver.handle();
    let app = App {
        driver: handle.clone(),
        configuration: Configuration::default(),
        sessions: Arc::new(Semaphore::new(MAX_SESSIONS)),
        studio: Arc::default(),
        resources: Arc::default(),
        record: arguments.record.map(Arc::from),
        recorded: Arc::default(),
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
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::map_response(allow_other_origins))
        .with_state(app)
}

async fn preflight() -> impl IntoResponse {
    axum::http::StatusCode::NO_CONTENT
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
        }))
        .into_response(),
        Err(error) => reply::Refusal::from(error).into_response(),
    }
}
