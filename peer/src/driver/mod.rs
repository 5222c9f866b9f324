//! One event loop that drives any number of [`PeerConnection`](crate::PeerConnection)s over UDP sockets.
//!
//! A [`Driver`] owns the sockets and the connections; it is a future that one task (or one thread, with
//! [`Driver::run_blocking`]) runs. Everybody else holds handles: [`DriverHandle`] makes peers, [`Peer`] calls the W3C's
//! methods, [`Events`] tells the news, [`DataChannel`] and [`RemoteTrack`] carry data. Handles can be used from any
//! task; dropping the last [`Peer`] closes the connection.
//!
//! ```
//! use tincan_peer::driver::{Driver, DriverConfig, PeerEvent};
//! use tincan_peer::{Configuration, DataChannelInit, Event, Message};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let driver = Driver::bind(DriverConfig::loopback())?;
//! let handle = driver.handle();
//! tokio::spawn(driver.run());
//!
//! let (alice, mut alice_events) = handle.peer(Configuration::default()).await?;
//! let (bob, mut bob_events) = handle.peer(Configuration::default()).await?;
//! let mut channel = alice.create_data_channel("chat", DataChannelInit::default()).await?;
//!
//! // Signalling: here a function call, elsewhere your server.
//! let offer = alice.offer_with_candidates(&mut alice_events).await?;
//! bob.set_remote_description(offer).await?;
//! let answer = bob.answer_with_candidates(&mut bob_events).await?;
//! alice.set_remote_description(answer).await?;
//!
//! channel.send(Message::text("hello")).await?;
//! let mut theirs = loop {
//!     match bob_events.next().await {
//!         Some(PeerEvent::DataChannel(channel)) => break channel,
//!         Some(_) => continue,
//!         None => return Err("bob ended".into()),
//!     }
//! };
//! let message = theirs.recv().await.ok_or("closed")?;
//! theirs.send(message).await?;
//! assert_eq!(channel.recv().await.ok_or("closed")?.as_text(), Some("hello"));
//! # Ok(())
//! # }
//! ```
//!
//! # Backpressure
//! A data channel takes [`DriverConfig::channel_credit`] bytes beyond what SCTP's congestion control let out; then
//! [`DataChannel::send`] waits. An application that does not read [`Events`] or a [`DataChannel`] stops its own peer's
//! receiving (SCTP's window closes), nobody else's. Media is never waited for: what does not fit is dropped and counted.
//!
//! A [`RemoteTrack`] gives RTP packets, or by [`RemoteTrack::into_frames`] whole encoded frames; an [`RtpSender`] takes
//! both.
//!
//! A channel is also a `Stream` and a [`Sink`](ChannelSink) of messages, and by [`DataChannel::into_bytes`] a pipe of
//! bytes ([`ByteStream`]: `AsyncRead` and `AsyncWrite`), with the same backpressure.
//!
//! # Overload
//! In each round of the loop a peer gets its share and no more: a busy one waits for its next turn, not the others. What
//! arrives faster than the loop works waits in bounded queues, and those shed media before anything else
//! ([`DriverStats::shed_media`]); data channels lose nothing, their sender is slowed down by SCTP. Give the sockets large
//! buffers ([`DriverConfig::socket_buffer`]; on Linux raise `net.core.rmem_max`): what overflows there is lost before
//! anybody can choose.
//!
//! # Which loop
//! - **[`Driver::run`] as a task** of your runtime, as above. A runtime of one thread ([`tokio::runtime::Builder`]'s
//!   `new_current_thread`) is the fastest home: handles and loop then change places without waking another core.
//! - **A thread of its own**: [`Driver::run_blocking`] needs no runtime of yours. Handles work from any thread and any
//!   executor. The example `own_thread` shows it with nothing but `std` around.
//! - **Several loops**: [`Loops`] runs one a core, with ports of their own or behind one shared port.
//! - **Your own sockets**: [`Driver::with_sockets`] takes what is bound already: inherited, with options of yours, or
//!   from before privileges were dropped (example `own_thread`).
//! - **No driver at all**: [`PeerConnection`](crate::PeerConnection) is sans-IO. The example `own_loop` drives two with
//!   blocking `std` sockets in forty lines; [`demux`](crate::demux) is what a loop with many peers on one port needs
//!   beside that. The feature `driver` can be switched off.
//!
//! # Bad networks
//! [`Faults`] lose, delay or cut off the datagrams of a driver or of one peer, seeded, for tests of programs that use
//! this one: [`DriverHandle::set_faults`], [`Peer::set_faults`].

mod addresses;
mod binding;
mod channel;
mod commands;
mod config;
mod error;
mod events;
mod exchange;
mod fault;
mod full;
mod handle;
mod links;
mod loops;
#[cfg(feature = "mdns")]
mod mdns;
#[cfg(feature = "mdns")]
mod names;
mod paths;
mod peer;
mod ready;
mod resolver;
mod run;
mod slot;
mod socket;
mod streams;
mod timers;
#[cfg(feature = "tls")]
mod tls;
mod track;
mod turns;
mod views;

pub use channel::{ChannelSender, DataChannel};
pub use config::DriverConfig;
#[cfg(feature = "mdns")]
pub use config::Mdns;
#[cfg(feature = "tls")]
pub use config::TlsRoots;
pub use error::DriverError;
pub use events::{Events, PeerEvent};
pub use fault::Faults;
pub use handle::{DriverHandle, DriverStats};
pub use loops::{Loops, LoopsHandle, Sharding};
pub use peer::Peer;
pub use run::Driver;
pub use track::{RemoteFrames, RemoteTrack, RtpSender};
pub use views::{ByteStream, ChannelSink};
