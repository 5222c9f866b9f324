//! RTCP in and out (RFC 3550 §6, RFC 4585, RFC 5104, RFC 5506).

use std::time::{Duration, Instant};

use tincan_rtp::Ssrc;
use tincan_rtp::rtcp::{Packet, RawPacket, SenderInfo, Writer};

use super::receiver::SenderReportSeen;
use super::{Media, Queued, What};
use crate::event::Event;
use crate::limits::{MAX_REMOTE_SSRCS, MAX_SEND_QUEUE, RTCP_INTERVAL};
use crate::queue::Events;
use crate::work;

/// From the first packet to the first report: half an interval, as RFC 3550 §6.2 has it.
pub(super) fn first_interval() -> Duration {
    RTCP_INTERVAL / 2
}

/// Report blocks in one compound packet, so that it stays below any MTU.
const BLOCKS: usize = 24;

/// A round of reports under way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    /// Places of the sender and of the receiver that come next.
    sender: usize,
    receiver: usize,
}

impl Media {
    /// Takes a decrypted RTCP datagram.
    pub(crate) fn handle_rtcp(&mut self, now: Instant, datagram: &[u8], events: &mut Events) {
        let round_trip = self.round_trip;
        let mut rest = datagram;
        while !rest.is_empty() {
            // A wrong length says nothing against the packets before it.
            let Ok((packet, after)) = RawPacket::split(rest) else {
                self.counters.malformed += 1;
                break;
            };
            match packet.decode() {
                Ok(packet) => self.handle_packet(now, &packet, events),
                Err(_) => self.counters.malformed += 1,
            }
            rest = after;
        }
        // Once a datagram: it has room for fifty reports, and there may be a thousand streams.
        if self.round_trip != round_trip {
            work::steps(self.receivers.len());
            for place in 0..self.receivers.len() {
                if let Some(receiver) = self.receivers.get_mut(place) {
                    receiver.set_round_trip(self.round_trip);
                    self.rearm(place);
                }
            }
        }
    }

    fn handle_packet(&mut self, now: Instant, packet: &Packet<'_>, events: &mut Events) {
        match packet {
            Packet::SenderReport(report) => {
                if let Some(receiver) = self
                    .router
                    .by_ssrc(report.ssrc.0)
                    .and_then(|at| self.receivers.get_mut(at))
                {
                    receiver.heard = now;
                    receiver.statistics.on_sender_report(now, report.info.ntp);
                    receiver.sender_report = Some(SenderReportSeen {
                        ntp: report.info.ntp,
                        packets: report.info.packets,
                        octets: report.info.octets,
                        count: receiver.sender_report.map_or(0, |r| r.count) + 1,
                        at: now,
                    });
                }
                for block in report.blocks() {
                    self.handle_block(now, &block);
                }
            }
            Packet::ReceiverReport(report) => {
                for block in report.blocks() {
                    self.handle_block(now, &block);
                }
            }
            Packet::Nack(nack) => self.handle_nack(now, nack),
            Packet::PictureLoss(loss) => {
                let ssrc = loss.media.0;
                self.handle_key_frame_request(ssrc, None, events);
            }
            Packet::FullIntraRequest(request) => {
                for entry in request.entries() {
                    self.handle_key_frame_request(entry.ssrc.0, Some(entry.sequence), events);
                }
            }
            Packet::Goodbye(goodbye) => {
                for ssrc in goodbye.sources() {
                    let Some(at) = self.router.by_ssrc(ssrc.0) else {
                        continue;
                    };
                    let Some(receiver) = self.receivers.get_mut(at) else {
                        continue;
                    };
                    if receiver.end() && self.vacant.len() < MAX_REMOTE_SSRCS {
                        self.vacant.push(at);
                    }
                    if receiver.repairs.is_none() {
                        events.push_request(Event::StreamEnded {
                            transceiver: receiver.transceiver,
                            ssrc: ssrc.0,
                        });
                    }
                    self.charge(at);
                    self.rearm(at);
                }
            }
            // Transport-wide feedback and estimates belong to congestion control, which has its place above `queue`.
            _ => {}
        }
    }

    fn handle_block(&mut self, now: Instant, block: &tincan_rtp::rtcp::ReportBlock) {
        let ntp = self.ntp(now);
        let sender = self
            .tracks
            .iter_mut()
            .flat_map(|t| &mut t.senders)
            .find(|s| s.ssrc == block.ssrc.0);
        let Some(sender) = sender else { return };
        if let Some(round_trip) = sender.on_report(now, ntp, block) {
            self.round_trip = Some(round_trip);
        }
    }

    fn handle_nack(&mut self, now: Instant, nack: &tincan_rtp::rtcp::Nack<'_>) {
        for track in &mut self.tracks {
            let id = track.id;
            let Some((encoding, sender)) = track
                .senders
                .iter_mut()
                .enumerate()
                .find(|(_, s)| s.ssrc == nack.media.0)
            else {
                continue;
            };
            sender.nacks += 1;
            for sequence in nack.sequences() {
                // Requests are dropped before packets are: the far side asks again.
                if self.queue.len() < MAX_SEND_QUEUE / 2 {
                    self.queue.push_back(Queued {
                        at: now,
                        transceiver: id,
                        encoding: encoding as u8,
                        what: What::Again(sequence),
                    });
                }
            }
            return;
        }
    }

