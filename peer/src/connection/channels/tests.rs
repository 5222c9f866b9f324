//! Channels beside a far end with fewer streams than ours always has.

use rand::SeedableRng as _;

use super::*;

/// Streams that usrsctp takes unless told otherwise, and Chromium says.
const THEIR_STREAMS: u16 = 1024;

fn association() -> Association {
    Association {
        role: DtlsRole::Client,
        local_port: 5000,
        remote_port: 5000,
        remote_max_message_size: None,
        max_message_size: 1 << 18,
        mtu: 1200,
    }
}

/// An association with `channels` as DTLS client, and what became of each of them.
fn connected(channels: &[DataChannelInit]) -> (Channels, Vec<Event>) {
    let (now, mut rng, mut news) = (Instant::now(), StdRng::seed_from_u64(1), Events::default());
    let mut ours = Channels::new(1 << 20, None);
    for init in channels {
        ours.create(now, "", init.clone(), &mut news).unwrap();
    }
    ours.associate(now, association(), &mut rng, &mut news);
    let theirs = Config {
        association: sctp::Config {
            inbound_streams: THEIR_STREAMS,
            zero_checksum: true,
            ..Default::default()
        },
        role: sctp::data_channel::Role::Server,
        ..Default::default()
    };
    let mut theirs = Endpoint::new(theirs, now, &mut rng);
    ours.connect(now);
    theirs.connect(now);
    let mut packet = Vec::new();
    loop {
        let mut silent = true;
        while ours.poll_transmit(now, &mut packet).is_some() {
            theirs.handle_input(now, Bytes::from(core::mem::take(&mut packet)));
            silent = false;
        }
        while theirs.poll_transmit(now, &mut packet).is_some() {
            ours.handle_input(now, Bytes::from(core::mem::take(&mut packet)));
            silent = false;
        }
        ours.poll_events(&mut news);
        if silent {
            break;
        }
    }
    assert_eq!(ours.state, Some(SctpTransportState::Connected));
    (ours, core::iter::from_fn(|| news.pop_front()).collect())
}

fn negotiated(id: u16) -> DataChannelInit {
    DataChannelInit {
        negotiated: true,
        id: Some(id),
        ..Default::default()
    }
}

/// W3C §6.1.1.3: a channel whose id is beyond the far end's streams fails, the others open.
#[test]
fn a_channel_beyond_the_streams_of_the_far_end_can_not_be_made() {
    let last = negotiated(THEIR_STREAMS - 1);
    let (ours, news) = connected(&[last, negotiated(THEIR_STREAMS), Default::default()]);
    let beyond = ChannelKey(1);
    let error =
        |e: &Event| matches!(e, Event::ChannelError(k, ChannelError::NotMade) if *k == beyond);
    let closed = |e: &Event| matches!(e, Event::ChannelClosed(k) if *k == beyond);
    assert_eq!(news.iter().filter(|e| error(e)).count(), 1, "{news:?}");
    assert_eq!(news.iter().filter(|e| closed(e)).count(), 1, "{news:?}");
    let left: Vec<_> = ours.channels.iter().map(|(k, c)| (*k, c.state)).collect();
    let open = DataChannelState::Open;
    assert_eq!(left, [(ChannelKey(0), open), (ChannelKey(2), open)]);
}

#[test]
fn an_id_that_was_asked_for_is_not_given_to_another() {
    let (ours, news) = connected(&[Default::default(), negotiated(0), negotiated(2)]);
    assert!(
        !news.iter().any(|e| matches!(e, Event::ChannelError(..))),
        "{news:?}"
    );
    let ids: Vec<_> = ours.channels.values().map(|c| c.init.id).collect();
    assert_eq!(ids, [Some(4), Some(0), Some(2)]);
}

/// The far end ends as many channels as it takes with one packet, or one by one.
#[test]
fn channels_end_with_work_in_proportion_to_their_number() {
    let all: Vec<_> = (0..THEIR_STREAMS).map(negotiated).collect();
    let closed = |news: &mut Events| {
        let news = core::iter::from_fn(|| news.pop_front());
        news.filter(|e| matches!(e, Event::ChannelClosed(_)))
            .count() as u64
    };
    for at_once in [true, false] {
        let (mut ours, _) = connected(&all);
        let mut news = Events::default();
        let keys: Vec<_> = ours.keys().collect();
        let steps = crate::work::counted(|| match at_once {
            true => ours.disassociate(Instant::now(), &mut news),
            // From the last to the first, which moves nothing, and the other way around.
            false => {
                for key in keys.iter().rev().step_by(2).chain(keys.iter().step_by(2)) {
                    ours.closed(*key, &mut news);
                }
            }
        });
        assert_eq!(ours.keys().count() + ours.by_id.len(), 0);
        assert_eq!(closed(&mut news), u64::from(THEIR_STREAMS));
        assert!(steps <= 2 * u64::from(THEIR_STREAMS), "{steps}");
    }
}

/// The far side may refuse a data section that stood, and offer one again later.
#[test]
fn a_section_that_went_can_come_again() {
    let (mut ours, _) = connected(&[DataChannelInit::default()]);
    let (now, mut rng, mut news) = (Instant::now(), StdRng::seed_from_u64(1), Events::default());
    ours.disassociate(now, &mut news);
    assert_eq!(ours.state, Some(SctpTransportState::Closed));
    assert_eq!(ours.keys().count(), 0);
    let key = ours
        .create(now, "", DataChannelInit::default(), &mut news)
        .unwrap();
    ours.associate(now, association(), &mut rng, &mut news);
    assert_eq!(ours.state, Some(SctpTransportState::Connecting));
    assert!(ours.connect(now));
    assert_eq!(ours.info(key).unwrap().init.id, Some(0));
}
