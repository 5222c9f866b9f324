//! Runs that fail are brought down to what it takes, and replayed exactly.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::time::Duration;

use tincan_sim::{
    Action, Datagram, Delivery, Direction, Harm, LinkConfig, Loss, Network, Place, Run, explore,
    replay,
};

const MS: Duration = Duration::from_millis(1);

/// Sends 50 numbered datagrams, one a millisecond; what arrives, and when.
fn train(run: &Run, link: LinkConfig) -> Vec<(Duration, u8, u8)> {
    let (mut network, a, b) = Network::pair(run.seed(), link, LinkConfig::new());
    run.watch(&mut network);
    let cable = network.interfaces(a)[0];
    network.schedule(20 * MS, Action::Unplug(cable));
    network.schedule(25 * MS, Action::Plug(cable));
    let (from, to) = (network.addr(a, 1), network.addr(b, 2));
    let mut got = Vec::new();
    for n in 0..50u8 {
        network.send(a, Datagram::new(from, to, vec![n, 0]));
        let until = network.now() + if n == 49 { 1_000 * MS } else { MS };
        while let Some(delivery) = network.step(until) {
            if let Delivery::Datagram(_, datagram) = delivery {
                got.push((network.elapsed(), datagram.payload[0], datagram.payload[1]));
            }
        }
    }
    got
}

fn rough() -> LinkConfig {
    LinkConfig::new()
        .delay(10 * MS)
        .jitter(3 * MS)
        .loss(Loss::bursts(0.3, 3.0))
        .reorder(0.2, 30 * MS)
        .duplicate(0.2)
        .corrupt(0.2)
}

#[test]
fn all_accidents_of_a_run_replay_it_exactly() {
    let mut seen = Vec::new();
    let failure = explore([7], |run| {
        let got = train(run, rough());
        seen.push(got);
        Err::<(), _>("always")
    })
    .unwrap_err();
    // Nothing is needed for what always fails.
    assert_eq!(failure.accidents, []);
    assert!(failure.before > 20, "{failure}");
    let clean = seen.last().unwrap();
    let times: Vec<u8> = clean.iter().map(|(_, n, _)| *n).collect();
    assert_eq!(times, (0..50).collect::<Vec<u8>>());

    // The whole list is the whole run, to the nanosecond.
    let mut twice = Vec::new();
    let all = explore([7], |run| {
        twice.push(train(run, rough()));
        if twice.len() == 1 {
            Err("first")
        } else {
            Ok(())
        }
    })
    .unwrap_err();
    assert_eq!(all.accidents.len(), all.before);
    let mut again = Vec::new();
    let _ = replay(7, &all.accidents, |run| {
        again = train(run, rough());
        Ok::<(), String>(())
    });
    assert_eq!(again, twice[0]);
}

#[test]
fn one_lost_packet_is_named() {
    let failure = explore(0..100, |run| {
        let got = train(run, rough());
        if got.iter().any(|(_, n, _)| *n == 33) {
            Ok(())
        } else {
            Err("number 33 is missing")
        }
    })
    .unwrap_err();
    assert_eq!(failure.accidents.len(), 1, "{failure}");
    let accident = failure.accidents[0];
    assert_eq!(accident.harm, Harm::Loss);
    let Place::Packet {
        direction, number, ..
    } = accident.place
    else {
        panic!("{failure}");
    };
    // Number 33 is the 34th packet, also where five before it found the cable pulled.
    assert_eq!((direction, number), (Direction::Up, 34), "{failure}");
    let text = failure.to_string();
    assert!(text.contains("is lost"), "{text}");
}

#[test]
fn a_pulled_cable_is_named() {
    let failure = explore(0..3, |run| {
        let got = train(run, rough().loss(Loss::None));
        match got.iter().filter(|(_, n, _)| (20..25).contains(n)).count() {
            0 => Err("a hole"),
            _ => Ok(()),
        }
    })
    .unwrap_err();
    let places: Vec<Place> = failure.accidents.iter().map(|a| a.place).collect();
    assert_eq!(places, [Place::Script(0)], "{failure}");
}

#[test]
fn a_panic_is_a_failure_with_its_message() {
    let failure = explore(0..50, |run| {
        let got = train(run, rough());
        assert!(got.iter().all(|(_, _, flag)| *flag == 0), "bent");
        Ok::<(), String>(())
    })
    .unwrap_err();
    assert!(failure.reason.contains("bent"), "{failure}");
    assert_eq!(failure.accidents.len(), 1, "{failure}");
    assert!(matches!(failure.accidents[0].harm, Harm::Flip(bit) if bit >= 8));
}
