//! Settings with every layer they were given in. The defaults are loaded first, so they are the list of keys that exist;
//! there is no default in code.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use base::Secret;
use indexmap::IndexMap;

use crate::{
    Error, dotenv,
    kind::{self, Kind},
    origin::{Origin, TextFile},
    yaml,
};

/// The built-in reference of all keys: defaults, units and comments.
pub const DEFAULTS_YAML: &str = include_str!("defaults.yaml");
/// Environment variables that set something begin so; the next word is the section.
const ENV_PREFIX: &str = "TIDEMILL_";
/// Variables of commands that look like settings of a section.
const OTHERS: [&str; 1] = ["TIDEMILL_CONNECT_URL"];
/// Below this Jaro-Winkler likeness a name is no suggestion, but a wild guess.
const LIKENESS_MIN: f64 = 0.75;
/// At this likeness a variable that sets nothing is taken for a misspelt setting instead of somebody else's variable.
const MISSPELT_LIKENESS_MIN: f64 = 0.93;

/// One key: what it is for, what it has to look like, and all that was ever given to it, lowest layer first.
#[derive(Debug, Clone)]
pub struct Setting {
    pub doc: String,
    pub kind: Kind,
    layers: Vec<(Origin, String)>,
}

impl Setting {
    /// The value in force and where it came from.
    pub fn value(&self) -> (&Origin, &str) {
        let (origin, text) = self.layers.last().expect("a default is always there");
        (origin, text)
    }

    /// From the one in force down to the default.
    pub fn layers(&self) -> impl Iterator<Item = (&Origin, &str)> {
        self.layers.iter().rev().map(|(origin, text)| (origin, text.as_str()))
    }

    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }
}

/// All settings of a project, in the order of `defaults.yaml`.
#[derive(Debug, Clone)]
pub struct Settings {
    settings: IndexMap<String, Setting>,
}

impl Settings {
    /// Only the defaults.
    pub fn defaults() -> Self {
        let file = TextFile { path: "defaults.yaml".into(), text: DEFAULTS_YAML.into() };
        let entries = yaml::entries(&file).expect("the built-in defaults are valid YAML: a test reads them");
        let settings = entries.into_iter().map(|entry| {
            let (line, doc, kind) = documented(DEFAULTS_YAML, entry.key_span.0);
            let layers = vec![(Origin::Default { line }, entry.text.unwrap_or_default())];
            (entry.key, Setting { doc, kind, layers })
        });
        Self { settings: settings.collect() }
    }

    /// Adds a value on top. What does not exist or does not fit is refused, with the place it was given at.
    pub fn set(&mut self, key: &str, text: String, origin: Origin) -> Result<(), Error> {
        let kind = match self.settings.get(key) {
            Some(setting) if !setting.kind.is_open() => setting.kind.clone(),
            Some(setting) => return Err(value_error(key, &text, &setting.kind, origin)),
            None => match self.open_section(key) {
                Some(kind) => kind,
                None => return Err(self.unknown(key, origin)),
            },
        };
        if !kind.takes(&text) {
            return Err(value_error(key, &text, &kind, origin));
        }
        let doc = if kind == Kind::Secret { "secret" } else { "client property" };
        let new = || Setting { doc: doc.to_owned(), kind, layers: Vec::new() };
        self.settings.entry(key.to_owned()).or_insert_with(new).layers.push((origin, text));
        Ok(())
    }

