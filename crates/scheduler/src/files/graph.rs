//! Edges between tasks as Airflow draws them: a group in `dependencies` stands for its last tasks, and a group that depends
//! on something hands that on to its first ones.

use indexmap::{IndexMap, IndexSet};

use super::{
    Error,
    section::nearest,
    yaml::{Data, Map, Node, Place},
};
use crate::dag::{Task, TaskGroup};

/// What a name in `dependencies` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Member {
    Task(String),
    Group(String),
}

pub(crate) struct Graph<'a> {
    pub tasks: &'a mut IndexMap<String, Task>,
    pub groups: &'a mut IndexMap<String, TaskGroup>,
    /// By the name that stands in the file.
    pub members: IndexMap<String, Member>,
}

/// The names in `dependencies`, each with its place.
pub(crate) fn dependencies<'a>(what: &str, map: &'a Map) -> Result<Vec<(&'a str, &'a Place)>, Error> {
    let Some((_, node)) = map.get("dependencies").filter(|(_, node)| !node.is_null()) else {
        return Ok(Vec::new());
    };
    let refuse = |node: &Node| Error::Value {
        place: node.place.clone(),
        what: what.to_owned(),
        key: "dependencies".to_owned(),
        found: node.kind().to_owned(),
        expected: "a list of names".to_owned(),
    };
    let Data::List(items) = &node.data else { return Err(refuse(node)) };
    items
        .iter()
        .map(|item| item.as_str().map(|name| (name, &item.place)).ok_or_else(|| refuse(item)))
        .collect()
}

