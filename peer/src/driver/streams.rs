//! TCP and TLS connections: to TURN servers, and for ICE over TCP (RFC 6544) both ways.
//!
//! Each connection is a task that cuts what arrives into messages for the loop and writes what the loop gives it. Both
//! ways are bounded: a loop that is behind lets the connection's window close; what doesn't fit into the queue of a slow
//! connection is dropped, as a slow link would, and counted.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tincan_stun::framing::Framing;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::exchange::Homes;
use super::links::News;
use super::slot::PeerId;
use crate::demux::local_ufrag;
use crate::limits::{
    MAX_FIRST_FRAME, MAX_STREAM_QUEUE_BYTES, MAX_STREAM_QUEUE_MESSAGES, MAX_STREAMS,
    MAX_STREAMS_A_PEER, MAX_UNPROVEN_STREAMS, STREAM_CONNECT_TIME, STREAM_FIRST_MESSAGE_TIME,
    STREAM_IDLE_TIME, STREAM_STALL_TIME,
};
use crate::types::Protocol;

/// Bytes asked for by one read; a frame of 64 KiB takes several.
const READ_BYTES: usize = 16 * 1024;

/// Bytes put together for one write.
const WRITE_BYTES: usize = 64 * 1024;

/// Names a connection within its driver; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StreamId(u64);

/// Where a connection runs: `local` is the base that it belongs to, not the connection's own port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Path {
    pub(super) transport: Protocol,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// The loop's end of a connection's write queue.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    messages: mpsc::Sender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
}

impl Outbox {
    fn new() -> (Self, Inbox) {
        let (messages, inbox) = mpsc::channel(MAX_STREAM_QUEUE_MESSAGES);
        let queued = Arc::new(AtomicUsize::new(0));
        let outbox = Self {
            messages,
            queued: queued.clone(),
        };
        (
            outbox,
            Inbox {
                messages: inbox,
                queued,
            },
        )
    }

    /// Whether there was room.
    pub(super) fn push(&self, bytes: &[u8]) -> bool {
        if self.queued.load(Ordering::Relaxed) + bytes.len() > MAX_STREAM_QUEUE_BYTES {
            return false;
        }
        self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
        let pushed = self.messages.try_send(bytes.to_vec()).is_ok();
        if !pushed {
            self.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        pushed
    }
}

/// The task's end of it.
struct Inbox {
    messages: mpsc::Receiver<Vec<u8>>,
    queued: Arc<AtomicUsize>,
}

impl Inbox {
    /// Puts what waits into `batch`; `false` when the loop gave the connection up and all is written.
    async fn next(&mut self, batch: &mut Vec<u8>) -> bool {
        batch.clear();
        let Some(first) = self.messages.recv().await else {
            return false;
        };
        batch.extend_from_slice(&first);
        while batch.len() < WRITE_BYTES {
            let Ok(more) = self.messages.try_recv() else {
                break;
            };
            batch.extend_from_slice(&more);
        }
        self.queued.fetch_sub(batch.len(), Ordering::Relaxed);
        true
    }
}

/// A connection, as the loop knows it.
#[derive(Debug)]
struct Stream {
    peer: PeerId,
    path: Path,
    outbox: Outbox,
    /// One that still connects ends with this; one that stands ends once `outbox` is gone and all is written.
    _wanted: Option<oneshot::Sender<()>>,
}

/// What all tasks of a driver share.
#[derive(Debug, Clone)]
pub(super) struct Workshop {
    pub(super) news: mpsc::Sender<News>,
    ids: Arc<AtomicU64>,
    places: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    /// Where several loops share a port.
    homes: Option<Homes>,
}

impl Workshop {
    pub(super) fn new(news: mpsc::Sender<News>) -> Self {
        Self {
            news,
            ids: Arc::default(),
            places: Arc::new(Semaphore::new(MAX_STREAMS)),
            unproven: Arc::new(Semaphore::new(MAX_UNPROVEN_STREAMS)),
            homes: None,
        }
    }

