//! Taking schemas in, finding out whether they are there already, and whether they go with what is there.

use base::ContractKind;
use contracts::{
    Document,
    compatibility::{Earlier, Level, check},
};

use super::{Content, Found, Mode, State, Tags, Wanted};
use crate::{
    Error,
    entities::{Config, Metadata, Reference, RuleSet},
    names::{DEFAULT_CONTEXT, check_subject, context_of},
    records::Entry,
};

/// A schema as a request has it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) kind: ContractKind,
    /// None, and the text of the latest version stands.
    pub(crate) text: Option<String>,
    pub(crate) references: Vec<Reference>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) rule_set: Option<RuleSet>,
    /// What it brings along in import mode.
    pub(crate) id: Option<i32>,
    /// 0 is the next one, and so is -1, which also puts the number into the metadata.
    pub(crate) version: i32,
    /// What becomes of the tags in its text.
    pub(crate) tags: Tags,
}

/// A schema that was parsed, in the form that is kept.
pub(crate) struct Given {
    pub(super) document: Document,
    content: Content,
}

/// What registering came to.
pub(crate) struct Registered {
    pub(crate) id: i32,
    pub(crate) guid: String,
    /// All of it, where it is not what was sent.
    pub(crate) changed: Option<Found>,
}

impl Registered {
    fn of(found: Found, changed: bool) -> Self {
        Self { id: found.id, guid: found.content.guid(), changed: changed.then_some(found) }
    }
}

impl State {
    pub(crate) fn given(&self, subject: &str, asked: &Asked, normalize: bool) -> Result<Given, Error> {
        let empty = || Error::Unsupported { subject: subject.to_owned(), reason: "Empty schema".to_owned() };
        let text = asked.text.as_deref().ok_or_else(empty)?;
        let mut references = asked.references.clone();
        let texts = self.referenced(subject, &references, false)?;
        let refuse = |source| Error::InvalidSchema { subject: subject.to_owned(), source };
        let document = Document::parse_with(asked.kind, subject, text, &texts).map_err(refuse)?;
        let normalize = normalize || self.config_that_holds(Some(subject)).normalize == Some(true);
        let text = if normalize { document.normalized() } else { document.canonical() };
        if normalize {
            references.sort();
            references.dedup();
        }
        let content = Content {
            kind: asked.kind,
            text,
            references,
            metadata: asked.metadata.clone(),
            rule_set: asked.rule_set.clone(),
        };
        Ok(Given { document, content })
    }

    /// A version that is kept, parsed.
    pub(crate) fn document(&self, subject: &str, content: &Content) -> Result<Document, Error> {
        let texts = self.referenced(subject, &content.references, true)?;
        let refuse = |source| Error::InvalidSchema { subject: subject.to_owned(), source };
        Document::parse_with(content.kind, subject, &content.text, &texts).map_err(refuse)
    }

    /// The version of a subject that has this schema, the newest first.
    pub(crate) fn lookup(
        &self,
        subject: &str,
        asked: &Asked,
        normalize: bool,
        deleted: bool,
    ) -> Result<Found, Error> {
        let all = self.everywhere(subject);
        let known: Vec<&String> =
            all.iter().filter(|subject| self.versions(subject, deleted, false).is_ok()).collect();
        if known.is_empty() {
            return Err(Error::SubjectNotFound { subject: subject.to_owned() });
        }
        for subject in known {
            let given = self.given(subject, asked, normalize)?;
            if let Some(found) = self.same(subject, &given, deleted) {
                return Ok(found);
            }
        }
        Err(Error::SchemaNotFound)
    }

    /// The newest version with this content; else one that only says the same in other words.
    fn same(&self, subject: &str, given: &Given, deleted: bool) -> Option<Found> {
        let exact = self.newest_first(subject, deleted).find(|found| *found.content == given.content);
        exact.or_else(|| self.newest_first(subject, deleted).find(|found| self.means_the_same(found, given)))
    }

