//! Generators as the source of a load: tables of ours, or records by a contract of the project or a file.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::ContractKind;
use connectors::generate::{Config, Recipe};
use contracts::Referenced;

use super::{Args, contract_path, failure::LoadError};
use crate::context::{Context, Failure};

/// What a generator's name begins with.
pub(super) const SCHEME: &str = "generate:";
/// Files that a contract leads to.
const REFERENCES_COUNT_MAX: usize = 200;

/// `finance.users?count=10`, `orders?count=10`, `contracts/order.avsc?seed=3`: what stands behind `generate:`.
pub(super) fn config(context: &Context, text: &str) -> Result<Config, Failure> {
    let (name, options) = text.split_once('?').unwrap_or((text, ""));
    let Some(path) = contract_of(context, name)? else {
        return Config::parse(text).map_err(|error| Box::new(error) as Failure);
    };
    let text = read(&path)?;
    let kind = kind_of(&path);
    let references = references(kind, &path, &text)?;
    let shown = path.to_string_lossy();
    let recipe =
        Recipe::of(name, kind, &shown, &text, &references).map_err(|error| Box::new(error) as Failure)?;
    Config::of_contract(Arc::new(recipe), options).map_err(|error| Box::new(error) as Failure)
}

/// The contract that the records are made by is theirs, where it can be that of a load and no other one is named.
pub(super) fn adopt(args: &mut Args, context: &Context) -> Result<(), Failure> {
    let name = args.paths.iter().find_map(|path| path.strip_prefix(SCHEME));
    let (None, Some(name)) = (&args.contract, name) else { return Ok(()) };
    let name = name.split_once('?').map_or(name, |(name, _)| name);
    let Some(path) = contract_of(context, name)? else { return Ok(()) };
    let (text, shown) = (read(&path)?, path.to_string_lossy().into_owned());
    if contracts::contract(kind_of(&path), &shown, None, &text).is_ok() {
        args.contract = Some(shown);
    }
    Ok(())
}

/// The file of a contract; `None`: it is a table of ours, or nothing that there is.
fn contract_of(context: &Context, name: &str) -> Result<Option<PathBuf>, Failure> {
    if Config::is_table(name) {
        return Ok(None);
    }
    match contract_path(context, name) {
        Ok(path) => Ok(Some(path)),
        // A name that is a path means a file, and then its absence is what is wrong.
        Err(missing) if name.contains(['/', '\\']) || contracts::kind_of_file(name).is_some() => Err(missing),
        Err(_) => Ok(None),
    }
}

fn kind_of(path: &Path) -> ContractKind {
    contracts::kind_of_file(&path.to_string_lossy()).unwrap_or(ContractKind::JsonSchema)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|source| Box::new(LoadError::Contract { path: path.to_path_buf(), source }) as Failure)
}

/// The files beside it that a contract refers to, and those that they refer to; each comes after those that it needs.
fn references(kind: ContractKind, path: &Path, text: &str) -> Result<Vec<Referenced>, Failure> {
    let mut found = Vec::new();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut seen = vec![path.file_name().unwrap_or_default().to_string_lossy().into_owned()];
    add_references(kind, folder, text, &mut seen, &mut found)?;
    Ok(found)
}

fn add_references(
    kind: ContractKind,
    folder: &Path,
    text: &str,
    seen: &mut Vec<String>,
    found: &mut Vec<Referenced>,
) -> Result<(), Failure> {
    for name in named_in(kind, text) {
        let file = match kind {
            ContractKind::Avro => format!("{}.avsc", name.rsplit('.').next().unwrap_or(&name)),
            ContractKind::JsonSchema | ContractKind::Protobuf => name.clone(),
        };
        let names = [file.clone(), format!("{name}.avsc")];
        let Some(path) = names.iter().map(|file| folder.join(file)).find(|path| path.is_file()) else {
            continue;
        };
        if seen.contains(&file) || seen.len() > REFERENCES_COUNT_MAX {
            continue;
        }
        seen.push(file);
        let text = read(&path)?;
        add_references(kind, path.parent().unwrap_or(folder), &text, seen, found)?;
        found.push(Referenced { name, text });
    }
    Ok(())
}

/// The names of other files, or of types that may lie in others.
fn named_in(kind: ContractKind, text: &str) -> Vec<String> {
    let mut names = Vec::new();
    match kind {
        ContractKind::Protobuf => {
            for behind in text.split("import").skip(1) {
                let behind = behind.trim_start();
                let named = behind.strip_prefix("public").unwrap_or(behind).trim_start().strip_prefix('"');
                names.extend(named.and_then(|named| named.split('"').next()).map(str::to_owned));
            }
        }
        ContractKind::JsonSchema => {
            let json = serde_json::from_str(text).unwrap_or_default();
            let is_file = |name: &str| !name.is_empty() && !name.contains(':');
            texts_at(&json, &|key| key == "$ref", &mut |name| {
                let name = name.split('#').next().unwrap_or("");
                if is_file(name) {
                    names.push(name.to_owned());
                }
            });
        }
        ContractKind::Avro => {
            let json = serde_json::from_str(text).unwrap_or_default();
            texts_at(&json, &|key| ["type", "items", "values", ""].contains(&key), &mut |name| {
                names.push(name.to_owned());
            });
        }
    }
    names
}

/// Every text under a key of that kind; an item of a list has the key "".
fn texts_at(json: &serde_json::Value, is_meant: &dyn Fn(&str) -> bool, take: &mut dyn FnMut(&str)) {
    let mut one = |key: &str, value: &serde_json::Value| match value {
        serde_json::Value::String(text) if is_meant(key) => take(text),
        other => texts_at(other, is_meant, take),
    };
    match json {
        serde_json::Value::Object(members) => members.iter().for_each(|(key, value)| one(key, value)),
        serde_json::Value::Array(items) => items.iter().for_each(|value| one("", value)),
        _ => {}
    }
}
