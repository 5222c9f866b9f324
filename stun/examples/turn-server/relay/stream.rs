//! Clients on TCP and TLS, and TCP relaying (RFC 6062).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tincan_stun::attributes::ConnectionId;
use tincan_stun::framing::{Framing, StreamDecoder};
use tincan_stun::turn::Transport;
use tincan_stun::turn::server::{FiveTuple, RelayId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::{RelaySocket, STREAM_QUEUE, Shared, take_input};

/// A client that says nothing whole for so long is not waited for.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// RFC 6062 §5.2 wants at least 30 s of trying.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// How long a listener rests after an error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            // Out of descriptors, for instance: let others go first.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(local) = stream.local_addr() else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let client = FiveTuple {
            local,
            remote,
            transport: Transport::Tcp,
        };
        let (shared, acceptor) = (shared.clone(), acceptor.clone());
        tokio::spawn(async move {
            let _ = match acceptor {
                None => serve(&shared, client, stream).await,
                Some(acceptor) => {
                    match tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => serve(&shared, client, stream).await,
                        _ => return,
                    }
                }
            };
            let mut guard = shared.lock();
            guard.streams.remove(&client);
            guard.server.client_disconnected(&client);
            guard.pump(&shared, Instant::now());
        });
    }
}

async fn serve(
    shared: &Arc<Shared>,
    client: FiveTuple,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let (queue, mut queued) = mpsc::channel::<Vec<u8>>(STREAM_QUEUE);
    shared.lock().streams.insert(client, queue);
    let mut decoder = StreamDecoder::new(Framing::Turn);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => {
                let len = read?;
                if len == 0 {
                    return Ok(());
                }
                decoder.extend(&buffer[..len]);
                while let Some(message) = decoder.next_packet().map_err(io::Error::other)? {
                    take_input(shared, client, message);
                    let (end, ended) = oneshot::channel();
                    let spliced = {
                        let mut state = shared.lock();
                        let spliced = state.splices.remove(&client);
                        if let Some((connection, _)) = &spliced {
                            state.spliced.insert(*connection, end);
                        }
                        spliced
                    };
                    if let Some((connection, peer)) = spliced {
                        while let Ok(message) = queued.try_recv() {
                            stream.write_all(&message).await?;
                        }
                        let early = decoder.take_rest();
                        return splice(shared, connection, stream, peer, &early, ended).await;
                    }
                }
            }
            Some(message) = queued.recv() => {
                stream.write_all(&message).await?;
            }
        }
    }
}

async fn splice(
    shared: &Arc<Shared>,
    connection: ConnectionId,
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut peer: TcpStream,
    early: &[u8],
    ended: oneshot::Receiver<()>,
) -> io::Result<()> {
    let pass = async {
        client.flush().await?;
        peer.write_all(early).await?;
        tokio::io::copy_bidirectional(&mut client, &mut peer).await
    };
    let outcome = tokio::select! {
        outcome = pass => outcome.map(|_| ()),
        // The allocation has ended, and its connections with it.
        _ = ended => Ok(()),
    };
    let mut state = shared.lock();
    state.spliced.remove(&connection);
    state.server.peer_disconnected(connection);
    outcome
}

fn reusable(at: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if at.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Listening and connecting from the relayed address at the same time.
    socket.set_reuseaddr(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuseport(true)?;
    socket.bind(at)?;
    Ok(socket)
}

fn listener(at: SocketAddr) -> io::Result<TcpListener> {
    // Sockets that share a port would join somebody else's without a word: one that does not share finds a free one.
    drop(std::net::TcpListener::bind(at)?);
    reusable(at)?.listen(64)
}

pub(super) fn listen(
    shared: &Arc<Shared>,
    relay: RelayId,
    at: SocketAddr,
) -> io::Result<RelaySocket> {
    let listener = listener(at)?;
    let shared = shared.clone();
    let task = tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let mut guard = shared.lock();
            let now = Instant::now();
            if let Some(connection) = guard.server.peer_incoming(now, relay, peer) {
                guard.peers.insert(connection, stream);
                guard.pump(&shared, now);
            }
        }
    });
    Ok(RelaySocket::Tcp(at, task))
}

pub(super) async fn connect(
    shared: Arc<Shared>,
    connection: ConnectionId,
    from: Option<SocketAddr>,
    peer: SocketAddr,
) {
    let connecting = async {
        reusable(from.ok_or(io::ErrorKind::NotFound)?)?
            .connect(peer)
            .await
    };
    let connected = tokio::time::timeout(CONNECT_PATIENCE, connecting).await;
    let mut guard = shared.lock();
    let now = Instant::now();
    let good = match connected {
        Ok(Ok(stream)) => {
            guard.peers.insert(connection, stream);
            true
        }
        _ => false,
    };
    guard.server.peer_connected(now, connection, good);
    guard.pump(&shared, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_relay_does_not_join_a_port_of_another_server() -> io::Result<()> {
        let theirs = reusable(SocketAddr::from(([127, 0, 0, 1], 0)))?.listen(64)?;
        let ours = listener(theirs.local_addr()?);
        assert_eq!(
            ours.map_err(|e| e.kind()).err(),
            Some(io::ErrorKind::AddrInUse)
        );
        Ok(())
    }
}
