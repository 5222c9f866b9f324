//! What can go wrong: the caller's mistakes ([`Error`], [`SealError`]) and the
//! reasons a connection ends ([`Failure`]).

use rustls::AlertDescription;

use crate::wire::Malformed;

/// An alert that rustls has no name for (RFC 9147 §9).
const TOO_MANY_CIDS_REQUESTED: u8 = 52;

/// The caller asked for something that cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The provider could make no randomness, key or signature.
    #[error("the crypto provider failed")]
    Crypto,
    /// The configuration cannot work: no suite, group or version is left, or a
    /// name is too long for the wire.
    #[error("the configuration cannot work: {0}")]
    Config(&'static str),
    /// The keys are not known yet, or the label, context or length is beyond
    /// what the exporter can do (RFC 8446 §7.5).
    #[error("keying material cannot be exported")]
    Export,
    /// A private key or certificate in a form that is not understood.
    #[error("the certificate or its key is not usable")]
    Certificate,
    /// The connection has ended, or the handshake has not.
    #[error("the connection is not established")]
    NotConnected,
}

/// Why application data could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The handshake has not ended, or the connection has.
    #[error("the connection is not established")]
    NotConnected,
    /// `start` is beyond the buffer, or headroom for the header is missing.
    #[error("the buffer has no room for the header")]
    NoHeadroom,
    /// More than a record or the peer's record size limit may hold.
    #[error("the payload is larger than a record may be")]
    TooLarge,
    /// The keys have sealed what they may. In 1.3 the payload may be tried again
    /// until the peer has acknowledged an update, or the connection ends for want
    /// of that (RFC 9147 §4.5.3). In 1.2, after 2^48 - 1 records, and where no
    /// update can be asked for, it ends at once: [`Failure::Exhausted`].
    #[error("the keys are used up")]
    Exhausted,
}

/// Why a connection ended other than by close_notify. Each entry is one cause;
/// [`Failure::alert`] is what the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The peer sent a fatal alert.
    #[error("the peer sent the alert {0:?}")]
    AlertReceived(AlertDescription),
    /// No answer after the last retransmission (RFC 9147 §5.8).
    #[error("the peer did not answer in time")]
    TimedOut,
    /// A handshake message (RFC 8446 §4) or an ACK (RFC 9147 §7) broke the
    /// grammar.
    #[error("a message is malformed")]
    Malformed,
    /// A handshake message that the state does not allow (RFC 8446 §4).
    #[error("unexpected message of type {0}")]
    UnexpectedMessage(u8),
    /// A record of a type that the state does not allow.
    #[error("unexpected record of type {0}")]
    UnexpectedRecord(u8),
    /// A record larger than the limit (RFC 8446 §5.2, RFC 8449 §4).
    #[error("a record is too large")]
    RecordOverflow,
    /// A handshake message continues where keys change (RFC 8446 §5.1).
    #[error("handshake data left over where keys change")]
    ExcessHandshakeData,
    /// Fragments of one message that disagree about it (RFC 9147 §5.5).
    #[error("fragments disagree about their message")]
    FragmentMismatch,
    /// A handshake message beyond [`crate::Builder::max_message`], or a ClientHello
    /// beyond [`crate::limits::MAX_CLIENT_HELLO`].
    #[error("a handshake message is too large")]
    MessageTooLarge,
    /// No version in common (RFC 8446 §4.2.1).
    #[error("no version in common")]
    NoCommonVersion,
    /// A version was chosen that was not offered.
    #[error("the peer chose a version that was not offered")]
    WrongVersion,
    /// No cipher suite in common.
    #[error("no cipher suite in common")]
    NoCommonCipherSuite,
    /// A cipher suite was chosen that was not offered, or it changed.
    #[error("the peer chose a cipher suite that was not offered")]
    WrongCipherSuite,
    /// No key exchange group in common.
    #[error("no key exchange group in common")]
    NoCommonGroup,
    /// A group was chosen that was not offered, or that does not fit.
    #[error("the peer chose a group that was not offered")]
    WrongGroup,
    /// A public key that is no valid element of its group.
    #[error("the peer's key share is invalid")]
    BadKeyShare,
    /// No signature scheme in common.
    #[error("no signature scheme in common")]
    NoCommonSignatureScheme,
    /// The peer names authorities, and none of them issued a certificate of ours
    /// that is for their peers only.
    #[error("no certificate of an issuer that the peer names")]
    NoMatchingIssuer,
    /// A signature scheme was used that was not offered or does not fit the key.
    #[error("the peer used a signature scheme that was not offered")]
    WrongSignatureScheme,
    /// No application protocol in common (RFC 7301 §3.2).
    #[error("no application protocol in common")]
    NoCommonAlpn,
    /// A protocol was chosen that was not offered (RFC 7301 §3.1).
    #[error("the peer chose an application protocol that was not offered")]
    WrongAlpn,
    /// An SRTP profile was chosen that was not offered, or with an MKI
    /// (RFC 5764 §4.1.1).
    #[error("the peer chose an SRTP profile that was not offered")]
    WrongSrtpProfile,
    /// An answer to an extension that was never sent (RFC 8446 §4.2).
    #[error("unsolicited extension {0}")]
    UnsolicitedExtension(u16),
    /// The same extension twice.
    #[error("duplicate extension {0}")]
    DuplicateExtension(u16),
    /// A required extension is missing (RFC 8446 §9.2).
    #[error("extension {0} is missing")]
    MissingExtension(u16),
    /// Compression other than null (RFC 8446 §4.1.2).
    #[error("the peer wants compression")]
    WrongCompression,
    /// A hello field has a value that the standard forbids.
    #[error("a hello message has an illegal value")]
    IllegalHello,
    /// A HelloRetryRequest that asks for nothing new, or a second one
    /// (RFC 8446 §4.1.4).
    #[error("the retry request is invalid")]
    IllegalRetry,
    /// The second ClientHello changed what must not change (RFC 8446 §4.1.2).
    #[error("the second ClientHello differs from the first")]
    HelloChanged,
    /// The server could have used 1.3 and says so (RFC 8446 §4.1.3).
    #[error("the version was downgraded by someone on the way")]
    Downgrade,
    /// The client fell back although both can do better (RFC 7507).
    #[error("inappropriate fallback")]
    InappropriateFallback,
    /// DTLS 1.2 without the extended master secret (RFC 7627), which we require.
    #[error("the peer does not do the extended master secret")]
    NoExtendedMasterSecret,
    /// Renegotiation data where there is none (RFC 5746 §3.4).
    #[error("the renegotiation info does not match")]
    RenegotiationMismatch,
    /// A certificate was asked for and none came.
    #[error("the peer sent no certificate")]
    NoCertificate,
    /// A certificate that cannot be parsed, or too many of them.
    #[error("the peer's certificate is malformed")]
    BadCertificate,
    /// A certificate with a key of a kind that is not supported, or that does
    /// not fit the cipher suite.
    #[error("the peer's certificate has an unsupported key")]
    UnsupportedCertificate,
    /// The certificate matches none of the expected fingerprints (RFC 8122 §6.2).
    #[error("the peer's certificate does not match the fingerprint")]
    FingerprintMismatch,
    /// The certificate was refused by the caller's check or the roots.
    #[error("the peer's certificate is not trusted")]
    UntrustedCertificate(AlertDescription),
    /// The signature over the handshake does not verify.
    #[error("the peer's handshake signature is wrong")]
    BadSignature,
    /// The Finished message does not verify.
    #[error("the peer's Finished message is wrong")]
    BadFinished,
    /// The cookie is not ours (RFC 9147 §5.1).
    #[error("the cookie is wrong")]
    BadCookie,
    /// A HelloRetryRequest with a cookie beyond [`crate::limits::MAX_COOKIE`].
    #[error("the cookie is too long")]
    CookieTooLong,
    /// An ACK of records of a later epoch than its own (RFC 9147 §7.2).
    #[error("an ACK names records of a later epoch")]
    BadAck,
    /// An alert that breaks the grammar or has an unknown level.
    #[error("an alert is malformed")]
    BadAlert,
    /// Too many key updates without data, or in all (RFC 9147 §8).
    #[error("the peer updates its keys too often")]
    TooManyKeyUpdates,
    /// Too many requests for connection IDs without data (RFC 9147 §9).
    #[error("the peer only asks for connection IDs")]
    TooManyIdRequests,
    /// Too many warning alerts in a row.
    #[error("the peer floods the connection with warning alerts")]
    Flood,
    /// Epochs or sequence numbers are used up (RFC 9147 §4.2.1).
    #[error("the keys are used up")]
    Exhausted,
    /// The crypto provider failed.
    #[error("internal error of the crypto provider")]
    Crypto,
}

