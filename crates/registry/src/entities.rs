//! What the API and the topic's records have in common: references, metadata, rules, and a subject's settings.
//!
//! Source: Confluent Schema Registry, `client.rest.entities`. Members that we do not know are left out, not an error.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

/// The property that a registry sets to a version's number.
const VERSION_PROPERTY: &str = "confluent:version";
/// The one that lists reserved fields, with commas.
const RESERVED_PROPERTY: &str = "confluent:reserved";

/// Another schema that a schema needs, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: i32,
}

/// Clients write null for what is empty.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Metadata {
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, BTreeSet<String>>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) properties: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) sensitive: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doc: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    rule_type: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_success: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_failure: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    disabled: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleSet {
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    migration_rules: Vec<Rule>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    domain_rules: Vec<Rule>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    encoding_rules: Vec<Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enable_at: Option<String>,
}

impl Metadata {
    /// What `over` says wins.
    fn merged(mut self, over: Metadata) -> Metadata {
        self.tags.extend(over.tags);
        self.properties.extend(over.properties);
        self.sensitive.extend(over.sensitive);
        self
    }

    pub(crate) fn has_version(&self) -> bool {
        self.properties.contains_key(VERSION_PROPERTY)
    }

    pub(crate) fn set_version(&mut self, version: i32) {
        self.properties.insert(VERSION_PROPERTY.to_owned(), version.to_string());
    }

    /// The fields that no schema of the subject may have.
    pub(crate) fn reserved(&self) -> BTreeSet<String> {
        let listed = self.properties.get(RESERVED_PROPERTY).map(String::as_str).unwrap_or_default();
        listed.split(',').map(str::trim).filter(|field| !field.is_empty()).map(str::to_owned).collect()
    }

    /// Without the version's number, which says nothing of the schema itself.
    pub(crate) fn without_version(&self) -> Metadata {
        let mut rest = self.clone();
        rest.properties.remove(VERSION_PROPERTY);
        rest
    }
}

impl RuleSet {
    /// With the rules of `over`, and without those that are named.
    pub(crate) fn changed(self, over: Option<RuleSet>, without: &[String]) -> RuleSet {
        let mut rules = match over {
            Some(over) => self.merged(over),
            None => self,
        };
        for list in [&mut rules.migration_rules, &mut rules.domain_rules, &mut rules.encoding_rules] {
            list.retain(|rule| rule.name.as_ref().is_none_or(|name| !without.contains(name)));
        }
        rules
    }

    /// A rule of `over` replaces the one of its name.
    fn merged(self, over: RuleSet) -> RuleSet {
        let rules = |mut kept: Vec<Rule>, over: Vec<Rule>| {
            kept.retain(|rule| over.iter().all(|other| other.name != rule.name));
            kept.extend(over);
            kept
        };
        RuleSet {
            migration_rules: rules(self.migration_rules, over.migration_rules),
            domain_rules: rules(self.domain_rules, over.domain_rules),
            encoding_rules: rules(self.encoding_rules, over.encoding_rules),
            enable_at: over.enable_at.or(self.enable_at),
        }
    }
}

fn merge<T>(under: Option<T>, over: Option<T>, merged: impl Fn(T, T) -> T) -> Option<T> {
    match (under, over) {
        (Some(under), Some(over)) => Some(merged(under, over)),
        (under, over) => over.or(under),
    }
}

/// How long a subject lives that belongs to a resource: by itself, or as long as the association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Lifecycle {
    Strong,
    #[default]
    Weak,
}

/// A subject that belongs to a resource, which is a topic: what its keys or values are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Association {
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) guid: String,
    pub(crate) resource_name: String,
    pub(crate) resource_namespace: String,
    #[serde(default)]
    pub(crate) resource_id: String,
    pub(crate) resource_type: String,
    pub(crate) association_type: String,
    #[serde(default)]
    pub(crate) lifecycle: Lifecycle,
    #[serde(default)]
    pub(crate) frozen: bool,
}

/// The settings of a subject, of a context or of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) normalize: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validate_fields: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validate_names: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compatibility_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compatibility_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compatibility_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) override_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_rule_set: Option<RuleSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) override_rule_set: Option<RuleSet>,
}

impl Config {
    /// What a version gets: the defaults, its own over them, the overrides over all.
    pub(crate) fn metadata(&self, own: Option<Metadata>) -> Option<Metadata> {
        let under = merge(self.default_metadata.clone(), own, Metadata::merged);
        merge(under, self.override_metadata.clone(), Metadata::merged)
    }

    pub(crate) fn has_defaults_or_overrides(&self) -> bool {
        let metadata = self.default_metadata.is_some() || self.override_metadata.is_some();
        metadata || self.default_rule_set.is_some() || self.override_rule_set.is_some()
    }

    pub(crate) fn rule_set(&self, own: Option<RuleSet>) -> Option<RuleSet> {
        let under = merge(self.default_rule_set.clone(), own, RuleSet::merged);
        merge(under, self.override_rule_set.clone(), RuleSet::merged)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_lie_under_and_overrides_over_what_a_version_says() {
        let config: Config = serde_json::from_value(json!({
            "defaultMetadata": { "properties": { "a": "default", "b": "default" }, "tags": null },
            "overrideMetadata": { "properties": { "c": "override" }, "sensitive": ["c"] },
            "defaultRuleSet": { "domainRules": [{ "name": "x", "expr": "default" }, { "name": "y" }] },
        }))
        .unwrap();
        let own = serde_json::from_value(json!({ "properties": { "b": "own", "c": "own" } })).unwrap();
        assert_eq!(
            serde_json::to_value(config.metadata(own)).unwrap(),
            json!({ "properties": { "a": "default", "b": "own", "c": "override" }, "sensitive": ["c"] })
        );
        let own = serde_json::from_value(json!({ "domainRules": [{ "name": "x", "expr": "own" }] })).unwrap();
        assert_eq!(
            serde_json::to_value(config.rule_set(own)).unwrap(),
            json!({ "domainRules": [{ "name": "y", "disabled": false }, { "name": "x", "expr": "own", "disabled": false }] })
        );
    }
}
