//! Whether enough people approved, each counted once: k of n, by role.

use super::{PromotionPolicy, Roles, Version, is_erased};

/// Who stands for which role, and what is missing.
pub(super) struct Quorum {
    /// The role of each approver, in their order; empty where the policy names none.
    pub(super) roles: Vec<Option<String>>,
    /// What the policy asks for beyond that.
    pub(super) missing: Vec<String>,
}

/// A role, how many it needs, who has it and who stands for it, as places in the order of the
/// approvers.
struct Seat<'a> {
    role: &'a str,
    needed: usize,
    has: Vec<bool>,
    taken: Vec<usize>,
}

/// Finds this person a seat, if need be by moving others: an augmenting path of a bipartite
/// matching (Kuhn 1955). Each role is tried once.
fn seat(person: usize, seats: &mut [Seat<'_>], tried: &mut [bool]) -> bool {
    for at in 0..seats.len() {
        if tried[at] || !seats[at].has[person] {
            continue;
        }
        tried[at] = true;
        if seats[at].taken.len() < seats[at].needed {
            seats[at].taken.push(person);
            return true;
        }
        for n in 0..seats[at].taken.len() {
            if seat(seats[at].taken[n], seats, tried) {
                seats[at].taken[n] = person;
                return true;
            }
        }
    }
    false
}

impl Version {
    /// Who of its approvers stands for which of the policy's roles, as many as can, and what is
    /// missing.
    pub(super) fn stand_for(&self, policy: &PromotionPolicy, roles: &Roles) -> Quorum {
        let people = self.approvers();
        let mut missing = Vec::new();
        let back: Vec<_> = self.withdrawn.iter().map(|w| w.approval.by.as_str()).collect();
        let mut back = match back.as_slice() {
            [] => String::new(),
            back => format!("; taken back: {}", back.join(", ")),
        };
        if self.approvals.iter().any(|approval| is_erased(&approval.by)) {
            back.push_str("; of people who were erased since, none counts");
        }
        if people.len() < policy.approvals {
            missing.push(format!(
                "{} of {} approvals by people other than its author {}{back}",
                people.len(),
                policy.approvals,
                self.author
            ));
        }
        let mut seats: Vec<_> = policy
            .approver_roles
            .iter()
            .map(|(role, &needed)| {
                let has = people.iter().map(|person| roles.has(person, role)).collect();
                Seat { role, needed, has, taken: Vec::new() }
            })
            .collect();
        for person in 0..people.len() {
            seat(person, &mut seats, &mut vec![false; policy.approver_roles.len()]);
        }
        let mut at_most = 0_usize;
        for Seat { role, needed, has, .. } in &seats {
            let found = has.iter().filter(|has| **has).count();
            at_most = at_most.saturating_add(found.min(*needed));
            if found < *needed {
                let others = people.iter().zip(has).filter(|(_, has)| !**has);
                let others: Vec<_> = others.map(|(person, _)| *person).collect();
                let others = match others.as_slice() {
                    [] => String::new(),
                    others => format!(", which {} has not", others.join(", ")),
                };
                missing.push(format!(
                    "{found} of {needed} approvals in the role `{role}`{others}{back}"
                ));
            }
        }
        let seated: usize = seats.iter().map(|seat| seat.taken.len()).sum();
        if seated < at_most {
            let roles: Vec<_> = seats.iter().map(|seat| format!("`{}`", seat.role)).collect();
            let roles = roles.join(", ");
            missing.push(format!(
                "{} more people in the roles {roles}: who has several stands for one",
                at_most - seated
            ));
        }
        let mut stood = vec![None; if seats.is_empty() { 0 } else { people.len() }];
        for seat in &seats {
            for &person in &seat.taken {
                stood[person] = Some(seat.role.to_owned());
            }
        }
        Quorum { roles: stood, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Approval, Digest, Timestamp};

    /// A version that these people have approved, under a policy of these roles, where each
    /// person's letters say which roles they have.
    fn quorum(approvals: usize, roles: &[(&str, usize)], people: &[&str]) -> Quorum {
        let at = Timestamp::from_millis(0);
        let mut version = Version::new("loans", 1, Digest::of(b""), "author", at);
        for by in people {
            let approval = Approval { by: (*by).into(), comment: String::new(), at };
            version.approvals.push(approval);
        }
        let policy = PromotionPolicy { approvals, ..PromotionPolicy::default() };
        let policy = roles.iter().fold(policy, |policy, (role, n)| policy.with_role(*role, *n));
        version.stand_for(&policy, &Roles::new(|person, role| person.contains(role)))
    }

    #[test]
    fn a_person_stands_for_one_role() {
        let both = [("r", 1), ("e", 1)];
        for (people, missing) in [
            (&[][..], 3),
            (&["r 1"], 2),
            (&["re 1"], 2),
            (&["x 1", "x 2"], 2),
            (&["r 1", "r 2"], 1),
            (&["r 1", "e 1"], 0),
            // The first could take either; she takes what the second leaves.
            (&["re 1", "r 2"], 0),
            (&["re 1", "e 2"], 0),
            (&["r 1", "re 2"], 0),
            (&["re 1", "re 2"], 0),
            (&["re 1", "RE  1"], 2),
            // One person, however the name is spelled.
            (&["re 1", "re  1"], 2),
            (&["author", "re 1"], 2),
        ] {
            let found = quorum(2, &both, people);
            assert_eq!(found.missing.len(), missing, "{people:?}: {:?}", found.missing);
        }
        let found = quorum(2, &both, &["x", "re 1", "r 2", "r 3"]);
        assert_eq!(found.missing, [""; 0]);
        let stood: Vec<_> = found.roles.iter().map(|role| role.as_deref()).collect();
        assert_eq!(stood, [None, Some("e"), Some("r"), None]);
        assert_eq!(quorum(3, &[], &["a", "b", "c"]).roles, []);
        assert_eq!(quorum(0, &[("r", usize::MAX), ("e", usize::MAX)], &["re"]).missing.len(), 3);
    }

    /// Against all ways to give each person one of their roles or none.
    #[test]
    fn it_is_met_exactly_where_some_way_to_seat_people_meets_it() {
        let letters = ["", "a", "b", "c", "ab", "bc", "ac", "abc"];
        let mut met = 0;
        for case in 0..8_usize.pow(4) {
            let has: Vec<_> = (0..4).map(|n| letters[case / 8_usize.pow(n) % 8]).collect();
            let people: Vec<_> = has.iter().enumerate().map(|(n, l)| format!("{l} {n}")).collect();
            let people: Vec<_> = people.iter().map(String::as_str).collect();
            for needed in [[1, 1, 1], [2, 1, 1], [0, 2, 2], [1, 0, 2]] {
                let roles: Vec<_> = ["a", "b", "c"].into_iter().zip(needed).collect();
                let some = (0..4_usize.pow(4)).any(|way| {
                    let mut seats = [0; 3];
                    (0..4).all(|n| match way / 4_usize.pow(n) % 4 {
                        3 => true,
                        at => {
                            seats[at] += 1;
                            has[n as usize].contains(roles[at].0)
                        }
                    }) && seats.iter().zip(needed).all(|(found, needed)| *found >= needed)
                });
                let found = quorum(0, &roles, &people);
                assert_eq!(found.missing.is_empty(), some, "{people:?} {roles:?}");
                met += u32::from(some);
            }
        }
        assert!(met > 1000);
    }
}
