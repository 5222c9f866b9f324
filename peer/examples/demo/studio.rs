//! The last publisher's media for everybody who watches.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tincan_peer::driver::{Peer, RemoteTrack};
use tincan_peer::{Codec, Kind, RtpPacket, TransceiverId};
use tokio::sync::broadcast;

/// Packets a slow viewer may lag behind before it misses some: half a second of 10 Mbit/s.
const LAG: usize = 512;

/// A packet with what its payload type means.
#[derive(Clone)]
struct Sample {
    kind: Kind,
    codec: Arc<Codec>,
    packet: RtpPacket,
}

/// The publisher on air and the way to the viewers.
pub(crate) struct Studio {
    on_air: Mutex<Option<(Peer, Vec<TransceiverId>)>>,
    publications: AtomicU64,
    samples: broadcast::Sender<Sample>,
}

impl Default for Studio {
    fn default() -> Self {
        Self {
            on_air: Mutex::default(),
            publications: AtomicU64::new(0),
            samples: broadcast::channel(LAG).0,
        }
    }
}

impl Studio {
    /// A new publisher goes on air; the one before is heard no more. Returns the number of its publication.
    pub(crate) fn begin(&self, peer: &Peer) -> u64 {
        let mut on_air = self.on_air.lock().unwrap_or_else(PoisonError::into_inner);
        *on_air = Some((peer.clone(), Vec::new()));
        self.publications.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The publisher leaves, if it is still the one on air.
    pub(crate) fn end(&self, publication: u64) {
        if self.publications.load(Ordering::SeqCst) == publication {
            *self.on_air.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Sends a track of a publication out until it ends or another publisher comes.
    pub(crate) async fn publish(&self, publication: u64, peer: Peer, mut track: RemoteTrack) {
        let id = track.transceiver();
        if track.kind() == Kind::Video
            && let Some((_, videos)) =
                &mut *self.on_air.lock().unwrap_or_else(PoisonError::into_inner)
        {
            videos.push(id);
        }
        let codecs = peer.with(move |connection, _| {
            connection
                .transceiver(id)
                .map(|transceiver| transceiver.receive_codecs)
        });
        let codecs: HashMap<u8, Arc<Codec>> = match codecs.await {
            Ok(Some(codecs)) => codecs
                .into_iter()
                .map(|codec| (codec.payload_type, Arc::new(codec)))
                .collect(),
            _ => return,
        };
        drop(peer);
        let kind = track.kind();
        while let Some(packet) = track.recv().await {
            if self.publications.load(Ordering::SeqCst) != publication {
                break;
            }
            // Of simulcast, the first encoding: a viewer here has no wish of its own.
            let Some(codec) = codecs
                .get(&packet.payload_type)
                .filter(|_| packet.encoding == 0)
            else {
                continue;
            };
            // Nobody watches: nothing lost.
            let _ = self.samples.send(Sample {
                kind,
                codec: codec.clone(),
                packet,
            });
        }
    }

    /// A viewer needs a key frame, or has just come.
    pub(crate) fn request_key_frame(&self) {
        if let Some((peer, videos)) = &*self.on_air.lock().unwrap_or_else(PoisonError::into_inner) {
            for video in videos {
                peer.request_key_frame(*video);
            }
        }
    }

    /// Plays to a viewer until the returned task is aborted or the viewer is gone.
    pub(crate) async fn play(self: Arc<Self>, viewer: Peer) {
        let transceivers = viewer.with(|connection, _| {
            connection
                .transceivers()
                .filter(|t| !t.stopped)
                .collect::<Vec<_>>()
        });
        let Ok(transceivers) = transceivers.await else {
            return;
        };
        let mut outputs: HashMap<Kind, Output> = transceivers
            .into_iter()
            .map(|t| {
                let sender = viewer.sender(t.id);
                (
                    t.kind,
                    Output {
                        sender,
                        codecs: t.send_codecs,
                        splice: Splice::default(),
                    },
                )
            })
            .collect();
        drop(viewer);
        let mut samples = self.samples.subscribe();
        self.request_key_frame();
        loop {
            match samples.recv().await {
                Ok(sample) => {
                    if let Some(output) = outputs.get_mut(&sample.kind) {
                        output.send(sample);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.request_key_frame(),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

struct Output {
    sender: tincan_peer::driver::RtpSender,
    codecs: Vec<Codec>,
    splice: Splice,
}

impl Output {
    fn send(&mut self, sample: Sample) {
        let Sample {
            codec, mut packet, ..
        } = sample;
        // A viewer that does not know the format sees nothing of it.
        let Some(ours) = self.codecs.iter().find(|ours| ours.matches(&codec)) else {
            return;
        };
        packet.payload_type = ours.payload_type;
        self.splice
            .join(&mut packet, codec.clock_rate, Instant::now());
        let _ = self.sender.send(packet);
    }
}

/// Joins one publisher's stream to the next one's, so that a viewer's decoder sees one stream.
#[derive(Default)]
struct Splice {
    source: Option<u32>,
    sequence_offset: u16,
    timestamp_offset: u32,
    last: Option<(u16, u32, Instant)>,
}

impl Splice {
    fn join(&mut self, packet: &mut RtpPacket, clock_rate: u32, now: Instant) {
        if self.source != Some(packet.ssrc) {
            self.source = Some(packet.ssrc);
            if let Some((sequence, timestamp, at)) = self.last {
                let gone = now.duration_since(at).as_secs_f64() * f64::from(clock_rate);
                let next = timestamp.wrapping_add((gone as u32).max(1));
                self.sequence_offset = sequence
                    .wrapping_add(1)
                    .wrapping_sub(packet.sequence_number);
                self.timestamp_offset = next.wrapping_sub(packet.timestamp);
            }
        }
        packet.sequence_number = packet.sequence_number.wrapping_add(self.sequence_offset);
        packet.timestamp = packet.timestamp.wrapping_add(self.timestamp_offset);
        self.last = Some((packet.sequence_number, packet.timestamp, now));
    }
}
