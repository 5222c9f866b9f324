//! What the far side does: everything comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tincan_peer::driver::{DataChannel, Events, Peer, PeerEvent, RemoteTrack};
use tincan_peer::{
    DataChannelInit, Direction, DtlsTransportState, Event, PeerConnectionState, SessionDescription,
    TransceiverId,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, timeout};

use crate::App;
use crate::reply::Refusal;
use crate::studio::Studio;

/// The channel that exists without being announced.
pub(crate) const NEGOTIATED_ID: u16 = 100;

/// How long a connection may take to come about, or to come back, before it is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of the media that arrives.
#[derive(Clone)]
pub(crate) enum Media {
    /// Back on the same m-line.
    Echo,
    /// To the studio, for those who watch, under the number of the publication.
    Publish(Arc<Studio>, u64),
    /// Nothing arrives: what the studio has goes out.
    Play(Arc<Studio>),
}

impl Media {
    /// What we want of each transceiver.
    fn direction(&self) -> Direction {
        match self {
            Self::Echo => Direction::SendRecv,
            Self::Publish(..) => Direction::RecvOnly,
            Self::Play(_) => Direction::SendOnly,
        }
    }
}

/// One connection of the far side, with a place among the sessions.
pub(crate) struct FarSide {
    pub(crate) peer: Peer,
    pub(crate) events: Events,
    pub(crate) media: Media,
    _place: OwnedSemaphorePermit,
}

impl FarSide {
    pub(crate) async fn new(app: &App, media: Media) -> Result<Self, Refusal> {
        let place = app.sessions.clone().try_acquire_owned().map_err(|_| {
            Refusal::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "Too many connections at once; try again later.",
            )
        })?;
        let (peer, events) = app.driver.peer(app.configuration.clone()).await?;
        if let Some(folder) = &app.record {
            let number = app.recorded.fetch_add(1, Ordering::Relaxed);
            if let Err(error) =
                crate::recording::record(&peer, folder, &format!("demo-{number}")).await
            {
                eprintln!("can't record into {}: {error}", folder.display());
            }
        }
        Ok(Self {
            peer,
            events,
            media,
            _place: place,
        })
    }

    /// Answers an offer; candidates may still be missing.
    pub(crate) async fn answer(
        &self,
        offer: SessionDescription,
    ) -> Result<SessionDescription, Refusal> {
        answer(&self.peer, &self.media, offer).await
    }

    /// Answers an offer with all candidates in it, and returns what else happened meanwhile.
    pub(crate) async fn answer_whole(
        &mut self,
        offer: SessionDescription,
    ) -> Result<(SessionDescription, Vec<PeerEvent>), Refusal> {
        self.answer(offer).await?;
        let mut backlog = Vec::new();
        let answer = self
            .peer
            .gathered(&mut self.events, |event| backlog.push(event))
            .await?;
        Ok((answer, backlog))
    }

    /// Lives until the connection ends or is given up.
    pub(crate) async fn run(mut self, backlog: Vec<PeerEvent>) {
        let mut state = PeerConnectionState::New;
        for event in backlog {
            handle(&self.peer, &self.media, event, &mut state);
        }
        let playing = match &self.media {
            Media::Play(studio) => Some(tokio::spawn(studio.clone().play(self.peer.clone()))),
            _ => None,
        };
        loop {
            let settled = state == PeerConnectionState::Connected;
            let event = if settled {
                self.events.next().await
            } else {
                timeout(PATIENCE, self.events.next())
                    .await
                    .unwrap_or_default()
            };
            let Some(event) = event else { break };
            handle(&self.peer, &self.media, event, &mut state);
            if state == PeerConnectionState::Failed || state == PeerConnectionState::Closed {
                break;
            }
        }
        if let Some(playing) = playing {
            playing.abort();
        }
        if let Media::Publish(studio, publication) = &self.media {
            studio.end(*publication);
        }
    }
}

/// Also when a request is given up half way: whoever else holds the peer must not keep it alive without a place.
impl Drop for FarSide {
    fn drop(&mut self) {
        self.peer.close();
    }
}

/// Answers an offer on a peer.
pub(crate) async fn answer(
    peer: &Peer,
    media: &Media,
    offer: SessionDescription,
) -> Result<SessionDescription, Refusal> {
    let data = offer
        .sdp
        .lines()
        .any(|line| line.starts_with("m=application"));
    peer.set_remote_description(offer).await?;
    if data {
        negotiated_channel(peer).await?;
    }
    let direction = media.direction();
    peer.with(move |connection, _| {
        let ids: Vec<TransceiverId> = connection
            .transceivers()
            .filter(|transceiver| !transceiver.stopped)
            .map(|transceiver| transceiver.id)
            .collect();
        ids.into_iter()
            .try_for_each(|id| connection.set_direction(id, direction))
    })
    .await?
    .map_err(|error| Refusal::bad(error.to_string()))?;
    let answer = peer.set_local_description(None).await?;
    answer.ok_or_else(|| Refusal::bad("The offer led to no answer."))
}

/// Makes the channel that both ends know of, once.
async fn negotiated_channel(peer: &Peer) -> Result<(), Refusal> {
    let exists = peer.with(|connection, _| {
        let keys: Vec<_> = connection.channels().collect();
        keys.into_iter().any(|key| {
            connection
                .channel(key)
                .is_some_and(|channel| channel.init.id == Some(NEGOTIATED_ID))
        })
    });
    if exists.await? {
        return Ok(());
    }
    let init = DataChannelInit {
        negotiated: true,
        id: Some(NEGOTIATED_ID),
        ..DataChannelInit::default()
    };
    let channel = peer.create_data_channel("negotiated", init).await?;
    tokio::spawn(echo_messages(channel));
    Ok(())
}

/// One piece of news. Channels and tracks get a task each.
pub(crate) fn handle(
    peer: &Peer,
    media: &Media,
    event: PeerEvent,
    state: &mut PeerConnectionState,
) {
    match event {
        PeerEvent::DataChannel(channel) => {
            tokio::spawn(echo_messages(channel));
        }
        PeerEvent::Track(track) => {
            tokio::spawn(take_track(peer.clone(), media.clone(), track));
        }
        PeerEvent::Event(Event::KeyFrameRequest { transceiver, .. }) => match media {
            Media::Echo => peer.request_key_frame(transceiver),
            Media::Play(studio) => studio.request_key_frame(),
            Media::Publish(..) => {}
        },
        PeerEvent::Event(Event::ConnectionState(new)) => *state = new,
        // The far side closed the connection: its states alone would tell only when consent runs out.
        PeerEvent::Event(Event::DtlsState(DtlsTransportState::Closed)) => {
            *state = PeerConnectionState::Closed;
        }
        _ => {}
    }
}

/// Every message comes back on its channel, unchanged.
async fn echo_messages(mut channel: DataChannel) {
    while let Some(message) = channel.recv().await {
        if channel.send(message).await.is_err() {
            break;
        }
    }
}

async fn take_track(peer: Peer, media: Media, mut track: RemoteTrack) {
    match media {
        Media::Echo => {
            let sender = peer.sender(track.transceiver());
            // The connection must not live on by its echo.
            drop(peer);
            while let Some(packet) = track.recv().await {
                // What can't be sent is lost, as on any network.
                let _ = sender.send(packet);
            }
        }
        Media::Publish(studio, publication) => studio.publish(publication, peer, track).await,
        Media::Play(_) => {}
    }
}
