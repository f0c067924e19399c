//! Which consumers are asked: what is known of all of them, put into sets of replicas.
//!
//! Consumers that own the same partitions of the same log are replicas: a question goes to one of each set, the best
//! first. The sets that are asked have no partition in common, so that nothing is counted twice; what does not fit is
//! left out and named:
//!
//! | what is seen | what is done |
//! |---|---|
//! | equal partitions | replicas of each other |
//! | partitions that overlap and are not equal | the larger set that answers is asked, the other is left out: a fault |
//! | partitions that no consumer owns | a fault, unless a consumer that was never reached may own them: then it is named |
//! | another log, or another number of partitions | the log of which the most partitions are answered is asked: a fault |
//! | two consumers of one name | both are asked: a fault, since they commit under one group |
//! | one consumer by two addresses | it is asked by the first |
//! | partitions that a consumer owned before | a fault when another one owns them now: its old records may be counted twice |
//!
//! A fault makes every answer partial, with a reason that names the consumers. A set of which no member answers is asked
//! for nothing, so that no question waits for it: it is a gap, which is named likewise.

mod rank;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use log_tracer_proto::v1::StatusResponse;

use crate::peer::{Known, Reach};

pub(crate) use rank::{READY, lag};

/// What is known of all consumers at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// By the number of the consumer.
    pub(crate) seen: Vec<Seen>,
    /// The sets that are asked; no partition is in two of them.
    pub(crate) sets: Vec<ReplicaSet>,
    /// What is wrong with how they fit together.
    pub(crate) faults: Vec<String>,
    /// The partitions of the log that none of the sets has, and why.
    pub(crate) unowned: Option<String>,
}

/// What is known of one consumer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) address: String,
    pub(crate) known: Known,
    /// The median of its latest answers, microseconds.
    pub(crate) latency_us: u64,
}

/// Consumers with the same partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaSet {
    pub(crate) partitions: Vec<u32>,
    /// Those that answer, by their number: the best first.
    pub(crate) members: Vec<usize>,
    /// Those that do not.
    pub(crate) away: Vec<usize>,
}

/// What a status says of the log.
type LogKey<'a> = (&'a str, u32);

impl View {
    pub(crate) fn new(seen: Vec<Seen>) -> Self {
        let mut builder = Builder {
            view: Self {
                seen,
                ..Self::default()
            },
        };
        builder.build();
        builder.view
    }

    /// Whether it is known of every consumer whether it answers.
    pub(crate) fn is_settled(&self) -> bool {
        let mut all = self.seen.iter();
        all.all(|one| one.known.reach != Reach::Unknown)
    }

    /// A consumer as a person knows it: by its name, and where it is.
    pub(crate) fn label(&self, member: usize) -> String {
        self.seen.get(member).map_or_else(String::new, Seen::label)
    }

    /// Why nothing of a set is in an answer.
    pub(crate) fn gap(&self, set: &ReplicaSet, why: &[(usize, String)]) -> String {
        let away = set.away.iter().map(|member| {
            let why = self.seen.get(*member).map_or("", Seen::why_away);
            format!("{}: {why}", self.label(*member))
        });
        let failed = why
            .iter()
            .map(|(member, why)| format!("{}: {why}", self.label(*member)));
        let who: Vec<String> = failed.chain(away).collect();
        format!(
            "{} missing: {}",
            match set.partitions.len() {
                1 => format!("{} is", partitions(&set.partitions)),
                _ => format!("{} are", partitions(&set.partitions)),
            },
            who.join("; ")
        )
    }
}

impl Seen {
    fn status(&self) -> Option<&StatusResponse> {
        self.known.status.as_deref()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.known.reach == Reach::Up
    }

    pub(crate) fn label(&self) -> String {
        match self.status() {
            // Most names say what they are of.
            Some(status) if status.name.starts_with("consumer") => {
                format!("{} at {}", status.name, self.address)
            }
            Some(status) => format!("consumer {} at {}", status.name, self.address),
            None => format!("the consumer at {}", self.address),
        }
    }

    pub(crate) fn why_away(&self) -> &str {
        match &self.known.reach {
            Reach::Away(why) => why,
            Reach::Up => "it answers now",
            Reach::Unknown => "it was not reached yet",
        }
    }

