//! Session keys out of master keys (RFC 3711 §4.3, RFC 6188 §3, RFC 7714 §11).

use crate::aes_ctr::AesCtr;
use crate::keys::MasterKey;

/// What a derived key is for (RFC 3711 §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
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
    fn rfc_3711_appendix_b_3() {
        let master = MasterKey::new(
            Profile::AesCm128HmacSha1_80,
            &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
            &hex("0EC675AD498AFEEBB6960B3AABE6"),
        )
        .unwrap();
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
