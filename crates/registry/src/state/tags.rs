//! Tags in the text of a schema: added and removed while it is registered, taken over from the version before, or changed in a
//! version that is there, which makes a new one.

use contracts::Tagged;

use super::{Asked, Found, Registered, State, Wanted};
use crate::{
    Error,
    entities::{Metadata, RuleSet},
    records::Entry,
};

/// What becomes of the tags of a schema that is registered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tags {
    pub(crate) add: Vec<Tagged>,
    pub(crate) remove: Vec<Tagged>,
    /// Those of the version before are put in, where it still has what they stand at.
    pub(crate) propagate: bool,
}

/// What is to be another in a version that is there.
#[derive(Debug)]
pub(crate) struct Retagged {
    /// None is the next one.
    pub(crate) new_version: Option<i32>,
    pub(crate) add: Vec<Tagged>,
    pub(crate) remove: Vec<Tagged>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) rule_set: Option<RuleSet>,
    pub(crate) rules_to_merge: Option<RuleSet>,
    pub(crate) rules_to_remove: Option<Vec<String>>,
}

impl State {
    /// Puts the tags that were asked for into the text; whether that changed it.
    pub(super) fn tag(
        &self,
        subject: &str,
        asked: &mut Asked,
        latest: Option<&Found>,
    ) -> Result<bool, Error> {
        let Tags { add, remove, propagate } = std::mem::take(&mut asked.tags);
        let is_tagged = !add.is_empty() || !remove.is_empty();
        if is_tagged {
            let document = self.given(subject, asked, false)?.document;
            asked.text = Some(document.with_tags(&add, &remove).map_err(|path| nowhere(subject, &path))?);
            // The number has to come into the metadata.
            asked.version = if asked.version == 0 { -1 } else { asked.version };
        }
        let before = match latest.filter(|_| propagate) {
            Some(latest) => self.document(subject, &latest.content)?.inline_tags(),
            None => Vec::new(),
        };
        for tagged in &before {
            let document = self.given(subject, asked, false)?.document;
            if let Ok(text) = document.with_tags(std::slice::from_ref(tagged), &[]) {
                asked.text = Some(text);
            }
        }
        Ok(is_tagged || !before.is_empty())
    }

    /// Registers a version anew, with other tags, metadata or rules.
    pub(crate) fn retag(
        &self,
        subject: &str,
        wanted: Wanted,
        retagged: Retagged,
    ) -> Result<(Registered, Vec<Entry>), Error> {
        let found = self.version(subject, wanted, false)?;
        let content = &*found.content;
        let document = self.document(subject, content)?;
        let text = document.with_tags(&retagged.add, &retagged.remove);
        let rule_set = match (&retagged.rules_to_merge, &retagged.rules_to_remove) {
            (None, None) => retagged.rule_set,
            (merge, remove) => {
                let before = match retagged.new_version {
                    Some(new) if new > 1 => self.version(subject, Wanted::Number(new - 1), false),
                    _ => self.version(subject, Wanted::Latest, false),
                };
                let before = before.ok().and_then(|before| before.content.rule_set.clone());
                Some(before.unwrap_or_default().changed(merge.clone(), remove.as_deref().unwrap_or_default()))
            }
        };
        let asked = Asked {
            kind: content.kind,
            text: Some(text.map_err(|path| nowhere(subject, &path))?),
            references: content.references.clone(),
            metadata: retagged.metadata.or_else(|| content.metadata.clone()),
            rule_set,
            id: None,
            version: retagged.new_version.filter(|new| *new != 0).unwrap_or(-1),
            tags: Tags::default(),
        };
        self.register(subject, asked, false)
    }
}

fn nowhere(subject: &str, path: &str) -> Error {
    let reason = format!("the schema has nothing at the path '{path}' that could have tags");
    Error::Unsupported { subject: subject.to_owned(), reason }
}
