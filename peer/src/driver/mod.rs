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
//! A data channel takes [`DriverConfig::channel_credit`] bytes beyond what the far side acknowledged; then
//! [`DataChannel::send`] waits. An application that does not read [`Events`] or a [`DataChannel`] stops its own peer's
//! receiving (SCTP's window closes), nobody else's. Media is never waited for: what does not fit is dropped and counted.

mod channel;
mod config;
mod error;
mod events;
mod handle;
mod peer;
mod run;
mod slot;
mod socket;
mod timers;
mod track;

pub use channel::{ChannelSender, DataChannel};
pub use config::DriverConfig;
pub use error::DriverError;
pub use events::{Events, PeerEvent};
pub use handle::{DriverHandle, DriverStats};
pub use peer::Peer;
pub use run::Driver;
pub use track::{RemoteTrack, RtpSender};
