//! The little DER that a self-signed certificate needs: writing one, and
//! finding key and validity in one (RFC 5280 §4.1). Chains are verified by
//! webpki, not here.

use std::time::Duration;

use crate::wire::{Malformed, Reader};

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const CONTEXT_0: u8 = 0xa0;
pub(crate) const CONTEXT_3: u8 = 0xa3;

/// Tag, length and contents of the next element.
pub(crate) fn element<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
    let tag = reader.u8()?;
    let length = match reader.u8()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(reader.u8()?),
        0x82 => usize::from(reader.u16()?),
        0x83 => reader.u24()? as usize,
        _ => return Err(Malformed),
    };
    Ok((tag, reader.take(length)?))
}

fn expect<'a>(reader: &mut Reader<'a>, tag: u8) -> Result<&'a [u8], Malformed> {
    match element(reader)? {
        (found, contents) if found == tag => Ok(contents),
        _ => Err(Malformed),
    }
}

/// What is read of the peer's certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParsedCertificate<'a> {
    /// The contents of the issuer's Name.
    pub(crate) issuer: &'a [u8],
    /// AlgorithmIdentifier's contents, as rustls-pki-types compares them.
    pub(crate) key_algorithm: &'a [u8],
    pub(crate) public_key: &'a [u8],
    pub(crate) not_after: Time<'a>,
    /// Which algorithm signed it.
    pub(crate) signature_algorithm: &'a [u8],
    /// KeyUsage's bits, the first named bit highest, if the extension is there.
    pub(crate) key_usage: Option<u8>,
}

/// A time of the Validity field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time<'a> {
    pub(crate) tag: u8,
    pub(crate) text: &'a [u8],
}

/// KeyUsage's digitalSignature (RFC 5280 §4.2.1.3).
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;

impl<'a> ParsedCertificate<'a> {
    pub(crate) fn parse(certificate: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(certificate);
        let mut body = Reader::new(expect(&mut outer, SEQUENCE)?);
        outer.finish()?;
        let mut tbs = Reader::new(expect(&mut body, SEQUENCE)?);
        let mut signed_by = Reader::new(expect(&mut body, SEQUENCE)?);
        let signature_algorithm = expect(&mut signed_by, OBJECT_IDENTIFIER)?;
        expect(&mut body, BIT_STRING)?;
        body.finish()?;
        let (first, _) = element(&mut tbs)?;
        match first {
            CONTEXT_0 => drop(expect(&mut tbs, INTEGER)?),
            INTEGER => (),
            _ => return Err(Malformed),
        }
        expect(&mut tbs, SEQUENCE)?;
        let issuer = expect(&mut tbs, SEQUENCE)?;
        let mut validity = Reader::new(expect(&mut tbs, SEQUENCE)?);
        element(&mut validity)?;
        let (tag, text) = element(&mut validity)?;
        let not_after = Time { tag, text };
        expect(&mut tbs, SEQUENCE)?;
        let mut key_info = Reader::new(expect(&mut tbs, SEQUENCE)?);
        let key_algorithm = expect(&mut key_info, SEQUENCE)?;
        let bits = expect(&mut key_info, BIT_STRING)?;
        key_info.finish()?;
        // A whole number of octets: no unused bits.
        let (&0, public_key) = bits.split_first().ok_or(Malformed)? else {
            return Err(Malformed);
        };
        let mut key_usage = None;
        while !tbs.is_empty() {
            if let (CONTEXT_3, extensions) = element(&mut tbs)? {
                key_usage = find_key_usage(extensions)?;
            }
        }
        Ok(Self {
            issuer,
            key_algorithm,
            public_key,
            not_after,
            signature_algorithm,
            key_usage,
        })
    }
}

/// id-ce-keyUsage, 2.5.29.15.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

