//! The clients' ends: connect, send, count what comes back, die, come again.

use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tincan_peer::driver::{
    DataChannel, Driver, DriverConfig, DriverHandle, Events, Faults, Peer, RtpSender,
};
use tincan_peer::{
    Certificate, Configuration, DataChannelInit, Direction, Kind, Message, RtpPacket,
    TransceiverInit,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep, timeout};

use crate::report::Tally;
use crate::server::Call;
use crate::{CONNECT_TIME, Failure, Plan};

/// Bytes of a media packet's payload: 20 ms of speech.
const PAYLOAD: usize = 160;

/// A client sends a message this often.
const MESSAGE_INTERVAL: Duration = Duration::from_millis(250);

/// Parts of a media interval: in each, a part of the clients send.
const SLICES: usize = 10;

/// How a client dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// It closes its connection.
    Polite,
    /// Its network is gone first: the server hears nothing.
    Sudden,
}

/// Where a client's media goes.
struct Voice {
    sender: RtpSender,
    payload_type: u8,
    number: u16,
}

type Voices = Arc<Mutex<Vec<Option<Voice>>>>;

struct Clients {
    plan: Plan,
    driver: DriverHandle,
    configuration: Configuration,
    calls: mpsc::Sender<Call>,
    voices: Voices,
    stop: watch::Receiver<bool>,
    tally: Arc<Tally>,
}

struct Connection {
    peer: Peer,
    channel: DataChannel,
    events: Events,
}

pub(crate) async fn run(
    plan: Plan,
    calls: mpsc::Sender<Call>,
    ready: SyncSender<DriverHandle>,
    stop: watch::Receiver<bool>,
    tally: Arc<Tally>,
) -> Result<(), Failure> {
    let config = DriverConfig {
        faults: Some(Faults::new(plan.seed).with_loss(plan.loss)),
        // A thousand sockets need no megabytes each.
        socket_buffer: 256 * 1024,
        ..DriverConfig::loopback()
    };
    let driver = Driver::bind(config)?;
    let handle = driver.handle();
    ready.send(handle.clone())?;
    let running = tokio::spawn(driver.run());
    let clients = Arc::new(Clients {
        plan,
        driver: handle,
        configuration: Configuration {
            certificates: vec![Certificate::generate(std::time::SystemTime::now())?],
            ..Configuration::default()
        },
        calls,
        voices: Arc::new(Mutex::new((0..plan.peers).map(|_| None).collect())),
        stop,
        tally,
    });
    let mut deaths = Vec::new();
    let mut lives = Vec::new();
    for n in 0..plan.peers {
        let (sender, death) = mpsc::channel(1);
        deaths.push(sender);
        lives.push(tokio::spawn(live(clients.clone(), n, death)));
        // Not all at once: a thousand handshakes are a second of work.
        sleep(Duration::from_millis(2)).await;
    }
    let pace = tokio::spawn(speak(clients.clone()));
    let reap = tokio::spawn(reap(clients.clone(), deaths));
    drop(clients);
    for life in lives {
        life.await?;
    }
    pace.abort();
    reap.abort();
    running.await?;
    Ok(())
}

/// One client, through all its lives.
async fn live(clients: Arc<Clients>, n: usize, mut death: mpsc::Receiver<Death>) {
    let tally = &clients.tally;
    let mut stop = clients.stop.clone();
    while !*stop.borrow() {
        let begun = Instant::now();
        let connecting = tokio::select! {
            biased;
            // The end does not wait for those who are just coming back, and closes the servers under them.
            _ = stop.changed() => return,
            connecting = timeout(CONNECT_TIME, connect(&clients, n)) => connecting,
        };
        let connection = match connecting {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return tally.fail(&format!("client {n} can't connect: {error}")),
            Err(_) => return tally.fail(&format!("client {n} can't connect in {CONNECT_TIME:?}")),
        };
        tally.connects.record(begun.elapsed());
        tally.connected.fetch_add(1, Ordering::Relaxed);
        let end = talk(&clients, connection, &mut stop, &mut death).await;
        set_voice(&clients.voices, n, None);
        tally.connected.fetch_sub(1, Ordering::Relaxed);
        if let Some((death, connection)) = end {
            tally.deaths.fetch_add(1, Ordering::Relaxed);
            if matches!(death, Death::Sudden) {
                connection
                    .peer
                    .set_faults(Some(Faults::new(0).with_down(true)));
            }
        }
    }
}

fn set_voice(voices: &Voices, n: usize, voice: Option<Voice>) {
    let mut voices = voices.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = voices.get_mut(n) {
        *place = voice;
    }
}

