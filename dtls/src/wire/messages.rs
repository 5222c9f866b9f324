//! The handshake messages after the hellos.

use super::hello::Extensions;
use super::{Malformed, Reader, Write, u16_list};
use crate::error::Failure;
use crate::limits::MAX_CHAIN;

/// ECCurveType named_curve (RFC 8422 §5.4).
const NAMED_CURVE: u8 = 3;

/// Client certificate types of 1.2 (RFC 5246 §7.4.4, RFC 8422 §5.5).
pub(crate) const RSA_SIGN: u8 = 1;
pub(crate) const ECDSA_SIGN: u8 = 64;

/// Certificate of 1.3 (RFC 8446 §4.4.2): the context and the chain.
#[derive(Debug)]
pub(crate) struct Certificate13<'a> {
    pub(crate) context: &'a [u8],
    pub(crate) chain: Vec<&'a [u8]>,
    /// Extension kinds of the entries: we ask for none.
    pub(crate) extensions: Vec<u16>,
}

impl<'a> Certificate13<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(body);
        let context = reader.vec8()?;
        let mut list = Reader::new(reader.vec24()?);
        reader.finish()?;
        let mut chain = Vec::new();
        let mut extensions = Vec::new();
        while !list.is_empty() {
            let certificate = list.vec24()?;
            if certificate.is_empty() {
                return Err(Failure::Malformed);
            }
            if chain.len() == MAX_CHAIN {
                return Err(Failure::BadCertificate);
            }
            chain.push(certificate);
            extensions.extend(Extensions::read(&mut list)?.kinds());
        }
        Ok(Self {
            context,
            chain,
            extensions,
        })
    }

    pub(crate) fn write<'c>(context: &[u8], chain: impl Iterator<Item = &'c [u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        out.vec8(|out| out.bytes(context));
        out.vec24(|out| {
            for certificate in chain {
                out.vec24(|out| out.bytes(certificate));
                out.vec16(|_| ());
            }
        });
        out
    }
}

/// Certificate of 1.2 (RFC 5246 §7.4.2).
pub(crate) fn parse_certificate12(body: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    let mut reader = Reader::new(body);
    let mut list = Reader::new(reader.vec24()?);
    reader.finish()?;
    let mut chain = Vec::new();
    while !list.is_empty() {
        let certificate = list.vec24()?;
        if certificate.is_empty() {
            return Err(Failure::Malformed);
        }
        if chain.len() == MAX_CHAIN {
            return Err(Failure::BadCertificate);
        }
        chain.push(certificate);
    }
    Ok(chain)
}

pub(crate) fn write_certificate12<'c>(chain: impl Iterator<Item = &'c [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    out.vec24(|out| {
        for certificate in chain {
            out.vec24(|out| out.bytes(certificate));
        }
    });
    out
}

/// CertificateRequest of 1.2 (RFC 5246 §7.4.4).
#[derive(Debug)]
pub(crate) struct CertificateRequest12 {
    pub(crate) types: Vec<u8>,
    pub(crate) schemes: Vec<u16>,
    pub(crate) authorities: Vec<Vec<u8>>,
}

impl CertificateRequest12 {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let types = reader.vec8()?.to_vec();
        let schemes = u16_list(reader.vec16()?)?;
        let names = super::hello::names(reader.vec16()?)?;
        reader.finish()?;
        if types.is_empty() || schemes.is_empty() {
            return Err(Malformed);
        }
        let authorities = names.into_iter().map(<[u8]>::to_vec).collect();
        Ok(Self {
            types,
            schemes,
            authorities,
        })
    }

    pub(crate) fn write(schemes: &[u16]) -> Vec<u8> {
        let mut out = Vec::new();
        out.vec8(|out| out.bytes(&[ECDSA_SIGN, RSA_SIGN]));
        super::hello::u16s(&mut out, schemes.iter().copied());
        out.vec16(|_| ());
        out
    }
}

/// CertificateRequest of 1.3 (RFC 8446 §4.3.2).
#[derive(Debug)]
pub(crate) struct CertificateRequest13<'a> {
    pub(crate) context: &'a [u8],
    pub(crate) extensions: Extensions<'a>,
}

impl<'a> CertificateRequest13<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(body);
        let context = reader.vec8()?;
        let extensions = Extensions::read(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            context,
            extensions,
        })
    }

    pub(crate) fn write(extensions: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.vec8(|_| ());
        out.vec16(|out| out.bytes(extensions));
        out
    }
}

