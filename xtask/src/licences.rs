//! Every dependency's licence must be satisfied by the list in `deny.toml` (the format is cargo-deny's own, so that
//! `cargo deny check licenses` says the same; building that tool takes longer than all of our tests).

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use spdx::{Expression, LicenseReq, Licensee, ParseMode};

use crate::run::{cargo, root};

pub fn check() -> Result<()> {
    let text = fs::read_to_string(root().join("deny.toml")).context("deny.toml")?;
    let rules: toml::Value = toml::from_str(&text).context("deny.toml")?;
    let allowed = rules["licenses"]["allow"].as_array().context("deny.toml: licenses.allow")?;
    let allowed = allowed
        .iter()
        .filter_map(toml::Value::as_str)
        .map(|name| Licensee::parse(name).with_context(|| format!("deny.toml: {name} is no SPDX licence")))
        .collect::<Result<Vec<_>>>()?;
    let is_allowed = |wanted: &LicenseReq| allowed.iter().any(|licence| licence.satisfies(wanted));
    let mut refused = BTreeSet::new();
    let packages = metadata()?;
    for package in packages["packages"].as_array().context("cargo metadata: packages")? {
        let name = format!("{} {}", text_of(package, "name"), text_of(package, "version"));
        let licence = text_of(package, "license");
        let fits = Expression::parse_mode(&licence, ParseMode::LAX)
            .is_ok_and(|expression| expression.evaluate(is_allowed));
        if !fits {
            refused.insert(format!(
                "{name}: {}",
                if licence.is_empty() { "no licence named" } else { &licence }
            ));
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    bail!(
        "licences that deny.toml does not allow:\n  {}",
        refused.into_iter().collect::<Vec<_>>().join("\n  ")
    )
}

/// All packages that the lock file names for Linux, ours too.
pub fn metadata() -> Result<Value> {
    let target = "x86_64-unknown-linux-gnu";
    let output =
        cargo(&["metadata", "--format-version=1", "--locked", "--filter-platform", target]).output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn text_of(package: &Value, key: &str) -> String {
    package[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_dependency_has_an_allowed_licence() {
        super::check().unwrap();
    }
}