    fn handle_key_frame_request(&mut self, ssrc: u32, fir: Option<u8>, events: &mut Events) {
        for track in &mut self.tracks {
            let Some((encoding, sender)) = track
                .senders
                .iter_mut()
                .enumerate()
                .find(|(_, s)| s.ssrc == ssrc)
            else {
                continue;
            };
            let new = match fir {
                Some(sequence) => sender.on_fir(sequence),
                None => {
                    sender.plis += 1;
                    true
                }
            };
            if new {
                events.push_request(Event::KeyFrameRequest {
                    transceiver: track.id,
                    encoding,
                });
            }
            return;
        }
    }

    /// The SSRC that our reports are from.
    fn reporter(&self) -> u32 {
        work::steps(self.tracks.len());
        let senders = || self.tracks.iter().flat_map(|t| &t.senders);
        senders()
            .find(|s| s.packets > 0)
            .or_else(|| senders().next())
            .map_or(1, |s| s.ssrc)
    }

    /// Appends one RTCP datagram, unencrypted, if one is due; `false` if none is.
    pub(crate) fn poll_rtcp(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        if !self.farewell.is_empty() {
            let reporter = Ssrc(self.reporter());
            let mut writer = Writer::new(out);
            writer.receiver_report(reporter, []);
            for ssrcs in core::mem::take(&mut self.farewell).chunks(31) {
                let list: Vec<Ssrc> = ssrcs.iter().copied().map(Ssrc).collect();
                let _ = writer.goodbye(&list, b"");
            }
            return out.len() > start;
        }
        if self.tracks.is_empty() {
            return false;
        }
        if self.reports_due.is_some_and(|due| now >= due) {
            if self.write_report(now, out) {
                return true;
            }
            self.reports_due = Some(now + RTCP_INTERVAL);
        }
        self.write_feedback(now, out);
        out.len() > start
    }

    /// Appends the next datagram of a round of reports; `false` at its end. Each of our streams has one with its SR and its CNAME,
    /// for there are receivers that look at the first report of a datagram only. What came is told of in these as far
    /// as there is room, and in further RRs (RFC 3550 §6.4.2).
    fn write_report(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let begins = self.round.is_none();
        let mut round = self.round.take().unwrap_or_default();
        // Streams that fell silent must not keep the room that others need.
        let pressed = self.incoming > self.max_incoming / 2;
        let mut blocks: Vec<_> = Vec::new();
        while blocks.len() < BLOCKS
            && let Some(receiver) = self.receivers.get_mut(round.receiver)
        {
            work::steps(1);
            if receiver.is_current(now) {
                blocks.extend(receiver.statistics.report_block(now));
            } else if pressed {
                receiver.rest();
                self.charge(round.receiver);
                self.rearm(round.receiver);
            }
            round.receiver += 1;
        }
        let ntp = self.ntp(now);
        let senders = self.tracks.iter().flat_map(|t| &t.senders).enumerate();
        let sender = senders.skip(round.sender).find_map(|(at, sender)| {
            let timestamp = sender.timestamp_at(now).filter(|_| sender.packets > 0)?;
            Some((at, sender, timestamp))
        });
        let mut writer = Writer::new(out);
        let reporter = if let Some((at, sender, rtp_timestamp)) = sender {
            let info = SenderInfo {
                ntp,
                rtp_timestamp,
                packets: sender.packets as u32,
                octets: sender.octets as u32,
            };
            round.sender = at + 1;
            writer.sender_report(Ssrc(sender.ssrc), &info, blocks);
            Ssrc(sender.ssrc)
        } else if begins || !blocks.is_empty() {
            round.sender = usize::MAX;
            let reporter = Ssrc(self.reporter());
            writer.receiver_report(reporter, blocks);
            reporter
        } else {
            return false;
        };
        let _ = writer.cname(reporter, &self.cname);
        self.round = Some(round);
        true
    }

    /// PLI, NACK and transport-wide feedback that are due.
    fn write_feedback(&mut self, now: Instant, out: &mut Vec<u8>) {
        let feedback = self.feedback.poll_timeout();
        if [self.agenda.next(), feedback]
            .into_iter()
            .flatten()
            .all(|due| due > now)
        {
            return;
        }
        let reporter = Ssrc(self.reporter());
        let reduced = self.tracks.iter().all(|t| t.parameters.reduced_size);
        let start = out.len();
        if !reduced {
            // RFC 4585 §3.1: without reduced size every datagram begins with a report.
            let mut writer = Writer::new(out);
            writer.receiver_report(reporter, []);
            let _ = writer.cname(reporter, &self.cname);
        }
        let prefix = out.len() - start;
        let mut places = core::mem::take(&mut self.places);
        self.agenda.due(now, &mut places);
        for place in places.drain(..) {
            if out.len() - start > 900 {
                break;
            }
            if let Some(receiver) = self.receivers.get_mut(place) {
                receiver.write_requests(now, reporter, out);
            }
            self.rearm(place);
        }
        self.places = places;
        if out.len() - start == prefix {
            let media = self.receivers.first().map_or(0, |r| r.ssrc);
            let _ = self.feedback.poll_transmit(now, reporter, Ssrc(media), out);
        }
        if out.len() - start == prefix {
            out.truncate(start);
        }
    }

    /// When RTCP wants to be written next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.tracks.is_empty() {
            return None;
        }
        [
            self.reports_due,
            self.feedback.poll_timeout(),
            self.dtmf_timeout(),
            self.agenda.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
