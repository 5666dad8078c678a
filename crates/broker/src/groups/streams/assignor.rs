//! Which member works on which task: Kafka's assignor `sticky` (KIP-1071). A task stays where it is, or goes to who has been its standby, as
//! long as that leaves everybody his share; all others go to the process that has the least to do for its members.
//!
//! Between two that are equal Kafka takes whichever its hash map has first; here it is the first by its id.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Assignment, Tasks};
use crate::groups::group::MemberId;

/// A member as the assignor sees it.
pub struct MemberSpec<'a> {
    /// Members of one process share its disk: no task is there twice.
    pub process: &'a str,
    /// What it was meant to have until now.
    pub held: Option<&'a Assignment>,
}

/// The tasks of a subtopology.
pub struct Work<'a> {
    pub subtopology: &'a str,
    pub tasks_count: i32,
    /// Only then a standby is worth having.
    pub is_stateful: bool,
}

type Task<'a> = (&'a str, i32);

/// What everybody's fair share is: of what is left, among those who have not had theirs.
struct Quota {
    tasks: usize,
    members: usize,
    each: usize,
}

impl Quota {
    fn of(tasks: usize, members: usize) -> Self {
        Self { tasks, members, each: if members == 0 { 0 } else { tasks.div_ceil(members) } }
    }

    /// Somebody has so many now.
    fn note(&mut self, count: usize) {
        if count == self.each {
            *self = Quota::of(self.tasks.saturating_sub(count), self.members.saturating_sub(1));
        }
    }
}

struct Process<'a> {
    members: Vec<usize>,
    tasks: BTreeSet<Task<'a>>,
    tasks_count: usize,
}

impl Process<'_> {
    /// Whether it has less to do for each of its members.
    fn is_less_busy(&self, than: &Process<'_>) -> bool {
        self.tasks_count * than.members.len() < than.tasks_count * self.members.len()
    }
}

struct Member {
    process: usize,
    tasks_count: usize,
    given: Assignment,
}

struct Sharing<'a> {
    members: Vec<Member>,
    processes: Vec<Process<'a>>,
    was_active: HashMap<Task<'a>, usize>,
    was_standby: HashMap<Task<'a>, Vec<usize>>,
    active: Quota,
    all: Quota,
}

/// Each member's tasks; `standbys` replicas of each stateful one, on other processes than its own.
pub fn assign<'a>(
    work: &[Work<'a>],
    members: &'a BTreeMap<MemberId, MemberSpec<'a>>,
    standbys: usize,
) -> BTreeMap<MemberId, Assignment> {
    if members.is_empty() {
        return BTreeMap::new();
    }
    let mut sharing = Sharing::of(work, members, standbys);
    sharing.give_active(tasks(work, |_| true));
    if standbys > 0 {
        sharing.give_standbys(tasks(work, |one| one.is_stateful), standbys);
    }
    members.keys().cloned().zip(sharing.members.into_iter().map(|member| member.given)).collect()
}

