//! What can go wrong with the environment and the commands of this crate.

use std::{fmt, io, net::SocketAddr, path::PathBuf};

use base::{BoxError, Code, Problem, Spot, code};

use crate::ports::Holder;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("port {} for {part} is in use{}", listen.port(), held_by(holder))]
    PortInUse { part: &'static str, listen: SocketAddr, holder: Option<Holder> },
    #[error("{part} cannot run without {needs}")]
    PartMissing { part: &'static str, needs: &'static str },
    #[error("there is no part `{name}`")]
    PartUnknown { name: String },
    #[error("{part} stopped by itself")]
    PartFailed {
        part: &'static str,
        #[source]
        source: Option<BoxError>,
    },
    #[error("the environment did not start in the background")]
    Detached { log: PathBuf, source: Told },
    #[error("the environment of process {pid} did not stop within {waited_ms} ms")]
    StillRunning { pid: u32, waited_ms: u64 },
    #[error("the check found {errors_count} mistake{}", if *errors_count == 1 { "" } else { "s" })]
    Check { errors_count: usize },
    #[error("{} is not empty", folder.display())]
    FolderNotEmpty { folder: PathBuf },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the quickstart stopped at: {step}")]
    Step { step: String, source: Told },
    #[error("{} cannot be used as the quickstart's data: {reason}", path.display())]
    Data { path: PathBuf, reason: String },
    #[error("the objects differ from the input: {difference}")]
    Differs { difference: String },
    #[error("the current folder cannot be used")]
    CurrentFolder { source: io::Error },
    #[error("cannot start {program}")]
    Spawn { program: PathBuf, source: io::Error },
    #[error("the runtime cannot start its threads")]
    Runtime { source: io::Error },
    #[error("interrupted")]
    Interrupted,
}

/// What another process, or a reason without a type of its own, said.
#[derive(Debug, thiserror::Error)]
pub struct Told(pub String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim())
    }
}

fn held_by(holder: &Option<Holder>) -> String {
    match holder {
        Some(holder) => format!(" by {} (process {})", holder.name, holder.pid),
        None => String::new(),
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::PortInUse { .. } => code::TM1001,
            Error::PartMissing { .. } | Error::PartUnknown { .. } => code::TM1011,
            Error::PartFailed { .. } => code::TM1003,
            Error::Detached { .. } => code::TM1004,
            Error::StillRunning { .. } => code::TM1005,
            Error::Check { .. } => code::TM1006,
            Error::FolderNotEmpty { .. } | Error::Write { .. } => code::TM1007,
            Error::Step { .. } => code::TM1008,
            Error::Data { .. } => code::TM1009,
            Error::Differs { .. } => code::TM1010,
            Error::CurrentFolder { .. } => code::TM1013,
            Error::Spawn { .. } | Error::Runtime { .. } => code::TM1002,
            Error::Interrupted => code::TM1014,
        }
    }

    fn spot(&self) -> Option<Spot> {
        None
    }

    fn help(&self) -> String {
        match self {
            Error::PortInUse { part, .. } => {
                format!(
                    "stop what holds it, set {part}.listen to another address, or let free ports be picked: tidemill up --free-ports"
                )
            }
            Error::PartMissing { part, needs } => {
                format!(
                    "add {needs} to the parts to start, set {needs}.external to the address of one that runs, or leave {part} out"
                )
            }
            Error::PartUnknown { .. } => format!("name some of: {}", crate::environment::PARTS.join(", ")),
            Error::PartFailed { part, .. } => {
                format!("see the log of {part} with -v, or in .tidemill/up.log; then: tidemill up")
            }
            Error::Detached { log, .. } => format!("mend what it says; all of it is in {}", log.display()),
            Error::StillRunning { pid, .. } => {
                format!(
                    "see what it waits for in .tidemill/up.log, or end it: kill -9 {pid}; what was acknowledged is safe"
                )
            }
            Error::Check { .. } => "mend them one by one; each says where and what to do".to_owned(),
            Error::FolderNotEmpty { folder } => {
                format!(
                    "name a new or an empty folder, or write over the template's files: tidemill init --force {}",
                    folder.display()
                )
            }
            Error::Write { path, .. } => format!("make {} writable, with room on its disk", path.display()),
            Error::Step { .. } => "mend what it says, then run quickstart again: it begins afresh".to_owned(),
            Error::Data { .. } => {
                "give a .csv file with a header line, or a .jsonl file with an object a line".to_owned()
            }
            Error::Differs { .. } => {
                "this should never happen: please report it with the folder .tidemill/ of the quickstart"
                    .to_owned()
            }
            Error::CurrentFolder { .. } => {
                "change to a folder that is there and that you may read".to_owned()
            }
            Error::Spawn { program, .. } => format!("make {} a program that may be run", program.display()),
            Error::Runtime { .. } => "raise the limit of processes (ulimit -u), or end others".to_owned(),
            Error::Interrupted => {
                "everything that was started has been stopped; run it again when you like".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_error() -> Vec<Error> {
        let told = || Told("TM0301 × something".to_owned());
        let io = || io::Error::from(io::ErrorKind::PermissionDenied);
        let listen = SocketAddr::from(([127, 0, 0, 1], 9092));
        vec![
            Error::PortInUse {
                part: "broker",
                listen,
                holder: Some(Holder { pid: 4711, name: "java".to_owned() }),
            },
            Error::PortInUse { part: "broker", listen, holder: None },
            Error::PartMissing { part: "registry", needs: "broker" },
            Error::PartUnknown { name: "zookeeper".to_owned() },
            Error::PartFailed { part: "broker", source: Some(told().into()) },
            Error::Detached { log: ".tidemill/up.log".into(), source: told() },
            Error::StillRunning { pid: 4711, waited_ms: 10_000 },
            Error::Check { errors_count: 2 },
            Error::FolderNotEmpty { folder: "work".into() },
            Error::Write { path: "work/tidemill.yaml".into(), source: io() },
            Error::Step { step: "tidemill check".to_owned(), source: told() },
            Error::Data { path: "data.xml".into(), reason: "it ends in .xml".to_owned() },
            Error::Differs { difference: "10 records in the input, 9 in the objects".to_owned() },
            Error::CurrentFolder { source: io() },
            Error::Spawn { program: "tidemill".into(), source: io() },
            Error::Runtime { source: io() },
            Error::Interrupted,
        ]
    }

    #[test]
    fn every_error_says_what_and_what_to_do() {
        let texts: Vec<String> = every_error().iter().map(|error| base::problem::plain(error)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
