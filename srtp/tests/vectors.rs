//! Vectors of the standards whose packets and master keys are given, through the public API.
#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails should fail its test"
)]

use tincan_srtp::{Config, Cryptex, MasterKey, Profile, Receiver, Sender};

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .chars()
        .filter_map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn cm128() -> MasterKey {
    MasterKey::new(
        Profile::AesCm128HmacSha1_80,
        &hex("e1f97a0d3e018be0d64fa32c06de4139"),
        &hex("0ec675ad498afeebb6960b3aabe6"),
    )
    .unwrap()
}

fn gcm128() -> MasterKey {
    MasterKey::new(
        Profile::AeadAes128Gcm,
        &hex("000102030405060708090a0b0c0d0e0f"),
        &hex("a0a1a2a3a4a5a6a7a8a9aaab"),
    )
    .unwrap()
}

fn check(key: &MasterKey, config: &Config, name: &str, plain: &str, protected: &str) {
    let plain = hex(plain);
    let protected = hex(protected);
    let mut sender = Sender::with_config(key, config.clone()).unwrap();
    let mut packet = plain.clone();
    sender.protect_rtp(&mut packet, 0).unwrap();
    assert_eq!(packet, protected, "{name}");
    let mut receiver = Receiver::with_config(key, config.clone()).unwrap();
    assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(plain.len()));
    assert_eq!(packet[..plain.len()], plain, "{name}");
}

