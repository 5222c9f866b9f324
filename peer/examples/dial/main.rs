//! `dial`: makes the offer to an endpoint that speaks the demo's contract, uses everything, and prints one JSON line.
//!
//! ```text
//! cargo run --release --example demo                                       # in one terminal
//! cargo run --release --example dial -- --url http://127.0.0.1:8080/offer  # in another
//! ```
//!
//! It opens three data channels (ordered; unordered without retransmission; negotiated with id 100), sends text and
//! binary messages and bulk data and compares what comes back, sends sound and pictures and counts what returns. The
//! exit code is 0 when everything was as it should be; what was not stands in `"failed"`.

mod media;
#[path = "../shared/recording.rs"]
mod recording;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};
use tincan_peer::driver::{
    DataChannel, Driver, DriverConfig, DriverHandle, Events, Peer, PeerEvent,
};
use tincan_peer::{
    Configuration, DataChannelInit, Direction, Event, Kind, Message, PeerConnectionState,
    SessionDescription, TransceiverInit,
};
use tokio::sync::watch;
use tokio::time::timeout;

/// Size of one bulk message.
const BULK_MESSAGE: usize = 64 * 1024;

/// The largest message that every endpoint of the contract takes.
const LARGEST: usize = 256 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Arguments {
    url: String,
    messages: usize,
    bulk: usize,
    seconds: u64,
    patience: Duration,
    record: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    use lexopt::prelude::{Long, Short, ValueExt};
    let mut arguments = Arguments {
        url: String::new(),
        messages: 100,
        bulk: 16 << 20,
        seconds: 5,
        patience: Duration::from_secs(30),
        record: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("url") => arguments.url = parser.value()?.string()?,
            Long("messages") => arguments.messages = parser.value()?.parse()?,
            Long("bulk") => arguments.bulk = parser.value()?.parse()?,
            Long("seconds") => arguments.seconds = parser.value()?.parse()?,
            Long("patience") => {
                arguments.patience = Duration::from_secs(parser.value()?.parse()?);
            }
            Long("record") => arguments.record = Some(parser.value()?.into()),
            Short('h') | Long("help") => {
                println!(
                    "dial --url http://HOST:PORT/offer [--messages N] [--bulk BYTES] [--seconds N] \
                     [--patience SECONDS] [--record FOLDER]\n\n\
                     --messages  text and binary messages, of each so many (default 100)\n\
                     --bulk      bytes of bulk data (default 16777216)\n\
                     --seconds   how long sound and pictures are sent (default 5)\n\
                     --patience  how long any one step may take (default 30)\n\
                     --record    write dial.pcapng (for Wireshark, secrets inside) and dial.sqlog there"
                );
                std::process::exit(0);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    if arguments.url.is_empty() {
        return Err("--url is missing; try --help".into());
    }
    Ok(arguments)
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("dial: {error}");
            return std::process::ExitCode::from(2);
        }
    };
    let mut report = serde_json::Map::new();
    let result = run(&arguments, &mut report).await;
    let failed: Vec<String> = match result {
        Ok(failed) => failed,
        Err(error) => vec![error.to_string()],
    };
    let mut line = serde_json::Map::new();
    line.insert("ok".into(), json!(failed.is_empty()));
    line.append(&mut report);
    if !failed.is_empty() {
        line.insert("failed".into(), json!(failed));
    }
    println!("{}", Value::Object(line));
    std::process::ExitCode::from(u8::from(!failed.is_empty()))
}

