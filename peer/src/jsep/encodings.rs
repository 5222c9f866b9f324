//! The rules for send encodings: W3C §5.1, addTransceiver sendEncodings validation steps; §5.2, setParameters validation
//! steps; W3C Scalable Video Coding §3.2.1, §3.2.2.

use crate::codec::Codec;
use crate::error::Error;
use crate::limits::MAX_ENCODINGS;
use crate::parameters::Encoding;
use crate::types::Kind;

/// `sendEncodings` of addTransceiver as they are kept: checked, and with what is not said filled in.
pub(super) fn admit(
    kind: Kind,
    mut encodings: Vec<Encoding>,
    capabilities: &[Codec],
) -> Result<Vec<Encoding>, Error> {
    // Steps 1 to 3 of the text, and SVC's after it.
    let rids = encodings.iter().filter(|e| e.rid.is_some()).count();
    if rids > 0 && rids < encodings.len() || rids == 0 && encodings.len() > 1 {
        return Err(Error::Encodings("each of several encodings needs a rid"));
    }
    for (at, encoding) in encodings.iter().enumerate() {
        let Some(rid) = &encoding.rid else { continue };
        // RFC 8851 §10; RFC 8852 §3 leaves 16 bytes in the one-byte header extension form.
        if rid.is_empty() || rid.len() > 16 || !rid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::Encodings("a rid is 1 to 16 letters and digits"));
        }
        if encodings.iter().skip(at + 1).any(|e| e.rid == encoding.rid) {
            return Err(Error::Encodings("a rid appears twice"));
        }
    }
    let unknown = encodings
        .iter()
        .filter_map(|e| e.codec.as_ref())
        .any(|codec| !chooses(codec, capabilities));
    if unknown || !modes_fit(&encodings, capabilities) {
        return Err(Error::EncodingNotSupported);
    }
    video_only(kind, &mut encodings);
    in_range(&encodings, false)?;
    let said = encodings
        .iter()
        .any(|e| e.scale_resolution_down_by.is_some());
    if said {
        for encoding in &mut encodings {
            encoding.scale_resolution_down_by.get_or_insert(1.0);
        }
    }
    encodings.truncate(match kind {
        Kind::Audio => 1,
        Kind::Video => MAX_ENCODINGS,
    });
    if encodings.is_empty() {
        encodings.push(Encoding::new());
    }
    if kind == Kind::Video && !said {
        scale(&mut encodings);
    }
    if let [lone] = &mut encodings[..] {
        lone.rid = None;
    }
    Ok(encodings)
}

/// Step 11: smaller to larger, as 4:2:1.
fn scale(encodings: &mut [Encoding]) {
    let mut factor = 1.0;
    for encoding in encodings.iter_mut().rev() {
        encoding.scale_resolution_down_by = Some(factor);
        factor *= 2.0;
    }
}

/// The encodings that a remote offer to receive simulcast asks for (W3C §4.4.1.4): each rid once, no more than we can.
/// Of sound that is one, which needs no rid.
pub(super) fn proposed(kind: Kind, rids: &[String]) -> Vec<Encoding> {
    let mut encodings: Vec<Encoding> = Vec::new();
    if kind == Kind::Audio {
        return encodings;
    }
    for rid in rids {
        let known = encodings.iter().any(|e| e.rid.as_ref() == Some(rid));
        if !known && encodings.len() < MAX_ENCODINGS {
            encodings.push(Encoding::rid(rid));
        }
    }
    scale(&mut encodings);
    encodings
}

/// The encodings of setParameters as they are kept.
pub(super) fn change(
    kind: Kind,
    before: &[Encoding],
    mut encodings: Vec<Encoding>,
    negotiated: &[Codec],
    capabilities: &[Codec],
) -> Result<Vec<Encoding>, Error> {
    let same = |(a, b): (&Encoding, &Encoding)| a.rid == b.rid;
    if encodings.len() != before.len() || !encodings.iter().zip(before).all(same) {
        return Err(Error::ParametersAltered);
    }
    let choosable = if negotiated.is_empty() {
        capabilities
    } else {
        negotiated
    };
    let unknown = encodings
        .iter()
        .filter_map(|e| e.codec.as_ref())
        .any(|codec| !chooses(codec, choosable));
    if unknown || !modes_fit(&encodings, choosable) {
        return Err(Error::EncodingNotNegotiated);
    }
    video_only(kind, &mut encodings);
    if kind == Kind::Video {
        for encoding in &mut encodings {
            encoding.scale_resolution_down_by.get_or_insert(1.0);
        }
    }
    in_range(&encodings, true)?;
    Ok(encodings)
}

/// Forgets chosen codecs that were not negotiated (W3C §4.4.1.4 step 14).
pub(super) fn forget_codecs(encodings: &mut [Encoding], negotiated: &[Codec]) {
    if negotiated.is_empty() {
        return;
    }
    for encoding in encodings {
        if !encoding
            .codec
            .as_ref()
            .is_some_and(|c| chooses(c, negotiated))
        {
            encoding.codec = None;
        }
    }
}

/// Whether an encoding may choose a codec of these.
fn chooses(codec: &Codec, list: &[Codec]) -> bool {
    codec.is_media() && list.iter().any(|k| k.matches(codec))
}

/// Whether the scalability modes fit the chosen codec, or one of these, and simulcast is done in one way only.
fn modes_fit(encodings: &[Encoding], codecs: &[Codec]) -> bool {
    let several = encodings.iter().filter(|e| e.active).count() > 1;
    encodings.iter().all(|encoding| {
        let Some(mode) = encoding.scalability_mode else {
            return true;
        };
        let fits = match &encoding.codec {
            Some(codec) => mode.fits(codec),
            None => codecs.iter().any(|codec| mode.fits(codec)),
        };
        fits && !(several && encoding.active && mode.is_simulcast())
    })
}

fn video_only(kind: Kind, encodings: &mut [Encoding]) {
    if kind == Kind::Audio {
        for encoding in encodings {
            encoding.scale_resolution_down_by = None;
            encoding.max_framerate = None;
        }
    }
}

fn in_range(encodings: &[Encoding], zero: bool) -> Result<(), Error> {
    for encoding in encodings {
        let numbers = [encoding.scale_resolution_down_by, encoding.max_framerate];
        if numbers.into_iter().flatten().any(|n| !n.is_finite()) {
            // What WebIDL lets no `double` be.
            return Err(Error::Encodings("a factor or frame rate is no number"));
        }
        if encoding.scale_resolution_down_by.is_some_and(|s| s < 1.0) {
            return Err(Error::EncodingRange(
                "scale_resolution_down_by is at least 1",
            ));
        }
        let low = |f: f64| if zero { f < 0.0 } else { f <= 0.0 };
        if encoding.max_framerate.is_some_and(low) {
            return Err(Error::EncodingRange(if zero {
                "max_framerate is not negative"
            } else {
                "max_framerate is above 0"
            }));
        }
    }
    Ok(())
}
