//! Keys as SDES carries them (RFC 4568).

use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::keys::MasterKey;
use crate::limits::MAX_MKI_LEN;
use crate::profile::Profile;

/// Longest key and salt together, in bytes.
const MAX_KEY_AND_SALT: usize = 46;

impl MasterKey {
    /// The key of one `inline:` parameter of an `a=crypto` line (RFC 4568 §6.1), for the profile
    /// that the line's suite names ([`Profile::from_sdes_name`]), and its lifetime in packets if
    /// it says one, which belongs into
    /// [`Config::max_rtp_packets`](crate::Config::max_rtp_packets).
    ///
    /// ```
    /// # use tincan_srtp::{MasterKey, Profile};
    /// let (key, lifetime) = MasterKey::from_sdes(
    ///     Profile::AesCm128HmacSha1_80,
    ///     "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4",
    /// )?;
    /// assert_eq!(lifetime, Some(1 << 20));
    /// assert_eq!(key.mki(), [0, 0, 0, 1]);
    /// # Ok::<(), tincan_srtp::KeyError>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyError::Sdes`] for what does not parse, [`KeyError::Length`] for a key of another
    /// profile, [`KeyError::Mki`] for an identifier of more than [`MAX_MKI_LEN`] bytes.
    pub fn from_sdes(profile: Profile, params: &str) -> Result<(Self, Option<u64>), KeyError> {
        let params = params.strip_prefix("inline:").ok_or(KeyError::Sdes)?;
        let mut parts = params.split('|');
        let mut decoded = Zeroizing::new([0u8; MAX_KEY_AND_SALT]);
        let len = decode(parts.next().unwrap_or_default(), &mut decoded[..])?;
        let mut key = Self::from_concatenated(profile, decoded.get(..len).ok_or(KeyError::Sdes)?)?;
        let mut lifetime = None;
        for part in parts {
            match part.split_once(':') {
                None if lifetime.is_none() && key.mki().is_empty() => {
                    lifetime = Some(packets(part)?);
                }
                Some((value, len)) if key.mki().is_empty() => {
                    let value: u32 = value.parse().map_err(|_| KeyError::Sdes)?;
                    let len: usize = len.parse().map_err(|_| KeyError::Sdes)?;
                    let bytes = value.to_be_bytes();
                    let start = MAX_MKI_LEN.checked_sub(len).ok_or(KeyError::Mki)?;
                    let (zeros, mki) = bytes.split_at(start);
                    if zeros.iter().any(|byte| *byte != 0) {
                        return Err(KeyError::Sdes);
                    }
                    key = key.with_mki(mki)?;
                }
                _ => return Err(KeyError::Sdes),
            }
        }
        Ok((key, lifetime))
    }
}

/// A lifetime: a number, or a power of two as `2^20`.
fn packets(text: &str) -> Result<u64, KeyError> {
    match text.strip_prefix("2^") {
        Some(exponent) => exponent
            .parse()
            .ok()
            .and_then(|exponent| 1u64.checked_shl(exponent)),
        None => text.parse().ok(),
    }
    .ok_or(KeyError::Sdes)
}

/// Decodes base64 (RFC 4648 §4), padded or not; returns the number of bytes.
fn decode(text: &str, out: &mut [u8]) -> Result<usize, KeyError> {
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return Err(KeyError::Sdes);
    }
    let mut room = out.iter_mut();
    let mut len = 0;
    let (mut bits, mut count) = (0u32, 0u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(KeyError::Sdes),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            *room.next().ok_or(KeyError::Sdes)? = (bits >> count) as u8;
            len += 1;
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4568_examples() {
        let profile = Profile::AesCm128HmacSha1_80;
        let (key, lifetime) = MasterKey::from_sdes(
            profile,
            "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4",
        )
        .unwrap();
        assert_eq!(key.key(), b"YS___semctl () {");
        assert_eq!(key.salt(), b"\t220;}\n}\nunles");
        assert_eq!(lifetime, Some(1_048_576));
        assert_eq!(key.mki(), [0, 0, 0, 1]);
        let (key, lifetime) =
            MasterKey::from_sdes(profile, "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR")
                .unwrap();
        assert_eq!((key.mki(), lifetime), (&[][..], None));
        let gcm = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==|65536|258:2";
        let (key, lifetime) = MasterKey::from_sdes(Profile::AeadAes128Gcm, gcm).unwrap();
        assert_eq!((key.mki(), lifetime), (&[1, 2][..], Some(65_536)));
    }

    #[test]
    fn refuses_what_does_not_parse() {
        let profile = Profile::AesCm128HmacSha1_80;
        let good = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        for bad in [
            String::new(),
            good.to_owned(),
            "inline:".to_owned(),
            format!("inline:{}", &good[1..]),
            format!("inline:{good}AAAA"),
            format!("inline:{good}==="),
            format!("inline:{}\u{e9}", &good[2..]),
            format!("inline:{good}|"),
            format!("inline:{good}|2^64"),
            format!("inline:{good}|1:0"),
            format!("inline:{good}|1:5"),
            format!("inline:{good}|256:1"),
            format!("inline:{good}|1:4|2^20"),
            format!("inline:{good}|1:4|1:4"),
            format!("inline:{good}{}", good.repeat(4)),
        ] {
            assert!(MasterKey::from_sdes(profile, &bad).is_err(), "{bad}");
        }
    }
}
