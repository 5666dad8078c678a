//! Placeholders in a configuration: `${env:NAME}` and `${file:/path/to.properties:key}` (KIP-297, KIP-887).
//!
//! They are kept as written in the configuration topic and resolved when a connector is checked or started.

use std::{env, fs};

use super::Config;

/// No secrets file is larger than this; what is larger is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Replaces every placeholder; the first that cannot be resolved is told as `(key, reason)`.
pub(crate) fn resolve(config: &Config) -> Result<Config, (String, String)> {
    let resolved = config.iter().map(|(key, value)| {
        let value = resolve_text(value).map_err(|reason| (key.clone(), reason))?;
        Ok((key.clone(), value))
    });
    resolved.collect()
}

fn resolve_text(text: &str) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let inside = &rest[start + 2..start + length];
        result.push_str(&rest[..start]);
        match inside.split_once(':') {
            Some(("env", name)) => result.push_str(&from_env(name)?),
            Some(("file", place)) => result.push_str(&from_file(place)?),
            // `${topic}` and the like belong to the key that they stand in.
            _ => result.push_str(&rest[start..=start + length]),
        }
        rest = &rest[start + length + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

fn from_env(name: &str) -> Result<String, String> {
    let name = name.rsplit(':').next().unwrap_or(name);
    env::var(name).map_err(|_| format!("the environment variable {name} is not set where the worker runs"))
}

fn from_file(place: &str) -> Result<String, String> {
    let (path, key) =
        place.rsplit_once(':').ok_or_else(|| format!("${{file:{place}}} names no key: path:key"))?;
    let size = fs::metadata(path).map_err(|error| format!("cannot read {path}: {error}"))?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("{path} is larger than 1 MiB"));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
    let mut found = lines.filter_map(|line| line.split_once(['=', ':']));
    match found.find(|(name, _)| name.trim() == key) {
        Some((_, value)) => Ok(value.trim().to_owned()),
        None => Err(format!("{path} has no key {key}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_resolved_and_others_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.properties");
        fs::write(&path, "# comment\naws.key = abc\nother: x\n").unwrap();
        let text = format!("a-${{file:{}:aws.key}}-${{topic}}", path.display());
        assert_eq!(resolve_text(&text), Ok("a-abc-${topic}".to_owned()));
        let missing = resolve_text("${env:TIDEMILL_NO_SUCH_VARIABLE}").unwrap_err();
        assert!(missing.contains("TIDEMILL_NO_SUCH_VARIABLE is not set"), "{missing}");
    }
}
