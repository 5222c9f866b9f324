//! What a sender reports, and what is reported to it (RFC 3550 §6.4).

use std::time::{Duration, Instant};

use crate::clock::{NtpTime, round_trip};
use crate::rtcp::{ReportBlock, SenderInfo};

/// What the far side last reported on our stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteReport {
    /// The block.
    pub block: ReportBlock,
    /// The round-trip time it gave, if it answered a sender report.
    pub round_trip: Option<Duration>,
}

/// Counts what one stream sends, and keeps its clock.
#[derive(Clone, Debug)]
pub struct SenderStatistics {
    clock_rate: u32,
    packets: u64,
    octets: u64,
    /// A timestamp sent and when its media was captured or sent.
    anchor: Option<(Instant, u32)>,
    remote: Option<RemoteReport>,
}

impl SenderStatistics {
    /// Statistics of a stream whose timestamps run at `clock_rate` Hz.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            packets: 0,
            octets: 0,
            anchor: None,
            remote: None,
        }
    }

    /// A packet is sent. `captured` is when the media of its timestamp was captured, or now.
    pub fn on_packet(&mut self, captured: Instant, timestamp: u32, payload_len: usize) {
        self.packets += 1;
        self.octets += payload_len as u64;
        // The first packet of a frame tells its time best.
        if self.anchor.is_none_or(|(_, t)| t != timestamp) {
            self.anchor = Some((captured, timestamp));
        }
    }

    /// The sender information for an SR at `now`, which the wall clock shows as `ntp`. `None` when
    /// nothing was sent: then an RR is due (RFC 3550 §6.4).
    pub fn sender_info(&self, now: Instant, ntp: NtpTime) -> Option<SenderInfo> {
        let (at, timestamp) = self.anchor?;
        let rate = f64::from(self.clock_rate);
        let ticks = if now >= at {
            ((now - at).as_secs_f64() * rate).round() as i64
        } else {
            -(((at - now).as_secs_f64() * rate).round() as i64)
        };
        Some(SenderInfo {
            ntp,
            rtp_timestamp: timestamp.wrapping_add(ticks as u32),
            packets: self.packets as u32,
            octets: self.octets as u32,
        })
    }

    /// A report block on our stream came at a moment the wall clock shows as `ntp`.
    pub fn on_report_block(&mut self, ntp: NtpTime, block: &ReportBlock) -> RemoteReport {
        let report = RemoteReport {
            block: *block,
            round_trip: round_trip(
                ntp,
                block.last_sender_report,
                block.delay_since_last_sender_report,
            ),
        };
        self.remote = Some(report);
        report
    }

    /// The last report on our stream.
    pub const fn remote(&self) -> Option<&RemoteReport> {
        self.remote.as_ref()
    }

    /// Packets sent.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload octets sent.
    pub const fn octets(&self) -> u64 {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_relates_both_clocks_at_its_own_time() {
        let start = Instant::now();
        let mut stats = SenderStatistics::new(48_000);
        assert_eq!(stats.sender_info(start, NtpTime(1)), None);
        stats.on_packet(start, u32::MAX - 100, 160);
        stats.on_packet(start, u32::MAX - 100, 160);
        let ms = Duration::from_millis;
        let info = stats.sender_info(start + ms(10), NtpTime(7)).unwrap();
        assert_eq!(info.rtp_timestamp, 480 - 101);
        assert_eq!((info.ntp, info.packets, info.octets), (NtpTime(7), 2, 320));
        stats.on_packet(start + ms(50), 5000, 160);
        let info = stats.sender_info(start + ms(40), NtpTime(7)).unwrap();
        assert_eq!(info.rtp_timestamp, 5000 - 480);
    }

    #[test]
    fn a_report_block_tells_the_round_trip() {
        let mut stats = SenderStatistics::new(48_000);
        let sent = NtpTime(0x0000_1000_0000_0000);
        let block = ReportBlock {
            last_sender_report: sent.middle(),
            delay_since_last_sender_report: 32_768,
            ..ReportBlock::default()
        };
        let arrival = sent.plus(Duration::from_millis(625));
        let report = stats.on_report_block(arrival, &block);
        assert_eq!(report.round_trip, Some(Duration::from_millis(125)));
        assert_eq!(stats.remote(), Some(&report));
    }
}
