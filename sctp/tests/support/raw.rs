//! An association whose peer is the test itself, chunk by chunk.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_sctp::association::Event;
use tincan_sctp::wire::{
    Chunk, ChunkWriter, DataHeader, Header, Packet, chunk_type, finish_packet, parameter_type,
    start_packet,
};
use tincan_sctp::{Association, Config};

pub const PEER_TAG: u32 = 0x1234_5678;

pub struct Raw {
    pub now: Instant,
    pub association: Association,
    /// The association's tag and first TSN.
    pub tag: u32,
    pub first_tsn: u32,
    /// The next TSN of the test.
    pub tsn: u32,
}

/// What the test's INIT says.
pub fn init(tag: u32, tsn: u32, window: u32, extensions: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ChunkWriter::new(&mut out, chunk_type::INIT, 0)
        .u32(tag)
        .u32(window)
        .u16(1_000)
        .u16(1_000)
        .u32(tsn)
        .parameter(parameter_type::FORWARD_TSN_SUPPORTED, &[])
        .parameter(parameter_type::SUPPORTED_EXTENSIONS, extensions)
        .finish();
    out
}

/// Without interleaving.
pub const PLAIN: &[u8] = &[chunk_type::RE_CONFIG, chunk_type::FORWARD_TSN];

impl Raw {
    pub fn new(config: Config) -> Self {
        Self::with(config, 1_000, 1 << 20, PLAIN)
    }

    pub fn with(config: Config, tsn: u32, window: u32, extensions: &[u8]) -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(5);
        let mut association = Association::new(config, now, &mut rng);
        let own = association.local_init();
        let word = |at: usize| {
            own[at..at + 4]
                .iter()
                .fold(0, |w, b| w << 8 | u32::from(*b))
        };
        let (tag, first_tsn) = (word(4), word(16));
        association
            .connect_with_init(now, &init(PEER_TAG, tsn, window, extensions))
            .expect("a valid INIT");
        let mut this = Self {
            now,
            association,
            tag,
            first_tsn,
            tsn,
        };
        assert_eq!(this.association.poll_event(), Some(Event::Connected));
        let _ = this.packets();
        this
    }

    /// Hands the association a packet with these chunks.
    pub fn send(&mut self, chunks: impl FnOnce(&mut Vec<u8>)) {
        let tag = self.tag;
        self.send_with_tag(tag, chunks);
    }

    pub fn send_with_tag(&mut self, verification_tag: u32, chunks: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        let header = Header {
            source_port: 5000,
            destination_port: 5000,
            verification_tag,
        };
        start_packet(&mut out, &header);
        chunks(&mut out);
        finish_packet(&mut out, 0);
        self.association.handle_input(self.now, Bytes::from(out));
    }

    /// The peer begins anew with this tag; returns another.
    pub fn restart(&mut self, peer_tag: u32) -> u32 {
        self.send_with_tag(0, |out| out.extend(init(peer_tag, 1, 100_000, PLAIN)));
        let (mut tag, mut echo) = (0, Vec::new());
        for packet in self.packets() {
            each(&packet, |chunk| {
                if let Chunk::InitAck(ack) = chunk {
                    (tag, self.first_tsn) = (ack.initiate_tag, ack.initial_tsn);
                    ChunkWriter::new(&mut echo, chunk_type::COOKIE_ECHO, 0)
                        .bytes(ack.state_cookie().expect("a cookie"))
                        .finish();
                }
            });
        }
        (self.tag, self.tsn) = (tag, 1);
        self.send(|out| out.extend(&echo));
        peer_tag + 1
    }

    /// A DATA chunk with the next TSN.
    pub fn data(&mut self, stream: u16, ssn: u32, flags: u8, payload: &[u8]) {
        let tsn = self.tsn;
        self.tsn = self.tsn.wrapping_add(1);
        self.data_at(tsn, stream, ssn, flags, payload);
    }

    pub fn data_at(&mut self, tsn: u32, stream: u16, message: u32, flags: u8, payload: &[u8]) {
        let header = DataHeader {
            interleaved: false,
            flags,
            tsn,
            stream,
            message,
            fragment: 0,
            ppid: 53,
        };
        self.send(|out| header.write(out, payload));
    }

    pub fn sack(&mut self, cumulative: u32, window: u32, gaps: &[(u16, u16)]) {
        self.send(|out| {
            let mut chunk = ChunkWriter::new(out, chunk_type::SACK, 0)
                .u32(cumulative)
                .u32(window)
                .u16(u16::try_from(gaps.len()).expect("few gaps"))
                .u16(0);
            for (from, to) in gaps {
                chunk = chunk.u16(*from).u16(*to);
            }
            chunk.finish();
        });
    }

    /// All packets that the association wants to send now.
    pub fn packets(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut out = Vec::new();
        while self.association.poll_transmit(self.now, &mut out).is_some() {
            packets.push(std::mem::take(&mut out));
            assert!(packets.len() < 100_000, "it never stops sending");
        }
        packets
    }

    /// TSNs of the DATA chunks that it sends now.
    pub fn sent_tsns(&mut self) -> Vec<u32> {
        let mut tsns = Vec::new();
        for packet in self.packets() {
            each(&packet, |chunk| {
                if let Chunk::Data(data) = chunk {
                    tsns.push(data.tsn);
                }
            });
        }
        tsns
    }

    /// The last SACK it sends now: cumulative TSN, window, gaps, duplicates.
    #[allow(clippy::type_complexity)]
    pub fn sent_sack(&mut self) -> Option<(u32, u32, Vec<(u16, u16)>, Vec<u32>)> {
        let mut last = None;
        for packet in self.packets() {
            each(&packet, |chunk| {
                if let Chunk::Sack(sack) = chunk {
                    last = Some((
                        sack.cumulative,
                        sack.window,
                        sack.gaps().collect(),
                        sack.duplicates().collect(),
                    ));
                }
            });
        }
        last
    }

    /// Moves to the next timeout and returns how long that took.
    pub fn wait(&mut self) -> Duration {
        let at = self.association.poll_timeout().expect("a timer");
        let waited = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.association.handle_timeout(self.now);
        waited
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.association.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.association.handle_timeout(self.now);
            let _ = self.packets();
        }
        self.now = end;
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.association.poll_event()).collect()
    }

    pub fn messages(&mut self) -> Vec<Vec<u8>> {
        self.events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Message { payload, .. } => Some(payload.to_vec()),
                _ => None,
            })
            .collect()
    }
}

/// Calls `look` with each chunk of a packet.
pub fn each(packet: &[u8], mut look: impl FnMut(Chunk<'_>)) {
    let packet = Packet::parse(packet, true).expect("a packet of ours");
    for chunk in packet.chunks() {
        look(chunk);
    }
}