    /// Another registry may have kept it in other words, a client may know nothing of its metadata, and a reference may
    /// have been replaced by what it refers to.
    fn means_the_same(&self, found: &Found, given: &Given) -> bool {
        let (kept, wanted) = (&*found.content, &given.content);
        let metadata = wanted.metadata.as_ref().is_none_or(|wanted| {
            let kept = kept.metadata.clone().unwrap_or_default();
            if wanted.has_version() { kept == *wanted } else { kept.without_version() == *wanted }
        });
        let rules = wanted.rule_set.as_ref().is_none_or(|wanted| kept.rule_set.as_ref() == Some(wanted));
        if kept.kind != wanted.kind || !metadata || !rules {
            return false;
        }
        if kept.references == wanted.references && kept.text == wanted.text {
            return true;
        }
        if kept.references != wanted.references && !wanted.references.is_empty() {
            return false;
        }
        let Ok(document) = self.document(&found.subject, kept) else { return false };
        if kept.references == wanted.references {
            return document.canonical() == given.document.canonical();
        }
        let resolved = document.formatted("resolved");
        resolved.is_some() && resolved == given.document.formatted("resolved")
    }

    /// Why a new schema does not go with earlier versions; nothing where it does. `wanted`: against that one alone.
    pub(crate) fn conflicts(
        &self,
        subject: &str,
        given: &Given,
        wanted: Option<Wanted>,
    ) -> Result<Vec<String>, Error> {
        let config = self.config_that_holds(Some(subject));
        let rules = config.rules();
        let mut earlier: Vec<Found> = match (wanted, self.versions(subject, false, false)) {
            (None | Some(Wanted::Latest), Err(_)) => Vec::new(),
            (None, Ok(_)) => self.newest_first(subject, false).collect(),
            (Some(wanted), _) => vec![self.version(subject, wanted, false)?],
        };
        let mut messages = match rules.validates_fields {
            true => reserved_fields_missed(given, earlier.first()),
            false => Vec::new(),
        };
        if rules.level == Level::None {
            earlier.clear();
        }
        // Only versions of the same group are compared, by the property that names it.
        if let Some(group) = &config.compatibility_group {
            let value = |content: &Content| content.metadata.as_ref()?.properties.get(group).cloned();
            earlier.retain(|found| value(&found.content) == value(&given.content));
        }
        if !rules.level.is_transitive() {
            earlier.truncate(1);
        }
        earlier.reverse();
        let mut documents = Vec::with_capacity(earlier.len());
        for found in &earlier {
            documents.push(self.document(subject, &found.content)?);
        }
        let earlier: Vec<Earlier<'_>> = earlier
            .iter()
            .zip(&documents)
            .map(|(found, document)| Earlier { version: found.version, text: &found.content.text, document })
            .collect();
        let found = check(&rules, &given.document, &earlier);
        if found.is_empty() && !messages.is_empty() {
            messages.push(rules.told());
        }
        messages.extend(found);
        Ok(messages)
    }

    /// What registering makes: nothing new where the subject has the schema, else entries.
    pub(crate) fn register(
        &self,
        subject: &str,
        mut asked: Asked,
        normalize: bool,
    ) -> Result<(Registered, Vec<Entry>), Error> {
        check_subject(subject)?;
        let mode = self.mode_that_holds(Some(subject));
        self.check_importable(subject, mode, asked.id.is_some())?;
        let config = self.config_that_holds(Some(subject));
        let latest = self.newest_first(subject, false).next();
        let mut changed = false;
        if let (None, Some(latest)) = (&asked.text, latest.as_ref().filter(|_| !mode.takes_ids())) {
            asked.kind = latest.content.kind;
            asked.text = Some(latest.content.text.clone());
            asked.references.clone_from(&latest.content.references);
            changed = true;
        }
        changed |= self.tag(subject, &mut asked, latest.as_ref())?;
        let mut given = self.given(subject, &asked, normalize)?;
        let is_plain = asked.id.is_none() && asked.version == 0;
        if let Some(same) =
            self.same(subject, &given, false).filter(|_| is_plain && !config.has_defaults_or_overrides())
        {
            return Ok((Registered::of(same, changed), Vec::new()));
        }
        let next = self.newest_first(subject, true).next().map_or(0, |found| found.version) + 1;
        if !mode.takes_ids() {
            changed |= complete(&mut given.content, &config, latest.as_ref(), asked.version != 0, next);
            if let Some(same) = self.same(subject, &given, false).filter(|_| is_plain) {
                return Ok((Registered::of(same, changed), Vec::new()));
            }
            let messages = self.conflicts(subject, &given, None)?;
            if !messages.is_empty() {
                return Err(Error::Incompatible { subject: subject.to_owned(), messages });
            }
        }
        let version = match asked.version {
            version if version <= 0 => next,
            version if version != next && !mode.takes_ids() => {
                let reason = "Version is not one more than previous version".to_owned();
                return Err(Error::Unsupported { subject: subject.to_owned(), reason });
            }
            version => version,
        };
        let id = self.id_for(subject, asked.id, &given.content)?;
        let found = Found { subject: subject.to_owned(), version, id, content: given.content.into() };
        let entries = self.entries(&found);
        Ok((Registered::of(found, changed), entries))
    }