fn find_key_usage(extensions: &[u8]) -> Result<Option<u8>, Malformed> {
    let mut outer = Reader::new(extensions);
    let mut list = Reader::new(expect(&mut outer, SEQUENCE)?);
    while !list.is_empty() {
        let mut extension = Reader::new(expect(&mut list, SEQUENCE)?);
        if expect(&mut extension, OBJECT_IDENTIFIER)? != KEY_USAGE {
            continue;
        }
        let (mut tag, mut value) = element(&mut extension)?;
        if tag == 0x01 {
            (tag, value) = element(&mut extension)?;
        }
        if tag != 0x04 {
            return Err(Malformed);
        }
        let mut value = Reader::new(value);
        let bits = expect(&mut value, BIT_STRING)?;
        return Ok(Some(bits.get(1).copied().unwrap_or(0)));
    }
    Ok(None)
}

/// The contents of a Name as it stands in a list of authorities.
pub(crate) fn name(encoded: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(encoded);
    let contents = expect(&mut reader, SEQUENCE)?;
    reader.finish()?;
    Ok(contents)
}

/// Writes one element.
pub(crate) fn write(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match contents.len() {
        short @ 0..=0x7f => out.push(short as u8),
        middle @ 0x80..=0xff => out.extend_from_slice(&[0x81, middle as u8]),
        long => {
            out.push(0x82);
            out.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(contents);
    out
}

/// Writes a sequence of elements.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    write(SEQUENCE, &parts.concat())
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days are counted from 0000-03-01, so that the leap day ends a year.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// A time as the Validity field wants it: UTCTime to 2049, then GeneralizedTime.
pub(crate) fn time(since_epoch: Duration) -> Vec<u8> {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    if year < 2050 {
        let text = format!(
            "{:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z",
            year % 100
        );
        write(UTC_TIME, text.as_bytes())
    } else {
        let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
        write(GENERALIZED_TIME, text.as_bytes())
    }
}

impl Time<'_> {
    /// Time since 1970; `None` before that or when it is no time.
    pub(crate) fn since_epoch(&self) -> Option<Duration> {
        let (year, rest) = match self.tag {
            UTC_TIME => {
                let (year, rest) = digits::<2>(self.text)?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => digits::<4>(self.text)?,
            _ => return None,
        };
        let (month, rest) = digits::<2>(rest)?;
        let (day, rest) = digits::<2>(rest)?;
        let (hour, rest) = digits::<2>(rest)?;
        let (minute, rest) = digits::<2>(rest)?;
        let (second, rest) = digits::<2>(rest)?;
        if rest != b"Z" || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let shifted = year.checked_sub(u64::from(month <= 2))?;
        let month_index = (month + 9) % 12;
        let days = 365 * shifted + shifted / 4 - shifted / 100
            + shifted / 400
            + (153 * month_index + 2) / 5
            + day
            - 1;
        let days = days.checked_sub(719_468)?;
        Some(Duration::from_secs(
            days * 86_400 + hour * 3_600 + minute * 60 + second,
        ))
    }
}

fn digits<const N: usize>(text: &[u8]) -> Option<(u64, &[u8])> {
    let (head, tail) = text.split_first_chunk::<N>()?;
    let mut value = 0;
    for digit in head {
        value = value * 10 + u64::from(char::from(*digit).to_digit(10)?);
    }
    Some((value, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        for seconds in [
            0,
            951_782_400,
            1_700_000_000,
            2_524_607_999,
            2_524_608_000,
            4_000_000_000,
        ] {
            let wire = time(Duration::from_secs(seconds));
            let mut reader = Reader::new(&wire);
            let (tag, text) = element(&mut reader).expect("an element");
            let parsed = Time { tag, text }.since_epoch();
            assert_eq!(parsed, Some(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn a_time_before_any_of_ours_is_none() {
        for text in [
            &b"00000101000000Z"[..],
            b"00000301000000Z",
            b"19691231235959Z",
        ] {
            let tag = GENERALIZED_TIME;
            assert_eq!(Time { tag, text }.since_epoch(), None, "{text:?}");
        }
    }

    #[test]
    fn leap_day_is_written_as_such() {
        assert_eq!(
            &time(Duration::from_secs(951_782_400))[2..],
            b"000229000000Z"
        );
    }
}
