//! Perfect negotiation (W3C §10.7): both sides add media whenever they like, even at the same moment, and neither has to
//! know who began. Two peers in one process; the "network" is a pair of queues for descriptions.
//!
//! Run with `cargo run --example perfect_negotiation`.

use std::collections::VecDeque;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::{
    Configuration, Error, Event, Kind, PeerConnection, SdpType, SessionDescription, SignalingState,
    TransceiverInit,
};

/// One side: the connection, and who gives way when two offers meet.
struct Side {
    name: &'static str,
    polite: bool,
    pc: PeerConnection,
    inbox: VecDeque<SessionDescription>,
}

impl Side {
    /// `onnegotiationneeded`: make an offer and send it.
    fn handle_events(
        &mut self,
        now: Instant,
        outbox: &mut VecDeque<SessionDescription>,
    ) -> Result<(), Error> {
        while let Some(event) = self.pc.poll_event() {
            if event == Event::NegotiationNeeded
                && self.pc.signaling_state() == SignalingState::Stable
            {
                self.pc.set_local_description(now, None)?;
                outbox.extend(self.pc.local_description());
                println!("{}: offers", self.name);
            }
        }
        Ok(())
    }

    /// A description came from the far side.
    fn handle_message(
        &mut self,
        now: Instant,
        outbox: &mut VecDeque<SessionDescription>,
    ) -> Result<(), Error> {
        let Some(description) = self.inbox.pop_front() else {
            return Ok(());
        };
        let offer = description.type_ == SdpType::Offer;
        let collision = offer && self.pc.signaling_state() != SignalingState::Stable;
        if collision && !self.polite {
            println!("{}: ignores an offer that met its own", self.name);
            return Ok(());
        }
        if collision {
            println!("{}: takes its own offer back", self.name);
        }
        self.pc.set_remote_description(now, description)?;
        if offer {
            self.pc.set_local_description(now, None)?;
            outbox.extend(self.pc.local_description());
            println!("{}: answers", self.name);
        }
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut side = |name, polite| {
        let pc = PeerConnection::new(Configuration::default(), now, &mut rng)?;
        Ok::<_, Error>(Side {
            name,
            polite,
            pc,
            inbox: VecDeque::new(),
        })
    };
    let mut sides = [side("polite", true)?, side("impolite", false)?];

    // Both at once.
    sides[0]
        .pc
        .add_transceiver(Kind::Audio, TransceiverInit::default())?;
    sides[1]
        .pc
        .add_transceiver(Kind::Video, TransceiverInit::default())?;

    for _ in 0..10 {
        for n in [0, 1] {
            let mut outbox = VecDeque::new();
            sides[n].handle_events(now, &mut outbox)?;
            sides[1 - n].inbox.append(&mut outbox);
        }
        for n in [0, 1] {
            let mut outbox = VecDeque::new();
            sides[n].handle_message(now, &mut outbox)?;
            sides[1 - n].inbox.append(&mut outbox);
        }
    }
    for side in &sides {
        for t in side.pc.transceivers() {
            let direction = t.current_direction.map_or("-", |d| d.as_str());
            println!(
                "{}: {} mid {} {direction}",
                side.name,
                t.kind,
                t.mid.unwrap_or_default()
            );
        }
    }
    Ok(())
}
