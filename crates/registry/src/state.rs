//! What the topic says: subjects, versions, ids, levels and modes. It changes only by `apply`, in the topic's order, so a
//! restart reads back the same; requests ask it and make entries from it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use base::ContractKind;
use contracts::{
    Document,
    compatibility::{Earlier, Level, check},
};

use crate::{
    Error,
    records::{Entry, SchemaValue, type_name, type_of},
};

#[derive(Debug, Default)]
pub(crate) struct State {
    subjects: BTreeMap<String, BTreeMap<i32, Version>>,
    /// Each id's text, and how many versions have it.
    ids: BTreeMap<i32, (Arc<Text>, usize)>,
    by_text: HashMap<Arc<Text>, i32>,
    id_max: i32,
    level: Option<Level>,
    levels: BTreeMap<String, Level>,
    mode: Option<Mode>,
    modes: BTreeMap<String, Mode>,
}

/// A schema's text with its kind: what makes two schemas the same.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    pub(crate) kind: ContractKind,
    pub(crate) text: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) id: i32,
    pub(crate) text: Arc<Text>,
    pub(crate) deleted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    ReadWrite,
    ReadOnly,
    Import,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::ReadWrite => "READWRITE",
            Mode::ReadOnly => "READONLY",
            Mode::Import => "IMPORT",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Mode, Error> {
        let all = [Mode::ReadWrite, Mode::ReadOnly, Mode::Import];
        all.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(text)).ok_or(Error::InvalidMode)
    }
}

/// A schema in a request: parsed, and in the form that is kept.
pub(crate) struct Given {
    pub(crate) document: Document,
    pub(crate) text: Text,
}

/// A version as the API shows it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) subject: String,
    pub(crate) version: i32,
    pub(crate) id: i32,
    pub(crate) text: Arc<Text>,
}

/// `latest` (and -1), or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Latest,
    Number(i32),
}

impl Wanted {
    pub(crate) fn parse(text: &str) -> Result<Wanted, Error> {
        match text.parse::<i32>() {
            _ if text == "latest" => Ok(Wanted::Latest),
            Ok(-1) => Ok(Wanted::Latest),
            Ok(number) if number >= 1 => Ok(Wanted::Number(number)),
            _ => Err(Error::InvalidVersion { version: text.to_owned() }),
        }
    }
}

impl Given {
    pub(crate) fn parse(
        subject: &str,
        kind: ContractKind,
        text: &str,
        normalize: bool,
    ) -> Result<Given, Error> {
        let refuse = |source| Error::InvalidSchema { subject: subject.to_owned(), source };
        let document = Document::parse(kind, subject, text).map_err(refuse)?;
        let text = if normalize { document.normalized() } else { document.canonical() };
        Ok(Given { document, text: Text { kind, text } })
    }
}

