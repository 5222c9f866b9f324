//! ClientHello, ServerHello, HelloRetryRequest, HelloVerifyRequest, and the
//! extensions in them (RFC 8446 §4.1 and §4.2, RFC 9147 §5.3, RFC 6347 §4.2).

use super::{Malformed, Reader, Write, u16_list};
use crate::error::Failure;

pub(crate) const DTLS10: u16 = 0xfeff;
pub(crate) const DTLS12: u16 = 0xfefd;
pub(crate) const DTLS13: u16 = 0xfefc;

/// The ServerHello.random that says HelloRetryRequest (RFC 8446 §4.1.3).
pub(crate) const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Last octets of a 1.2 ServerHello.random by a server that can do 1.3
/// (RFC 8446 §4.1.3).
pub(crate) const DOWNGRADE_12: [u8; 8] = *b"DOWNGRD\x01";

/// The same by a server that chose 1.1 or below.
pub(crate) const DOWNGRADE_11: [u8; 8] = *b"DOWNGRD\x00";

/// Signalling cipher suites (RFC 5746 §3.3, RFC 7507 §2).
pub(crate) const EMPTY_RENEGOTIATION_INFO_SCSV: u16 = 0x00ff;
pub(crate) const FALLBACK_SCSV: u16 = 0x5600;

/// Extension code points.
pub(crate) mod ext {
    pub(crate) const SERVER_NAME: u16 = 0;
    pub(crate) const CERTIFICATE_AUTHORITIES: u16 = 47;
    pub(crate) const SUPPORTED_GROUPS: u16 = 10;
    pub(crate) const EC_POINT_FORMATS: u16 = 11;
    pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(crate) const USE_SRTP: u16 = 14;
    pub(crate) const ALPN: u16 = 16;
    pub(crate) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(crate) const RECORD_SIZE_LIMIT: u16 = 28;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
    pub(crate) const COOKIE: u16 = 44;
    pub(crate) const KEY_SHARE: u16 = 51;
    pub(crate) const CONNECTION_ID: u16 = 54;
    pub(crate) const QUIC_TRANSPORT_PARAMETERS: u16 = 57;
    pub(crate) const RENEGOTIATION_INFO: u16 = 0xff01;
}

/// Group and public key.
pub(crate) type KeyShare<'a> = (u16, &'a [u8]);

/// Profiles and MKI.
pub(crate) type UseSrtp<'a> = (Vec<u16>, &'a [u8]);

/// The extensions of one message, framed but not yet read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extensions<'a> {
    list: Vec<(u16, &'a [u8])>,
}

impl<'a> Extensions<'a> {
    /// Reads a two-octet length and the extensions; none may come twice.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Failure> {
        let mut body = Reader::new(reader.vec16()?);
        let mut list: Vec<(u16, &'a [u8])> = Vec::new();
        while !body.is_empty() {
            let kind = body.u16()?;
            let data = body.vec16()?;
            list.push((kind, data));
        }
        let mut kinds: Vec<u16> = list.iter().map(|(kind, _)| *kind).collect();
        kinds.sort_unstable();
        if let Some((twice, _)) = kinds.iter().zip(kinds.iter().skip(1)).find(|(a, b)| a == b) {
            return Err(Failure::DuplicateExtension(*twice));
        }
        Ok(Self { list })
    }

    /// As [`Self::read`], but 1.2 may leave the whole block out.
    pub(crate) fn read_optional(reader: &mut Reader<'a>) -> Result<Self, Failure> {
        if reader.is_empty() {
            Ok(Self::default())
        } else {
            Self::read(reader)
        }
    }