fn tasks<'a>(work: &[Work<'a>], counts: impl Fn(&Work<'a>) -> bool) -> Vec<Task<'a>> {
    let some = work.iter().filter(|one| counts(one));
    some.flat_map(|one| (0..one.tasks_count).map(|partition| (one.subtopology, partition))).collect()
}

impl<'a> Sharing<'a> {
    fn of(
        work: &[Work<'a>],
        members: &'a BTreeMap<MemberId, MemberSpec<'a>>,
        standbys: usize,
    ) -> Sharing<'a> {
        let count = |some: &dyn Fn(&Work<'a>) -> bool| {
            work.iter().filter(|one| some(one)).map(|one| one.tasks_count.max(0) as usize).sum::<usize>()
        };
        let active = count(&|_| true);
        let all = active + standbys * count(&|one| one.is_stateful);
        let mut sharing = Sharing {
            members: Vec::with_capacity(members.len()),
            processes: Vec::new(),
            was_active: HashMap::new(),
            was_standby: HashMap::new(),
            active: Quota::of(active, members.len()),
            all: Quota::of(all, members.len()),
        };
        let mut processes: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, spec) in members.values().enumerate() {
            let process = *processes.entry(spec.process).or_insert_with(|| {
                sharing.processes.push(Process { members: vec![], tasks: BTreeSet::new(), tasks_count: 0 });
                sharing.processes.len() - 1
            });
            sharing.processes[process].members.push(place);
            sharing.members.push(Member { process, tasks_count: 0, given: Assignment::default() });
            let Some(held) = spec.held else { continue };
            sharing.was_active.extend(each(&held.active).map(|task| (task, place)));
            for task in each(&held.standby) {
                sharing.was_standby.entry(task).or_default().push(place);
            }
        }
        sharing
    }

    fn give(&mut self, task: Task<'a>, place: usize, is_active: bool) {
        let member = &mut self.members[place];
        let into = if is_active { &mut member.given.active } else { &mut member.given.standby };
        into.entry(task.0.to_owned()).or_default().insert(task.1);
        member.tasks_count += 1;
        let process = &mut self.processes[member.process];
        process.tasks.insert(task);
        process.tasks_count += 1;
        if is_active {
            self.active.note(member.tasks_count);
        }
        self.all.note(member.tasks_count);
    }

    fn give_active(&mut self, mut tasks: Vec<Task<'a>>) {
        // What was shared out by ranges of partitions stays so.
        tasks.sort_by_key(|(subtopology, partition)| (*partition, *subtopology));
        tasks.retain(|task| match self.was_active.get(task).copied() {
            Some(place) if self.members[place].tasks_count < self.active.each => {
                self.give(*task, place, true);
                false
            }
            _ => true,
        });
        tasks.retain(|task| match self.least_busy_standby(task, false) {
            Some(place) if self.members[place].tasks_count < self.active.each => {
                self.give(*task, place, true);
                false
            }
            _ => true,
        });
        tasks.sort_unstable();
        for task in tasks {
            if let Some(process) = self.least_busy_process(|_| true) {
                self.give(task, self.least_busy_member(process), true);
            }
        }
    }

    fn give_standbys(&mut self, mut tasks: Vec<Task<'a>>, standbys: usize) {
        tasks.sort_by_key(|(subtopology, partition)| (*partition, *subtopology));
        tasks.reverse();
        let mut left: Vec<(Task<'a>, usize)> = Vec::new();
        for task in tasks {
            let mut given = 0;
            while given < standbys {
                let was_its_own =
                    self.was_active.get(&task).copied().filter(|place| self.has_room(*place, &task));
                let was_standby =
                    || self.least_busy_standby(&task, true).filter(|place| self.has_room(*place, &task));
                let Some(place) = was_its_own.or_else(was_standby) else { break };
                self.give(task, place, false);
                given += 1;
            }
            left.push((task, standbys - given));
        }
        left.sort_unstable_by(|one, other| other.0.cmp(&one.0));
        for (task, count) in left {
            for _ in 0..count {
                // Where every process has it, there are fewer than wanted.
                let Some(process) = self.least_busy_process(|process| !process.tasks.contains(&task)) else {
                    break;
                };
                self.give(task, self.least_busy_member(process), false);
            }
        }
    }

    fn has_room(&self, place: usize, task: &Task<'a>) -> bool {
        let member = &self.members[place];
        !self.processes[member.process].tasks.contains(task) && member.tasks_count < self.all.each
    }

    /// Of those who had it as a standby, the one that has the least to do. `anew`: and whose process has not got it yet.
    fn least_busy_standby(&self, task: &Task<'a>, anew: bool) -> Option<usize> {
        let all = self.was_standby.get(task)?.iter().copied();
        let fit =
            all.filter(|place| !anew || !self.processes[self.members[*place].process].tasks.contains(task));
        fit.reduce(|best, place| {
            let (one, other) = (&self.members[place], &self.members[best]);
            let is_better = self.processes[one.process].is_less_busy(&self.processes[other.process])
                && one.tasks_count < other.tasks_count;
            if is_better { place } else { best }
        })
    }

    fn least_busy_process(&self, fits: impl Fn(&Process<'a>) -> bool) -> Option<usize> {
        let fit = (0..self.processes.len()).filter(|place| fits(&self.processes[*place]));
        fit.reduce(
            |best, place| {
                if self.processes[place].is_less_busy(&self.processes[best]) { place } else { best }
            },
        )
    }

    fn least_busy_member(&self, process: usize) -> usize {
        let members = self.processes[process].members.iter().copied();
        members.min_by_key(|place| self.members[*place].tasks_count).unwrap_or_default()
    }
}

fn each(tasks: &Tasks) -> impl Iterator<Item = Task<'_>> {
    tasks
        .iter()
        .flat_map(|(subtopology, partitions)| partitions.iter().map(|number| (&**subtopology, *number)))
}

#[cfg(test)]
mod tests;
