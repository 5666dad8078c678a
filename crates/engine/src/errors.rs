//! What can go wrong in a transfer itself; what goes wrong in a store is that connector's error, and stands as the cause.

use std::{io, path::PathBuf, sync::Arc};

use base::{BoxError, Code, Fault, Origin, Place, Problem, Reject, Spot, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{place} cannot go on from position {position}")]
    Lane { place: Arc<Place>, position: String, source: BoxError },
    #[error("{place} failed {tries} times in a row")]
    RetriesSpent { place: Arc<Place>, tries: u32, source: BoxError },
    #[error("the source cannot tell what there is to read")]
    Discover { source: BoxError },
    #[error("the target cannot be prepared")]
    Begin { source: BoxError },
    #[error("the target could not be finished")]
    Finish { source: BoxError },
    #[error("{}", .reject.reason)]
    Rejected { reject: Box<Reject>, committed_count: u64 },
    #[error("{transfer} is already running: {holder}")]
    Locked { transfer: String, path: PathBuf, holder: String },
    #[error("another life of {transfer} has taken over its checkpoint")]
    Fenced { transfer: String, path: PathBuf },
    #[error("the checkpoint {} cannot be used", .path.display())]
    CheckpointFile { path: PathBuf, source: io::Error },
    #[error("the checkpoint {} is not one of ours: {reason}", .path.display())]
    CheckpointFormat { path: PathBuf, reason: String },
    #[error("the dead letters of {place} cannot be written to {}", .path.display())]
    DeadLetterFile { path: PathBuf, place: Arc<Place>, source: io::Error },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Lane { .. } => code::TM0101,
            Error::RetriesSpent { .. } => code::TM0102,
            Error::Discover { .. } => code::TM0103,
            Error::Begin { .. } => code::TM0104,
            Error::Finish { .. } => code::TM0105,
            Error::Rejected { reject, .. } => reject.code,
            Error::Locked { .. } => code::TM0107,
            Error::Fenced { .. } => code::TM0108,
            Error::CheckpointFile { .. } => code::TM0109,
            Error::CheckpointFormat { .. } => code::TM0110,
            Error::DeadLetterFile { .. } => code::TM0111,
        }
    }

    fn spot(&self) -> Option<Spot> {
        let whole = |place: &Arc<Place>| {
            Some(Spot::Record(Origin { place: place.clone(), mark: None, id: None, came_as: None }))
        };
        match self {
            Error::Rejected { reject, .. } => Some(Spot::Record(reject.origin.clone())),
            Error::Lane { place, .. } | Error::RetriesSpent { place, .. } => whole(place),
            Error::DeadLetterFile { place, .. } => whole(place),
            Error::Discover { .. }
            | Error::Begin { .. }
            | Error::Finish { .. }
            | Error::Locked { .. }
            | Error::Fenced { .. }
            | Error::CheckpointFile { .. }
            | Error::CheckpointFormat { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Lane { .. } | Error::Discover { .. } | Error::Begin { .. } | Error::Finish { .. } => {
                "mend the cause above, then start it again: it goes on from its checkpoint".to_owned()
            }
            Error::RetriesSpent { .. } => {
                "see that the other side is up, then start it again: it goes on from its checkpoint".to_owned()
            }
            Error::Rejected { .. } => {
                "mend the record, or let bad records go to the dead letters (--on-error dead-letter, errors.tolerance=all)"
                    .to_owned()
            }
            Error::Locked { transfer, .. } => format!("stop the other {transfer} first, or give this one another name"),
            Error::Fenced { .. } => "nothing: the newer one goes on from here; stop it to run this one".to_owned(),
            Error::CheckpointFile { .. } => "give the folder and its files to the user who runs tidemill".to_owned(),
            Error::CheckpointFormat { .. } => {
                "use the version of tidemill that wrote it, or move the file away to begin at the start".to_owned()
            }
            Error::DeadLetterFile { .. } => "free space there, or name another folder for dead letters".to_owned(),
        }
    }
}

impl Error {
    pub(crate) fn fatal(self) -> Fault {
        Fault::Fatal(Box::new(self))
    }
}

#[cfg(test)]
mod tests;
