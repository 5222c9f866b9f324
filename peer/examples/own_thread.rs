//! The driver for a program that has no runtime: the loop blocks a thread of its own, the rest of the program is plain
//! threads that call handles with a tiny `block_on`. And a socket of the caller's own making.
//!
//! ```text
//! cargo run --release -p tincan-peer --example own_thread
//! ```

use std::future::Future;
use std::net::UdpSocket;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tincan_peer::driver::{Driver, DriverConfig, DriverHandle, PeerEvent};
use tincan_peer::{Configuration, DataChannelInit, Message};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Wakes a thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread: handles need no runtime, only somebody who polls.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn main() -> Result<(), Failure> {
    // One loop by `run_blocking`: sockets and runtime are made inside.
    let (ready, handle) = std::sync::mpsc::sync_channel(1);
    let first = std::thread::spawn(move || {
        Driver::run_blocking(DriverConfig::loopback(), |handle| drop(ready.send(handle)))
    });
    let alice_loop = handle.recv()?;

    // Another with a socket of ours, as one gets it from a parent process or with options of its own. The runtime
    // needs sockets and time, nothing else.
    let (ready, handle) = std::sync::mpsc::sync_channel(1);
    let second = std::thread::spawn(move || -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            println!("bob is at {}", socket.local_addr()?);
            let driver = Driver::with_sockets(DriverConfig::default(), [socket])?;
            ready.send(driver.handle())?;
            driver.run().await;
            Ok(())
        })
    });
    let bob_loop = handle.recv()?;

    block_on(talk(&alice_loop, &bob_loop))?;
    alice_loop.shutdown();
    bob_loop.shutdown();
    first.join().map_err(|_| "the first loop panicked")??;
    second.join().map_err(|_| "the second loop panicked")?
}

async fn talk(alice_loop: &DriverHandle, bob_loop: &DriverHandle) -> Result<(), Failure> {
    let (alice, mut alice_events) = alice_loop.peer(Configuration::default()).await?;
    let (bob, mut bob_events) = bob_loop.peer(Configuration::default()).await?;
    let mut chat = alice
        .create_data_channel("chat", DataChannelInit::default())
        .await?;
    let offer = alice.offer_with_candidates(&mut alice_events).await?;
    bob.set_remote_description(offer).await?;
    let answer = bob.answer_with_candidates(&mut bob_events).await?;
    alice.set_remote_description(answer).await?;
    chat.send(Message::text("hello, bob")).await?;
    let mut theirs = loop {
        match bob_events.next().await.ok_or("bob ended")? {
            PeerEvent::DataChannel(channel) => break channel,
            _ => continue,
        }
    };
    let message = theirs.recv().await.ok_or("closed")?;
    println!("bob got: {}", message.as_text().unwrap_or_default());
    theirs.send(Message::text("hello, alice")).await?;
    let message = chat.recv().await.ok_or("closed")?;
    println!("alice got: {}", message.as_text().unwrap_or_default());
    Ok(())
}
