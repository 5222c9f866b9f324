//! Chat between two terminals, with no server at all: the descriptions are copied by hand.
//!
//! ```text
//! cargo run --release --example chat            # prints an offer, one line: send it to the other person
//! cargo run --release --example chat -- answer  # asks for the offer, prints an answer to send back
//! ```
//!
//! Paste the other side's line where it is asked for; then type. Ctrl-D ends the chat for both.

use std::io::Write as _;

use tincan_peer::driver::{DataChannel, Driver, DriverConfig, PeerEvent};
use tincan_peer::{Configuration, DataChannelInit, Message, SdpType, SessionDescription};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let answering = match std::env::args().nth(1).as_deref() {
        None | Some("offer") => false,
        Some("answer") => true,
        Some(other) => return Err(format!("'offer' or 'answer', not '{other}'").into()),
    };
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let driver = Driver::bind(DriverConfig::everywhere(0))?;
    let handle = driver.handle();
    let looping = tokio::spawn(driver.run());
    let (peer, mut events) = handle.peer(Configuration::default()).await?;

    let channel = if answering {
        let offer = ask("Paste the offer:", SdpType::Offer, &mut input).await?;
        peer.set_remote_description(offer).await?;
        let answer = peer.answer_with_candidates(&mut events).await?;
        show("Send this answer back:", &answer);
        loop {
            match events.next().await {
                Some(PeerEvent::DataChannel(channel)) => break channel,
                Some(_) => {}
                None => return Err("the connection ended before it began".into()),
            }
        }
    } else {
        let channel = peer
            .create_data_channel("chat", DataChannelInit::default())
            .await?;
        let offer = peer.offer_with_candidates(&mut events).await?;
        show("Send this offer to the other person:", &offer);
        peer.set_remote_description(ask("Paste the answer:", SdpType::Answer, &mut input).await?)
            .await?;
        channel
    };
    // Nobody needs the news any more, but somebody must take them.
    tokio::spawn(async move { while events.next().await.is_some() {} });
    talk(channel, input).await?;
    peer.close();
    handle.shutdown();
    looping.await?;
    Ok(())
}

fn show(what: &str, description: &SessionDescription) {
    let line = serde_json::json!({ "type": description.type_.as_str(), "sdp": description.sdp });
    println!("{what}\n\n{line}\n");
}

async fn ask(
    what: &str,
    type_: SdpType,
    input: &mut Lines<BufReader<Stdin>>,
) -> Result<SessionDescription, Failure> {
    loop {
        println!("{what}");
        let line = input.next_line().await?.ok_or("end of input")?;
        let value: serde_json::Value = match serde_json::from_str(&line) {
            Ok(value) => value,
            Err(error) => {
                println!("That is not such a line ({error}); try again.");
                continue;
            }
        };
        match (value["type"].as_str(), value["sdp"].as_str()) {
            (Some(found), Some(sdp)) if found == type_.as_str() => {
                return Ok(SessionDescription::new(type_, sdp));
            }
            _ => println!("That is not an {}; try again.", type_.as_str()),
        }
    }
}

async fn talk(mut channel: DataChannel, mut input: Lines<BufReader<Stdin>>) -> Result<(), Failure> {
    println!("Connected as soon as the first line arrives. Type away.");
    let sender = channel.sender();
    loop {
        tokio::select! {
            message = channel.recv() => match message {
                Some(message) => println!("< {}", message.as_text().unwrap_or("(bytes)")),
                None => {
                    println!("The other person left.");
                    return Ok(());
                }
            },
            line = input.next_line() => match line? {
                Some(line) => {
                    sender.send(Message::text(line)).await?;
                    std::io::stdout().flush()?;
                }
                None => return Ok(()),
            },
        }
    }
}
