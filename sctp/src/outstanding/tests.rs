use super::*;
use crate::wire::{ChunkWriter, Sack, chunk_type};

const MS: Duration = Duration::from_millis(1);

fn fragment(octets: usize) -> OutFragment {
    OutFragment {
        data: Bytes::from(vec![0; octets]),
        ppid: 53,
        effort: Effort::default(),
        stream: 0,
        flags: 3,
        message: 0,
        number: 0,
    }
}

fn sack(
    outstanding: &mut Outstanding,
    now: Instant,
    cumulative: u64,
    gaps: &[(u16, u16)],
) -> Acked {
    let mut out = Vec::new();
    let mut chunk = ChunkWriter::new(&mut out, chunk_type::SACK, 0)
        .u32(cumulative as u32)
        .u32(1 << 20)
        .u16(u16::try_from(gaps.len()).unwrap())
        .u16(0);
    for (from, to) in gaps {
        chunk = chunk.u16(*from).u16(*to);
    }
    chunk.finish();
    let sack = Sack::parse(&out[4..]).unwrap();
    outstanding.on_sack(now, &sack).unwrap()
}

/// One chunk a packet, `count` of them, a millisecond apart.
fn sent(now: &mut Instant, count: u64) -> (Outstanding, u64) {
    let mut outstanding = Outstanding::new(*now, 1);
    let base = outstanding.next_tsn();
    for _ in 0..count {
        let packet = outstanding.start_packet(*now, Limited::No);
        outstanding.send_new(fragment(1_000), packet, 0, &mut Vec::new());
        *now += MS;
    }
    (outstanding, base)
}

#[test]
fn chunks_that_sacks_cannot_tell_of_go_again_once() {
    let mut now = Instant::now();
    let (mut outstanding, base) = sent(&mut now, 60);
    // Every second one was lost, and there is room for the first 16 gap blocks.
    let gaps: Vec<(u16, u16)> = (1..=16).map(|i| (i * 2, i * 2)).collect();
    sack(&mut outstanding, now, base - 1, &gaps);
    let all = |_, _| true;
    let _ = outstanding.detect_losses(all);
    assert_eq!(
        outstanding.next_unsure(),
        None,
        "they may still be on their way"
    );
    let packet = outstanding.start_packet(now, Limited::No);
    assert!(outstanding.retransmit(now, packet, &mut Vec::new()));
    now += 50 * MS;
    // The retransmission was acknowledged: what was sent before it should have been too.
    let gaps: Vec<(u16, u16)> = (1..=16).map(|i| (i * 2 - 1, i * 2 - 1)).skip(1).collect();
    let gaps = [&[(2, 2)], &gaps[..]].concat();
    sack(&mut outstanding, now, base + 1, &gaps);
    let _ = outstanding.detect_losses(all);
    let in_flight = outstanding.in_flight();
    let mut again = 0;
    while outstanding.next_unsure().is_some() {
        let packet = outstanding.start_packet(now, Limited::No);
        assert!(outstanding.send_unsure(now, packet, &mut Vec::new()));
        again += 1;
    }
    assert!((25..=28).contains(&again), "{again}");
    assert_eq!(outstanding.in_flight(), in_flight + again * 1_016);
    // They are lost again: once was enough, the SACKs will tell in time.
    let packet = outstanding.start_packet(now, Limited::No);
    outstanding.send_new(fragment(1_000), packet, 0, &mut Vec::new());
    let _ = outstanding.detect_losses(all);
    assert_eq!(outstanding.next_unsure(), None);
    // The end of it: all arrive.
    let last = outstanding.next_tsn() - 1;
    sack(&mut outstanding, now, last, &[]);
    assert!(outstanding.is_empty());
    assert_eq!(
        (outstanding.in_flight(), outstanding.unacked_payload()),
        (0, 0)
    );
}

#[test]
fn an_answer_that_is_too_early_for_a_retransmission_is_one_to_the_first_sending() {
    let mut now = Instant::now();
    let (mut outstanding, base) = sent(&mut now, 5);
    outstanding.set_least_rtt(100 * MS);
    now += 100 * MS;
    sack(&mut outstanding, now, base - 1, &[(3, 5)]);
    let _ = outstanding.detect_losses(|_, _| true);
    let packet = outstanding.start_packet(now, Limited::No);
    assert!(outstanding.retransmit(now, packet, &mut Vec::new()));
    // It was only late: the acknowledgement of the first sending comes 10 ms later. Taken for one
    // to the retransmission, it would make everything sent before that look lost.
    now += 10 * MS;
    let acked = sack(&mut outstanding, now, base, &[(2, 4)]);
    assert_eq!(acked.newest, None);
    now += 100 * MS;
    let packet = outstanding.start_packet(now, Limited::No);
    assert!(outstanding.retransmit(now, packet, &mut Vec::new()));
    now += 100 * MS;
    let acked = sack(&mut outstanding, now, base + 4, &[]);
    assert_eq!(acked.newest.map(|n| n.0), Some(packet));
    assert_eq!(acked.rtt, None, "ambiguous (Karn)");
}

#[test]
fn the_delivery_rate_is_not_taken_from_a_bunch_of_acknowledgements() {
    let mut now = Instant::now();
    let (mut outstanding, base) = sent(&mut now, 1);
    now += 99 * MS;
    sack(&mut outstanding, now, base, &[]);
    // Ten packets over 100 ms; then all their acknowledgements at once.
    let begin = now;
    for _ in 0..10 {
        let packet = outstanding.start_packet(now, Limited::No);
        outstanding.send_new(fragment(984), packet, 0, &mut Vec::new());
        now += 10 * MS;
    }
    now = begin + 200 * MS;
    let mut best: f64 = 0.0;
    for i in 1..=10 {
        let acked = sack(&mut outstanding, now, base + i, &[]);
        let rate = acked.rate.unwrap();
        let seconds = rate.interval.as_secs_f64();
        best = best.max(rate.delivered as f64 / seconds);
    }
    // 1 000 octets each 10 ms.
    assert!(best <= 101_000.0, "{best}");
    assert!(best >= 45_000.0, "{best}");
}
