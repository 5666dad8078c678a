//! Holds a configuration against the tables of keys. Messages are those of Kafka's `ConfigDef` where it has one.

use super::{
    Config, S3_SINK,
    definition::{Definition, Honoured, Kind, Valid},
    framework, rules, s3, suffixes,
};

/// A connector class that can be created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plugin {
    pub class: &'static str,
    /// `sink` or `source`.
    pub kind: &'static str,
    pub task_class: &'static str,
    pub version: &'static str,
    pub keys: &'static [Definition],
}

pub(crate) const PLUGINS: &[Plugin] = &[Plugin {
    class: S3_SINK,
    kind: "sink",
    task_class: "io.confluent.connect.s3.S3SinkTask",
    version: env!("CARGO_PKG_VERSION"),
    keys: s3::KEYS,
}];

/// Finds a connector by its class, its simple name or its alias: `S3SinkConnector`, `S3Sink`.
pub(crate) fn plugin(name: &str) -> Option<&'static Plugin> {
    let name = name.trim();
    PLUGINS.iter().find(|plugin| {
        let simple = plugin.class.rsplit('.').next().unwrap_or(plugin.class);
        name == plugin.class || name == simple || Some(name) == simple.strip_suffix("Connector")
    })
}

/// What was found about one key.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub name: String,
    /// `None`: a key with a prefix (`value.converter.…`), or one that nobody knows.
    pub definition: Option<&'static Definition>,
    /// As it will be used: the default where none was given.
    pub value: Option<String>,
    pub errors: Vec<String>,
}

/// A configuration, key by key, in the order of the tables.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub plugin: &'static Plugin,
    pub findings: Vec<Finding>,
}

impl Checked {
    pub fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        self.findings
            .iter()
            .flat_map(|found| found.errors.iter().map(|error| (found.name.as_str(), error.as_str())))
    }

    /// The value of a key, trimmed; the default where it was not given. Empty text counts as not given.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.findings.iter().find(|found| found.name == name)?;
        found.value.as_deref().filter(|value| !value.is_empty())
    }

    pub fn number(&self, name: &str) -> i64 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(-1)
    }

    pub fn is_true(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        let parts = self.text(name).unwrap_or_default().split(',');
        parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// What is set below a prefix, without it: `value.converter.` gives `schemas.enable`.
    pub fn below(&self, prefix: &str) -> Config {
        let set = self.findings.iter().filter(|found| found.definition.is_none());
        set.filter_map(|found| {
            let rest = found.name.strip_prefix(prefix)?;
            Some((rest.to_owned(), found.value.clone().unwrap_or_default()))
        })
        .collect()
    }

    pub(crate) fn add(&mut self, name: &str, error: String) {
        match self.findings.iter_mut().find(|found| found.name == name) {
            Some(found) => found.errors.push(error),
            None => self.findings.push(Finding {
                name: name.to_owned(),
                definition: None,
                value: None,
                errors: vec![error],
            }),
        }
    }
}

/// Checks every key there is and every key that was given.
pub(crate) fn validate(plugin: &'static Plugin, config: &Config) -> Checked {
    let defined = framework::KEYS.iter().chain(plugin.keys);
    let mut findings: Vec<Finding> =
        defined.clone().map(|key| check_key(key, config.get(key.name))).collect();
    for (name, value) in config {
        if findings.iter().any(|found| &found.name == name) {
            continue;
        }
        let errors = match suffixes::check(name, value, config) {
            Some(errors) => errors,
            None => vec![unknown(name, defined.clone().map(|key| key.name))],
        };
        findings.push(Finding {
            name: name.clone(),
            definition: None,
            value: Some(value.trim().to_owned()),
            errors,
        });
    }
    let mut checked = Checked { plugin, findings };
    rules::check(&mut checked);
    checked
}

/// Names less alike than this are no help.
const LIKENESS_MIN: f64 = 0.8;