    pub(crate) fn raw(&self, kind: u16) -> Option<&'a [u8]> {
        self.list
            .iter()
            .find(|(known, _)| *known == kind)
            .map(|(_, data)| *data)
    }

    pub(crate) fn has(&self, kind: u16) -> bool {
        self.raw(kind).is_some()
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = u16> + '_ {
        self.list.iter().map(|(kind, _)| *kind)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + '_ {
        self.list.iter().copied()
    }

    /// Fails with the first extension that is not in `allowed`.
    pub(crate) fn only(&self, allowed: &[u16]) -> Result<(), Failure> {
        match self.kinds().find(|kind| !allowed.contains(kind)) {
            Some(kind) => Err(Failure::UnsolicitedExtension(kind)),
            None => Ok(()),
        }
    }

    fn read_with<T>(
        &self,
        kind: u16,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        let Some(data) = self.raw(kind) else {
            return Ok(None);
        };
        let mut reader = Reader::new(data);
        let value = read(&mut reader)?;
        reader.finish()?;
        Ok(Some(value))
    }

    /// A non-empty list of two-octet values under a two-octet length.
    fn u16s(&self, kind: u16) -> Result<Option<Vec<u16>>, Malformed> {
        self.read_with(kind, |reader| {
            let list = u16_list(reader.vec16()?)?;
            if list.is_empty() {
                Err(Malformed)
            } else {
                Ok(list)
            }
        })
    }

    pub(crate) fn supported_groups(&self) -> Result<Option<Vec<u16>>, Malformed> {
        self.u16s(ext::SUPPORTED_GROUPS)
    }

    pub(crate) fn signature_algorithms(&self) -> Result<Option<Vec<u16>>, Malformed> {
        self.u16s(ext::SIGNATURE_ALGORITHMS)
    }

    /// Client's form (RFC 8446 §4.2.1).
    pub(crate) fn supported_versions(&self) -> Result<Option<Vec<u16>>, Malformed> {
        self.read_with(ext::SUPPORTED_VERSIONS, |reader| {
            let list = u16_list(reader.vec8()?)?;
            if list.is_empty() {
                Err(Malformed)
            } else {
                Ok(list)
            }
        })
    }

    /// Server's form.
    pub(crate) fn selected_version(&self) -> Result<Option<u16>, Malformed> {
        self.read_with(ext::SUPPORTED_VERSIONS, |reader| reader.u16())
    }

    /// Client's form: group and public key of each share (RFC 8446 §4.2.8).
    pub(crate) fn key_shares(&self) -> Result<Option<Vec<KeyShare<'a>>>, Malformed> {
        self.read_with(ext::KEY_SHARE, |reader| {
            let mut body = Reader::new(reader.vec16()?);
            let mut shares = Vec::new();
            while !body.is_empty() {
                let group = body.u16()?;
                let key = body.vec16()?;
                if key.is_empty() {
                    return Err(Malformed);
                }
                shares.push((group, key));
            }
            Ok(shares)
        })
    }

    /// Server's form.
    pub(crate) fn key_share(&self) -> Result<Option<KeyShare<'a>>, Malformed> {
        self.read_with(ext::KEY_SHARE, |reader| {
            let group = reader.u16()?;
            let key = reader.vec16()?;
            if key.is_empty() {
                Err(Malformed)
            } else {
                Ok((group, key))
            }
        })
    }

    /// HelloRetryRequest's form.
    pub(crate) fn selected_group(&self) -> Result<Option<u16>, Malformed> {
        self.read_with(ext::KEY_SHARE, |reader| reader.u16())
    }

    pub(crate) fn cookie(&self) -> Result<Option<&'a [u8]>, Malformed> {
        self.read_with(ext::COOKIE, |reader| {
            let cookie = reader.vec16()?;
            if cookie.is_empty() {
                Err(Malformed)
            } else {
                Ok(cookie)
            }
        })
    }

    /// Profiles and MKI (RFC 5764 §4.1.1).
    pub(crate) fn use_srtp(&self) -> Result<Option<UseSrtp<'a>>, Malformed> {
        self.read_with(ext::USE_SRTP, |reader| {
            let profiles = u16_list(reader.vec16()?)?;
            let mki = reader.vec8()?;
            if profiles.is_empty() {
                Err(Malformed)
            } else {
                Ok((profiles, mki))
            }
        })
    }

    /// RFC 7301 §3.1.
    pub(crate) fn alpn(&self) -> Result<Option<Vec<&'a [u8]>>, Malformed> {
        self.read_with(ext::ALPN, |reader| {
            let mut body = Reader::new(reader.vec16()?);
            let mut names = Vec::new();
            while !body.is_empty() {
                let name = body.vec8()?;
                if name.is_empty() {
                    return Err(Malformed);
                }
                names.push(name);
            }
            if names.is_empty() {
                Err(Malformed)
            } else {
                Ok(names)
            }
        })
    }

    /// RFC 9146 §3.
    pub(crate) fn connection_id(&self) -> Result<Option<&'a [u8]>, Malformed> {
        self.read_with(ext::CONNECTION_ID, |reader| reader.vec8())
    }

    /// RFC 8449 §4.
    pub(crate) fn record_size_limit(&self) -> Result<Option<u16>, Malformed> {
        self.read_with(ext::RECORD_SIZE_LIMIT, |reader| reader.u16())
    }

    /// RFC 5746 §3.2.
    pub(crate) fn renegotiation_info(&self) -> Result<Option<&'a [u8]>, Malformed> {
        self.read_with(ext::RENEGOTIATION_INFO, |reader| reader.vec8())
    }

    /// The server's name in a ClientHello (RFC 6066 §3).
    pub(crate) fn server_name(&self) -> Result<Option<&'a [u8]>, Malformed> {
        self.read_with(ext::SERVER_NAME, |reader| {
            let mut list = Reader::new(reader.vec16()?);
            let kind = list.u8()?;
            let name = list.vec16()?;
            list.finish()?;
            if kind != 0 || name.is_empty() || name.contains(&0) {
                Err(Malformed)
            } else {
                Ok(name)
            }
        })
    }

    /// The names of authorities (RFC 8446 §4.2.4).
    pub(crate) fn authorities(&self) -> Result<Vec<&'a [u8]>, Malformed> {
        let names = self.read_with(ext::CERTIFICATE_AUTHORITIES, |reader| {
            let names = names(reader.vec16()?)?;
            if names.is_empty() || names.iter().any(|name| name.is_empty()) {
                Err(Malformed)
            } else {
                Ok(names)
            }
        })?;
        Ok(names.unwrap_or_default())
    }

    /// RFC 8422 §5.1.2.
    pub(crate) fn ec_point_formats(&self) -> Result<Option<&'a [u8]>, Malformed> {
        self.read_with(ext::EC_POINT_FORMATS, |reader| reader.vec8())
    }
}