    /// The kind of an entry of an open map such as `broker.properties.sasl.username`.
    fn open_section(&self, key: &str) -> Option<Kind> {
        let parent = self.settings.iter().find(|(name, setting)| {
            setting.kind.is_open()
                && key.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))
        });
        parent.map(|(_, setting)| {
            if setting.kind == Kind::Secrets {
                return Kind::Secret;
            }
            let hidden =
                ["password", "secret", "key.pem", "token", "user.info"].iter().any(|word| key.contains(word));
            if hidden { Kind::Secret } else { Kind::Text }
        })
    }

    fn unknown(&self, key: &str, origin: Origin) -> Error {
        Error::UnknownKey {
            key: key.to_owned(),
            origin: Box::new(origin),
            nearest: self.nearest(key, LIKENESS_MIN),
        }
    }

    /// The most similar key, if any is similar enough.
    pub fn nearest(&self, key: &str, likeness_min: f64) -> Option<String> {
        let likeness = |name: &str| strsim::jaro_winkler(name, key);
        let best = self.settings.keys().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        (likeness(best) >= likeness_min).then(|| best.clone())
    }

    /// The layer of `tidemill.yaml`.
    pub fn read_yaml(&mut self, file: &TextFile) -> Result<(), Error> {
        for entry in yaml::entries(file)? {
            let (start, length) = if entry.text.is_some() { entry.span } else { entry.key_span };
            let is_open = self.settings.get(&entry.key).is_some_and(|setting| setting.kind.is_open());
            let is_section = self.settings.keys().any(|key| key.starts_with(&format!("{}.", entry.key)));
            if (entry.empty_map || entry.text.is_none()) && (is_open || is_section) {
                continue; // a section in which everything is commented out
            }
            let known = self.settings.contains_key(&entry.key) || self.open_section(&entry.key).is_some();
            let (start, length) = if known { (start, length) } else { entry.key_span };
            let origin = Origin::File { file: file.clone(), start, length };
            self.set(&entry.key, entry.text.unwrap_or_default(), origin)?;
        }
        Ok(())
    }

    /// The layer of `.env`: its `TIDEMILL_` names; the rest belongs to others.
    pub(crate) fn read_dotenv(&mut self, file: &TextFile, lines: Vec<dotenv::Line>) -> Result<(), Error> {
        for line in lines {
            let origin = |name: String| Origin::DotEnv {
                file: file.clone(),
                start: line.start,
                length: line.length,
                name,
            };
            if let Some(key) =
                self.env_key(&line.name).map_err(|key| self.unknown(&key, origin(line.name.clone())))?
            {
                self.set(&key, line.value, origin(line.name))?;
            }
        }
        Ok(())
    }

    /// The layer of the environment.
    pub fn read_env(&mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), Error> {
        for (name, value) in variables {
            let key = self.env_key(&name).map_err(|key| self.unknown(&key, Origin::Env(name.clone())))?;
            if let Some(key) = key {
                self.set(&key, value, Origin::Env(name))?;
            }
        }
        Ok(())
    }

    /// The layer of `--set KEY=VALUE`.
    pub fn read_flags(&mut self, flags: &[String]) -> Result<(), Error> {
        for flag in flags {
            let Some((key, value)) = flag.split_once('=') else {
                return Err(Error::Flag { flag: flag.clone() });
            };
            self.set(key.trim(), value.trim().to_owned(), Origin::Flag(format!("--set {}", key.trim())))?;
        }
        Ok(())
    }

    /// `TIDEMILL_BROKER_LISTEN` as `broker.listen`; `Ok(None)` where the name is somebody else's, `Err` where it begins
    /// like a section of ours, or is nearly a name of ours, and names no setting.
    fn env_key(&self, name: &str) -> Result<Option<String>, String> {
        let Some(rest) = name.strip_prefix(ENV_PREFIX).filter(|_| !OTHERS.contains(&name)) else {
            return Ok(None);
        };
        let Some((section, rest)) = rest.split_once('_') else { return Ok(None) };
        let section = section.to_ascii_lowercase();
        let rest = rest.to_ascii_lowercase();
        // Client properties are words with dots, so underscores stand for them.
        if let Some(property) = rest.strip_prefix("properties_") {
            let key = format!("{section}.properties.{}", property.replace('_', "."));
            return if self.open_section(&key).is_some() { Ok(Some(key)) } else { Err(key) };
        }
        let key = format!("{section}.{rest}");
        // `broker.users.alice`, whose name is a word of ours in front of one that is not.
        let of_secrets = |(name, setting): (&String, &Setting)| {
            let entry = key.strip_prefix(name.as_str())?.strip_prefix('_')?;
            (setting.kind == Kind::Secrets).then(|| format!("{name}.{entry}"))
        };
        if let Some(key) = self.settings.iter().find_map(of_secrets) {
            return Ok(Some(key));
        }
        if self.settings.contains_key(&key) {
            return Ok(Some(key));
        }
        let is_section = self.settings.keys().any(|name| name.starts_with(&format!("{section}.")));
        if is_section || self.nearest(&key, MISSPELT_LIKENESS_MIN).is_some() { Err(key) } else { Ok(None) }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        let shown = |(_, setting): &(&String, &Setting)| !setting.kind.is_open();
        self.settings.iter().filter(shown).map(|(key, setting)| (key.as_str(), setting))
    }

    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }
}