/// The known name that is most like `name`, as `; the nearest is "…"`, where one is like it.
pub(super) fn nearest(name: &str, prefix: &str, known: impl Iterator<Item = &'static str>) -> String {
    let likeness = known.map(|known| (strsim::jaro_winkler(known, name), known));
    match likeness.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((likeness, known)) if likeness >= LIKENESS_MIN => {
            format!("; the nearest is \"{prefix}{known}\"")
        }
        _ => String::new(),
    }
}

fn unknown(name: &str, known: impl Iterator<Item = &'static str>) -> String {
    format!(
        "Unknown configuration \"{name}\": no key of the connector or of Kafka Connect has this name{}. Kafka Connect \
         would ignore it with a warning, tidemill refuses it",
        nearest(name, "", known)
    )
}

fn check_key(key: &'static Definition, given: Option<&String>) -> Finding {
    let mut found =
        Finding { name: key.name.to_owned(), definition: Some(key), value: None, errors: Vec::new() };
    let Some(given) = given else {
        match key.default {
            Some(default) => found.value = default.map(str::to_owned),
            None => found
                .errors
                .push(format!("Missing required configuration \"{}\" which has no default value.", key.name)),
        }
        return found;
    };
    // A separator is white space on purpose; everything else is trimmed, as ConfigDef does.
    let value = if key.name == "format.bytearray.separator" { given.as_str() } else { given.trim() };
    found.value = Some(value.to_owned());
    if let Some(reason) = wrong_kind(key.kind, value).or_else(|| wrong_value(key, value)) {
        found.errors.push(invalid(key, value, &reason));
    } else if key.honoured == Honoured::NotYet && !is_default(key, value) {
        found.errors.push(invalid(
            key,
            value,
            "not yet honoured by tidemill: remove it or run the connector on Kafka Connect",
        ));
    }
    found
}

fn invalid(key: &Definition, value: &str, reason: &str) -> String {
    let value = if key.kind == Kind::Password { "[hidden]" } else { value };
    format!("Invalid value {value} for configuration {}: {reason}", key.name)
}

fn is_default(key: &Definition, value: &str) -> bool {
    let default = key.default_text().unwrap_or_default();
    match key.kind {
        Kind::Boolean => default.eq_ignore_ascii_case(value),
        _ => match key.valid {
            Valid::OneOfAnyCase(_) => default.eq_ignore_ascii_case(value),
            _ => default == value,
        },
    }
}

fn wrong_kind(kind: Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Boolean => {
            let known = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
            (!known).then(|| "Expected value to be either true or false".to_owned())
        }
        Kind::Int => value.parse::<i32>().is_err().then(|| "Not a number of type INT".to_owned()),
        Kind::Long => value.parse::<i64>().is_err().then(|| "Not a number of type LONG".to_owned()),
        Kind::String | Kind::List | Kind::Class | Kind::Password => None,
    }
}

fn wrong_value(key: &Definition, value: &str) -> Option<String> {
    match key.valid {
        Valid::Any => None,
        Valid::AtLeast(least) => {
            let number: i64 = value.parse().ok()?;
            (number < least).then(|| format!("Value must be at least {least}"))
        }
        Valid::OneOf(words) => {
            (!words.contains(&value)).then(|| format!("String must be one of: {}", words.join(", ")))
        }
        Valid::OneOfAnyCase(words) => {
            let known = words.iter().any(|word| word.eq_ignore_ascii_case(value));
            (!known).then(|| format!("String must be one of (case insensitive): {}", words.join(", ")))
        }
        Valid::ClassIn(classes) => (!classes.contains(&value))
            .then(|| format!("Class {value} could not be found. tidemill has: {}", classes.join(", "))),
        Valid::NotBlank => value.is_empty().then(|| "String must be non-empty".to_owned()),
        Valid::Timezone => (!value.is_empty() && !rules::is_timezone(value))
            .then(|| "not a time zone: use a name of the IANA list such as Europe/Berlin, or UTC".to_owned()),
        Valid::Locale => (!value.is_empty() && !rules::is_locale(value))
            .then(|| "not a locale: use a language with or without a country, such as en-US".to_owned()),
        Valid::Pattern => regex::Regex::new(value).err().map(|error| {
            let reason = error.to_string();
            format!("Invalid regular expression: {}", reason.lines().last().unwrap_or_default())
        }),
    }
}