/// Names of authorities, each under a two-octet length.
pub(crate) fn names(list: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut list = Reader::new(list);
    let mut names = Vec::new();
    while !list.is_empty() {
        names.push(list.vec16()?);
    }
    Ok(names)
}

/// Writes one extension.
pub(crate) fn extension(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    out.u16(kind);
    out.vec16(body);
}

/// Writes a two-octet length and two-octet values.
pub(crate) fn u16s(out: &mut Vec<u8>, values: impl IntoIterator<Item = u16>) {
    out.vec16(|out| {
        for value in values {
            out.u16(value);
        }
    });
}

/// A ClientHello as it came.
#[derive(Debug, Clone)]
pub(crate) struct ClientHello<'a> {
    pub(crate) legacy_version: u16,
    pub(crate) random: [u8; 32],
    pub(crate) session_id: &'a [u8],
    pub(crate) cookie: &'a [u8],
    pub(crate) cipher_suites: Vec<u16>,
    pub(crate) compression: &'a [u8],
    pub(crate) extensions: Extensions<'a>,
}

impl<'a> ClientHello<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(body);
        let legacy_version = reader.u16()?;
        let random = reader.array()?;
        let session_id = reader.vec8()?;
        let cookie = reader.vec8()?;
        let cipher_suites = u16_list(reader.vec16()?)?;
        let compression = reader.vec8()?;
        if session_id.len() > 32 || cipher_suites.is_empty() || compression.is_empty() {
            return Err(Failure::Malformed);
        }
        let extensions = Extensions::read_optional(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            legacy_version,
            random,
            session_id,
            cookie,
            cipher_suites,
            compression,
            extensions,
        })
    }
}

/// What a ClientHello is written from; `extensions` are already encoded.
#[derive(Debug)]
pub(crate) struct ClientHelloParts<'a> {
    pub(crate) random: &'a [u8; 32],
    pub(crate) cookie: &'a [u8],
    pub(crate) cipher_suites: &'a [u16],
    pub(crate) extensions: &'a [u8],
}

impl ClientHelloParts<'_> {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.extensions.len());
        out.u16(DTLS12);
        out.bytes(self.random);
        out.vec8(|_| ());
        out.vec8(|out| out.bytes(self.cookie));
        u16s(&mut out, self.cipher_suites.iter().copied());
        out.vec8(|out| out.u8(0));
        out.vec16(|out| out.bytes(self.extensions));
        out
    }
}

/// A ServerHello or HelloRetryRequest as it came.
#[derive(Debug, Clone)]
pub(crate) struct ServerHello<'a> {
    pub(crate) legacy_version: u16,
    pub(crate) random: [u8; 32],
    pub(crate) session_id: &'a [u8],
    pub(crate) cipher_suite: u16,
    pub(crate) compression: u8,
    pub(crate) extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(body);
        let legacy_version = reader.u16()?;
        let random = reader.array()?;
        let session_id = reader.vec8()?;
        let cipher_suite = reader.u16()?;
        let compression = reader.u8()?;
        if session_id.len() > 32 {
            return Err(Failure::Malformed);
        }
        let extensions = Extensions::read_optional(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            legacy_version,
            random,
            session_id,
            cipher_suite,
            compression,
            extensions,
        })
    }

    pub(crate) fn is_retry(&self) -> bool {
        self.random == RETRY_RANDOM
    }

    pub(crate) fn write(
        random: &[u8; 32],
        session_id: &[u8],
        cipher_suite: u16,
        extensions: &[u8],
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + extensions.len());
        out.u16(DTLS12);
        out.bytes(random);
        out.vec8(|out| out.bytes(session_id));
        out.u16(cipher_suite);
        out.u8(0);
        out.vec16(|out| out.bytes(extensions));
        out
    }
}

/// HelloVerifyRequest (RFC 6347 §4.2.1): the cookie.
pub(crate) fn parse_hello_verify_request(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    reader.u16()?;
    let cookie = reader.vec8()?;
    reader.finish()?;
    Ok(cookie)
}