/// One call from beginning to end. Returns what was not as it should be; an error is the end of the call.
async fn run(
    arguments: &Arguments,
    report: &mut serde_json::Map<String, Value>,
) -> Result<Vec<String>, Failure> {
    let driver = Driver::bind(DriverConfig::everywhere(0))?;
    let handle: DriverHandle = driver.handle();
    let driver = tokio::spawn(driver.run());
    let (peer, mut events) = handle.peer(Configuration::default()).await?;
    if let Some(folder) = &arguments.record {
        recording::record(&peer, folder, "dial").await?;
    }

    let reliable = peer
        .create_data_channel("ordered", DataChannelInit::default())
        .await?;
    let loose = DataChannelInit {
        ordered: false,
        max_retransmits: Some(0),
        ..Default::default()
    };
    let loose = peer.create_data_channel("unordered", loose).await?;
    let agreed = DataChannelInit {
        negotiated: true,
        id: Some(100),
        ..Default::default()
    };
    let agreed = peer.create_data_channel("negotiated", agreed).await?;
    let both = || TransceiverInit {
        direction: Direction::SendRecv,
        ..Default::default()
    };
    let audio = peer.add_transceiver(Kind::Audio, both()).await?;
    let video = peer.add_transceiver(Kind::Video, both()).await?;

    let started = Instant::now();
    let offer = peer.offer_with_candidates(&mut events).await?;
    let answer = timeout(arguments.patience, post(arguments.url.clone(), offer.sdp))
        .await
        .map_err(|_| "signalling: no answer in time")??;
    let answered = Instant::now();
    peer.set_remote_description(answer).await?;
    report.insert("signalling_ms".into(), milliseconds(answered - started));

    // From here on a task hears the news, and tells the states and what media returns.
    let (state, mut states) = watch::channel(PeerConnectionState::New);
    let counters = media::Counters::default();
    tokio::spawn(hear(events, state, counters.clone(), video));
    timeout(
        arguments.patience,
        states.wait_for(|state| *state == PeerConnectionState::Connected),
    )
    .await
    .map_err(|_| "ICE or DTLS: not connected in time")??;
    report.insert("connect_ms".into(), milliseconds(answered.elapsed()));

    let sent_media = tokio::spawn(media::send(
        peer.sender(audio),
        peer.sender(video),
        codecs(&peer, audio, "opus").await?,
        codecs(&peer, video, "VP8").await?,
        counters.clone(),
        Duration::from_secs(arguments.seconds),
    ));

    let mut failed = Vec::new();
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let mut messages = 0;
    let mut channels = 0;
    for (mut channel, strict) in [(reliable, true), (loose, false), (agreed, true)] {
        let label = channel.label().to_owned();
        let opened = Instant::now();
        match timeout(
            arguments.patience,
            echo(&mut channel, arguments.messages, strict, &mut rng),
        )
        .await
        {
            Ok(Ok((count, first))) => {
                channels += 1;
                messages += count;
                if label == "ordered" {
                    let open = opened - answered + first;
                    report.insert("first_message_ms".into(), milliseconds(open));
                }
            }
            Ok(Err(error)) => failed.push(format!("channel {label}: {error}")),
            Err(_) => failed.push(format!("channel {label}: messages did not return in time")),
        }
        if label == "ordered" && arguments.bulk > 0 {
            let begun = Instant::now();
            let patience = arguments.patience * 4;
            match timeout(patience, bulk(&mut channel, arguments.bulk, &mut rng)).await {
                Ok(Ok(())) => {
                    let seconds = begun.elapsed().as_secs_f64();
                    report.insert("bulk_bytes".into(), json!(arguments.bulk));
                    report.insert("bulk_ms".into(), milliseconds(begun.elapsed()));
                    let rate = arguments.bulk as f64 / 1e6 / seconds;
                    report.insert("bulk_mb_per_s".into(), json!(round(rate)));
                }
                Ok(Err(error)) => failed.push(format!("bulk: {error}")),
                Err(_) => failed.push("bulk: did not return in time".into()),
            }
        }
    }
    report.insert("channels".into(), json!(channels));
    report.insert("messages".into(), json!(messages));

    sent_media.await?;
    // The last packets are on their way.
    let _ = timeout(Duration::from_secs(2), counters.all_back()).await;
    for (kind, name) in [(Kind::Audio, "audio"), (Kind::Video, "video")] {
        let (sent, back) = counters.of(kind);
        report.insert(name.into(), json!({ "sent": sent, "returned": back }));
        if sent > 0 && back == 0 {
            failed.push(format!("{name}: no packet came back"));
        }
    }
    let stats = handle.stats().await?;
    report.insert("bytes_sent".into(), json!(stats.bytes_sent));
    report.insert("bytes_received".into(), json!(stats.bytes_received));
    report.insert("total_ms".into(), milliseconds(started.elapsed()));
    peer.close();
    handle.shutdown();
    driver.await?;
    Ok(failed)
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn milliseconds(time: Duration) -> Value {
    json!(round(time.as_secs_f64() * 1e3))
}

/// The payload type under which a codec was agreed on.
async fn codecs(
    peer: &Peer,
    id: tincan_peer::TransceiverId,
    name: &'static str,
) -> Result<Option<u8>, Failure> {
    let found = peer.with(move |connection, _| {
        let transceiver = connection.transceiver(id)?;
        if !transceiver.current_direction?.sends() {
            return None;
        }
        transceiver
            .send_codecs
            .iter()
            .find(|codec| codec.is(name))
            .map(|codec| codec.payload_type)
    });
    Ok(found.await?)
}

async fn post(url: String, sdp: String) -> Result<SessionDescription, Failure> {
    let body = json!({ "type": "offer", "sdp": sdp }).to_string();
    let text = tokio::task::spawn_blocking(move || -> Result<String, Failure> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut response = agent
            .post(&url)
            .content_type("application/json")
            .send(body)
            .map_err(|error| format!("signalling: {url}: {error}"))?;
        let status = response.status();
        let text = response.body_mut().read_to_string()?;
        if !status.is_success() {
            return Err(format!("signalling: {url} answered {status}: {text}").into());
        }
        Ok(text)
    })
    .await??;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| format!("signalling: not JSON: {error}"))?;
    match (value["type"].as_str(), value["sdp"].as_str()) {
        (Some("answer"), Some(sdp)) => Ok(SessionDescription::answer(sdp)),
        _ => Err("signalling: the reply is no answer".into()),
    }
}

