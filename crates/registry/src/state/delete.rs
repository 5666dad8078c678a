//! Taking versions and subjects out: softly first, then for good, and neither while a living schema refers to them.

use super::{Found, State, Wanted};
use crate::{
    Error,
    names::{DEFAULT_CONTEXT, context_of, qualified},
    records::Entry,
};

impl State {
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
        for version in alive.iter().flatten() {
            self.check_not_referenced(subject, *version)?;
        }
        match (permanent, alive, deleted) {
            (_, Err(missing), Err(_)) => Err(missing),
            (false, Err(_), Ok(_)) => Err(Error::SubjectSoftDeleted { subject: owned() }),
            (true, Ok(_), _) => Err(Error::SubjectNotSoftDeleted { subject: owned() }),
            (true, Err(_), Ok(numbers)) => {
                for version in &numbers {
                    self.check_not_referenced(subject, *version)?;
                }
                let entries =
                    numbers.iter().map(|version| Entry::SchemaGone { subject: owned(), version: *version });
                let entries = entries.collect();
                Ok((numbers, entries))
            }
            (false, Ok(numbers), _) => {
                let version = numbers.last().copied().unwrap_or_default();
                let mut entries = vec![Entry::SubjectDeleted { subject: owned(), version }];
                entries.extend(self.without_settings(subject));
                Ok((numbers, entries))
            }
        }
    }

    pub(crate) fn delete_version(
        &self,
        subject: &str,
        wanted: Wanted,
        permanent: bool,
    ) -> Result<(i32, Vec<Entry>), Error> {
        let owned = || subject.to_owned();
        self.check_writable(subject)?;
        self.versions(subject, true, false)?;
        let found @ Found { version: number, .. } = match (wanted, permanent) {
            (Wanted::Latest, false) => self.version(subject, wanted, false)?,
            _ => self.version(subject, wanted, true)?,
        };
        let is_deleted = self.subjects[subject][&number].deleted;
        match (permanent, is_deleted) {
            (false, true) => {
                return Err(Error::VersionSoftDeleted { subject: owned(), version: number });
            }
            (true, false) => return Err(Error::VersionNotSoftDeleted { subject: owned(), version: number }),
            _ => self.check_not_referenced(subject, number)?,
        }
        if permanent {
            return Ok((number, vec![Entry::SchemaGone { subject: owned(), version: number }]));
        }
        let mut entries = vec![Entry::Schema(Box::new(found.value(true)))];
        // With its last version a subject loses its settings.
        if self.versions(subject, false, false)? == [number] {
            entries.extend(self.without_settings(subject));
        }
        Ok((number, entries))
    }

    /// An empty context goes with its settings, and its ids begin anew.
    pub(crate) fn delete_context(&self, context: &str) -> Result<Vec<Entry>, Error> {
        let owned = || context.to_owned();
        if context == DEFAULT_CONTEXT {
            let reason = "The default context cannot be deleted".to_owned();
            return Err(Error::NotPermitted { reason });
        }
        if self.ids(context).is_none() {
            return Err(Error::ContextNotFound { context: owned() });
        }
        if self.subjects.keys().any(|subject| context_of(subject) == context) {
            return Err(Error::ContextNotEmpty { context: owned() });
        }
        self.check_writable(&qualified(context, ""))?;
        let mut entries = self.without_settings(&qualified(context, ""));
        entries.push(Entry::ContextGone { name: owned() });
        Ok(entries)
    }

    fn without_settings(&self, subject: &str) -> Vec<Entry> {
        let scope = || Some(subject.to_owned());
        let mode = self.mode(Some(subject)).map(|_| Entry::Mode { subject: scope(), mode: None });
        let config = self.config(Some(subject)).map(|_| Entry::Config { subject: scope(), config: None });
        mode.into_iter().chain(config).collect()
    }

    fn check_not_referenced(&self, subject: &str, version: i32) -> Result<(), Error> {
        match self.referrers(subject, version).is_empty() {
            true => Ok(()),
            false => Err(Error::Referenced { subject: subject.to_owned(), version }),
        }
    }
}
