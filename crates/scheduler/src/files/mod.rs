//! `dags/*.yml` in dag-factory's format, read as dag-factory 1.1.0 and Airflow 3 read them.
//!
//! `yaml` reads a file with the place of everything in it, `objects` builds what `__type__` names, `section` reads a mapping
//! key by key; `dags`, `groups`, `tasks` and `graph` make the DAG; `keys` and `operators` are the tables of what there is.

mod dags;
mod dates;
mod errors;
mod graph;
mod groups;
mod ignore;
mod keys;
mod objects;
pub(crate) mod operators;
mod section;
mod tasks;
#[cfg(test)]
mod tests;
mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Clock;
use project::TextFile;

pub use errors::Error;
pub use yaml::Place;

use crate::dag::Dag;
use yaml::{Data, Map, Node};

/// What a person writes is far smaller.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Far above what people keep, so that a wrong folder ends early.
const FILES_COUNT_MAX: usize = 10_000;
const DEPTH_MAX: usize = 32;
const DEFAULTS_FILES: [&str; 2] = ["defaults.yml", "defaults.yaml"];
/// As Airflow's own setting in the environment; set while a file is read, so that it can name files beside it.
const DAGS_FOLDER_VARIABLE: &str = "AIRFLOW__CORE__DAGS_FOLDER";

/// What a DAG file is read against, besides itself.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The DAG folder, absolute: where `defaults.yml` are looked for.
    pub folder: &'a Path,
    /// The same as people see it: `dags`.
    pub shown: &'a str,
    /// Variables for `$NAME` and `${NAME}` in a file.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// For start dates such as `2 days`, which mean: before the day on which the file is read.
    pub clock: &'a dyn Clock,
}

