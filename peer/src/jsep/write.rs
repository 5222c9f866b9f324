//! From the model to text. Attributes stand in the order in which browsers write them.

use core::fmt::Write;

use super::model::{Description, Media, Section};

/// Where candidates are not known yet (RFC 8840 §4.1.1).
const NO_ADDRESS: &str = "IN IP4 0.0.0.0";

/// The text of a local description with the candidates gathered by now: in each section that has a transport.
pub(super) fn to_text(d: &Description, candidates: &[String], end_of_candidates: bool) -> String {
    let mut out = String::with_capacity(512 + d.sections.len() * 2048);
    // Writing to a String can't fail.
    let _ = write(&mut out, d, candidates, end_of_candidates);
    out
}

fn write(
    out: &mut String,
    d: &Description,

    candidates: &[String],
    end_of_candidates: bool,
) -> core::fmt::Result {
    write!(
        out,
        "v=0\r\no=- {} {} {NO_ADDRESS}\r\ns=-\r\nt=0 0\r\n",
        d.session_id, d.version
    )?;
    for (semantics, groups) in [("BUNDLE", &d.bundles), ("LS", &d.lip_sync)] {
        for mids in groups {
            write!(out, "a=group:{semantics}")?;
            for mid in mids {
                write!(out, " {mid}")?;
            }
            out.write_str("\r\n")?;
        }
    }
    if d.ice_lite {
        out.write_str("a=ice-lite\r\n")?;
    }
    // One transport, one list of options.
    let options = d
        .sections
        .iter()
        .filter(|s| s.transport.ice.is_some())
        .map(|s| &s.transport.ice_options)
        .find(|options| !options.is_empty());
    if let Some(options) = options {
        write!(out, "a=ice-options:{}\r\n", options.join(" "))?;
    }
    if let Some(identity) = &d.identity {
        write!(out, "a=identity:{identity}\r\n")?;
    }
    if d.extmap_allow_mixed {
        out.write_str("a=extmap-allow-mixed\r\n")?;
    }
    if d.sections.iter().any(|s| matches!(s.media, Media::Rtp(_))) {
        out.write_str("a=msid-semantic:WMS *\r\n")?;
    }
    for section in &d.sections {
        write_section(out, section, candidates, end_of_candidates)?;
    }
    Ok(())
}

fn write_section(
    out: &mut String,
    s: &Section,
    candidates: &[String],
    end_of_candidates: bool,
) -> core::fmt::Result {
    let port = if s.rejected || s.bundle_only { 0 } else { 9 };
    write!(out, "m={} {port} {}", s.media_name, s.proto)?;
    for format in s.format_list() {
        write!(out, " {format}")?;
    }
    write!(out, "\r\nc={NO_ADDRESS}\r\n")?;
    if s.rejected {
        if let Some(mid) = &s.mid {
            write!(out, "a=mid:{mid}\r\n")?;
        }
        if matches!(s.media, Media::Rtp(_)) {
            out.write_str("a=inactive\r\n")?;
        }
        return Ok(());
    }
    let rtp = matches!(s.media, Media::Rtp(_));
    if rtp && !s.bundle_only {
        write!(out, "a=rtcp:9 {NO_ADDRESS}\r\n")?;
    }
    if let Some(ice) = &s.transport.ice {
        for candidate in candidates {
            write!(out, "a=candidate:{candidate}\r\n")?;
        }
        if end_of_candidates {
            out.write_str("a=end-of-candidates\r\n")?;
        }
        write!(
            out,
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n",
            ice.ufrag, ice.pwd
        )?;
    }
    for fingerprint in &s.transport.fingerprints {
        write!(out, "a=fingerprint:{fingerprint}\r\n")?;
    }
    if let Some(setup) = s.transport.setup {
        write!(out, "a=setup:{}\r\n", setup.as_str())?;
    }
    if let Some(tls_id) = &s.transport.tls_id {
        write!(out, "a=tls-id:{tls_id}\r\n")?;
    }
    if let Some(mid) = &s.mid {
        write!(out, "a=mid:{mid}\r\n")?;
    }
    if s.bundle_only {
        out.write_str("a=bundle-only\r\n")?;
    }
    if rtp {
        write_rtp(out, s)?;
    }
    if let Some(port) = s.sctp_port {
        write!(out, "a=sctp-port:{port}\r\n")?;
    }
    if let Some(size) = s.max_message_size {
        write!(out, "a=max-message-size:{size}\r\n")?;
    }
    Ok(())
}

fn write_rtp(out: &mut String, s: &Section) -> core::fmt::Result {
    for e in &s.extensions {
        match e.direction {
            Some(direction) => write!(out, "a=extmap:{}/{direction} {}\r\n", e.id, e.uri)?,
            None => write!(out, "a=extmap:{} {}\r\n", e.id, e.uri)?,
        }
    }
    write!(out, "a={}\r\n", s.direction)?;
    for msid in &s.msids {
        // RFC 9429 §5.2.1 leaves the track's id out; older browsers need one, and all take one.
        match &msid.track {
            Some(track) => write!(out, "a=msid:{} {track}\r\n", msid.stream)?,
            None => write!(out, "a=msid:{}\r\n", msid.stream)?,
        }
    }
    if s.rtcp_mux {
        out.write_str("a=rtcp-mux\r\n")?;
    }
    if s.rtcp_mux_only {
        out.write_str("a=rtcp-mux-only\r\n")?;
    }
    if s.rtcp_rsize {
        out.write_str("a=rtcp-rsize\r\n")?;
    }
    for codec in &s.codecs {
        let pt = codec.payload_type;
        write!(out, "a=rtpmap:{pt} {codec}\r\n")?;
        for feedback in &codec.feedback {
            write!(out, "a=rtcp-fb:{pt} {feedback}\r\n")?;
        }
        if !codec.fmtp.is_empty() {
            write!(out, "a=fmtp:{pt} {}\r\n", codec.fmtp)?;
        }
    }
    if let Some(time) = s.max_ptime {
        write!(out, "a=maxptime:{time}\r\n")?;
    }
    for rid in &s.rids {
        write!(
            out,
            "a=rid:{} {}\r\n",
            rid.id,
            if rid.send { "send" } else { "recv" }
        )?;
    }
    if !s.simulcast_send.is_empty() || !s.simulcast_recv.is_empty() {
        out.write_str("a=simulcast:")?;
        for (n, (word, list)) in [("send", &s.simulcast_send), ("recv", &s.simulcast_recv)]
            .into_iter()
            .filter(|(_, l)| !l.is_empty())
            .enumerate()
        {
            let space = if n > 0 { " " } else { "" };
            write!(out, "{space}{word} {}", list.join(";"))?;
        }
        out.write_str("\r\n")?;
    }
    for group in &s.ssrc_groups {
        write!(out, "a=ssrc-group:{}", group.semantics)?;
        for ssrc in &group.ssrcs {
            write!(out, " {ssrc}")?;
        }
        out.write_str("\r\n")?;
    }
    for ssrc in &s.ssrcs {
        if let Some(cname) = &ssrc.cname {
            write!(out, "a=ssrc:{} cname:{cname}\r\n", ssrc.ssrc)?;
        }
    }
    Ok(())
}