    fn check_importable(&self, subject: &str, mode: Mode, has_id: bool) -> Result<(), Error> {
        self.check_writable(subject)?;
        let what = match (mode, has_id) {
            (Mode::Import | Mode::Forward, false) => "not in read-write mode",
            (Mode::ReadWrite, true) => "not in import mode",
            _ => return Ok(()),
        };
        Err(Error::NotPermitted { reason: format!("Subject {subject} is {what}") })
    }

    fn id_for(&self, subject: &str, asked: Option<i32>, content: &Content) -> Result<i32, Error> {
        let ids = self.ids(context_of(subject));
        match asked {
            Some(id) => {
                let held = ids.and_then(|ids| ids.by_id.get(&id));
                if held.is_some_and(|held| *held.content != *content) {
                    let reason = format!("Overwrite new schema with id {id} is not permitted.");
                    return Err(Error::NotPermitted { reason });
                }
                Ok(id)
            }
            None => {
                let known = ids.and_then(|ids| ids.by_content.get(content)).copied();
                Ok(known.unwrap_or_else(|| self.id_max(subject) + 1))
            }
        }
    }

    /// The records of a new version: its context where that is new, and the end of deleted versions with its id, which it
    /// stands for from now on.
    fn entries(&self, found: &Found) -> Vec<Entry> {
        let context = context_of(&found.subject);
        let is_new = context != DEFAULT_CONTEXT && self.ids(context).is_none();
        let mut entries: Vec<Entry> =
            is_new.then(|| Entry::Context { name: context.to_owned() }).into_iter().collect();
        let before = self.subjects.get(&found.subject).into_iter().flatten();
        let replaced = before.filter(|(number, version)| {
            version.deleted && version.id == found.id && **number < found.version
        });
        // The new version comes first, so that its id is never without one.
        entries.push(Entry::Schema(Box::new(found.value(false))));
        entries.extend(
            replaced
                .map(|(number, _)| Entry::SchemaGone { subject: found.subject.clone(), version: *number }),
        );
        entries
    }
}

/// Where a version breaks what is reserved: by a field of such a name, or by not reserving what the one before it does.
fn reserved_fields_missed(given: &Given, before: Option<&Found>) -> Vec<String> {
    let reserved = |content: &Content| content.metadata.as_ref().map(Metadata::reserved).unwrap_or_default();
    let (now, before) =
        (reserved(&given.content), before.map(|found| reserved(&found.content)).unwrap_or_default());
    let gone = before.difference(&now).map(|field| {
        format!(
            "{{errorType:\"RESERVED_FIELD_REMOVED\", description:\"The old schema reserves the field '{field}' and the new \
             one does not\"}}"
        )
    });
    let taken = now.iter().filter(|field| given.document.has_field(field)).map(|field| {
        format!(
            "{{errorType:\"FIELD_CONFLICTS_WITH_RESERVED_FIELD\", description:\"The new schema has the field '{field}', \
             which it reserves\"}}"
        )
    });
    gone.chain(taken).collect()
}

/// Fills in metadata and rules from the latest version and the settings; whether that says anything.
fn complete(
    content: &mut Content,
    config: &Config,
    latest: Option<&Found>,
    numbered: bool,
    next: i32,
) -> bool {
    let of_latest = |found: &Found| (found.content.metadata.clone(), found.content.rule_set.clone());
    let (metadata, rule_set) = latest.map(of_latest).unwrap_or_default();
    content.metadata = config.metadata(content.metadata.take().or(metadata));
    content.rule_set = config.rule_set(content.rule_set.take().or(rule_set));
    if numbered || content.metadata.as_ref().is_some_and(Metadata::has_version) {
        content.metadata.get_or_insert_default().set_version(next);
    }
    content.metadata.is_some() || content.rule_set.is_some()
}