impl Reader<'_> {
    /// Every DAG of every `*.yml` and `*.yaml` below the folder, in the order of paths and then of the file: each, or what is
    /// wrong with it. A file that cannot be read at all counts once.
    pub fn read_folder(&self) -> Vec<Result<Dag, Error>> {
        let mut found = Found::default();
        if let Err(error) = self.walk(self.folder, &mut found) {
            return vec![Err(error)];
        }
        found.files.iter().flat_map(|file| self.read_file(file)).collect()
    }

    /// The DAGs of one file.
    pub fn read_file(&self, file: &Path) -> Vec<Result<Dag, Error>> {
        match self.merged(file) {
            Ok(dags) => dags
                .iter()
                .map(|(dag_id, (place, node))| {
                    let Some(map) = node.as_map() else {
                        return Err(Error::Value {
                            place: node.place.clone(),
                            what: place.file.path.to_string(),
                            key: dag_id.clone(),
                            found: node.kind().to_owned(),
                            expected: "a map: the DAG".to_owned(),
                        });
                    };
                    dags::build(self, &dags::Written { dag_id, place, map, file })
                })
                .collect(),
            Err(error) => vec![Err(error)],
        }
    }

    /// The file's DAGs with what they inherit: `defaults.yml` of the folders above and `default` of the file.
    fn merged(&self, file: &Path) -> Result<Map, Error> {
        let mut dags = self.mapping(file)?;
        let global = self.defaults(file)?;
        let mut default = match dags.shift_remove("default") {
            Some((_, Node { data: Data::Map(map), .. })) => map,
            Some((_, node)) if !node.is_null() => return Err(not_a_map(&node, "default")),
            Some(_) | None => Map::new(),
        };
        dags.shift_remove("task_groups");
        if let Some(default_args) = global.get("default_args") {
            let mut merged = entries_of(default_args, "default_args")?.clone();
            if let Some(own) = default.get("default_args") {
                merged.extend(entries_of(own, "default_args")?.clone());
            }
            let (place, node) = default_args;
            let node = Node { place: node.place.clone(), data: Data::Map(merged) };
            default.insert("default_args".to_owned(), (place.clone(), node));
        }
        for (_, node) in dags.values_mut() {
            if let Data::Map(own) = &mut node.data {
                for (key, value) in &global {
                    if key != "default_args" && !own.contains_key(key) {
                        own.insert(key.clone(), value.clone());
                    }
                }
                inherit(own, &default);
            }
        }
        Ok(dags)
    }

    /// `defaults.yml` from the DAG folder down to the file's own folder, the lower ones on top; tags are gathered.
    fn defaults(&self, file: &Path) -> Result<Map, Error> {
        let mut folders: Vec<&Path> = file.ancestors().skip(1).collect();
        match folders.iter().position(|folder| *folder == self.folder) {
            Some(last) => folders.truncate(last + 1),
            None => folders = folders.first().copied().into_iter().chain([self.folder]).collect(),
        }
        let mut merged = Map::new();
        for folder in folders.into_iter().rev() {
            let file = DEFAULTS_FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file());
            let Some(file) = file else { continue };
            for (key, value) in self.mapping(&file)? {
                let value = match (merged.get(&key), key.as_str()) {
                    (Some(above), "default_args") => {
                        let mut args = entries_of(above, "default_args")?.clone();
                        args.extend(entries_of(&value, "default_args")?.clone());
                        let place = value.1.place.clone();
                        (value.0, Node { place, data: Data::Map(args) })
                    }
                    (Some((_, Node { data: Data::List(above), .. })), "tags") => {
                        let mut tags = above.clone();
                        if let Data::List(own) = &value.1.data {
                            tags.extend(own.clone());
                        }
                        let place = value.1.place.clone();
                        (value.0, Node { place, data: Data::List(tags) })
                    }
                    _ => value,
                };
                merged.insert(key, value);
            }
        }
        Ok(merged)
    }

    fn mapping(&self, file: &Path) -> Result<Map, Error> {
        let bytes = fs::metadata(file).map_err(|source| unreadable(file, source))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(Error::TooLarge { path: file.to_path_buf(), bytes, bytes_max: FILE_BYTES_MAX });
        }
        let text = fs::read_to_string(file).map_err(|source| unreadable(file, source))?;
        let path = match file.strip_prefix(self.folder) {
            Ok(inside) => Path::new(self.shown).join(inside).display().to_string(),
            Err(_) => file.display().to_string(),
        };
        let file = Arc::new(TextFile { path: path.into(), text: text.into() });
        let environment = |name: &str| {
            let folder = || (name == DAGS_FOLDER_VARIABLE).then(|| self.folder.display().to_string());
            (self.environment)(name).or_else(folder)
        };
        match yaml::read(&file, &environment)? {
            None => Ok(Map::new()),
            Some(node) => match objects::cast(node)? {
                Node { data: Data::Map(map), .. } => Ok(map),
                node => Err(not_a_map(&node, "the file")),
            },
        }
    }

    /// Files of a folder, then those below; what `.airflowignore` leaves out is left out, a folder is entered once.
    fn walk(&self, folder: &Path, found: &mut Found) -> Result<(), Error> {
        let real = fs::canonicalize(folder).map_err(|source| unreadable(folder, source))?;
        let depth = folder.components().count().saturating_sub(self.folder.components().count());
        if !found.entered.insert(real) || depth > DEPTH_MAX {
            return Ok(());
        }
        if let Ok(text) = fs::read_to_string(folder.join(".airflowignore")) {
            found.ignored.insert(folder.to_path_buf(), ignore::patterns(&text));
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
            paths.push(entry.map_err(|source| unreadable(folder, source))?.path());
        }
        paths.sort();
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
            paths.into_iter().partition(|path| path.is_dir());
        for file in files {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("");
            let is_dag = name.ends_with(".yml") || name.ends_with(".yaml");
            if is_dag && !DEFAULTS_FILES.contains(&name) && !found.is_ignored(self.folder, &file, false) {
                if found.files.len() == FILES_COUNT_MAX {
                    return Ok(());
                }
                found.files.push(file);
            }
        }
        for folder in folders {
            if !found.is_ignored(self.folder, &folder, true) {
                self.walk(&folder, found)?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    entered: BTreeSet<PathBuf>,
    ignored: BTreeMap<PathBuf, Vec<ignore::Pattern>>,
}

impl Found {
    /// The lowest `.airflowignore` that says something decides.
    fn is_ignored(&self, root: &Path, path: &Path, is_folder: bool) -> bool {
        let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
        let verdict = above.into_iter().find_map(|folder| {
            let patterns = self.ignored.get(folder)?;
            let relative = path.strip_prefix(folder).ok()?.to_str()?;
            let relative = if is_folder { format!("{relative}/") } else { relative.to_owned() };
            ignore::verdict(patterns, &relative)
        });
        verdict.unwrap_or(false)
    }
}

/// What `default` has and the DAG has not; where both have a mapping, the same inside.
fn inherit(own: &mut Map, default: &Map) {
    for (key, (place, value)) in default {
        match own.get_mut(key) {
            None => {
                own.insert(key.clone(), (place.clone(), value.clone()));
            }
            Some((_, Node { data: Data::Map(inner), .. })) => {
                if let Data::Map(value) = &value.data {
                    inherit(inner, value);
                }
            }
            Some(_) => {}
        }
    }
}

fn entries_of<'a>((_, node): &'a (Place, Node), key: &str) -> Result<&'a Map, Error> {
    node.as_map().ok_or_else(|| not_a_map(node, key))
}

fn not_a_map(node: &Node, key: &str) -> Error {
    Error::Value {
        place: node.place.clone(),
        what: node.place.file.path.to_string(),
        key: key.to_owned(),
        found: node.kind().to_owned(),
        expected: "a map".to_owned(),
    }
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Read { path: path.to_path_buf(), source }
}