async fn connect(clients: &Clients, n: usize) -> Result<Connection, Failure> {
    let (peer, mut events) = clients.driver.peer(clients.configuration.clone()).await?;
    let send_only = TransceiverInit {
        direction: Direction::SendOnly,
        ..TransceiverInit::default()
    };
    let transceiver = peer.add_transceiver(Kind::Audio, send_only).await?;
    let channel = peer
        .create_data_channel("soak", DataChannelInit::default())
        .await?;
    let offer = peer.offer_with_candidates(&mut events).await?;
    let (answer, answered) = oneshot::channel();
    clients.calls.send(Call { offer, answer }).await?;
    let answer = answered.await?;
    let payload_type = answer
        .sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '))
        .find(|(_, name)| name.starts_with("opus/"))
        .and_then(|(number, _)| number.parse().ok())
        .ok_or("no Opus in the answer")?;
    peer.set_remote_description(answer).await?;
    // Open when the first message comes back.
    let mut channel = channel;
    channel.send(message(&clients.tally, 0, 8)).await?;
    channel.recv().await.ok_or("closed before it opened")?;
    let voice = Voice {
        sender: peer.sender(transceiver),
        payload_type,
        number: 0,
    };
    set_voice(&clients.voices, n, Some(voice));
    Ok(Connection {
        peer,
        channel,
        events,
    })
}

fn message(tally: &Tally, number: u32, more: usize) -> Message {
    let mut bytes = Vec::with_capacity(12 + more);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&tally.now().to_be_bytes());
    bytes.resize(12 + more, 7);
    Message::binary(bytes)
}

/// Sends and counts until death or the end; the end waits for everything to come back.
async fn talk(
    clients: &Clients,
    mut connection: Connection,
    stop: &mut watch::Receiver<bool>,
    death: &mut mpsc::Receiver<Death>,
) -> Option<(Death, Connection)> {
    let tally = &clients.tally;
    let mut rng = StdRng::from_rng(&mut rand::rng());
    let begin =
        Instant::now() + MESSAGE_INTERVAL.mul_f64(f64::from(rng.next_u32()) / 2f64.powi(32));
    let mut ticks = interval_at(begin, MESSAGE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut sent, mut back) = (1u32, 1u32);
    let mut ending = *stop.borrow();
    loop {
        if ending && back == sent {
            return None;
        }
        tokio::select! {
            message = connection.channel.recv() => {
                let Some(message) = message else {
                    tally.fail("a channel closed by itself");
                    return None;
                };
                let bytes = message.as_bytes();
                if bytes.first_chunk::<4>() != Some(&back.to_be_bytes()) {
                    tally.fail(&format!("not {back} came back"));
                }
                back += 1;
                tally.messages_back.fetch_add(1, Ordering::Relaxed);
                if let Some(at) = bytes.get(4..12).and_then(|at| at.first_chunk::<8>()) {
                    tally.messages.record(tally.since(u64::from_be_bytes(*at)));
                }
            }
            _ = ticks.tick(), if !ending => {
                // Most are short; one of eight spans several packets.
                let more = rng.next_u32() as usize;
                let more = if more.is_multiple_of(8) { more / 8 % 8000 } else { more / 8 % 200 };
                let message = message(tally, sent, more);
                // Room for 1 MiB: this waits for nothing.
                if connection.channel.send(message).await.is_err() {
                    tally.fail("a channel does not take a message");
                    return None;
                }
                sent += 1;
                tally.messages_sent.fetch_add(1, Ordering::Relaxed);
            }
            Some(death) = death.recv(), if !ending => return Some((death, connection)),
            // The news is of no interest, but must be read.
            Some(_) = connection.events.next() => {}
            Ok(()) = stop.changed(), if !ending => ending = true,
        }
    }
}

/// Sends everybody's media, evenly spread.
async fn speak(clients: Arc<Clients>) {
    let rate = clients.plan.rate.max(1);
    let mut ticks = interval(Duration::from_secs(1) / rate / SLICES as u32);
    let payload = [7; PAYLOAD];
    for slice in (0..SLICES).cycle() {
        ticks.tick().await;
        if *clients.stop.borrow() || clients.plan.rate == 0 {
            return;
        }
        let mut voices = clients
            .voices
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for voice in voices.iter_mut().skip(slice).step_by(SLICES).flatten() {
            let mut payload = payload.to_vec();
            payload[..8].copy_from_slice(&clients.tally.now().to_be_bytes());
            let number = voice.number;
            voice.number = number.wrapping_add(1);
            let timestamp = u32::from(number) * 960;
            let packet = RtpPacket::new(voice.payload_type, number, timestamp, false, payload);
            if voice.sender.send(packet).is_ok() {
                clients.tally.media_sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Has clients die, evenly spread over the time.
async fn reap(clients: Arc<Clients>, deaths: Vec<mpsc::Sender<Death>>) {
    let a_minute = clients.plan.deaths * clients.plan.peers as f64;
    if a_minute <= 0.0 {
        return;
    }
    let mut rng = StdRng::seed_from_u64(clients.plan.seed);
    let mut ticks = interval(Duration::from_secs_f64(60.0 / a_minute));
    ticks.tick().await;
    for n in 0usize.. {
        ticks.tick().await;
        let chosen = rng.next_u64() as usize % deaths.len().max(1);
        let death = if n % 2 == 0 {
            Death::Sudden
        } else {
            Death::Polite
        };
        if let Some(client) = deaths.get(chosen) {
            // One that is dying already dies once.
            let _ = client.try_send(death);
        }
    }
}
