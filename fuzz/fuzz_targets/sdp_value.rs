//! Any value of any attribute, codec parameters and candidates: what a value writes is read as the
//! same value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tincan_sdp::codec::{CodecParameters, Parameters};
use tincan_sdp::{Attribute, Candidate, MediaLine};

const NAMES: &[&str] = &[
    "rtpmap",
    "fmtp",
    "rtcp-fb",
    "rtcp-xr",
    "extmap",
    "mid",
    "group",
    "msid",
    "msid-semantic",
    "ssrc",
    "ssrc-group",
    "rid",
    "simulcast",
    "setup",
    "fingerprint",
    "tls-id",
    "identity",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "ice-pacing",
    "candidate",
    "remote-candidates",
    "rtcp",
    "sctp-port",
    "max-message-size",
    "sctpmap",
    "sctp-init",
    "ptime",
    "maxptime",
    "framerate",
    "imageattr",
    "content",
    "label",
];

const CODECS: &[&str] = &[
    "VP8",
    "VP9",
    "H264",
    "H265",
    "AV1",
    "H263",
    "opus",
    "isac",
    "iLBC",
    "AMR",
    "G723",
    "G729",
    "L16",
    "rtx",
    "red",
    "flexfec-03",
    "telephone-event",
    "other",
];

fuzz_target!(|input: (u8, &str)| {
    let (which, text) = input;
    let name = NAMES[usize::from(which) % NAMES.len()];
    if let Ok(value) = Attribute::parse(name, Some(text)) {
        assert_eq!(value.name(), name);
        let written = value.to_string();
        let written = &written[name.len() + 1..];
        let again = Attribute::parse(name, Some(written)).expect("what is written can be read");
        assert_eq!(again, value);
        assert_eq!(again.to_string()[name.len() + 1..], *written);
    }
    let codec = CODECS[usize::from(which) % CODECS.len()];
    let parameters = CodecParameters::read(codec, text);
    assert_eq!(
        CodecParameters::read(codec, &parameters.to_string()),
        parameters
    );
    let list = Parameters::read(text);
    assert_eq!(Parameters::read(&list.to_string()), list);
    if let Ok(candidate) = text.parse::<Candidate>() {
        assert_eq!(candidate.to_init().parse(), Ok(candidate));
    }
    if let Ok(line) = text.parse::<MediaLine>() {
        assert_eq!(line.to_string().parse(), Ok(line));
    }
});