impl Graph<'_> {
    /// Connects the members of one DAG in the order of the file: what a group's last tasks are depends on the edges so far,
    /// in Airflow too.
    pub(crate) fn connect(&mut self, what: &str, name: &str, map: &Map) -> Result<(), Error> {
        let Some(member) = self.members.get(name).cloned() else { return Ok(()) };
        for (upstream_name, place) in dependencies(what, map)? {
            let Some(upstream) = self.members.get(upstream_name).cloned() else {
                return Err(Error::Dependency {
                    place: place.clone(),
                    what: what.to_owned(),
                    name: upstream_name.to_owned(),
                    nearest: nearest(upstream_name, self.members.keys().map(String::as_str)),
                });
            };
            if member == upstream {
                return Err(Error::Cycle {
                    place: place.clone(),
                    names: vec![name.to_owned(), upstream_name.to_owned()],
                });
            }
            match &member {
                Member::Task(task_id) => self.task_after(task_id, &upstream),
                Member::Group(group_id) => self.group_after(group_id, &upstream),
            }
        }
        Ok(())
    }

    fn task_after(&mut self, task_id: &str, upstream: &Member) {
        match upstream {
            Member::Task(upstream_id) => self.edge(upstream_id, task_id),
            Member::Group(group_id) => {
                if let Some(group) = self.groups.get_mut(group_id) {
                    group.downstream_tasks.insert(task_id.to_owned());
                }
                for leaf in self.ends(group_id, |task| &task.downstream) {
                    self.edge(&leaf, task_id);
                }
            }
        }
    }

    fn group_after(&mut self, group_id: &str, upstream: &Member) {
        match upstream {
            Member::Task(upstream_id) => {
                if let Some(group) = self.groups.get_mut(group_id) {
                    group.upstream_tasks.insert(upstream_id.clone());
                }
            }
            Member::Group(upstream_id) => {
                if let Some(group) = self.groups.get_mut(group_id) {
                    group.upstream_groups.insert(upstream_id.clone());
                }
                if let Some(group) = self.groups.get_mut(upstream_id) {
                    group.downstream_groups.insert(group_id.to_owned());
                }
            }
        }
        for root in self.ends(group_id, |task| &task.upstream) {
            self.task_after(&root, upstream);
        }
    }

    /// Tasks of a group, nested ones too, that have no neighbour in it on that side.
    fn ends(&self, group_id: &str, neighbours: fn(&Task) -> &IndexSet<String>) -> Vec<String> {
        let inside: IndexSet<&str> = self
            .tasks
            .values()
            .filter(|task| task.group.as_deref().is_some_and(|group| self.is_within(group, group_id)))
            .map(|task| task.task_id.as_str())
            .collect();
        let is_end =
            |id: &&&str| !neighbours(&self.tasks[**id]).iter().any(|id| inside.contains(id.as_str()));
        inside.iter().filter(is_end).map(|id| (*id).to_owned()).collect()
    }

    fn is_within(&self, group_id: &str, outer: &str) -> bool {
        let parent = |id: &&str| self.groups.get(*id).and_then(|group| group.parent.as_deref());
        std::iter::successors(Some(group_id), parent).any(|id| id == outer)
    }

    pub(crate) fn edge(&mut self, upstream: &str, downstream: &str) {
        if let Some(task) = self.tasks.get_mut(upstream) {
            task.downstream.insert(downstream.to_owned());
        }
        if let Some(task) = self.tasks.get_mut(downstream) {
            task.upstream.insert(upstream.to_owned());
        }
    }

    /// Tasks that wait for each other, each for the one before it.
    pub(crate) fn cycle(&self) -> Option<Vec<String>> {
        let mut waiting: IndexMap<&str, usize> =
            self.tasks.values().map(|task| (task.task_id.as_str(), task.upstream.len())).collect();
        let mut ready: Vec<&str> =
            waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        while let Some(id) = ready.pop() {
            waiting.shift_remove(id);
            for next in &self.tasks[id].downstream {
                if let Some(count) = waiting.get_mut(next.as_str()) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        // From any that is left, upstream among those that are left, until one comes a second time.
        let mut path: Vec<&str> = vec![waiting.keys().next().copied()?];
        loop {
            let id = path.last().copied()?;
            let upstream = self.tasks[id].upstream.iter().map(String::as_str);
            let next = upstream.into_iter().find(|id| waiting.contains_key(id))?;
            if let Some(first) = path.iter().position(|id| *id == next) {
                let mut names: Vec<String> = path[first..].iter().rev().map(|id| (*id).to_owned()).collect();
                names.extend(names.first().cloned());
                return Some(names);
            }
            path.push(next);
        }
    }
}

/// The order in which dag-factory makes tasks: each after those of its `dependencies` that are tasks. The names that wait for
/// each other, where there is none.
pub(crate) fn order<'a>(tasks: &IndexMap<&'a str, Vec<&'a str>>) -> Result<Vec<&'a str>, Vec<String>> {
    let mut waiting: IndexMap<&str, usize> = IndexMap::new();
    let mut downstream: IndexMap<&str, Vec<&'a str>> = IndexMap::new();
    for (name, dependencies) in tasks {
        let upstream = dependencies.iter().filter(|name| tasks.contains_key(*name));
        waiting.insert(name, upstream.clone().count());
        for upstream in upstream {
            downstream.entry(upstream).or_default().push(name);
        }
    }
    let mut ready: std::collections::VecDeque<&'a str> =
        tasks.keys().copied().filter(|name| waiting[name] == 0).collect();
    let mut ordered = Vec::with_capacity(tasks.len());
    while let Some(name) = ready.pop_front() {
        ordered.push(name);
        waiting.shift_remove(name);
        for next in downstream.get(name).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    ready.push_back(next);
                }
            }
        }
    }
    if ordered.len() == tasks.len() { Ok(ordered) } else { Err(circle(tasks, &waiting)) }
}

fn circle(tasks: &IndexMap<&str, Vec<&str>>, waiting: &IndexMap<&str, usize>) -> Vec<String> {
    let mut path: Vec<&str> = waiting.keys().take(1).copied().collect();
    while let Some(next) = path
        .last()
        .and_then(|name| tasks.get(name)?.iter().copied().find(|upstream| waiting.contains_key(upstream)))
    {
        if let Some(first) = path.iter().position(|name| *name == next) {
            let mut names: Vec<String> = path[first..].iter().rev().map(|name| (*name).to_owned()).collect();
            names.extend(names.first().cloned());
            return names;
        }
        path.push(next);
    }
    path.into_iter().map(str::to_owned).collect()
}
