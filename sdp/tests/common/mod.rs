//! Reads the corpus.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)] // each test uses some of it

use std::fs;
use std::path::Path;

/// Path below `tests/corpus`, with `/`, and text of every description, sorted by path.
pub(crate) fn corpus() -> Vec<(String, String)> {
    fn walk(folder: &Path, name: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{name}{}", path.file_name().unwrap().to_string_lossy());
            if path.is_dir() {
                walk(&path, &format!("{name}/"), found);
            } else if name.ends_with(".sdp") {
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    walk(&folder, "", &mut found);
    found.sort();
    assert!(found.len() > 90, "the corpus is not there");
    found
}

/// Whether a path is in one of these folders.
pub(crate) fn is_in(path: &str, folders: &[&str]) -> bool {
    path.split('/')
        .next()
        .is_some_and(|folder| folders.contains(&folder))
}
