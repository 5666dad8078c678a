//! A project folder: where it is, its settings, its connectors and contracts, its state in `.tidemill/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base::Secret;

use crate::{
    Connections, ConnectorFile, ContractFile, Error, Origin, Settings, Variables, documents, dotenv,
    given::FromEnvironment, origin::TextFile, settings::text_file, yaml::FILE_BYTES_MAX,
};

/// The file that makes a folder a project.
pub const SETTINGS_FILE: &str = "tidemill.yaml";
/// Connector and contract files of one project: far above what people keep, so that a wrong folder ends early.
const DOCUMENTS_COUNT_MAX: usize = 10_000;

#[derive(Debug, Clone)]
pub struct Project {
    /// Absolute.
    pub root: PathBuf,
    pub settings: Settings,
    /// `AIRFLOW_CONN_*` and `AIRFLOW_VAR_*`: those of `.env`, then those of the environment, which are over them.
    pub(crate) airflow: Vec<FromEnvironment>,
    /// Where the command was started: paths are shown relative to it.
    current: PathBuf,
}

/// Where settings come from besides files; `main` hands over its own, tests theirs.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// `--project`: the folder, whether or not it has a tidemill.yaml.
    pub folder: Option<PathBuf>,
    pub variables: Vec<(String, String)>,
    /// `--set KEY=VALUE`, in their order.
    pub flags: Vec<String>,
}

impl Project {
    /// The nearest folder upward from `current` that has a `tidemill.yaml`, else `current` itself.
    pub fn open(current: &Path, outside: &Outside) -> Result<Project, Error> {
        let current = absolute(current)?;
        let root = match &outside.folder {
            Some(folder) => {
                let folder = current.join(folder);
                if !folder.is_dir() {
                    return Err(Error::NoFolder { path: folder });
                }
                absolute(&folder)?
            }
            None => current
                .ancestors()
                .find(|folder| folder.join(SETTINGS_FILE).is_file())
                .unwrap_or(&current)
                .to_path_buf(),
        };
        let mut project = Project { root, settings: Settings::defaults(), airflow: Vec::new(), current };
        if let Some(file) = project.optional_text(SETTINGS_FILE)? {
            project.settings.read_yaml(&file)?;
        }
        if let Some(file) = project.optional_text(".env")? {
            let lines = dotenv::lines(&file)?;
            for line in &lines {
                let (start, length, name) = (line.start, line.length, line.name.clone());
                let origin = Origin::DotEnv { file: file.clone(), start, length, name };
                project.airflow.extend(FromEnvironment::of(&line.name, &line.value, origin));
            }
            project.settings.read_dotenv(&file, lines)?;
        }
        for (name, value) in &outside.variables {
            project.airflow.extend(FromEnvironment::of(name, value, Origin::Env(name.clone())));
        }
        project.settings.read_env(outside.variables.iter().cloned())?;
        project.settings.read_flags(&outside.flags)?;
        Ok(project)
    }

    /// A path as people see it: relative to where they are, where it lies below.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.current).unwrap_or(path).display().to_string()
    }

    /// `.tidemill/`, made when it is not there, with a `.gitignore` of its own.
    pub fn state_folder(&self) -> Result<PathBuf, Error> {
        let folder = self.state_path("");
        let ignore = folder.join(".gitignore");
        let made = fs::create_dir_all(&folder)
            .and_then(|()| if ignore.exists() { Ok(()) } else { fs::write(&ignore, "*\n") });
        made.map_err(|source| Error::State { path: folder.clone(), source })?;
        Ok(folder)
    }

    /// A path in `.tidemill/`, made or not.
    pub fn state_path(&self, name: &str) -> PathBuf {
        let folder = self.root.join(".tidemill");
        if name.is_empty() { folder } else { folder.join(name) }
    }

    /// The S3 endpoint's secret key: the setting, else one made for this project from 32 random bytes.
    pub fn s3_secret_key(&self) -> Result<Secret, Error> {
        let set = self.settings.secret("s3.secret_key");
        if !set.is_empty() {
            return Ok(set);
        }
        let path = self.state_path("s3-secret-key");
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
        self.state_folder()?;
        let secret =
            crate::state::random_hex().map_err(|source| Error::State { path: path.clone(), source })?;
        crate::state::write_private(&path, secret.reveal().as_bytes())?;
        Ok(secret)
    }

    /// `connectors/*.json` by name, each or what is wrong with it.
    pub fn connectors(&self) -> Result<Vec<Result<ConnectorFile, Error>>, Error> {
        Ok(self
            .documents("connectors")?
            .into_iter()
            .map(|file| file.and_then(documents::connector))
            .collect())
    }

    /// One connector file, from anywhere.
    pub fn connector(&self, path: &Path) -> Result<ConnectorFile, Error> {
        documents::connector(self.text(path)?)
    }

    /// `contracts/*.json` and `contracts/*.avsc` by name, each or what is wrong with it.
    pub fn contracts(&self) -> Result<Vec<Result<ContractFile, Error>>, Error> {
        Ok(self.documents("contracts")?.into_iter().map(|file| file.and_then(documents::contract)).collect())
    }

    /// `connections.yaml|yml|json|env` under `AIRFLOW_CONN_*`.
    pub fn connections(&self) -> Result<Connections, Error> {
        Connections::open(self)
    }

    /// `variables.yaml|yml|json|env` under `AIRFLOW_VAR_*`.
    pub fn variables(&self) -> Result<Variables, Error> {
        Variables::open(self)
    }

    fn documents(&self, folder: &str) -> Result<Vec<Result<TextFile, Error>>, Error> {
        let folder = self.root.join(folder);
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::Read { path: folder, source }),
        };
        let mut paths = Vec::new();
        for entry in listed.take(DOCUMENTS_COUNT_MAX) {
            let path = entry.map_err(|source| Error::Read { path: folder.clone(), source })?.path();
            if path.extension().is_some_and(|extension| extension == "json" || extension == "avsc") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths.iter().map(|path| self.text(path)).collect())
    }

    fn optional_text(&self, name: &str) -> Result<Option<TextFile>, Error> {
        let path = self.root.join(name);
        if path.is_file() { self.text(&path).map(Some) } else { Ok(None) }
    }

    /// A file's text, bounded, under the name that people see.
    pub fn text(&self, path: &Path) -> Result<TextFile, Error> {
        let fault = |source| Error::Read { path: path.to_path_buf(), source };
        let bytes = fs::metadata(path).map_err(fault)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(Error::TooLarge { path: path.to_path_buf(), bytes, bytes_max: FILE_BYTES_MAX });
        }
        let text = fs::read_to_string(path).map_err(fault)?;
        Ok(text_file(self.shown(path), text))
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })
}
