//! Every description of the corpus is read, and written back byte for byte.
#![allow(clippy::unwrap_used, clippy::panic)] // a test helper stops where it fails

mod common;

use common::{corpus, is_in};
use tincan_sdp::{DescriptionView, MediaDescription, SessionDescription};

#[test]
fn survives_a_round_trip_byte_for_byte() {
    for (path, text) in corpus() {
        let description =
            SessionDescription::parse(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(description.to_string(), text, "{path}");
    }
}

#[test]
fn has_a_reading_for_every_value() {
    for (path, text) in corpus() {
        let description = SessionDescription::parse(&text).unwrap();
        let sections = std::iter::once(&description.session)
            .chain(description.media.iter().map(|media| &media.section));
        for attribute in sections.flat_map(|section| section.attributes()) {
            let typed = attribute
                .parse()
                .unwrap_or_else(|e| panic!("{path}: {attribute:?}: {e}"));
            assert_eq!(typed.name(), attribute.name(), "{path}");
        }
    }
}

/// Browsers and the stacks that follow them write by the letter; the others are known.
#[test]
fn passes_strict_reading_but_for_known_breaches() {
    let breaches = [
        // Commas between ICE options.
        ("libdatachannel/", "one space is expected here"),
        // A blank at the end of `a=rtcp-fb`.
        ("written/pion", "there are blanks at the end of the line"),
        ("written/blanks", "a description must begin with v=0"),
        ("written/line-feeds-only", "a line must end with CR LF"),
        ("written/mixed-endings", "a line must end with CR LF"),
        ("written/no-last-ending", "a line must end with CR LF"),
        ("written/lines-missing", "the o= line is missing"),
        ("written/plan-b", "a value is expected here"),
    ];
    for (path, text) in corpus() {
        let known = breaches.iter().find(|(start, _)| path.starts_with(start));
        match (SessionDescription::parse_strict(&text), known) {
            (Ok(description), None) => assert_eq!(description.to_string(), text, "{path}"),
            (Err(error), Some((_, rule))) => assert_eq!(error.rule().to_string(), *rule, "{path}"),
            (Err(error), None) => panic!("{path}: {error}"),
            (Ok(_), Some((_, rule))) => panic!("{path}: strict reading did not say: {rule}"),
        }
    }
}

/// What `written` says in the canonical form, and all of `strict`, typed values write as it was.
#[test]
fn typed_values_write_what_was_read() {
    for (path, text) in corpus() {
        // Habits that typed values do not keep: blanks, the case of words, the place of a space.
        if path.starts_with("written/") {
            continue;
        }
        let description = SessionDescription::parse(&text).unwrap();
        for media in &description.media {
            for attribute in media.attributes() {
                let line = match attribute.value() {
                    Some(value) => format!("{}:{value}", attribute.name()),
                    None => attribute.name().to_owned(),
                };
                let again = attribute.parse().unwrap().to_string();
                let same = match attribute.name() {
                    // Transports are written in lower case; IPv6 addresses in their short form.
                    "candidate" => line.eq_ignore_ascii_case(&again),
                    // Ours has blanks, theirs commas.
                    "ice-options" => line.replace(',', " ") == again,
                    _ => line == again,
                };
                assert!(same, "{path}: {line} became {again}");
            }
        }
    }
}

#[test]
fn view_and_owned_model_see_the_same() {
    for (path, text) in corpus() {
        let owned = SessionDescription::parse(&text).unwrap();
        let view = DescriptionView::parse(&text).unwrap();
        assert!(owned.session.lines().eq(view.session().lines()), "{path}");
        assert_eq!(owned.media.len(), view.media().count(), "{path}");
        for (ours, seen) in owned.media.iter().zip(view.media()) {
            assert!(ours.lines().eq(seen.section().lines()), "{path}");
            assert_eq!(ours.kind(), seen.kind(), "{path}");
            assert_eq!(ours.port(), seen.port(), "{path}");
            assert_eq!(ours.proto(), seen.proto(), "{path}");
            assert!(ours.formats().eq(seen.formats()), "{path}");
            assert_eq!(ours.direction(), seen.section().direction(), "{path}");
            assert_eq!(ours.value("mid"), seen.section().value("mid"), "{path}");
        }
    }
}

/// What a WebRTC stack must find in any browser's offer.
#[test]
fn browsers_offers_have_all_that_a_connection_needs() {
    let browsers = corpus();
    let browsers = browsers
        .iter()
        .filter(|(path, _)| is_in(path, &["chromium", "firefox"]) && path.ends_with("offer.sdp"));
    for (path, text) in browsers {
        let description = SessionDescription::parse(text).unwrap();
        let bundle = description.session.bundle().unwrap();
        let live = |media: &&MediaDescription| !media.is_rejected();
        for (index, media) in description
            .media
            .iter()
            .enumerate()
            .filter(|(_, m)| live(m))
        {
            let effective = description.effective(index).unwrap();
            assert!(effective.ice_ufrag().unwrap().is_some(), "{path}");
            assert!(effective.ice_pwd().unwrap().is_some(), "{path}");
            assert!(!effective.fingerprints().unwrap().is_empty(), "{path}");
            assert!(effective.setup().unwrap().is_some(), "{path}");
            assert!(
                bundle.contains(&effective.mid().unwrap().unwrap()),
                "{path}"
            );
            match media.kind() {
                "application" => assert!(media.sctp_port().unwrap().is_some(), "{path}"),
                _ => {
                    assert!(media.rtcp_mux(), "{path}");
                    for payload_type in media.payload_types() {
                        assert!(
                            media.codec(payload_type).is_some(),
                            "{path}: {payload_type}"
                        );
                    }
                }
            }
        }
    }
}
