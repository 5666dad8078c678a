//! One member's way from the tasks that it has to those that it should have: first it gives up, then it is given. As in a consumer group,
//! but that a task has also its standbys, and that no process has one twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Assignment, Tasks};
use crate::groups::consumer::reconcile::Phase;

/// Where a member stands; stored as its current assignment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    pub epoch: i32,
    /// The epoch before: a member that lost the answer comes with it once more.
    pub previous_epoch: i32,
    pub phase: Phase,
    pub assigned: Assignment,
    pub revoking: Assignment,
    /// The epoch in which each active task of both was given to it: whoever lags behind may still commit what is older (KIP-1251).
    pub since: Since,
}

/// Epochs by task.
pub type Since = BTreeMap<(String, i32), i32>;

/// Where the tasks of a group are, by the processes of its members; also those that are being given up.
#[derive(Debug, Default)]
pub struct Holders {
    active: HashMap<(String, i32), BTreeSet<String>>,
    others: HashMap<(String, i32), BTreeSet<String>>,
}

/// Where a member should be brought.
pub struct Aim<'a> {
    pub epoch: i32,
    pub target: &'a Assignment,
    /// The member's process.
    pub process: &'a str,
    pub holders: &'a Holders,
    /// What the member says it has; `None`: it says nothing.
    pub owned: Option<&'a Assignment>,
}

impl Holders {
    pub fn note(&mut self, process: &str, standing: &Standing) {
        for tasks in [&standing.assigned, &standing.revoking] {
            let into = |map: &mut HashMap<(String, i32), BTreeSet<String>>, some: &Tasks| {
                for task in each(some) {
                    map.entry(task).or_default().insert(process.to_owned());
                }
            };
            into(&mut self.active, &tasks.active);
            into(&mut self.others, &tasks.standby);
            into(&mut self.others, &tasks.warmup);
        }
    }

    fn has(map: &HashMap<(String, i32), BTreeSet<String>>, task: &(String, i32), process: &str) -> bool {
        map.get(task).is_some_and(|processes| processes.contains(process))
    }
}

/// Of one kind of tasks: what stays, what goes, what comes, and whether some cannot come yet.
struct Difference {
    kept: Tasks,
    revoked: Tasks,
    coming: Tasks,
    waits: bool,
}

impl Difference {
    fn between(held: &Tasks, target: &Tasks, is_taken: impl Fn(&(String, i32)) -> bool) -> Difference {
        let mut difference =
            Difference { kept: Tasks::new(), revoked: Tasks::new(), coming: Tasks::new(), waits: false };
        let has = |tasks: &Tasks, task: &(String, i32)| {
            tasks.get(&task.0).is_some_and(|numbers| numbers.contains(&task.1))
        };
        for task in each(held) {
            let into = if has(target, &task) { &mut difference.kept } else { &mut difference.revoked };
            into.entry(task.0).or_default().insert(task.1);
        }
        for task in each(target).filter(|task| !has(held, task)) {
            if is_taken(&task) {
                difference.waits = true;
            } else {
                difference.coming.entry(task.0).or_default().insert(task.1);
            }
        }
        difference
    }
}

impl Standing {
    pub fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.phase == Phase::Stable && self.epoch == epoch
    }

    /// The next step.
    pub fn step(&self, aim: &Aim<'_>) -> Standing {
        match self.phase {
            Phase::Stable if self.epoch == aim.epoch => self.clone(),
            Phase::Unrevoked if aim.still_has(&self.revoking) => self.clone(),
            // What it had to give up it has, in the epoch after that in which it was told.
            Phase::Unrevoked => self.toward(aim, self.epoch + 1),
            Phase::Stable | Phase::Unreleased | Phase::Unknown => self.toward(aim, self.epoch),
        }
    }

    fn toward(&self, aim: &Aim<'_>, epoch: i32) -> Standing {
        let Aim { target, process, holders, .. } = aim;
        let is_near = |task: &(String, i32)| Holders::has(&holders.others, task, process);
        let is_held = |task: &(String, i32)| holders.active.contains_key(task) || is_near(task);
        let is_here = |task: &(String, i32)| Holders::has(&holders.active, task, process) || is_near(task);
        let active = Difference::between(&self.assigned.active, &target.active, is_held);
        let standby = Difference::between(&self.assigned.standby, &target.standby, is_here);
        let warmup = Difference::between(&self.assigned.warmup, &target.warmup, is_here);
        let waits = active.waits || standby.waits || warmup.waits;
        let mut assigned = Assignment { active: active.kept, standby: standby.kept, warmup: warmup.kept };
        let revoking =
            Assignment { active: active.revoked, standby: standby.revoked, warmup: warmup.revoked };
        if !revoking.is_empty() && aim.still_has(&revoking) {
            let next = Standing { phase: Phase::Unrevoked, assigned, revoking, ..Standing::default() };
            return next.within(self, epoch);
        }
        for (into, coming) in [
            (&mut assigned.active, active.coming),
            (&mut assigned.standby, standby.coming),
            (&mut assigned.warmup, warmup.coming),
        ] {
            for (subtopology, numbers) in coming {
                into.entry(subtopology).or_default().extend(numbers);
            }
        }
        let phase = if waits { Phase::Unreleased } else { Phase::Stable };
        Standing { phase, assigned, ..Standing::default() }.within(self, aim.epoch)
    }

    /// Itself in that epoch, after `before`: what is new to it is its own since now.
    fn within(mut self, before: &Standing, epoch: i32) -> Standing {
        let mine: Vec<(String, i32)> =
            each(&self.assigned.active).chain(each(&self.revoking.active)).collect();
        for task in mine {
            let since = before.since.get(&task).copied().unwrap_or(epoch);
            self.since.insert(task, since);
        }
        Standing { epoch, previous_epoch: before.epoch, ..self }
    }

    /// Whether the active task has been its own in that epoch already.
    pub fn held_in(&self, subtopology: &str, partition: i32, epoch: i32) -> bool {
        self.since.get(&(subtopology.to_owned(), partition)).is_some_and(|since| *since <= epoch)
    }
}

impl Aim<'_> {
    /// Whether the member still has some of these; who says nothing is taken to.
    fn still_has(&self, revoking: &Assignment) -> bool {
        let Some(owned) = self.owned else { return true };
        let some = |owned: &Tasks, revoking: &Tasks| {
            revoking
                .iter()
                .any(|(id, numbers)| owned.get(id).is_some_and(|theirs| !theirs.is_disjoint(numbers)))
        };
        some(&owned.active, &revoking.active)
            || some(&owned.standby, &revoking.standby)
            || some(&owned.warmup, &revoking.warmup)
    }
}

fn each(tasks: &Tasks) -> impl Iterator<Item = (String, i32)> {
    tasks
        .iter()
        .flat_map(|(subtopology, numbers)| numbers.iter().map(|number| (subtopology.clone(), *number)))
}
