//! Levels, other settings and modes: of a subject, of its context, of everything.

use contracts::compatibility::Level;

use super::State;
use crate::{
    Error,
    entities::Config,
    names::{DEFAULT_CONTEXT, GLOBAL, begins_with, context_of, qualified},
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

    pub(crate) fn level_that_holds(&self, subject: &str) -> Level {
        let level = self.config_that_holds(Some(subject)).compatibility_level;
        level.and_then(|level| level.parse().ok()).unwrap_or_default()
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

    /// A mode's change; IMPORT wants an empty registry, context or subject, or `force`.
    pub(crate) fn change_mode(&self, scope: Option<&str>, mode: Mode, force: bool) -> Result<Entry, Error> {
        let is_within = |subject: &str| match scope {
            None => context_of(subject) == DEFAULT_CONTEXT,
            Some(context) if context == qualified(context_of(context), "") => begins_with(subject, context),
            Some(scope) => subject == scope,
        };
        let is_new = !self.mode_that_holds(scope).takes_ids();
        let taken = self.subjects("", false, false).into_iter().any(is_within);
        if mode == Mode::Import && is_new && !force && taken {
            return Err(Error::NotPermitted {
                reason: "Cannot import since found existing subjects".to_owned(),
            });
        }
        Ok(Entry::Mode { subject: scope.map(str::to_owned), mode: Some(mode.name().to_owned()) })
    }
}