impl Failure {
    /// The alert that tells the peer, if it is to be told. (1.2 says
    /// handshake_failure for [`Failure::NoCertificate`], RFC 5246 §7.4.6.)
    #[must_use]
    pub fn alert(self) -> Option<AlertDescription> {
        use AlertDescription as A;
        Some(match self {
            Self::AlertReceived(_) | Self::TimedOut => return None,
            Self::Malformed | Self::DuplicateExtension(_) => A::DecodeError,
            Self::UnexpectedMessage(_)
            | Self::UnexpectedRecord(_)
            | Self::ExcessHandshakeData
            | Self::TooManyKeyUpdates
            | Self::Flood => A::UnexpectedMessage,
            Self::RecordOverflow => A::RecordOverflow,
            Self::NoCommonVersion => A::ProtocolVersion,
            Self::NoCommonCipherSuite
            | Self::NoCommonGroup
            | Self::NoCommonSignatureScheme
            | Self::NoMatchingIssuer
            | Self::NoExtendedMasterSecret
            | Self::RenegotiationMismatch => A::HandshakeFailure,
            Self::NoCommonAlpn => A::NoApplicationProtocol,
            Self::UnsolicitedExtension(_) => A::UnsupportedExtension,
            Self::MissingExtension(_) => A::MissingExtension,
            Self::InappropriateFallback => A::InappropriateFallback,
            Self::NoCertificate => A::CertificateRequired,
            Self::BadCertificate | Self::FingerprintMismatch => A::BadCertificate,
            Self::UnsupportedCertificate => A::UnsupportedCertificate,
            Self::UntrustedCertificate(alert) => alert,
            Self::BadSignature | Self::BadFinished => A::DecryptError,
            Self::Exhausted | Self::Crypto => A::InternalError,
            Self::TooManyIdRequests => A::from(TOO_MANY_CIDS_REQUESTED),
            Self::WrongVersion
            | Self::WrongCipherSuite
            | Self::WrongGroup
            | Self::BadKeyShare
            | Self::WrongSignatureScheme
            | Self::WrongAlpn
            | Self::WrongSrtpProfile
            | Self::BadAck
            | Self::BadAlert
            | Self::WrongCompression
            | Self::IllegalHello
            | Self::IllegalRetry
            | Self::HelloChanged
            | Self::Downgrade
            | Self::BadCookie
            | Self::CookieTooLong
            | Self::FragmentMismatch
            | Self::MessageTooLarge => A::IllegalParameter,
        })
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