impl State {
    /// Takes one record of the topic.
    pub(crate) fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Schema(value) => self.put(value),
            Entry::SchemaGone { subject, version } => self.drop_version(&subject, version),
            Entry::SubjectDeleted { subject, version } => {
                let versions = self.subjects.get_mut(&subject).into_iter().flatten();
                versions
                    .filter(|(number, _)| **number <= version)
                    .for_each(|(_, version)| version.deleted = true);
            }
            Entry::SubjectCleared { subject } => {
                for version in
                    self.subjects.get(&subject).into_iter().flatten().map(|(v, _)| *v).collect::<Vec<_>>()
                {
                    self.drop_version(&subject, version);
                }
            }
            Entry::Config { subject, level } => {
                let level = level.and_then(|level| level.parse().ok());
                match (subject, level) {
                    (None, level) => self.level = level,
                    (Some(subject), Some(level)) => drop(self.levels.insert(subject, level)),
                    (Some(subject), None) => drop(self.levels.remove(&subject)),
                }
            }
            Entry::Mode { subject, mode } => {
                let mode = mode.and_then(|mode| Mode::parse(&mode).ok());
                match (subject, mode) {
                    (None, mode) => self.mode = mode,
                    (Some(subject), Some(mode)) => drop(self.modes.insert(subject, mode)),
                    (Some(subject), None) => drop(self.modes.remove(&subject)),
                }
            }
            Entry::Noop => {}
        }
    }

    fn put(&mut self, value: SchemaValue) {
        let Some(kind) = type_of(value.schema_type.as_deref()) else { return };
        self.id_max = self.id_max.max(value.id);
        self.drop_version(&value.subject, value.version);
        let text = Arc::new(Text { kind, text: value.schema });
        let held = self.ids.entry(value.id).or_insert_with(|| (text.clone(), 0));
        held.1 += 1;
        let text = held.0.clone();
        self.by_text.entry(text.clone()).or_insert(value.id);
        let version = Version { id: value.id, text, deleted: value.deleted };
        self.subjects.entry(value.subject).or_default().insert(value.version, version);
    }

    fn drop_version(&mut self, subject: &str, version: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else { return };
        let Some(gone) = versions.remove(&version) else { return };
        if versions.is_empty() {
            self.subjects.remove(subject);
        }
        if let Some(held) = self.ids.get_mut(&gone.id) {
            held.1 -= 1;
            if held.1 == 0 {
                self.ids.remove(&gone.id);
                self.by_text.remove(&gone.text);
            }
        }
    }

    pub(crate) fn subjects(&self, prefix: &str, deleted: bool, deleted_only: bool) -> Vec<&str> {
        let shown = |versions: &BTreeMap<i32, Version>| {
            let alive = versions.values().any(|version| !version.deleted);
            if deleted_only { !alive } else { alive || deleted }
        };
        let subjects =
            self.subjects.iter().filter(|(name, versions)| name.starts_with(prefix) && shown(versions));
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
        let version = &self.subjects[subject][&number];
        Ok(found(subject, number, version))
    }

    /// The version of a subject that has this schema, the newest first.
    pub(crate) fn lookup(&self, subject: &str, given: &Given, deleted: bool) -> Result<Found, Error> {
        self.versions(subject, deleted, false)?;
        self.same(subject, given, deleted).ok_or(Error::SchemaNotFound)
    }

    fn same(&self, subject: &str, given: &Given, deleted: bool) -> Option<Found> {
        let versions =
            self.subjects.get(subject)?.iter().rev().filter(|(_, version)| deleted || !version.deleted);
        let mut others = Vec::new();
        for (number, version) in versions {
            if *version.text == given.text {
                return Some(found(subject, *number, version));
            }
            others.push((number, version));
        }
        // Another registry may have kept it in other words.
        let same = |version: &Version| {
            let kind = version.text.kind;
            let document = Document::parse(kind, subject, &version.text.text).ok();
            version.text.kind == given.text.kind
                && document.is_some_and(|kept| kept.canonical() == given.text.text)
        };
        others
            .into_iter()
            .find(|(_, version)| same(version))
            .map(|(number, version)| found(subject, *number, version))
    }

    pub(crate) fn by_id(&self, id: i32) -> Result<Arc<Text>, Error> {
        self.ids.get(&id).map(|(text, _)| text.clone()).ok_or(Error::IdNotFound { id })
    }

    pub(crate) fn id_max(&self) -> i32 {
        self.id_max
    }

    /// Where an id is used.
    pub(crate) fn uses(&self, id: i32, deleted: bool) -> Result<Vec<(String, i32)>, Error> {
        self.by_id(id)?;
        let all = self.subjects.iter().flat_map(|(subject, versions)| {
            let those =
                versions.iter().filter(|(_, version)| version.id == id && (deleted || !version.deleted));
            those.map(|(number, _)| (subject.clone(), *number))
        });
        Ok(all.collect())
    }

    pub(crate) fn all(&self, prefix: &str, deleted: bool, latest_only: bool) -> Vec<Found> {
        let mut all = Vec::new();
        for (subject, versions) in self.subjects.iter().filter(|(subject, _)| subject.starts_with(prefix)) {
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

    pub(crate) fn level(&self, subject: Option<&str>) -> Option<Level> {
        match subject {
            None => Some(self.level.unwrap_or_default()),
            Some(subject) => self.levels.get(subject).copied(),
        }
    }

    pub(crate) fn level_that_holds(&self, subject: &str) -> Level {
        self.levels.get(subject).copied().or(self.level).unwrap_or_default()
    }

    pub(crate) fn mode(&self, subject: Option<&str>) -> Option<Mode> {
        match subject {
            None => Some(self.mode.unwrap_or_default()),
            Some(subject) => self.modes.get(subject).copied(),
        }
    }

    pub(crate) fn mode_that_holds(&self, subject: &str) -> Mode {
        self.modes.get(subject).copied().or(self.mode).unwrap_or_default()
    }

    /// Why a new schema does not go with earlier versions; nothing where it does. `wanted`: against that one alone.
    pub(crate) fn conflicts(
        &self,
        subject: &str,
        given: &Given,
        wanted: Option<Wanted>,
    ) -> Result<Vec<String>, Error> {
        let level = self.level_that_holds(subject);
        let numbers = match (wanted, self.versions(subject, false, false)) {
            (None | Some(Wanted::Latest), Err(_)) => return Ok(Vec::new()),
            (None, Ok(numbers)) => numbers,
            (Some(wanted), _) => vec![self.version(subject, wanted, false)?.version],
        };
        if level == Level::None {
            return Ok(Vec::new());
        }
        let numbers = if level.is_transitive() { &numbers[..] } else { &numbers[numbers.len() - 1..] };
        let mut documents = Vec::with_capacity(numbers.len());
        for number in numbers {
            let text = &self.subjects[subject][number].text;
            let kept = Given::parse(subject, text.kind, &text.text, false)?;
            documents.push((*number, text, kept.document));
        }
        let earlier: Vec<Earlier<'_>> = documents
            .iter()
            .map(|(version, text, document)| Earlier { version: *version, text: &text.text, document })
            .collect();
        Ok(check(level, &given.document, &earlier))
    }

    /// What registering makes: nothing new where the subject has the schema, else an entry.
    pub(crate) fn register(
        &self,
        subject: &str,
        given: &Given,
        import: Option<(i32, i32)>,
    ) -> Result<(i32, Option<Entry>), Error> {
        let mode = self.mode_that_holds(subject);
        self.check_writable(subject)?;
        match (mode, import) {
            (Mode::Import, None) | (Mode::ReadWrite, Some(_)) => {
                let what = if mode == Mode::Import {
                    "in import mode: give id and version"
                } else {
                    "not in import mode"
                };
                return Err(Error::NotPermitted { reason: format!("Subject {subject} is {what}") });
            }
            _ => {}
        }
        if let Some(same) = self.same(subject, given, false).filter(|_| import.is_none()) {
            return Ok((same.id, None));
        }
        if import.is_none() {
            let messages = self.conflicts(subject, given, None)?;
            if !messages.is_empty() {
                return Err(Error::Incompatible { subject: subject.to_owned(), messages });
            }
        }
        let newest =
            self.subjects.get(subject).and_then(|versions| versions.keys().next_back()).copied().unwrap_or(0);
        let (id, version) = match import {
            Some((id, version)) => {
                if self.ids.get(&id).is_some_and(|(text, _)| **text != given.text) {
                    let reason = format!("Overwrite new schema with id {id} is not permitted.");
                    return Err(Error::NotPermitted { reason });
                }
                (id, if version > 0 { version } else { newest + 1 })
            }
            None => (self.by_text.get(&given.text).copied().unwrap_or(self.id_max + 1), newest + 1),
        };
        let kind = given.text.kind;
        let schema_type = (kind != ContractKind::Avro).then(|| type_name(kind).to_owned());
        let schema = given.text.text.clone();
        let value =
            SchemaValue { subject: subject.to_owned(), version, id, schema_type, schema, deleted: false };
        Ok((id, Some(Entry::Schema(value))))
    }

    fn check_writable(&self, subject: &str) -> Result<(), Error> {
        match self.mode_that_holds(subject) {
            Mode::ReadOnly => {
                Err(Error::NotPermitted { reason: format!("Subject {subject} is in read-only mode") })
            }
            Mode::ReadWrite | Mode::Import => Ok(()),
        }
    }

    /// The versions that go, and the entries that make them.
    pub(crate) fn delete_subject(
        &self,
        subject: &str,
        permanent: bool,
    ) -> Result<(Vec<i32>, Vec<Entry>), Error> {
        let owned = || subject.to_owned();
        self.check_writable(subject)?;
        let alive = self.versions(subject, false, false);
        let deleted = self.versions(subject, false, true);
        match (permanent, alive, deleted) {
            (_, Err(missing), Err(_)) => Err(missing),
            (false, Err(_), Ok(_)) => Err(Error::SubjectSoftDeleted { subject: owned() }),
            (true, Ok(_), _) => Err(Error::SubjectNotSoftDeleted { subject: owned() }),
            (true, Err(_), Ok(numbers)) => {
                let entries =
                    numbers.iter().map(|version| Entry::SchemaGone { subject: owned(), version: *version });
                let entries = entries.collect();
                Ok((numbers, entries))
            }
            (false, Ok(numbers), _) => {
                let version = numbers.last().copied().unwrap_or_default();
                let mut entries = vec![Entry::SubjectDeleted { subject: owned(), version }];
                if self.modes.contains_key(subject) {
                    entries.push(Entry::Mode { subject: Some(owned()), mode: None });
                }
                if self.levels.contains_key(subject) {
                    entries.push(Entry::Config { subject: Some(owned()), level: None });
                }
                Ok((numbers, entries))
            }
        }
    }

    pub(crate) fn delete_version(
        &self,
        subject: &str,
        wanted: Wanted,
        permanent: bool,
    ) -> Result<(i32, Entry), Error> {
        let owned = || subject.to_owned();
        self.check_writable(subject)?;
        self.versions(subject, true, false)?;
        let Found { version: number, .. } = match (wanted, permanent) {
            (Wanted::Latest, false) => self.version(subject, wanted, false)?,
            _ => self.version(subject, wanted, true)?,
        };
        let version = &self.subjects[subject][&number];
        match (permanent, version.deleted) {
            (false, true) => Err(Error::VersionSoftDeleted { subject: owned(), version: number }),
            (true, false) => Err(Error::VersionNotSoftDeleted { subject: owned(), version: number }),
            (true, true) => Ok((number, Entry::SchemaGone { subject: owned(), version: number })),
            (false, false) => {
                let kind = version.text.kind;
                let value = SchemaValue {
                    subject: owned(),
                    version: number,
                    id: version.id,
                    schema_type: (kind != ContractKind::Avro).then(|| type_name(kind).to_owned()),
                    schema: version.text.text.clone(),
                    deleted: true,
                };
                Ok((number, Entry::Schema(value)))
            }
        }
    }

    /// A mode's change; IMPORT wants an empty registry or subject, or `force`.
    pub(crate) fn change_mode(&self, subject: Option<&str>, mode: Mode, force: bool) -> Result<Entry, Error> {
        let taken: BTreeSet<&String> = match subject {
            None => self.subjects.keys().collect(),
            Some(subject) => self.subjects.keys().filter(|name| *name == subject).collect(),
        };
        if mode == Mode::Import && !force && !taken.is_empty() {
            return Err(Error::NotPermitted {
                reason: "Cannot import since found existing subjects".to_owned(),
            });
        }
        Ok(Entry::Mode { subject: subject.map(str::to_owned), mode: Some(mode.name().to_owned()) })
    }
}

fn found(subject: &str, number: i32, version: &Version) -> Found {
    Found { subject: subject.to_owned(), version: number, id: version.id, text: version.text.clone() }
}

#[cfg(test)]
mod tests;