/// EncryptedExtensions (RFC 8446 §4.3.1).
pub(crate) fn parse_encrypted_extensions(body: &[u8]) -> Result<Extensions<'_>, Failure> {
    let mut reader = Reader::new(body);
    let extensions = Extensions::read(&mut reader)?;
    reader.finish()?;
    Ok(extensions)
}

/// A scheme and a signature: CertificateVerify of both versions.
#[derive(Debug)]
pub(crate) struct DigitallySigned<'a> {
    pub(crate) scheme: u16,
    pub(crate) signature: &'a [u8],
}

impl<'a> DigitallySigned<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            scheme: reader.u16()?,
            signature: reader.vec16()?,
        })
    }

    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let signed = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(signed)
    }

    pub(crate) fn write(out: &mut Vec<u8>, scheme: u16, signature: &[u8]) {
        out.u16(scheme);
        out.vec16(|out| out.bytes(signature));
    }
}

/// ServerKeyExchange with an ephemeral key (RFC 8422 §5.4).
#[derive(Debug)]
pub(crate) struct ServerKeyExchange<'a> {
    pub(crate) group: u16,
    pub(crate) public_key: &'a [u8],
    /// The octets that are signed after the two randoms.
    pub(crate) params: &'a [u8],
    pub(crate) signed: DigitallySigned<'a>,
}

impl<'a> ServerKeyExchange<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(body);
        if reader.u8()? != NAMED_CURVE {
            return Err(Failure::WrongGroup);
        }
        let group = reader.u16()?;
        let public_key = reader.vec8()?;
        let (params, _) = body
            .split_at_checked(body.len() - reader.remaining())
            .ok_or(Failure::Malformed)?;
        let signed = DigitallySigned::read(&mut reader)?;
        reader.finish()?;
        if public_key.is_empty() {
            return Err(Failure::Malformed);
        }
        Ok(Self {
            group,
            public_key,
            params,
            signed,
        })
    }

    pub(crate) fn params(group: u16, public_key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + public_key.len());
        out.u8(NAMED_CURVE);
        out.u16(group);
        out.vec8(|out| out.bytes(public_key));
        out
    }
}

/// ClientKeyExchange with an ephemeral key (RFC 8422 §5.7).
pub(crate) fn parse_client_key_exchange(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    let key = reader.vec8()?;
    reader.finish()?;
    if key.is_empty() {
        Err(Malformed)
    } else {
        Ok(key)
    }
}

/// KeyUpdate (RFC 8446 §4.6.3): whether the peer asks for ours.
pub(crate) fn parse_key_update(body: &[u8]) -> Result<bool, Failure> {
    match body {
        [0] => Ok(false),
        [1] => Ok(true),
        [_] => Err(Failure::IllegalHello),
        _ => Err(Failure::Malformed),
    }
}

/// A NewConnectionId that has none, spare: what is said to one who asks.
pub(crate) const NO_CONNECTION_IDS: [u8; 3] = [0, 0, 1];

/// NewConnectionId (RFC 9147 §9): the IDs, and whether one of them is to be used
/// at once.
pub(crate) fn parse_new_connection_id(body: &[u8]) -> Result<(Vec<&[u8]>, bool), Failure> {
    let mut reader = Reader::new(body);
    let mut list = Reader::new(reader.vec16()?);
    let usage = reader.u8()?;
    reader.finish()?;
    let mut ids = Vec::new();
    while !list.is_empty() {
        ids.push(list.vec8()?);
    }
    match usage {
        0 => Ok((ids, true)),
        1 => Ok((ids, false)),
        _ => Err(Failure::IllegalHello),
    }
}

/// RequestConnectionId (RFC 9147 §9): how many the peer wants, which nobody here
/// asks.
pub(crate) fn check_request_connection_id(body: &[u8]) -> Result<(), Failure> {
    let mut reader = Reader::new(body);
    reader.u8()?;
    reader.finish()?;
    Ok(())
}

/// NewSessionTicket of 1.3, only to be checked and dropped (RFC 8446 §4.6.1).
pub(crate) fn check_new_session_ticket(body: &[u8]) -> Result<(), Failure> {
    let mut reader = Reader::new(body);
    reader.take(8)?;
    reader.vec8()?;
    if reader.vec16()?.is_empty() {
        return Err(Failure::Malformed);
    }
    Extensions::read(&mut reader)?;
    reader.finish()?;
    Ok(())
}
