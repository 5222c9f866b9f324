//! Session keys out of master keys (RFC 3711 §4.3, RFC 6188 §3, RFC 7714 §11).

use crate::aes_ctr::AesCtr;
use crate::keys::MasterKey;

/// What a derived key is for (RFC 3711 §4.3.2, RFC 6904 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
    HeaderEncryption = 6,
    HeaderSalt = 7,
}

/// Fills `out` with the key for `label`; `r` is the packet index divided by the key-derivation
/// rate, 48 bits, 0 where the rate is 0.
pub(crate) fn derive(prf: &AesCtr, master: &MasterKey, label: Label, r: u64, out: &mut [u8]) {
    // x = key_id XOR master_salt with key_id = label || r, right-aligned in 112 bits; the counter
    // block is x * 2^16.
    let key_id = (u128::from(label as u8) << 48) | u128::from(r & 0xffff_ffff_ffff);
    let mut salt = [0u8; 16];
    salt[..14].copy_from_slice(master.salt());
    let iv = u128::from_be_bytes(salt) ^ (key_id << 16);
    out.fill(0);
    prf.apply(iv, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::testing::hex;

    fn derived(master: &MasterKey, label: Label, len: usize) -> Vec<u8> {
        let prf = AesCtr::new(master.key()).unwrap();
        let mut out = vec![0; len];
        derive(&prf, master, label, 0, &mut out);
        out
    }

    #[test]
    fn rfc_6188_section_7_2_and_7_4() {
        for (profile, key, salt, encryption, salting, authentication) in [
            (
                Profile::AesCm256HmacSha1_80,
                "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
                "3b04803de51ee7c96423ab5b78d2",
                "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
                "fa31791685ca444a9e07c6c64e93",
                "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
            ),
            (
                Profile::AesCm192HmacSha1_80,
                "73edc66c4fa15776fb57f9505c17136550ffda71f3e8e5f1",
                "c8522f3acd4ce86d5add78edbb11",
                "31874736a8f1143870c26e4857d8a5b2c4a354407faadabb",
                "2372b82d639b6d8503a47adc0a6c",
                "355b10973cd95b9eacf4061c7e1a7151e7cfbfcb",
            ),
        ] {
            let master = MasterKey::new(profile, &hex(key), &hex(salt)).unwrap();
            let key_len = profile.key_len();
            assert_eq!(
                derived(&master, Label::RtpEncryption, key_len),
                hex(encryption)
            );
            assert_eq!(derived(&master, Label::RtpSalt, 14), hex(salting));
            assert_eq!(
                derived(&master, Label::RtpAuthentication, 20),
                hex(authentication)
            );
        }
    }

    /// RFC 9335 appendix A.2: session keys of an AEAD, whose salt has 12 bytes.
    #[test]
    fn rfc_9335_appendix_a_2() {
        let master = MasterKey::new(
            Profile::AeadAes128Gcm,
            &hex("000102030405060708090a0b0c0d0e0f"),
            &hex("a0a1a2a3a4a5a6a7a8a9aaab"),
        )
        .unwrap();
        assert_eq!(
            derived(&master, Label::RtpEncryption, 16),
            hex("077c6143cb221bc355ff23d5f984a16e")
        );
        assert_eq!(
            derived(&master, Label::RtpSalt, 12),
            hex("9af3e95364ebac9c99c5a7c4")
        );
    }

    /// RFC 3711 appendix B.3.
    fn master_of_rfc_3711() -> MasterKey {
        MasterKey::new(
            Profile::AesCm128HmacSha1_80,
            &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
            &hex("0EC675AD498AFEEBB6960B3AABE6"),
        )
        .unwrap()
    }

    /// RFC 6904 appendix A.1, of RFC 3711's master key.
    #[test]
    fn rfc_6904_appendix_a_1() {
        let master = master_of_rfc_3711();
        assert_eq!(
            derived(&master, Label::HeaderEncryption, 16),
            hex("549752054D6FB708622C4A2E596A1B93")
        );
        assert_eq!(
            derived(&master, Label::HeaderSalt, 14),
            hex("AB01818174C40D39A3781F7C2D27")
        );
    }

    #[test]
    fn rfc_3711_appendix_b_3() {
        let master = master_of_rfc_3711();
        assert_eq!(
            derived(&master, Label::RtpEncryption, 16),
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(
            derived(&master, Label::RtpSalt, 14),
            hex("30CBBC08863D8C85D49DB34A9AE1")
        );
        assert_eq!(
            derived(&master, Label::RtpAuthentication, 94),
            hex(
                "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE
                 E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25
                 6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2"
            )
        );
    }
}
