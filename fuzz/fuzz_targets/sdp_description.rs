//! Any text: reads in both modes, as a view and as a fragment; what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tincan_sdp::{Attribute, DescriptionView, SdpFragment, SessionDescription};

fuzz_target!(|bytes: &[u8]| {
    let _ = SessionDescription::parse_bytes(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let strict = SessionDescription::parse_strict(text).is_ok();
    let tolerant = SessionDescription::parse(text);
    assert!(
        !strict || tolerant.is_ok(),
        "strict lets pass what tolerant refuses"
    );
    if let Ok(fragment) = SdpFragment::parse(text) {
        assert_eq!(fragment.to_string(), text);
        let _ = fragment.candidates().count();
        let _ = fragment.credentials(0);
    }
    let view = DescriptionView::parse(text);
    let Ok(description) = tolerant else {
        return;
    };
    assert_eq!(description.to_string(), text);
    if let Ok(view) = view {
        assert_eq!(view.media().count(), description.media.len());
        assert!(view.session().lines().eq(description.session.lines()));
        for (seen, ours) in view.media().zip(&description.media) {
            assert!(seen.section().lines().eq(ours.lines()));
        }
    }
    let _ = format!("{description:?}");
    let _ = (description.origin(), description.time_zones());
    for media in &description.media {
        for typed in media.typed_attributes() {
            let Ok(typed) = typed else {
                assert!(!strict, "strict lets a bad value pass");
                continue;
            };
            let text = typed.to_string();
            let (name, value) = match text.split_once(':') {
                Some((name, value)) => (name, Some(value)),
                None => (&text[..], None),
            };
            assert_eq!(Attribute::parse(name, value).as_ref(), Ok(&typed), "{text}");
        }
        let _ = media.codecs();
    }
});
