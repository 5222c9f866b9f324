//! Every description of the corpus is read, and written back byte for byte.
#![allow(clippy::unwrap_used, clippy::panic)] // a test helper stops where it fails

use std::fs;
use std::path::{Path, PathBuf};

use tincan_sdp::SessionDescription;

fn corpus() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "sdp") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"),
        &mut found,
    );
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn survives_a_round_trip_byte_for_byte() {
    for (path, text) in corpus() {
        let description =
            SessionDescription::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(description.to_string(), text, "{}", path.display());
    }
}

#[test]
fn reads_every_value_of_it() {
    for (path, text) in corpus() {
        let description = SessionDescription::parse(&text).unwrap();
        let sections = std::iter::once(&description.session)
            .chain(description.media.iter().map(|media| &media.section));
        for section in sections {
            for attribute in section.attributes() {
                if let Err(error) = attribute.parse() {
                    panic!("{}: {attribute:?}: {error}", path.display());
                }
            }
        }
    }
}
