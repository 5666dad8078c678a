//! Levels, other settings and modes: of a subject, of its context, of everything.

use contracts::compatibility::{Level, Policy, Rules};

use super::State;
use crate::{
    Error,
    entities::Config,
    names::{DEFAULT_CONTEXT, GLOBAL, begins_with, context_of, qualified, seen_from},
    records::Entry,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    ReadWrite,
    ReadOnly,
    /// Read-only whatever the subjects below say.
    ReadOnlyOverride,
    Import,
    /// As `Import`, for a registry that another one keeps filled while clients register there.
    Forward,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::ReadWrite => "READWRITE",
            Mode::ReadOnly => "READONLY",
            Mode::ReadOnlyOverride => "READONLY_OVERRIDE",
            Mode::Import => "IMPORT",
            Mode::Forward => "FORWARD",
        }
    }

    /// Whether schemas bring their ids and nothing is compared.
    pub(super) fn takes_ids(self) -> bool {
        matches!(self, Mode::Import | Mode::Forward)
    }

    pub(crate) fn parse(text: &str) -> Result<Mode, Error> {
        let all = [Mode::ReadWrite, Mode::ReadOnly, Mode::ReadOnlyOverride, Mode::Import, Mode::Forward];
        all.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(text)).ok_or(Error::InvalidMode)
    }
}

impl State {
    /// Where a subject's settings may stand, the nearest first.
    fn scopes(scope: Option<&str>) -> Vec<Option<String>> {
        let context = scope.map_or(DEFAULT_CONTEXT, context_of);
        let above = match context {
            DEFAULT_CONTEXT => None,
            context => Some(qualified(context, "")),
        };
        let mut all = vec![scope.map(str::to_owned), above, Some(GLOBAL.to_owned())];
        all.dedup();
        all
    }

    /// The settings that stand at this very place.
    pub(crate) fn config(&self, scope: Option<&str>) -> Option<&Config> {
        self.configs.get(&scope.map(str::to_owned))
    }

    /// The settings that hold: those of the nearest place that has any, with a level in any case.
    pub(crate) fn config_that_holds(&self, scope: Option<&str>) -> Config {
        let mut found = Self::scopes(scope).into_iter().filter_map(|scope| self.configs.get(&scope));
        let mut config = found.next().cloned().unwrap_or_default();
        if config.compatibility_level.is_none() {
            let above = found.find_map(|config| config.compatibility_level.clone());
            config.compatibility_level = Some(above.unwrap_or_else(|| Level::default().name().to_owned()));
        }
        config
    }

    /// The subject that an alias in its own settings stands for, else itself; the other one's alias is not followed.
    pub(crate) fn aliased(&self, subject: String) -> String {
        let alias = self.config(Some(subject.as_str())).and_then(|config| config.alias.as_deref());
        match alias.filter(|alias| !alias.is_empty()) {
            Some(alias) => seen_from(&subject, alias),
            None => subject,
        }
    }

    pub(crate) fn mode(&self, scope: Option<&str>) -> Option<Mode> {
        self.modes.get(&scope.map(str::to_owned)).copied()
    }

    pub(crate) fn mode_that_holds(&self, scope: Option<&str>) -> Mode {
        let all: Vec<Mode> =
            Self::scopes(scope).into_iter().filter_map(|scope| self.modes.get(&scope).copied()).collect();
        match all.contains(&Mode::ReadOnlyOverride) {
            true => Mode::ReadOnlyOverride,
            false => all.first().copied().unwrap_or_default(),
        }
    }

    pub(super) fn check_writable(&self, subject: &str) -> Result<(), Error> {
        match self.mode_that_holds(Some(subject)) {
            Mode::ReadOnly | Mode::ReadOnlyOverride => {
                Err(Error::NotPermitted { reason: format!("Subject {subject} is in read-only mode") })
            }
            Mode::ReadWrite | Mode::Import | Mode::Forward => Ok(()),
        }
    }

    /// The ends of a mode and, with `recursive`, of those of the subjects that are within a context.
    pub(crate) fn without_mode(&self, scope: Option<&str>, recursive: bool) -> Vec<Entry> {
        let end = |scope: Option<String>| Entry::Mode { subject: scope, mode: None };
        let mut entries = vec![end(scope.map(str::to_owned))];
        if recursive {
            let others = self.modes.keys().flatten().filter(|other| {
                Some(other.as_str()) != scope && other.as_str() != GLOBAL && is_within(scope, other)
            });
            entries.extend(others.cloned().map(|other| end(Some(other))));
        }
        entries
    }

    /// A mode's change; IMPORT wants an empty registry, context or subject, or `force`.
    pub(crate) fn change_mode(&self, scope: Option<&str>, mode: Mode, force: bool) -> Result<Entry, Error> {
        let is_new = !self.mode_that_holds(scope).takes_ids();
        let taken = self.subjects("", false, false).into_iter().any(|subject| is_within(scope, subject));
        if mode == Mode::Import && is_new && !force && taken {
            return Err(Error::NotPermitted {
                reason: "Cannot import since found existing subjects".to_owned(),
            });
        }
        Ok(Entry::Mode { subject: scope.map(str::to_owned), mode: Some(mode.name().to_owned()) })
    }
}

/// Whether a subject is what settings are of: in the default context, in the context named, or the subject itself.
fn is_within(scope: Option<&str>, subject: &str) -> bool {
    match scope {
        None => context_of(subject) == DEFAULT_CONTEXT,
        Some(context) if context == qualified(context_of(context), "") => begins_with(subject, context),
        Some(scope) => subject == scope,
    }
}

impl Config {
    /// What a new version is held against by these settings.
    pub(super) fn rules(&self) -> Rules {
        let level = self.compatibility_level.as_deref().and_then(|level| level.parse::<Level>().ok());
        let is_lenient = self.compatibility_policy.as_deref() == Some("LENIENT");
        Rules {
            level: level.unwrap_or_default(),
            policy: if is_lenient { Policy::Lenient } else { Policy::Strict },
            validates_fields: self.validate_fields == Some(true),
        }
    }
}
