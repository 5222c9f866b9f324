//! Reading, looking at, and writing session descriptions. `compare -- sdp` has the peers beside.
#![allow(missing_docs)] // criterion's macros make public items without documentation

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tincan_sdp::{DescriptionView, SessionDescription};

const OFFERS: [(&str, &str); 3] = [
    (
        "chromium",
        include_str!("../../sdp/tests/corpus/chromium/everything-offer.sdp"),
    ),
    (
        "firefox",
        include_str!("../../sdp/tests/corpus/firefox/everything-offer.sdp"),
    ),
    (
        "chromium-12-sections",
        include_str!("../../sdp/tests/corpus/chromium/many-offer.sdp"),
    ),
];

fn sdp(criterion: &mut Criterion) {
    for (name, text) in OFFERS {
        let mut group = criterion.benchmark_group(format!("sdp/{name}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("parse", |b| {
            b.iter(|| SessionDescription::parse(black_box(text)));
        });
        group.bench_function("parse-strict", |b| {
            b.iter(|| SessionDescription::parse_strict(black_box(text)));
        });
        group.bench_function("view", |b| {
            b.iter(|| DescriptionView::parse(black_box(text)).map(|view| view.media().count()));
        });
        if let Ok(description) = SessionDescription::parse(text) {
            group.bench_function("write", |b| b.iter(|| description.to_sdp()));
            group.bench_function("typed", |b| {
                b.iter(|| {
                    let media = description.media.iter();
                    media.map(|m| m.typed_attributes().count()).sum::<usize>()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, sdp);
criterion_main!(benches);
