//! X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem): ML-KEM-768 and X25519 side by
//! side, so that the key is safe while either of them is.

use ml_kem::kem::{Decapsulate as _, KeyExport as _};
use ml_kem::{B32, Seed, ml_kem_768};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup,
};
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};
use zeroize::Zeroize;

/// The hybrid group as a key exchange of the ring provider.
pub static X25519MLKEM768: &dyn SupportedKxGroup = &Hybrid;

/// Octets of an encapsulation key, and so of the client's first part.
const ENCAPSULATION_KEY: usize = 1184;
/// Octets of a ciphertext, and so of the server's first part.
const CIPHERTEXT: usize = 1088;

const BAD_SHARE: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

#[derive(Debug)]
struct Hybrid;

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::from(GetRandomFailed))?;
    Ok(bytes)
}

/// The secrets one after the other, ML-KEM's first.
fn join(first: &[u8], second: &[u8]) -> SharedSecret {
    SharedSecret::from([first, second].concat())
}

impl SupportedKxGroup for Hybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let x25519 = X25519.start()?;
        let mut seed = Seed::from(random::<64>()?);
        let key = ml_kem_768::DecapsulationKey::from_seed(seed);
        seed.zeroize();
        let mut public = key.encapsulation_key().to_bytes().to_vec();
        public.extend_from_slice(x25519.pub_key());
        Ok(Box::new(Active {
            key,
            x25519,
            public,
        }))
    }

    fn start_and_complete(&self, share: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (encapsulation, x25519) = share.split_at_checked(ENCAPSULATION_KEY).ok_or(BAD_SHARE)?;
        let encapsulation = encapsulation.try_into().map_err(|_| BAD_SHARE)?;
        let key = ml_kem_768::EncapsulationKey::new(encapsulation).map_err(|_| BAD_SHARE)?;
        let mut message = B32::from(random::<32>()?);
        let (ciphertext, mut secret) = key.encapsulate_deterministic(&message);
        message.zeroize();
        let x25519 = X25519.start_and_complete(x25519)?;
        let mut public = ciphertext.to_vec();
        public.extend_from_slice(&x25519.pub_key);
        let joined = join(&secret, x25519.secret.secret_bytes());
        secret.zeroize();
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: public,
            secret: joined,
        })
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

struct Active {
    key: ml_kem_768::DecapsulationKey,
    x25519: Box<dyn ActiveKeyExchange>,
    public: Vec<u8>,
}

impl ActiveKeyExchange for Active {
    fn complete(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, x25519) = share.split_at_checked(CIPHERTEXT).ok_or(BAD_SHARE)?;
        let ciphertext: &ml_kem_768::Ciphertext = ciphertext.try_into().map_err(|_| BAD_SHARE)?;
        let x25519 = self.x25519.complete(x25519)?;
        let mut secret = self.key.decapsulate(ciphertext);
        let joined = join(&secret, x25519.secret_bytes());
        secret.zeroize();
        Ok(joined)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_on_64_octets() {
        let client = X25519MLKEM768.start().expect("a key");
        assert_eq!(client.pub_key().len(), 1216);
        let server = X25519MLKEM768
            .start_and_complete(client.pub_key())
            .expect("completes");
        assert_eq!(server.pub_key.len(), 1120);
        let secret = client.complete(&server.pub_key).expect("completes");
        assert_eq!(secret.secret_bytes().len(), 64);
        assert_eq!(secret.secret_bytes(), server.secret.secret_bytes());
    }

    #[test]
    fn shares_of_another_length_are_refused() {
        for length in [0, 32, 1183, 1184, 1215, 1217, 4000] {
            assert!(X25519MLKEM768.start_and_complete(&vec![0; length]).is_err());
            let client = X25519MLKEM768.start().expect("a key");
            assert!(client.complete(&vec![0; length]).is_err());
        }
    }
}
