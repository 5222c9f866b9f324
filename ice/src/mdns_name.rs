//! The `.local` names that stand for host addresses (draft-ietf-mmusic-mdns-ice-candidates §3.1.1).

use std::fmt;
use std::str::FromStr;

use rand::Rng;

/// The name is not a version 4 UUID followed by `.local`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID followed by .local")]
pub struct MdnsNameError;

/// A UUID followed by `.local`: the only form made and the only one resolved
/// (§3.2.2: others could be well-known devices).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MdnsName([u8; 16]);

impl MdnsName {
    /// Draws a version 4 UUID.
    #[must_use]
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0u8; 16];
        rng.fill_bytes(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }
}

impl FromStr for MdnsName {
    type Err = MdnsNameError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let s = s.strip_suffix('.').unwrap_or(s);
        let split = s.len().checked_sub(6).ok_or(MdnsNameError)?;
        let (uuid, suffix) = s.split_at_checked(split).ok_or(MdnsNameError)?;
        if uuid.len() != 36 || !suffix.eq_ignore_ascii_case(".local") {
            return Err(MdnsNameError);
        }
        let mut bytes = [0u8; 16];
        let mut nibbles = 0;
        for (i, c) in uuid.bytes().enumerate() {
            if matches!(i, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return Err(MdnsNameError);
                }
                continue;
            }
            let digit = char::from(c).to_digit(16).ok_or(MdnsNameError)?;
            let byte = bytes.get_mut(nibbles / 2).ok_or(MdnsNameError)?;
            *byte = (*byte << 4) | u8::try_from(digit).map_err(|_| MdnsNameError)?;
            nibbles += 1;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for MdnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{b:02x}")?;
        }
        f.write_str(".local")
    }
}

impl fmt::Debug for MdnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_display(seed: u64) {
            let name = MdnsName::random(&mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(name.to_string().parse::<MdnsName>(), Ok(name));
        }

        #[test]
        fn anything_else_is_refused_without_panic(s in "\\PC{0,60}") {
            let _ = s.parse::<MdnsName>();
        }
    }

    #[test]
    fn well_known_devices_are_not_resolved() {
        for name in [
            "printer.local",
            "a.b.local",
            "local",
            ".local",
            "1f4712db-ea17-4bcf-a596-105139dfd8bf.lan",
        ] {
            assert_eq!(name.parse::<MdnsName>(), Err(MdnsNameError), "{name}");
        }
        assert!(
            "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"
                .parse::<MdnsName>()
                .is_ok()
        );
    }
}
