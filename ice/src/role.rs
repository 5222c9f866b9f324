//! Roles and the repair of a conflict about them (RFC 8445 §6.1.1, §7.3.1.1).

use std::fmt;

/// Who nominates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nominates the pair to use; the offerer, or a full agent facing a lite one.
    Controlling,
    /// Waits for the nomination.
    Controlled,
}

impl Role {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Controlling => Self::Controlled,
            Self::Controlled => Self::Controlling,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Controlling => "controlling",
            Self::Controlled => "controlled",
        })
    }
}

/// What to do about a request that claims a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No conflict.
    Agreed,
    /// Conflict: switch our role and answer with success.
    Switch,
    /// Conflict: keep our role and answer 487.
    Refuse,
}

/// RFC 8445 §7.3.1.1.
pub(crate) fn judge(
    ours: Role,
    our_tie_breaker: u64,
    theirs: Role,
    their_tie_breaker: u64,
) -> Verdict {
    if ours != theirs {
        return Verdict::Agreed;
    }
    let we_are_larger = our_tie_breaker >= their_tie_breaker;
    match (ours, we_are_larger) {
        (Role::Controlling, true) | (Role::Controlled, false) => Verdict::Refuse,
        (Role::Controlling, false) | (Role::Controlled, true) => Verdict::Switch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_of_two_conflicting_agents_yields() {
        for (a, b) in [(1, 2), (2, 1)] {
            for role in [Role::Controlling, Role::Controlled] {
                // The request of the other arrives at each.
                let at_a = judge(role, a, role, b);
                let at_b = judge(role, b, role, a);
                assert_ne!(at_a, at_b, "{role} {a} {b}");
                assert_ne!(at_a, Verdict::Agreed);
            }
        }
    }

    #[test]
    fn opposite_roles_agree_whatever_the_tie_breakers() {
        assert_eq!(
            judge(Role::Controlled, 0, Role::Controlling, 9),
            Verdict::Agreed
        );
    }
}
