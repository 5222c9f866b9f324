//! Preparation of names and passwords outside of ASCII.

use std::borrow::Cow;

/// A name or password that has no prepared form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// It is empty.
    #[error("credential is empty")]
    Empty,
    /// It holds a character that the profile prohibits.
    #[error("credential holds a prohibited character")]
    Prohibited,
    /// It holds characters outside of ASCII and the feature `unicode` is off.
    #[error("credential is not ASCII and this build lacks the unicode feature")]
    NotAscii,
}

fn ascii(text: &str) -> Option<Result<Cow<'_, str>, PrepareError>> {
    if text.is_empty() {
        Some(Err(PrepareError::Empty))
    } else if !text.is_ascii() {
        None
    } else if text.bytes().any(|b| b.is_ascii_control()) {
        Some(Err(PrepareError::Prohibited))
    } else {
        Some(Ok(Cow::Borrowed(text)))
    }
}

/// The OpaqueString profile (RFC 8265 §4.2), which RFC 8489 asks for.
///
/// # Errors
/// The text is empty or holds a character that the profile does not allow.
pub fn opaque_string(text: &str) -> Result<Cow<'_, str>, PrepareError> {
    if let Some(done) = ascii(text) {
        return done;
    }
    #[cfg(feature = "unicode")]
    {
        use precis_profiles::precis_core::profile::PrecisFastInvocation;
        precis_profiles::OpaqueString::enforce(text).map_err(|_| PrepareError::Prohibited)
    }
    #[cfg(not(feature = "unicode"))]
    {
        Err(PrepareError::NotAscii)
    }
}

/// SASLprep (RFC 4013), which RFC 5389 asked for: peers of that age.
///
/// # Errors
/// The text is empty or holds a character that the profile does not allow.
pub fn saslprep(text: &str) -> Result<Cow<'_, str>, PrepareError> {
    if let Some(done) = ascii(text) {
        return done;
    }
    #[cfg(feature = "unicode")]
    {
        stringprep::saslprep(text).map_err(|_| PrepareError::Prohibited)
    }
    #[cfg(not(feature = "unicode"))]
    {
        Err(PrepareError::NotAscii)
    }
}

#[cfg(all(test, feature = "unicode"))]
mod tests {
    use super::*;

    #[test]
    fn saslprep_makes_the_password_of_rfc_5769() {
        assert_eq!(saslprep("The\u{AD}M\u{AA}tr\u{2168}").unwrap(), "TheMatrIX");
        assert_eq!(saslprep("マトリックス").unwrap(), "マトリックス");
    }

    #[test]
    fn opaque_string_maps_spaces_and_keeps_the_rest() {
        // RFC 8265 §4.3, examples 10 to 12 and 15.
        assert_eq!(opaque_string("correct horse").unwrap(), "correct horse");
        assert_eq!(
            opaque_string("\u{03C0}\u{00DF}\u{00E5}").unwrap(),
            "\u{03C0}\u{00DF}\u{00E5}"
        );
        assert_eq!(opaque_string("foo\u{1680}bar").unwrap(), "foo bar");
        assert_eq!(
            opaque_string("my cat is a \u{09}by"),
            Err(PrepareError::Prohibited)
        );
        assert_eq!(opaque_string(""), Err(PrepareError::Empty));
    }
}