/// Hears everything until the connection ends.
async fn hear(
    mut events: Events,
    state: watch::Sender<PeerConnectionState>,
    counters: media::Counters,
    video: tincan_peer::TransceiverId,
) {
    while let Some(event) = events.next().await {
        match event {
            PeerEvent::Event(Event::ConnectionState(new)) => {
                state.send_replace(new);
            }
            PeerEvent::Event(Event::KeyFrameRequest { transceiver, .. })
                if transceiver == video =>
            {
                counters.want_key_frame();
            }
            PeerEvent::Track(mut track) => {
                let counters = counters.clone();
                tokio::spawn(async move {
                    while track.recv().await.is_some() {
                        counters.back(track.kind());
                    }
                });
            }
            _ => {}
        }
    }
}

fn binary(rng: &mut impl Rng, len: usize) -> Message {
    let mut bytes = vec![0; len];
    rng.fill_bytes(&mut bytes);
    Message::binary(bytes)
}

/// Text and binary messages in turn, empty ones and one of the largest size among them; all must come back unchanged.
/// Returns their number and the time until the first was back.
async fn echo(
    channel: &mut DataChannel,
    count: usize,
    strict: bool,
    rng: &mut impl Rng,
) -> Result<(usize, Duration), Failure> {
    let mut messages = vec![Message::text(""), Message::binary(Vec::new())];
    for number in 0..count {
        let len = rng.random_range(0..16 * 1024);
        messages.push(Message::text(format!("{number}: {}", "ä".repeat(len / 2))));
        messages.push(binary(rng, len));
    }
    if strict {
        messages.push(binary(rng, LARGEST));
    }
    let begun = Instant::now();
    let mut first = None;
    let mut returned = 0;
    // One at a time in flight for the loose channel, so that what comes back can be told apart.
    let mut missed = Vec::new();
    'all: for message in &messages {
        channel.send(message.clone()).await?;
        let back = loop {
            let back = if strict {
                channel.recv().await
            } else {
                match timeout(Duration::from_secs(2), channel.recv()).await {
                    Ok(back) => back,
                    Err(_) => {
                        missed.push(message);
                        continue 'all;
                    }
                }
            };
            let back = back.ok_or("closed by the far side")?;
            // One that was given up may come late.
            if back == *message || !missed.contains(&&back) {
                break back;
            }
        };
        if back != *message {
            return Err("a message came back changed".into());
        }
        first.get_or_insert_with(|| begun.elapsed());
        returned += 1;
    }
    if returned * 2 < messages.len() {
        return Err(format!("only {returned} of {} messages came back", messages.len()).into());
    }
    Ok((returned, first.unwrap_or_default()))
}

/// As much as the channel takes at once; all must come back in order.
async fn bulk(channel: &mut DataChannel, total: usize, rng: &mut impl Rng) -> Result<(), Failure> {
    let piece = binary(rng, BULK_MESSAGE.min(total));
    let pieces = total.div_ceil(BULK_MESSAGE);
    let mut sent = 0;
    let mut back = 0;
    let (sender, incoming) = (channel.sender(), channel);
    while back < pieces {
        tokio::select! {
            biased;
            message = incoming.recv() => {
                let message = message.ok_or("closed by the far side")?;
                if message != piece {
                    return Err(format!("piece {back} came back changed").into());
                }
                back += 1;
            }
            result = sender.send(piece.clone()), if sent < pieces => {
                result?;
                sent += 1;
            }
        }
    }
    Ok(())
}
