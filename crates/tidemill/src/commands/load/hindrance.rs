//! What keeps a load from beginning, or from going on.

use std::{error::Error as StdError, fmt, io, path::PathBuf};

use base::{Code, Problem, code};

#[derive(Debug)]
pub(crate) enum Hindrance {
    Header { header: String },
    NoSource { target: String },
    WatchBeside { source: String },
    Watch { folder: PathBuf, source: io::Error },
    Pace { option: &'static str, text: String, like: &'static str },
    Contradiction { one: &'static str, other: &'static str },
    NoContractFor { flag: &'static str },
    OtherContract { serializer: &'static str, contract: &'static str },
    ContractLacks { path: PathBuf, what: String },
    State { path: PathBuf, source: io::Error },
    NoStandardInput { id: String },
    InputChanged { id: String, path: PathBuf, reason: String },
    ColumnsGone { load: String, path: PathBuf },
    HasEnded { id: String },
    NoLoad { id: String, known: Vec<String> },
    NothingUnfinished { folder: PathBuf },
    SeveralUnfinished { known: Vec<String> },
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hindrance::Header { header } => write!(f, "{header} is no header"),
            Hindrance::NoSource { target } => {
                write!(f, "there is a target, {target}, and nothing to load into it")
            }
            Hindrance::WatchBeside { source } => {
                write!(f, "a folder is watched alone, and {source} stands beside it")
            }
            Hindrance::Watch { folder, .. } => write!(f, "{} cannot be watched", folder.display()),
            Hindrance::Pace { option, text, .. } => write!(f, "{option} {text} cannot be understood"),
            Hindrance::Contradiction { one, other } => write!(f, "{one} does not go with {other}"),
            Hindrance::NoContractFor { flag } => {
                write!(f, "{flag} is for a Protobuf contract, and there is none")
            }
            Hindrance::OtherContract { serializer, contract } => {
                write!(f, "a {contract} contract is not what the serializer for {serializer} writes")
            }
            Hindrance::ContractLacks { path, what } => write!(f, "{} has no {what}", path.display()),
            Hindrance::State { path, .. } => {
                write!(f, "what is kept of a load cannot be used: {}", path.display())
            }
            Hindrance::NoStandardInput { id } => {
                write!(f, "{id} read standard input, which is gone")
            }
            Hindrance::InputChanged { path, reason, .. } => {
                write!(f, "{} is not what it was when the load began: {reason}", path.display())
            }
            Hindrance::ColumnsGone { path, .. } => {
                write!(
                    f,
                    "{} is gone, and its refused records do not say what its columns were",
                    path.display()
                )
            }
            Hindrance::HasEnded { id } => write!(f, "{id} has ended"),
            Hindrance::NoLoad { id, .. } => write!(f, "there is no load {id}"),
            Hindrance::NothingUnfinished { folder } => {
                write!(f, "no load was cut off, as far as {} knows", folder.display())
            }
            Hindrance::SeveralUnfinished { known } => {
                write!(f, "several loads were cut off: {}", known.join(", "))
            }
        }
    }
}

impl StdError for Hindrance {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Hindrance::State { source, .. } | Hindrance::Watch { source, .. } => Some(source),
            Hindrance::Header { .. }
            | Hindrance::NoSource { .. }
            | Hindrance::WatchBeside { .. }
            | Hindrance::Pace { .. }
            | Hindrance::Contradiction { .. }
            | Hindrance::NoContractFor { .. }
            | Hindrance::OtherContract { .. }
            | Hindrance::ContractLacks { .. }
            | Hindrance::NoStandardInput { .. }
            | Hindrance::InputChanged { .. }
            | Hindrance::ColumnsGone { .. }
            | Hindrance::HasEnded { .. }
            | Hindrance::NoLoad { .. }
            | Hindrance::NothingUnfinished { .. }
            | Hindrance::SeveralUnfinished { .. } => None,
        }
    }
}

impl Problem for Hindrance {
    fn code(&self) -> Code {
        match self {
            Hindrance::Header { .. } | Hindrance::NoSource { .. } | Hindrance::WatchBeside { .. } => {
                code::TM1020
            }
            Hindrance::NoStandardInput { .. }
            | Hindrance::HasEnded { .. }
            | Hindrance::NoLoad { .. }
            | Hindrance::NothingUnfinished { .. }
            | Hindrance::SeveralUnfinished { .. } => code::TM1470,
            Hindrance::InputChanged { .. } => code::TM1471,
            Hindrance::ColumnsGone { .. } => code::TM1523,
            Hindrance::State { .. } => code::TM1472,
            Hindrance::Pace { .. } => code::TM1473,
            Hindrance::Contradiction { .. } | Hindrance::OtherContract { .. } => code::TM1476,
            Hindrance::NoContractFor { .. } | Hindrance::ContractLacks { .. } => code::TM1477,
            Hindrance::Watch { .. } => code::TM1481,
        }
    }

    fn help(&self) -> String {
        match self {
            Hindrance::Header { .. } => {
                "write it as --headers source=import, or --headers region=$region".to_owned()
            }
            Hindrance::NoSource { .. } => "name files, a generator or - before the target".to_owned(),
            Hindrance::WatchBeside { .. } => "load the others in a command of their own".to_owned(),
            Hindrance::Watch { folder, .. } => {
                format!("make it, readable for this user: mkdir -p {}", folder.display())
            }
            Hindrance::Pace { like, .. } => format!("write it as {like}"),
            Hindrance::Contradiction { one, .. } => format!("leave one of them out, as {one}"),
            Hindrance::NoContractFor { flag } => {
                format!("name a .proto file with --contract, or leave {flag} out")
            }
            Hindrance::OtherContract { contract, .. } => {
                format!("leave --serializer out: it follows the {contract} contract")
            }
            Hindrance::ContractLacks { .. } => {
                "correct the name, or choose another subject: --subject-strategy topic".to_owned()
            }
            Hindrance::State { .. } => {
                "give the folder and its files to the user who runs tidemill".to_owned()
            }
            Hindrance::NoStandardInput { id } => {
                format!(
                    "send what is missing by a load of its own, and forget this one: rm -r .tidemill/loads/{id}"
                )
            }
            Hindrance::InputChanged { id, .. } => format!(
                "put it back; or, where only what comes after the position has changed: tidemill load --resume {id} --accept-changes"
            ),
            Hindrance::ColumnsGone { load, .. } => format!(
                "put it back, its header is enough; or take the values out by hand: tidemill dead-letters show --output json NAME (of {load})"
            ),
            Hindrance::NoLoad { known, .. } if !known.is_empty() => {
                format!("these can go on: {}", known.join(", "))
            }
            Hindrance::SeveralUnfinished { known } => match known.last() {
                Some(last) => format!("say which: tidemill load --resume {last}"),
                None => "say which".to_owned(),
            },
            Hindrance::HasEnded { .. } | Hindrance::NoLoad { .. } | Hindrance::NothingUnfinished { .. } => {
                "see what can go on: tidemill load --list".to_owned()
            }
        }
    }
}
