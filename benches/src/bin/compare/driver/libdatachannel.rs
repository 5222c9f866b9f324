//! libdatachannel's ends, driven by its own threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use datachannel::{
    DataChannelHandler, DataChannelInfo, IceCandidate, PeerConnectionHandler, RtcConfig,
    RtcDataChannel, RtcPeerConnection, SessionDescription,
};

use super::{Bulk, process_cpu};

/// Bytes that wait in the sender: as much as ours has on the way.
const BUFFERED: usize = 1 << 20;

/// What the library's threads tell.
enum News {
    Description(SessionDescription),
    Candidate(IceCandidate),
    Open,
    /// Less than half of [`BUFFERED`] waits.
    Low,
    Channel(Box<RtcDataChannel<Side>>),
}

#[derive(Clone)]
struct Side {
    news: Sender<News>,
    received: Arc<AtomicU64>,
}

impl Side {
    fn tell(&self, news: News) {
        // Whoever has stopped listening wants to know nothing.
        let _ = self.news.send(news);
    }
}

impl DataChannelHandler for Side {
    fn on_open(&mut self) {
        self.tell(News::Open);
    }

    fn on_message(&mut self, message: &[u8]) {
        let bytes = message.len() as u64;
        self.received.fetch_add(bytes, Ordering::AcqRel);
    }

    fn on_buffered_amount_low(&mut self) {
        self.tell(News::Low);
    }
}

impl PeerConnectionHandler for Side {
    type DCH = Self;

    fn data_channel_handler(&mut self, _: DataChannelInfo) -> Self {
        self.clone()
    }

    fn on_description(&mut self, description: SessionDescription) {
        self.tell(News::Description(description));
    }

    fn on_candidate(&mut self, candidate: IceCandidate) {
        self.tell(News::Candidate(candidate));
    }

    fn on_data_channel(&mut self, channel: Box<RtcDataChannel<Self>>) {
        self.tell(News::Channel(channel));
    }
}

type Connection = Box<RtcPeerConnection<Side>>;

/// Two peers, and a channel from the one to the other.
pub(crate) struct Pair {
    // Channels go before their connections.
    from: Box<RtcDataChannel<Side>>,
    _to: Box<RtcDataChannel<Side>>,
    news: Receiver<News>,
    received: Arc<AtomicU64>,
    _connections: [Connection; 2],
}

impl Pair {
    pub(crate) fn new() -> Self {
        let config = RtcConfig::new::<&str>(&[]).bind_address(&"127.0.0.1");
        let ends = [0, 1].map(|_| {
            let (news, hear) = channel();
            let side = Side {
                news,
                received: Arc::default(),
            };
            let connection = RtcPeerConnection::new(&config, side.clone()).expect("a connection");
            (connection, side, hear)
        });
        let [(mut a, a_side, a_news), (mut b, b_side, b_news)] = ends;
        let mut from = a
            .create_data_channel("bulk", a_side)
            .expect("a data channel");
        from.set_buffered_amount_low_threshold(BUFFERED / 2)
            .expect("a threshold");
        let (mut open, mut to) = (false, None);
        let begun = Instant::now();
        while !open || to.is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "not connected");
            for (news, other) in [(&a_news, &mut b), (&b_news, &mut a)] {
                match news.recv_timeout(Duration::from_millis(5)) {
                    Ok(News::Description(description)) => other
                        .set_remote_description(&description)
                        .expect("a description"),
                    Ok(News::Candidate(candidate)) => {
                        other.add_remote_candidate(&candidate).expect("a candidate")
                    }
                    Ok(News::Open) => open = true,
                    Ok(News::Channel(channel)) => to = Some(channel),
                    Ok(News::Low) | Err(_) => {}
                }
            }
        }
        Self {
            from,
            _to: to.expect("a channel"),
            news: a_news,
            received: b_side.received,
            _connections: [a, b],
        }
    }

    /// Sends messages of `size` for a while, and waits until all have arrived. The CPU is that of all threads of the
    /// process, of which the others sleep meanwhile.
    pub(crate) fn bulk(&mut self, size: usize, time: Duration) -> Bulk {
        let message = vec![7; size];
        let before = self.received.load(Ordering::Acquire);
        let (start, cpu) = (Instant::now(), process_cpu());
        let mut sent = 0;
        while start.elapsed() < time {
            while self.from.buffered_amount() < BUFFERED {
                self.from.send(&message).expect("sent");
                sent += size as u64;
            }
            // Whatever was told before it was full again is told once more below.
            if self.from.buffered_amount() > BUFFERED / 2 {
                let _ = self.news.recv_timeout(Duration::from_millis(5));
            }
        }
        while self.received.load(Ordering::Acquire) - before < sent {
            std::thread::sleep(Duration::from_millis(1));
            assert!(start.elapsed() < 60 * time, "nothing arrives any more");
        }
        Bulk {
            bytes: sent,
            seconds: start.elapsed().as_secs_f64(),
            cpu_seconds: process_cpu() - cpu,
            ..Bulk::default()
        }
    }
}
