//! A contract file with its subject, kind and references, and the texts that references lead to.

use std::path::{Path, PathBuf};

use base::ContractKind;
use contracts::{Document, Referenced};
use registry::Error;
use serde_json::{Value, json};

use super::client::Registry;
use crate::context::{Context, Failure};

/// Schemas that one may need, by all the ways there are.
const REFERENCES_COUNT_MAX: usize = 1_000;

pub(super) struct Local {
    pub(super) subject: String,
    pub(super) path: PathBuf,
    pub(super) kind: ContractKind,
    pub(super) text: String,
    /// As the API has them.
    pub(super) references: Vec<Value>,
}

impl Local {
    /// The file given, or the one in contracts/ that the subject names; checked before it is sent anywhere.
    pub(super) async fn read(
        context: &Context,
        registry: &Registry,
        subject: &str,
        file: Option<&Path>,
        references: &[String],
    ) -> Result<Local, Failure> {
        let path = match file {
            Some(file) => context.path(file)?,
            None => find(&context.root()?.join("contracts"), subject)?,
        };
        let name = path.to_string_lossy().into_owned();
        let refuse = |reason: String| contracts::Error::File { path: name.as_str().into(), reason };
        let kind = contracts::kind_of_file(&name);
        let kind =
            kind.ok_or_else(|| refuse("its name does not end in .json, .avsc or .proto".to_owned()))?;
        let text = std::fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        let mut named = Vec::with_capacity(references.len());
        for reference in references {
            named.push(reference_of(registry, reference).await?);
        }
        let texts = referenced(registry, &named).await?;
        Document::parse_with(kind, &name, &text, &texts)?;
        Ok(Local { subject: full(subject), path, kind, text, references: named })
    }

    pub(super) fn body(&self) -> Value {
        let mut body = match self.kind {
            ContractKind::Avro => json!({ "schema": self.text }),
            ContractKind::JsonSchema => json!({ "schema": self.text, "schemaType": "JSON" }),
            ContractKind::Protobuf => json!({ "schema": self.text, "schemaType": "PROTOBUF" }),
        };
        if !self.references.is_empty() {
            body["references"] = self.references.clone().into();
        }
        body
    }
}

/// A topic stands for the subject of its values.
pub(super) fn full(subject: &str) -> String {
    match subject.ends_with("-value") || subject.ends_with("-key") {
        true => subject.to_owned(),
        false => format!("{subject}-value"),
    }
}

fn find(folder: &Path, subject: &str) -> Result<PathBuf, Failure> {
    let topic = subject.strip_suffix("-value").unwrap_or(subject);
    let full = full(subject);
    let mut looked = Vec::new();
    for stem in [topic, &full] {
        for ending in ["json", "avsc", "proto"] {
            let path = folder.join(format!("{stem}.{ending}"));
            if path.is_file() {
                return Ok(path);
            }
            looked.push(path.display().to_string());
        }
    }
    Err(Box::new(Error::NoContractFile { subject: full, looked }))
}

/// `NAME=SUBJECT` or `NAME=SUBJECT@VERSION`; without a version it is the latest one.
async fn reference_of(registry: &Registry, text: &str) -> Result<Value, Failure> {
    let (name, subject) = text.split_once('=').unwrap_or((text, text));
    let (subject, version) = subject.rsplit_once('@').unwrap_or((subject, "latest"));
    let found =
        registry.get(&format!("show {subject}"), &["subjects", subject, "versions", version], "").await?;
    Ok(json!({ "name": name, "subject": found["subject"], "version": found["version"] }))
}

/// The texts that references lead to, each after those that it needs itself.
pub(super) async fn referenced(
    registry: &Registry,
    references: &[Value],
) -> Result<Vec<Referenced>, Failure> {
    let mut texts: Vec<Referenced> = Vec::new();
    let mut waiting: Vec<(Value, Option<Referenced>)> =
        references.iter().rev().map(|reference| (reference.clone(), None)).collect();
    let mut seen = Vec::new();
    while let Some((reference, read)) = waiting.pop() {
        if let Some(text) = read {
            texts.push(text);
            continue;
        }
        let subject = reference["subject"].as_str().unwrap_or_default();
        let version = reference["version"].to_string();
        if seen.len() >= REFERENCES_COUNT_MAX || seen.contains(&(subject.to_owned(), version.clone())) {
            continue;
        }
        seen.push((subject.to_owned(), version.clone()));
        let path = ["subjects", subject, "versions", &version];
        let found = registry.get(&format!("show {subject}"), &path, "deleted=true").await?;
        let text = Referenced {
            name: reference["name"].as_str().unwrap_or_default().to_owned(),
            text: found["schema"].as_str().unwrap_or_default().to_owned(),
        };
        let needs = found["references"].as_array().cloned().unwrap_or_default();
        waiting.push((reference, Some(text)));
        waiting.extend(needs.into_iter().rev().map(|reference| (reference, None)));
    }
    Ok(texts)
}
