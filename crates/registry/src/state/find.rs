//! What there is: subjects, versions, ids, what refers to what.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use contracts::Referenced;

use super::{Content, Found, State, Version, Wanted};
use crate::{
    Error,
    entities::Reference,
    names::{DEFAULT_CONTEXT, begins_with, context_of, qualified, seen_from, split},
};

/// Schemas that one may need, by all the ways there are.
const REFERENCES_COUNT_MAX: usize = 1_000;

/// A context, and an id in it.
type IdIn<'a> = (&'a str, i32);

impl State {
    pub(crate) fn subjects(&self, prefix: &str, deleted: bool, deleted_only: bool) -> Vec<&str> {
        let shown = |versions: &BTreeMap<i32, Version>| {
            let alive = versions.values().any(|version| !version.deleted);
            if deleted_only { !alive } else { alive || deleted }
        };
        let subjects =
            self.subjects.iter().filter(|(name, versions)| begins_with(name, prefix) && shown(versions));
        subjects.map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn versions(
        &self,
        subject: &str,
        deleted: bool,
        deleted_only: bool,
    ) -> Result<Vec<i32>, Error> {
        let all = self.subjects.get(subject).into_iter().flatten();
        let shown = all
            .filter(|(_, version)| if deleted_only { version.deleted } else { deleted || !version.deleted });
        let numbers: Vec<i32> = shown.map(|(number, _)| *number).collect();
        match numbers.is_empty() {
            true => Err(Error::SubjectNotFound { subject: subject.to_owned() }),
            false => Ok(numbers),
        }
    }

    pub(crate) fn version(&self, subject: &str, wanted: Wanted, deleted: bool) -> Result<Found, Error> {
        let numbers = self.versions(subject, deleted, false)?;
        let number = match wanted {
            Wanted::Latest => numbers.last().copied().unwrap_or_default(),
            Wanted::Number(number) => number,
        };
        if !numbers.contains(&number) {
            return Err(Error::VersionNotFound { version: number });
        }
        Ok(found(subject, number, &self.subjects[subject][&number]))
    }

    /// A bare subject may stand for the one of that name in another context.
    pub(crate) fn everywhere(&self, subject: &str) -> Vec<String> {
        let (context, name) = split(subject);
        let mut all = vec![subject.to_owned()];
        if context == DEFAULT_CONTEXT && !name.is_empty() {
            all.extend(self.contexts().into_iter().skip(1).map(|context| qualified(context, name)));
        }
        all
    }

    /// All versions of a subject, the newest first.
    pub(super) fn newest_first(&self, subject: &str, deleted: bool) -> impl Iterator<Item = Found> {
        let versions = self.subjects.get(subject).into_iter().flat_map(|versions| versions.iter().rev());
        let shown = versions.filter(move |(_, version)| deleted || !version.deleted);
        shown.map(move |(number, version)| found(subject, *number, version))
    }

    /// The newest version whose metadata has all of these properties.
    pub(crate) fn with_properties(
        &self,
        subject: &str,
        properties: &[(String, String)],
        deleted: bool,
    ) -> Result<Found, Error> {
        self.versions(subject, deleted, false)?;
        let has_all = |found: &Found| {
            let own = found.content.metadata.as_ref().map(|metadata| &metadata.properties);
            own.is_some_and(|own| properties.iter().all(|(key, value)| own.get(key) == Some(value)))
        };
        self.newest_first(subject, deleted).find(has_all).ok_or(Error::SchemaNotFound)
    }

    /// The context in which an id is meant: a subject's, or another one in which a subject of that name has the id.
    fn context_with<'a>(&'a self, id: i32, subject: &'a str) -> &'a str {
        let (context, name) = split(subject);
        if context != DEFAULT_CONTEXT || name.is_empty() || self.has_id(subject, id) {
            return context;
        }
        let others = self.contexts().into_iter().skip(1);
        others.into_iter().find(|other| self.has_id(&qualified(other, name), id)).unwrap_or(DEFAULT_CONTEXT)
    }

    fn has_id(&self, subject: &str, id: i32) -> bool {
        self.subjects.get(subject).is_some_and(|versions| versions.values().any(|version| version.id == id))
    }

    /// `subject` names the context; it may be empty.
    pub(crate) fn by_id(&self, id: i32, subject: &str) -> Result<Arc<Content>, Error> {
        let ids = self.ids(self.context_with(id, subject));
        ids.and_then(|ids| ids.by_id.get(&id))
            .map(|held| held.content.clone())
            .ok_or(Error::IdNotFound { id })
    }

    /// The whole answer for an id of a context.
    pub(crate) fn answer(&self, id: i32, subject: &str) -> Result<Bytes, Error> {
        let ids = self.ids(self.context_with(id, subject));
        ids.and_then(|ids| ids.by_id.get(&id)).map(|held| held.answer.clone()).ok_or(Error::IdNotFound { id })
    }

    /// The ids that a GUID has, by their contexts.
    pub(crate) fn by_guid(&self, guid: &str) -> Result<(Arc<Content>, Vec<IdIn<'_>>), Error> {
        let guid = guid.to_ascii_lowercase();
        let contexts = self.contexts().into_iter();
        let known = contexts.filter_map(|context| Some((context, *self.ids(context)?.by_guid.get(&guid)?)));
        let ids: Vec<IdIn<'_>> = known.collect();
        let missing = || Error::GuidNotFound { guid: guid.clone() };
        let (context, id) = *ids.first().ok_or_else(missing)?;
        Ok((self.by_id(id, &qualified(context, ""))?, ids))
    }

    pub(crate) fn id_max(&self, subject: &str) -> i32 {
        self.ids(context_of(subject)).map_or(0, |ids| ids.id_max)
    }

    /// Where an id is used.
    pub(crate) fn uses(&self, id: i32, subject: &str, deleted: bool) -> Result<Vec<(String, i32)>, Error> {
        self.by_id(id, subject)?;
        let context = self.context_with(id, subject);
        let all = self.subjects.iter().filter(|(subject, _)| context_of(subject) == context);
        let all = all.flat_map(|(subject, versions)| {
            let those =
                versions.iter().filter(|(_, version)| version.id == id && (deleted || !version.deleted));
            those.map(|(number, _)| (subject.clone(), *number))
        });
        Ok(all.collect())
    }

    /// The subjects that have other names of this beginning, and those names.
    pub(crate) fn aliases(&self, prefix: &str) -> BTreeMap<String, Vec<String>> {
        let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for alias in self.configs.keys().flatten().filter(|alias| begins_with(alias, prefix)) {
            let subject = self.aliased(alias.clone());
            if subject != *alias {
                aliases.entry(subject).or_default().push(alias.clone());
            }
        }
        aliases
    }

    /// Of the subjects that begin so, and of those that aliases stand for.
    pub(crate) fn all(
        &self,
        prefix: &str,
        aliases: &BTreeMap<String, Vec<String>>,
        deleted: bool,
        latest_only: bool,
    ) -> Vec<Found> {
        let mut all = Vec::new();
        let is_asked = |subject: &str| begins_with(subject, prefix) || aliases.contains_key(subject);
        for (subject, versions) in self.subjects.iter().filter(|(subject, _)| is_asked(subject)) {
            let shown = versions.iter().filter(|(_, version)| deleted || !version.deleted);
            let mut shown: Vec<Found> =
                shown.map(|(number, version)| found(subject, *number, version)).collect();
            match latest_only {
                true => all.extend(shown.pop()),
                false => all.append(&mut shown),
            }
        }
        all
    }

    /// The ids of living versions that refer to this one.
    pub(crate) fn referrers(&self, subject: &str, version: i32) -> Vec<i32> {
        let mut ids = Vec::new();
        for (referrer, versions) in &self.subjects {
            let alive = versions.values().filter(|version| !version.deleted);
            let refers = |reference: &Reference| {
                reference.version == version && seen_from(referrer, &reference.subject) == subject
            };
            ids.extend(
                alive.filter(|other| other.content.references.iter().any(refers)).map(|other| other.id),
            );
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The texts that references lead to, each after those that it needs itself.
    pub(crate) fn referenced(
        &self,
        subject: &str,
        references: &[Reference],
        deleted: bool,
    ) -> Result<Vec<Referenced>, Error> {
        let mut walk = Walk { state: self, deleted, seen: Vec::new(), texts: Vec::new() };
        walk.follow(subject, references)?;
        Ok(walk.texts)
    }
}

struct Walk<'a> {
    state: &'a State,
    deleted: bool,
    /// Subject, version and name of all that was met: what comes by two ways is read once.
    seen: Vec<(String, i32)>,
    texts: Vec<Referenced>,
}

impl Walk<'_> {
    fn follow(&mut self, parent: &str, references: &[Reference]) -> Result<(), Error> {
        for reference in references {
            let subject = seen_from(parent, &reference.subject);
            let missing = || Error::NoReference {
                subject: parent.to_owned(),
                name: reference.name.clone(),
                reference: subject.clone(),
                version: reference.version,
            };
            let wanted = Wanted::parse(&reference.version.to_string()).map_err(|_| missing())?;
            let found = self.state.version(&subject, wanted, self.deleted).map_err(|_| missing())?;
            let key = (subject.clone(), found.version);
            if self.seen.contains(&key) {
                continue;
            }
            if self.seen.len() >= REFERENCES_COUNT_MAX {
                return Err(missing());
            }
            self.seen.push(key);
            self.follow(&subject, &found.content.references)?;
            self.texts.push(Referenced { name: reference.name.clone(), text: found.content.text.clone() });
        }
        Ok(())
    }
}

pub(super) fn found(subject: &str, number: i32, version: &Version) -> Found {
    Found { subject: subject.to_owned(), version: number, id: version.id, content: version.content.clone() }
}