    /// From now on connections may belong to other loops, and theirs to this one.
    pub(super) fn join(&mut self, homes: Homes) {
        homes.settle(self.news.clone());
        self.ids = homes.ids();
        self.homes = Some(homes);
    }

    /// The loop that a connection belongs to by its first check; this one where nobody's.
    fn home(&self, ufrag: &str) -> mpsc::Sender<News> {
        let elsewhere = self.homes.as_ref().and_then(|homes| homes.find(ufrag));
        elsewhere.unwrap_or_else(|| self.news.clone())
    }

    fn id(&self) -> StreamId {
        StreamId(self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// Somebody connected: a task that waits for the first check. What is beyond the limits is closed at once.
    pub(super) fn accepted(&self, stream: TcpStream) {
        let (Ok(place), Ok(unproven)) = (
            self.places.clone().try_acquire_owned(),
            self.unproven.clone().try_acquire_owned(),
        ) else {
            tracing::debug!("too many TCP connections");
            return;
        };
        tokio::spawn(greet(self.clone(), stream, place, unproven));
    }
}

/// All connections of a driver.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) workshop: Workshop,
    table: HashMap<StreamId, Stream>,
    by_path: HashMap<(PeerId, Path), StreamId>,
    of_peer: HashMap<PeerId, Vec<StreamId>>,
}

/// What a new connection needs to know.
pub(super) struct Opening {
    pub(super) framing: Framing,
    /// Whether silence ends it: between agents there are checks all the time, to a TURN server there may be none.
    pub(super) idles: bool,
    /// The name that the far end's certificate must have.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<(super::tls::Trust, String)>,
}

impl Streams {
    pub(super) fn new(news: mpsc::Sender<News>) -> Self {
        Self {
            workshop: Workshop::new(news),
            table: HashMap::new(),
            by_path: HashMap::new(),
            of_peer: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn find(&self, peer: PeerId, path: &Path) -> Option<&Outbox> {
        let id = self.by_path.get(&(peer, *path))?;
        self.table.get(id).map(|stream| &stream.outbox)
    }

    /// Whose a connection is.
    pub(super) fn owner(&self, id: StreamId) -> Option<(PeerId, Path)> {
        self.table.get(&id).map(|stream| (stream.peer, stream.path))
    }

    fn has_room(&self, peer: PeerId) -> bool {
        self.of_peer.get(&peer).map_or(0, Vec::len) < MAX_STREAMS_A_PEER
    }

    /// Connects. `None`: too many connections.
    pub(super) fn open(&mut self, peer: PeerId, path: Path, opening: Opening) -> Option<&Outbox> {
        if !self.has_room(peer) {
            return None;
        }
        let place = self.workshop.places.clone().try_acquire_owned().ok()?;
        let id = self.workshop.id();
        let (outbox, inbox) = Outbox::new();
        let (wanted, given_up) = oneshot::channel();
        let workshop = self.workshop.clone();
        tokio::spawn(connect(workshop, id, path, opening, inbox, given_up, place));
        self.insert(id, peer, path, outbox, Some(wanted));
        self.table.get(&id).map(|stream| &stream.outbox)
    }

    /// Takes over an accepted connection that named `peer`. `false`: that one has enough.
    pub(super) fn adopt(&mut self, id: StreamId, peer: PeerId, path: Path, outbox: Outbox) -> bool {
        let fits = self.has_room(peer);
        if fits {
            self.insert(id, peer, path, outbox, None);
        }
        fits
    }

    fn insert(
        &mut self,
        id: StreamId,
        peer: PeerId,
        path: Path,
        outbox: Outbox,
        wanted: Option<oneshot::Sender<()>>,
    ) {
        let stream = Stream {
            peer,
            path,
            outbox,
            _wanted: wanted,
        };
        self.of_peer.entry(peer).or_default().push(id);
        self.table.insert(id, stream);
        // A second connection on one path takes the place of the first, which its far end has given up.
        if let Some(old) = self.by_path.insert((peer, path), id) {
            self.remove(old);
        }
    }

    /// Gives a connection up; where it stands, what was queued is still written. Whose it was.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<(PeerId, Path)> {
        let stream = self.table.remove(&id)?;
        let (peer, path) = (stream.peer, stream.path);
        if self.by_path.get(&(peer, path)) == Some(&id) {
            self.by_path.remove(&(peer, path));
        }
        if let Some(ids) = self.of_peer.get_mut(&peer) {
            // At most MAX_STREAMS_A_PEER.
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.of_peer.remove(&peer);
            }
        }
        Some((peer, path))
    }

