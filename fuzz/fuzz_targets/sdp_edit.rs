//! Any edits of any description: it is written and read again as the same lines.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tincan_sdp::{
    Attribute, Direction, MediaDescription, MediaLine, Mid, PayloadType, SessionDescription,
};

#[derive(Arbitrary, Debug)]
enum Edit<'a> {
    Push(&'a str, Option<&'a str>),
    Set(&'a str, Option<&'a str>),
    Insert(u8, &'a str, Option<&'a str>),
    Replace(u8, &'a str, Option<&'a str>),
    Remove(u8),
    RemoveName(&'a str),
    Direction(bool, bool),
    Information(&'a str),
    SetFormats(Vec<&'a str>),
    SetPort(u16),
    Media(&'a str, u16, &'a str, Vec<&'a str>),
    RemoveCodec(u8),
    Prefer(&'a str),
    Parameter(u8, &'a str, &'a str),
    Reject(u8),
    Rename(&'a str, &'a str),
    RemoveCandidates,
}

fuzz_target!(|input: (&str, Vec<(u8, Edit<'_>)>)| {
    let (text, edits) = input;
    let Ok(mut description) = SessionDescription::parse(text) else {
        return;
    };
    for (which, edit) in edits.into_iter().take(64) {
        apply(&mut description, usize::from(which), edit);
    }
    let written = description.to_string();
    let again = SessionDescription::parse(&written).expect("what is written can be read");
    assert_eq!(again.media.len(), description.media.len());
    assert_eq!(again.to_string(), written);
    for (ours, read) in description.media.iter().zip(&again.media) {
        assert_eq!(ours.len(), read.len());
        assert_eq!(ours.port(), read.port());
        assert!(ours.formats().eq(read.formats()));
    }
});

fn apply(description: &mut SessionDescription, which: usize, edit: Edit<'_>) {
    let count = description.media.len();
    match &edit {
        Edit::Media(kind, port, proto, formats) => {
            let line = MediaLine::new(kind, *port, proto, formats);
            return description.media.push(MediaDescription::new(line));
        }
        Edit::Reject(index) => {
            description.reject_media(usize::from(*index));
            return;
        }
        Edit::Rename(old, new) => {
            if let Ok(new) = new.parse::<Mid>() {
                description.rename_mid(old, &new);
            }
            return;
        }
        Edit::RemoveCandidates => return description.remove_candidates(),
        _ => {}
    }
    if which < count {
        let media = &mut description.media[which];
        match edit {
            Edit::SetFormats(formats) => return media.line.set_formats(formats),
            Edit::SetPort(port) => return media.line.set_port(port),
            Edit::RemoveCodec(number) => {
                if let Some(payload_type) = PayloadType::new(number) {
                    media.remove_payload_types(&[payload_type]);
                }
                return;
            }
            Edit::Prefer(name) => {
                media.prefer_codec(name);
                return;
            }
            Edit::Parameter(number, key, value) => {
                if let Some(payload_type) = PayloadType::new(number) {
                    media.set_format_parameter(payload_type, key, value);
                }
                return;
            }
            _ => {}
        }
    }
    let section = match description.media.get_mut(which) {
        Some(media) => &mut media.section,
        None => &mut description.session,
    };
    match edit {
        Edit::Push(name, value) => section.push_attribute(Attribute::other(name, value)),
        Edit::Set(name, value) => section.set_attribute(Attribute::other(name, value)),
        Edit::Insert(index, name, value) if index > 0 => {
            section.insert_attribute(index.into(), Attribute::other(name, value));
        }
        Edit::Replace(index, name, value) if index > 0 => {
            section.replace(index.into(), Attribute::other(name, value));
        }
        // The session's first line stays, or there is no description any more.
        Edit::Remove(index) if index > 0 => {
            section.remove(index.into());
        }
        Edit::RemoveName(name) => {
            section.remove_attribute(name);
        }
        Edit::Direction(send, recv) => section.set_direction(Direction::new(send, recv)),
        Edit::Information(text) => section.set_information(text),
        _ => {}
    }
}
