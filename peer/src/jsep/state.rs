//! The signalling state machine (RFC 9429 §3.2, figure 2; W3C §4.3.1) as one table.
//!
//! ```text
//!                      setRemote(OFFER)               setLocal(PRANSWER)
//!                      /-----\                               /-----\
//!                      v     |                               v     |
//!       +---------------+    |    setLocal(PRANSWER)  +---------------+
//!       |  have-remote- |----/----------------------->| have-local-   |
//!       |  offer        |                             | pranswer      |
//!       +---------------+                             +---------------+
//!            ^   |                                         |
//!            |   | setLocal(ANSWER)                        | setLocal(ANSWER)
//!  setRemote |   v                                         v
//!   (OFFER)  +---------------------------------------------------+
//!            |                      stable                       |
//!            +---------------------------------------------------+
//!    setLocal(OFFER) |   ^ setRemote(ANSWER)               ^ setRemote(ANSWER)
//!                    v   |                                 |
//!       +---------------+                             +---------------+
//!       |  have-local-  |  setRemote(PRANSWER)        | have-remote-  |
//!       |  offer        |---------------------------->| pranswer      |
//!       +---------------+                             +---------------+
//! ```

use crate::error::Side;
use crate::types::{SdpType, SignalingState};

/// The state after a description of this type and side is applied; `None` where it can't be.
pub fn next_state(state: SignalingState, side: Side, type_: SdpType) -> Option<SignalingState> {
    use SdpType::{Answer, Offer, PrAnswer, Rollback};
    use Side::{Local, Remote};
    use SignalingState::{
        HaveLocalOffer, HaveLocalPrAnswer, HaveRemoteOffer, HaveRemotePrAnswer, Stable,
    };
    Some(match (state, side, type_) {
        (Stable | HaveLocalOffer, Local, Offer) => HaveLocalOffer,
        (Stable | HaveRemoteOffer, Remote, Offer) => HaveRemoteOffer,
        (HaveRemoteOffer | HaveLocalPrAnswer, Local, PrAnswer) => HaveLocalPrAnswer,
        (HaveLocalOffer | HaveRemotePrAnswer, Remote, PrAnswer) => HaveRemotePrAnswer,
        (HaveRemoteOffer | HaveLocalPrAnswer, Local, Answer) => Stable,
        (HaveLocalOffer | HaveRemotePrAnswer, Remote, Answer) => Stable,
        // W3C §4.4.1.4 step 2: not in stable and not with a provisional answer.
        (HaveLocalOffer | HaveRemoteOffer, _, Rollback) => Stable,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_48_transitions_are_as_drawn() {
        use SdpType::*;
        use Side::*;
        use SignalingState::*;
        let legal = [
            (Stable, Local, Offer, HaveLocalOffer),
            (Stable, Remote, Offer, HaveRemoteOffer),
            (HaveLocalOffer, Local, Offer, HaveLocalOffer),
            (HaveLocalOffer, Remote, PrAnswer, HaveRemotePrAnswer),
            (HaveLocalOffer, Remote, Answer, Stable),
            (HaveLocalOffer, Local, Rollback, Stable),
            (HaveLocalOffer, Remote, Rollback, Stable),
            (HaveRemoteOffer, Remote, Offer, HaveRemoteOffer),
            (HaveRemoteOffer, Local, PrAnswer, HaveLocalPrAnswer),
            (HaveRemoteOffer, Local, Answer, Stable),
            (HaveRemoteOffer, Local, Rollback, Stable),
            (HaveRemoteOffer, Remote, Rollback, Stable),
            (HaveLocalPrAnswer, Local, PrAnswer, HaveLocalPrAnswer),
            (HaveLocalPrAnswer, Local, Answer, Stable),
            (HaveRemotePrAnswer, Remote, PrAnswer, HaveRemotePrAnswer),
            (HaveRemotePrAnswer, Remote, Answer, Stable),
        ];
        let states = [
            Stable,
            HaveLocalOffer,
            HaveRemoteOffer,
            HaveLocalPrAnswer,
            HaveRemotePrAnswer,
            Closed,
        ];
        for state in states {
            for side in [Local, Remote] {
                for type_ in [Offer, PrAnswer, Answer, Rollback] {
                    let expected = legal
                        .iter()
                        .find(|(s, d, t, _)| (*s, *d, *t) == (state, side, type_))
                        .map(|(.., n)| *n);
                    // `close` is no description; the closed state takes none.
                    assert_eq!(
                        next_state(state, side, type_),
                        expected,
                        "{state} {side} {type_}"
                    );
                }
            }
        }
    }
}
