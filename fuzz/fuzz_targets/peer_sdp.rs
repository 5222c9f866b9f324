#![no_main]
//! Any text as a remote description, in any state: an error or a change, never a panic, and an answer that can be made
//! can be applied and read strictly.

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::jsep::{IceParameters, Jsep, JsepConfig, LocalTransport};
use tincan_peer::{BundlePolicy, Capabilities, Direction, SdpType, SessionDescription};

fuzz_target!(|data: (bool, &str, &str)| {
    let (offered, first, second) = data;
    let mut rng = StdRng::seed_from_u64(1);
    let config = JsepConfig {
        capabilities: Arc::new(Capabilities::browser()),
        bundle_policy: BundlePolicy::Balanced,
        ice_lite: false,
        max_message_size: 262_144,
    };
    let mut jsep = Jsep::new(config, &mut rng);
    let transport = LocalTransport {
        ice: IceParameters {
            ufrag: "ufra".into(),
            pwd: "passwordpasswordpassword".into(),
        },
        fingerprints: vec![format!("sha-256 {}AB", "AB:".repeat(31))],
        tls_id: "tlsidtlsidtlsidtlsid".into(),
    };
    if offered {
        let _ = jsep.add_transceiver(tincan_peer::Kind::Video, Default::default(), &mut rng);
        let offer = jsep.create_offer(&transport).expect("an offer in stable");
        jsep.set_local(SdpType::Offer, &offer)
            .expect("what was created");
    }
    for text in [first, second] {
        for type_ in [SdpType::Offer, SdpType::PrAnswer, SdpType::Answer] {
            let before = jsep.state();
            if jsep
                .set_remote(&SessionDescription::new(type_, text), &mut rng)
                .is_err()
            {
                assert_eq!(jsep.state(), before, "an error changes nothing");
                continue;
            }
            let ids: Vec<_> = jsep.transceivers().iter().map(|t| t.id()).collect();
            for id in ids {
                let _ = jsep.set_direction(id, Direction::SendRecv);
            }
            if let Ok(answer) = jsep.create_answer(&transport) {
                jsep.set_local(SdpType::Answer, &answer)
                    .expect("what was created");
                tincan_sdp::SessionDescription::parse(&answer).expect("our own answer");
            }
        }
    }
});