/// Name, plain packet, protected packet.
type Case = (&'static str, &'static str, &'static str);

const RFC_9335_A_1: &[Case] = &[
    (
        "1-byte header extension",
        "900f1235 decafbad cafebabe bede0001 51000200 abababab abababab abababab abababab",
        "900f1235 decafbad cafebabe c0de0001 eb923652 51c3e036 f8de27e9 c27ee3e0 b4651d9f
         bc4218a7 0244522f 34a5",
    ),
    (
        "2-byte header extension",
        "900f1236 decafbad cafebabe 10000001 05020002 abababab abababab abababab abababab",
        "900f1236 decafbad cafebabe c2de0001 4ed9cc4e 6a712b30 96c5ca77 339d4204 ce0d7739
         6cab6958 5fbce381 94a5",
    ),
    (
        "1-byte header extension and csrc fields",
        "920f1238 decafbad cafebabe 0001e240 0000b26e bede0001 51000200 abababab abababab
         abababab abababab",
        "920f1238 decafbad cafebabe 8bb6e12b 5cff16dd c0de0001 92838c8c 09e58393 e1de3a9a
         74734d67 45671338 c3acf11d a2df8423 bee0",
    ),
    (
        "2-byte header extension and csrc fields",
        "920f1239 decafbad cafebabe 0001e240 0000b26e 10000001 05020002 abababab abababab
         abababab abababab",
        "920f1239 decafbad cafebabe f70e513e b90b9b25 c2de0001 bbed4848 faa64466 5f3d7f34
         125914e9 f4d0ae92 3c6f479b 95a0f7b5 3133",
    ),
    (
        "empty 1-byte header extension and csrc fields",
        "920f123a decafbad cafebabe 0001e240 0000b26e bede0000 abababab abababab abababab
         abababab",
        "920f123a decafbad cafebabe 7130b6ab fe2ab0e3 c0de0000 e3d9f64b 25c9e74c b4cf8e43
         fb92e378 1c2c0cea b6b3a499 a14c",
    ),
    (
        "empty 2-byte header extension and csrc fields",
        "920f123b decafbad cafebabe 0001e240 0000b26e 10000000 abababab abababab abababab
         abababab",
        "920f123b decafbad cafebabe cbf24c12 4330e1c8 c2de0000 599dd45b c9d687b6 03e8b59d
         771fd38e 88b170e0 cd31e125 eabe",
    ),
];

const RFC_9335_A_2: &[Case] = &[
    (
        "1-byte header extension",
        "900f1235 decafbad cafebabe bede0001 51000200 abababab abababab abababab abababab",
        "900f1235 decafbad cafebabe c0de0001 39972dc9 572c4d99 e8fc355d e743fb2e 94f9d8ff
         54e72f41 93bbc5c7 4ffab0fa 9fa0fbeb",
    ),
    (
        "2-byte header extension",
        "900f1236 decafbad cafebabe 10000001 05020002 abababab abababab abababab abababab",
        "900f1236 decafbad cafebabe c2de0001 bb75a4c5 45cd1f41 3bdb7daa 2b1e3263 de313667
         c9632490 81b35a65 f5cb6c88 b394235f",
    ),
    (
        "1-byte header extension and csrc fields",
        "920f1238 decafbad cafebabe 0001e240 0000b26e bede0001 51000200 abababab abababab
         abababab abababab",
        "920f1238 decafbad cafebabe 63bbccc4 a7f695c4 c0de0001 8ad7c71f ac70a80c 92866b4c
         6ba98546 ef913586 e95ffaaf fe956885 bb0647a8 bc094ac8",
    ),
    (
        "2-byte header extension and csrc fields",
        "920f1239 decafbad cafebabe 0001e240 0000b26e 10000001 05020002 abababab abababab
         abababab abababab",
        "920f1239 decafbad cafebabe 3680524f 8d312b00 c2de0001 c78d1200 38422bc1 11a7187a
         18246f98 0c059cc6 bc9df8b6 26394eca 344e4b05 d80fea83",
    ),
    (
        "empty 1-byte header extension and csrc fields",
        "920f123a decafbad cafebabe 0001e240 0000b26e bede0000 abababab abababab abababab
         abababab",
        "920f123a decafbad cafebabe 15b6bb43 37906fff c0de0000 b7b96453 7a2b03ab 7ba5389c
         e9331712 6b5d974d f30c6884 dcb651c5 e120c1da",
    ),
    (
        "empty 2-byte header extension and csrc fields",
        "920f123b decafbad cafebabe 0001e240 0000b26e 10000000 abababab abababab abababab
         abababab",
        "920f123b decafbad cafebabe dcb38c9e 48bf95f4 c2de0000 61ee432c f9203170 76613258
         d3ce4236 c06ac429 681ad084 13512dc9 8b5207d8",
    ),
];

#[test]
fn rfc_9335_appendix_a_1_counter_mode() {
    let config = Config::new().cryptex(Cryptex::Use);
    for (name, plain, protected) in RFC_9335_A_1 {
        check(&cm128(), &config, name, plain, protected);
    }
}

#[test]
fn rfc_9335_appendix_a_2_gcm() {
    let config = Config::new().cryptex(Cryptex::Use);
    for (name, plain, protected) in RFC_9335_A_2 {
        check(&gcm128(), &config, name, plain, protected);
    }
}

/// RFC 6904 appendix A: the elements 1, 3 and 4 of five.
const RFC_6904_PLAIN: &str = "900f1234 decafbad cafebabe BEDE0006 17414273 A4752627 48220000
    C8308E46 55996386 B395FB00 abababab abababab abababab abababab";

#[test]
fn rfc_6904_appendix_a() {
    check(
        &cm128(),
        &Config::new().encrypted_elements([1, 3, 4]),
        "RFC 6904",
        RFC_6904_PLAIN,
        "900f1234 decafbad cafebabe BEDE0006 17588A92 70F4E15E 1C220000 C8309546 A994F0BC
         54789700 4e55dc4c e79978d8 8ca4d215 949d2402 5a46b3ca 35c535a8 91c7",
    );
}

/// The same packet with AES-GCM, as libsrtp has it.
#[test]
fn rfc_6904_with_gcm() {
    let key = MasterKey::new(
        Profile::AeadAes128Gcm,
        &hex("e1f97a0d3e018be0d64fa32c06de4139"),
        &hex("0ec675ad498afeebb6960b3a"),
    )
    .unwrap();
    check(
        &key,
        &Config::new().encrypted_elements([1, 3, 4]),
        "RFC 6904 with GCM",
        RFC_6904_PLAIN,
        "900f1234 decafbad cafebabe BEDE0006 1712e020 5bfa949b 1C220000 C830bb46 732778d9
         929aab00 0eca0cf9 5ee955b2 6cd3d288 b49f6ca9 f4b1b759 719eb5bc 113b9ff1 d40cd25a",
    );
}

/// A whole packet under AES-256 in counter mode, as libsrtp has it; the master key is RFC 6188's.
#[test]
fn rfc_6188_packet() {
    let key = MasterKey::new(
        Profile::AesCm256HmacSha1_80,
        &hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"),
        &hex("3b04803de51ee7c96423ab5b78d2"),
    )
    .unwrap();
    check(
        &key,
        &Config::new(),
        "AES-256",
        "800f1234 decafbad cafebabe abababab abababab abababab abababab",
        "800f1234 decafbad cafebabe f1d9de17 ff251ff1 aa007774 b0b4b40d a08d9d9a 5b3a55d8 873b",
    );
}
