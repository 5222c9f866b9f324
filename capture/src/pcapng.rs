//! The four kinds of block that a recording needs (draft-ietf-opsawg-pcapng §4).

/// `LINKTYPE_RAW`: packets begin with the IP header.
const LINKTYPE_RAW: u16 = 101;
/// `TLSK`: lines of the SSLKEYLOGFILE format (RFC 9850).
const SECRETS_TLS: u32 = 0x544c_534b;

const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_RESOLUTION: u16 = 9;
const SECTION_APPLICATION: u16 = 4;
const PACKET_FLAGS: u16 = 2;

/// Nanoseconds: 10 to the power of -9.
const NANOSECONDS: u8 = 9;

/// Appends a block; `body` writes what is between the two length fields.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    pad(out, start);
    // Bounded by the callers: a packet, or a key log of some lines.
    let length = ((out.len() - start + 4) as u32).to_le_bytes();
    out.extend_from_slice(&length);
    if let Some(field) = out.get_mut(start + 4..start + 8) {
        field.copy_from_slice(&length);
    }
}

fn pad(out: &mut Vec<u8>, start: usize) {
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = value.len().min(usize::from(u16::MAX));
    let value = value.get(..length).unwrap_or_default();
    let start = out.len();
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(length as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, start);
}

/// Section Header Block, the file's first.
pub(crate) fn section(out: &mut Vec<u8>) {
    block(out, 0x0A0D_0D0A, |out| {
        out.extend_from_slice(&0x1A2B_3C4D_u32.to_le_bytes());
        out.extend_from_slice(&1_u16.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        out.extend_from_slice(&(-1_i64).to_le_bytes());
        let name = concat!("tincan-capture ", env!("CARGO_PKG_VERSION"));
        option(out, SECTION_APPLICATION, name.as_bytes());
        option(out, OPTION_END, &[]);
    });
}

/// Interface Description Block.
pub(crate) fn interface(out: &mut Vec<u8>, name: &str) {
    block(out, 1, |out| {
        out.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        // No limit of the length of packets.
        out.extend_from_slice(&0_u32.to_le_bytes());
        option(out, INTERFACE_NAME, name.as_bytes());
        option(out, INTERFACE_RESOLUTION, &[NANOSECONDS]);
        option(out, OPTION_END, &[]);
    });
}

/// Decryption Secrets Block.
pub(crate) fn secrets(out: &mut Vec<u8>, lines: &str) {
    block(out, 0x0A, |out| {
        out.extend_from_slice(&SECRETS_TLS.to_le_bytes());
        out.extend_from_slice(&(lines.len() as u32).to_le_bytes());
        out.extend_from_slice(lines.as_bytes());
    });
}

/// Enhanced Packet Block; `nanoseconds` since the Unix epoch.
pub(crate) fn packet(
    out: &mut Vec<u8>,
    interface: u32,
    nanoseconds: u64,
    inbound: bool,
    packet: &[u8],
    comment: &str,
) {
    block(out, 6, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        out.extend_from_slice(&((nanoseconds >> 32) as u32).to_le_bytes());
        out.extend_from_slice(&(nanoseconds as u32).to_le_bytes());
        let length = (packet.len() as u32).to_le_bytes();
        out.extend_from_slice(&length);
        out.extend_from_slice(&length);
        let start = out.len();
        out.extend_from_slice(packet);
        pad(out, start);
        let direction: u32 = if inbound { 1 } else { 2 };
        option(out, PACKET_FLAGS, &direction.to_le_bytes());
        if !comment.is_empty() {
            option(out, OPTION_COMMENT, comment.as_bytes());
        }
        option(out, OPTION_END, &[]);
    });
}