    /// Gives all connections of a peer up. Costs as much as it has, however many others there are.
    pub(super) fn remove_peer(&mut self, peer: PeerId) {
        for id in self.of_peer.get(&peer).cloned().unwrap_or_default() {
            self.remove(id);
        }
    }
}

async fn connect(
    workshop: Workshop,
    id: StreamId,
    path: Path,
    opening: Opening,
    inbox: Inbox,
    mut given_up: oneshot::Receiver<()>,
    _place: OwnedSemaphorePermit,
) {
    let news = workshop.news;
    let remote = path.remote;
    let idle = opening.idles.then_some(STREAM_IDLE_TIME);
    let (read, framing) = (BytesMut::new(), opening.framing);
    let carried = async {
        let stream = in_time(&mut given_up, dial(path))
            .await
            .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| format!("TCP connection to {remote} failed: {error}"))?;
        #[cfg(feature = "tls")]
        if let Some((trust, name)) = opening.tls {
            let stream = in_time(&mut given_up, trust.connect(&name, stream))
                .await
                .unwrap_or_else(|| Err("no answer".to_owned()))
                .map_err(|error| format!("TLS to {name} ({remote}) failed: {error}"))?;
            return Err(carry(read, stream, framing, id, inbox, &news, idle).await);
        }
        Err::<(), String>(carry(read, stream, framing, id, inbox, &news, idle).await)
    };
    if let Err(why) = carried.await {
        // The loop has ended: nobody wants to know.
        let _ = news.send(News::Ended(id, why)).await;
    }
}

/// What is made in time; `None` when it was not, or the loop has given it up.
async fn in_time<T>(
    given_up: &mut oneshot::Receiver<()>,
    making: impl Future<Output = T>,
) -> Option<T> {
    let mut making = pin!(timeout(STREAM_CONNECT_TIME, making));
    poll_fn(|cx| match making.as_mut().poll(cx) {
        Poll::Ready(made) => Poll::Ready(made.ok()),
        Poll::Pending => pin!(&mut *given_up).poll(cx).map(|_| None),
    })
    .await
}

async fn dial(path: Path) -> io::Result<TcpStream> {
    let socket = if path.remote.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Candidates tell the address: the connection must come from it.
    socket.bind(SocketAddr::new(path.local.ip(), 0))?;
    let stream = socket.connect(path.remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Waits for the first check of who connected, and hands both over to the loop.
async fn greet(
    workshop: Workshop,
    mut stream: TcpStream,
    _place: OwnedSemaphorePermit,
    unproven: OwnedSemaphorePermit,
) {
    let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else {
        return;
    };
    let _ = stream.set_nodelay(true);
    let mut buffer = BytesMut::new();
    let first = timeout(
        STREAM_FIRST_MESSAGE_TIME,
        first_frame(&mut stream, &mut buffer),
    );
    let Ok(Some(packet)) = first.await else {
        return;
    };
    let Some(news) = local_ufrag(&packet).map(|ufrag| workshop.home(ufrag)) else {
        return;
    };
    drop(unproven);
    let id = workshop.id();
    let (outbox, inbox) = Outbox::new();
    let path = Path {
        transport: Protocol::Tcp,
        local,
        remote,
    };
    let arrived = News::Arrived {
        id,
        path,
        outbox,
        packet,
    };
    if news.send(arrived).await.is_err() {
        return;
    }
    let framing = Framing::Rfc4571;
    let idle = Some(STREAM_IDLE_TIME);
    let why = carry(buffer, stream, framing, id, inbox, &news, idle).await;
    let _ = news.send(News::Ended(id, why)).await;
}

/// `None`: the connection ended, or brings no STUN message.
async fn first_frame(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<BytesMut> {
    loop {
        // The length and the first byte of a request tell most other protocols at once.
        match buffer.as_ref() {
            [a, b, ..] if usize::from(u16::from_be_bytes([*a, *b])) > MAX_FIRST_FRAME => {
                return None;
            }
            [_, _, first, ..] if *first != 0 => return None,
            _ => {}
        }
        if let Ok(Some(frame)) = Framing::Rfc4571.next(buffer) {
            let mut whole = buffer.split_to(frame.total);
            whole.advance(frame.head);
            return Some(whole);
        }
        buffer.reserve(MAX_FIRST_FRAME);
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Carries messages both ways until the connection ends, and says why it did. `buffer` is what was read already.
async fn carry<S: AsyncRead + AsyncWrite>(
    buffer: BytesMut,
    stream: S,
    framing: Framing,
    id: StreamId,
    inbox: Inbox,
    news: &mpsc::Sender<News>,
    idle: Option<Duration>,
) -> String {
    let (reader, writer) = tokio::io::split(stream);
    let mut reading = pin!(read(buffer, reader, framing, id, news, idle));
    let mut writing = pin!(write(writer, inbox));
    // Whichever ends first ends the connection.
    poll_fn(|cx| match writing.as_mut().poll(cx) {
        Poll::Pending => reading.as_mut().poll(cx),
        ended => ended,
    })
    .await
}

async fn read(
    mut buffer: BytesMut,
    mut reader: impl AsyncRead + Unpin,
    framing: Framing,
    id: StreamId,
    news: &mpsc::Sender<News>,
    idle: Option<Duration>,
) -> String {
    loop {
        loop {
            match framing.next(&buffer) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let mut whole = buffer.split_to(frame.total);
                    whole.advance(frame.head);
                    whole.truncate(frame.len);
                    if news.send(News::Packet(id, whole)).await.is_err() {
                        return "the driver has ended".to_owned();
                    }
                }
                Err(error) => return error.to_string(),
            }
        }
        buffer.reserve(READ_BYTES);
        let arrived = reader.read_buf(&mut buffer);
        let arrived = match idle {
            None => arrived.await,
            Some(idle) => match timeout(idle, arrived).await {
                Ok(arrived) => arrived,
                Err(_) => return format!("nothing arrived for {} s", idle.as_secs()),
            },
        };
        match arrived {
            Ok(0) => return "the far end closed the connection".to_owned(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut inbox: Inbox) -> String {
    let mut batch = Vec::new();
    while inbox.next(&mut batch).await {
        // `flush`: TLS keeps records back.
        let written = async {
            writer.write_all(&batch).await?;
            writer.flush().await
        };
        match timeout(STREAM_STALL_TIME, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("took nothing for {} s", STREAM_STALL_TIME.as_secs()),
        }
        if batch.capacity() > 2 * WRITE_BYTES {
            batch = Vec::new();
        }
    }
    let _ = timeout(STREAM_STALL_TIME, writer.shutdown()).await;
    "given up".to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn what_was_queued_is_written_by_a_connection_that_stands() {
        super::super::run::bounded(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (news, _heard) = mpsc::channel(8);
            let mut streams = Streams::new(news);
            let path = Path {
                transport: Protocol::Tcp,
                local: "127.0.0.1:0".parse().unwrap(),
                remote: listener.local_addr().unwrap(),
            };
            let opening = Opening {
                framing: Framing::Rfc4571,
                idles: false,
                #[cfg(feature = "tls")]
                tls: None,
            };
            let peer = PeerId {
                index: 0,
                generation: 0,
            };
            let outbox = streams.open(peer, path, opening).unwrap();
            assert!(outbox.push(b"first"));
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = [0; 5];
            stream.read_exact(&mut first).await.unwrap();
            // The loop has heard nothing of it yet.
            assert!(streams.find(peer, &path).unwrap().push(b"last"));
            streams.remove_peer(peer);
            let mut last = Vec::new();
            stream.read_to_end(&mut last).await.unwrap();
            assert_eq!((&first, &*last), (b"first", &b"last"[..]));
        });
    }
}
