//! The environment variables that identities look at, taken at one moment, and the home folder among them.

use std::{collections::BTreeMap, path::PathBuf};

use base::Secret;

use crate::aws::files::{Given, Place};

#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, Secret>);

impl Environment {
    /// Names and values that are no Unicode set nothing here.
    pub fn of_process() -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, Secret::new(value.into_string().ok()?)))
        };
        Self(std::env::vars_os().filter_map(unicode).collect())
    }

    #[cfg(test)]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect())
    }

    /// A variable's value; one that is empty is not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::reveal).filter(|value| !value.is_empty())
    }

    pub(crate) fn given(&self, name: &'static str) -> Option<Given> {
        let value = Secret::new(self.get(name)?);
        Some(Given { value, from: Place::Variable(name) })
    }

    /// `name`, where it says where the file is; else `below` the home folder.
    pub(crate) fn path(&self, name: &str, below: &str) -> PathBuf {
        match self.get(name) {
            Some(path) => self.expanded(path),
            None => self.home().join(below),
        }
    }

    pub fn home(&self) -> PathBuf {
        self.get("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from)
    }

    fn expanded(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(below) => self.home().join(below),
            None => PathBuf::from(path),
        }
    }
}