    fn partitions(&self) -> Vec<u32> {
        let of_status = self.status().into_iter().flat_map(|it| &it.partitions);
        let all: BTreeSet<u32> = of_status.map(|one| one.partition).collect();
        all.into_iter().collect()
    }

    fn log(&self) -> Option<LogKey<'_>> {
        let transport = self.status()?.transport.as_ref();
        Some(transport.map_or(("", 0), |it| (it.log_id.as_str(), it.partitions)))
    }
}

/// Puts a view together.
struct Builder {
    view: View,
}

impl Builder {
    fn build(&mut self) {
        let known = self.without_aliases();
        self.find_twins(&known);
        let of_log = self.of_one_log(&known);
        let mut groups: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
        for member in of_log {
            let partitions = self.seen(member).map(Seen::partitions).unwrap_or_default();
            groups.entry(partitions).or_default().push(member);
        }
        // One that owns nothing has nothing to say.
        groups.remove(&Vec::new());
        self.choose(groups);
        self.find_unowned();
        self.find_former();
    }

    fn seen(&self, member: usize) -> Option<&Seen> {
        self.view.seen.get(member)
    }

    fn is_up(&self, member: usize) -> bool {
        self.seen(member).is_some_and(Seen::is_up)
    }

    /// The consumers that have ever answered, each by one address.
    fn without_aliases(&self) -> Vec<usize> {
        let mut processes: BTreeMap<(&str, u64), usize> = BTreeMap::new();
        for (number, one) in self.view.seen.iter().enumerate() {
            if let Some(status) = one.status() {
                let process = (status.name.as_str(), status.started_unix_nano);
                let first = processes.entry(process).or_insert(number);
                if !self.is_up(*first) && one.is_up() {
                    *first = number;
                }
            }
        }
        let mut numbers: Vec<usize> = processes.into_values().collect();
        numbers.sort_unstable();
        numbers
    }

    fn find_twins(&mut self, known: &[usize]) {
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for number in known.iter().copied().filter(|one| self.is_up(*one)) {
            if let Some(status) = self.seen(number).and_then(Seen::status) {
                by_name.entry(&status.name).or_default().push(number);
            }
        }
        let twins = by_name.into_iter().filter(|(_, all)| all.len() > 1);
        let faults: Vec<String> = twins
            .map(|(name, all)| {
                let addresses = all.iter().filter_map(|one| self.seen(*one));
                let addresses: Vec<&str> = addresses.map(|one| one.address.as_str()).collect();
                format!(
                    "{} consumers have the name {name} and commit as one group: give each a name of its own ({})",
                    all.len(),
                    addresses.join(", ")
                )
            })
            .collect();
        self.view.faults.extend(faults);
    }

    /// Those of the log that is asked.
    fn of_one_log(&mut self, known: &[usize]) -> Vec<usize> {
        let mut logs: BTreeMap<LogKey<'_>, Vec<usize>> = BTreeMap::new();
        for number in known {
            if let Some(log) = self.seen(*number).and_then(Seen::log) {
                logs.entry(log).or_default().push(*number);
            }
        }
        let answered = |members: &[usize]| {
            let up = members.iter().filter(|one| self.is_up(**one));
            let all: BTreeSet<u32> = up
                .filter_map(|one| self.seen(*one))
                .flat_map(Seen::partitions)
                .collect();
            all.len()
        };
        let first = |members: &[usize]| members.first().copied().unwrap_or(usize::MAX);
        let asked = logs
            .iter()
            .max_by_key(|(_, all)| (answered(all), Reverse(first(all))));
        let Some((asked_log, asked)) = asked.map(|(log, all)| (*log, all.clone())) else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        for ((id, count), members) in logs.iter().filter(|(log, _)| **log != asked_log) {
            for member in members.iter().filter(|one| self.is_up(**one)) {
                let label = self.view.label(*member);
                faults.push(match *id == asked_log.0 {
                    true => format!(
                        "{label} is not asked: it says that the log has {count} partitions, the others {}",
                        asked_log.1
                    ),
                    false => format!(
                        "{label} is not asked: it reads the log {id}, the others {}",
                        asked_log.0
                    ),
                });
            }
        }
        self.view.faults.extend(faults);
        asked
    }