/// Typed reading. A key that is not in `defaults.yaml` is a bug of ours, and a test reads every key there is.
impl Settings {
    fn setting(&self, key: &str) -> &Setting {
        self.settings.get(key).unwrap_or_else(|| panic!("no setting {key} in defaults.yaml"))
    }

    pub fn text(&self, key: &str) -> &str {
        self.setting(key).value().1
    }

    /// `None` where it is empty.
    pub fn optional_text(&self, key: &str) -> Option<&str> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    pub fn secret(&self, key: &str) -> Secret {
        Secret::new(self.text(key))
    }

    pub fn address(&self, key: &str) -> Result<SocketAddr, Error> {
        self.parsed(key, kind::address)
    }

    /// Bytes, or -1 for no bound.
    pub fn bytes(&self, key: &str) -> Result<i64, Error> {
        self.parsed(key, kind::bytes)
    }

    /// Milliseconds, or -1 for no bound.
    pub fn milliseconds(&self, key: &str) -> Result<i64, Error> {
        self.parsed(key, kind::milliseconds)
    }

    pub fn count(&self, key: &str) -> Result<u32, Error> {
        self.parsed(key, |text| text.parse().ok())
    }

    pub fn boolean(&self, key: &str) -> Result<bool, Error> {
        self.parsed(key, |text| text.parse().ok())
    }

    /// Words separated by commas; empty ones are left out.
    pub fn list(&self, key: &str) -> Vec<String> {
        let words = self.text(key).split(',').map(str::trim);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// The entries of an open map: `broker.properties`.
    pub fn properties(&self, key: &str) -> BTreeMap<String, String> {
        let prefix = format!("{key}.");
        let entries = self.settings.iter().filter_map(|(name, setting)| {
            name.strip_prefix(&prefix).map(|rest| (rest.to_owned(), setting.value().1.to_owned()))
        });
        entries.collect()
    }

    /// The entries of an open map of secrets: `broker.users`.
    pub fn secrets(&self, key: &str) -> BTreeMap<String, Secret> {
        self.properties(key).into_iter().map(|(name, text)| (name, Secret::new(text))).collect()
    }

    fn parsed<T>(&self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
        let setting = self.setting(key);
        let (origin, text) = setting.value();
        parse(text).ok_or_else(|| value_error(key, text, &setting.kind, origin.clone()))
    }
}

fn value_error(key: &str, text: &str, kind: &Kind, origin: Origin) -> Error {
    let shown = if *kind == Kind::Secret { "***".to_owned() } else { text.chars().take(80).collect() };
    Error::Value { key: key.to_owned(), shown, expected: kind.expected(), origin: Box::new(origin) }
}

/// Line, comment and kind of the key that begins at byte `start` of the defaults.
fn documented(text: &str, start: usize) -> (u32, String, Kind) {
    let before = &text[..start];
    let mut comment: Vec<&str> = Vec::new();
    for line in before.lines().rev().skip(1) {
        match line.trim().strip_prefix('#') {
            Some(words) => comment.push(words.trim()),
            None => break,
        }
    }
    comment.reverse();
    let comment = comment.join(" ");
    let (doc, kind) =
        comment.rsplit_once(" [").expect("each key's comment ends in its kind: a test reads them");
    let kind = Kind::parse(kind.trim_end_matches(']'))
        .expect("each kind in defaults.yaml is known: a test reads them");
    (before.matches('\n').count() as u32 + 1, doc.to_owned(), kind)
}

/// A file's text with the name that people see.
pub(crate) fn text_file(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> TextFile {
    TextFile { path: path.into(), text: text.into() }
}