    /// Takes sets that have no partition in common: those that answer first, and of these the largest.
    fn choose(&mut self, groups: BTreeMap<Vec<u32>, Vec<usize>>) {
        let mut groups: Vec<ReplicaSet> = groups
            .into_iter()
            .map(|(partitions, all)| {
                let (mut members, away): (Vec<usize>, Vec<usize>) =
                    all.into_iter().partition(|one| self.is_up(*one));
                members.sort_by_key(|one| (self.seen(*one).map(rank::rank), *one));
                ReplicaSet {
                    partitions,
                    members,
                    away,
                }
            })
            .collect();
        let first = |set: &ReplicaSet| set.members.iter().chain(&set.away).min().copied();
        groups.sort_by_key(|set| {
            let size = Reverse(set.partitions.len());
            (set.members.is_empty(), size, first(set))
        });
        let mut taken: BTreeMap<u32, usize> = BTreeMap::new();
        for set in groups {
            let other = set.partitions.iter().find_map(|one| taken.get(one));
            match other.copied() {
                None => {
                    let number = self.view.sets.len();
                    taken.extend(set.partitions.iter().map(|one| (*one, number)));
                    self.view.sets.push(set);
                }
                // What is away and in the way of nobody is what was before a change.
                Some(_) if set.members.is_empty() => {}
                Some(other) => self.say_overlap(&set, other),
            }
        }
        self.view.sets.sort_by_key(|set| set.partitions.clone());
    }

    fn say_overlap(&mut self, left_out: &ReplicaSet, other: usize) {
        let Some(asked) = self.view.sets.get(other) else {
            return;
        };
        let label = |set: &ReplicaSet| {
            let member = set.members.first().or(set.away.first());
            let label = member.map(|one| self.view.label(*one)).unwrap_or_default();
            format!("{label} ({})", partitions(&set.partitions))
        };
        let fault = format!(
            "{} is not asked: it has some partitions in common with {}; give them the same or none",
            label(left_out),
            label(asked)
        );
        self.view.faults.push(fault);
    }

    fn find_unowned(&mut self) {
        let set = self.view.sets.first();
        let member = set.and_then(|set| set.members.iter().chain(&set.away).next());
        let log = member.and_then(|one| self.seen(*one)).and_then(Seen::log);
        let count = log.map_or(0, |(_, count)| count);
        let owned: BTreeSet<u32> = self
            .view
            .sets
            .iter()
            .flat_map(|set| set.partitions.iter().copied())
            .collect();
        let unowned: Vec<u32> = (0..count).filter(|one| !owned.contains(one)).collect();
        let strangers = self.view.seen.iter().filter(|one| one.status().is_none());
        let strangers: Vec<String> = strangers
            .map(|one| format!("{}: {}", one.label(), one.why_away()))
            .collect();
        self.view.unowned = match (unowned.is_empty(), strangers.is_empty()) {
            // Whoever was never reached can only be a replica, or is of another log.
            (true, _) if count > 0 => None,
            (true, true) => None,
            (true, false) => Some(strangers.join("; ")),
            (false, true) => Some(format!("no consumer has {}", partitions(&unowned))),
            (false, false) => Some(format!(
                "{} may be with a consumer that was never reached: {}",
                partitions(&unowned),
                strangers.join("; ")
            )),
        };
    }

    /// Those that hold records of partitions that another one has now.
    fn find_former(&mut self) {
        let mut faults = Vec::new();
        for set in &self.view.sets {
            for member in &set.members {
                let former = self.seen(*member).and_then(Seen::status);
                let former = former.map_or(&[][..], |status| &status.former_partitions);
                let twice: Vec<u32> = former
                    .iter()
                    .copied()
                    .filter(|one| !set.partitions.contains(one))
                    .filter(|one| self.view.sets.iter().any(|it| it.partitions.contains(one)))
                    .collect();
                if !twice.is_empty() {
                    faults.push(format!(
                        "{} still holds records of {}, which another consumer has now: some may be counted twice",
                        self.view.label(*member),
                        partitions(&twice)
                    ));
                }
            }
        }
        self.view.faults.extend(faults);
    }
}

/// "partition 3", "partitions 0 to 3 and 7".
pub(crate) fn partitions(all: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for one in all {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*one) => *last = *one,
            _ => ranges.push((*one, *one)),
        }
    }
    let word = if all.len() == 1 {
        "partition"
    } else {
        "partitions"
    };
    let texts: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first} to {last}"),
        })
        .collect();
    format!("{word} {}", texts.join(", "))
}

#[cfg(test)]
mod tests;
