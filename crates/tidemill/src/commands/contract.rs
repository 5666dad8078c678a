//! `tidemill contract`: contracts as files, made from examples and held against data. No registry is needed.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use base::{Code, Problem, Spot};
use contracts::{Document, Error, Violation, infer::Inference};

use crate::context::{Context, Failure};

/// Rows read where neither `--rows` nor `--all` says more; a column's odd value is rarely later.
const ROWS_COUNT_DEFAULT: u64 = 1_000_000;
/// The longest line of a JSON Lines file.
const LINE_BYTES_MAX: usize = 64 << 20;
/// Violations shown one by one.
const SHOWN_COUNT_MAX: u64 = 20;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a contract from the rows of a CSV or JSON Lines file
    Infer {
        /// The rows: .csv, .tsv, .jsonl, .ndjson or .json
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where to write the contract [default: stdout]
        #[arg(short, long = "out", value_name = "FILE")]
        output_file: Option<PathBuf>,
        /// The kind of contract [default: by the name of the file to write]
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// A text that stands for no value; may come several times
        #[arg(long, value_name = "TEXT", default_values = ["", "NA"])]
        null: Vec<String>,
        /// The contract's name [default: the name of the file to write]
        #[arg(long)]
        name: Option<String>,
        /// Rows to read [default: 1,000,000]
        #[arg(long, conflicts_with = "all")]
        rows: Option<u64>,
        /// Read all rows
        #[arg(long)]
        all: bool,
        /// Say nothing of what was decided
        #[arg(short, long)]
        quiet: bool,
    },
    /// Check a contract file, and rows against it where they are given
    Validate {
        /// The contract: .json or .avsc
        #[arg(value_name = "CONTRACT")]
        contract: PathBuf,
        /// Rows to hold against it: .csv, .tsv, .jsonl or .ndjson
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// A text that stands for no value; may come several times
        #[arg(long, value_name = "TEXT", default_values = ["", "NA"])]
        null: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    JsonSchema,
    Avro,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::Infer { file, output_file, format, null, name, rows, all, quiet } => {
            let file = context.path(&file)?;
            let by_name =
                output_file.as_deref().and_then(|path| contracts::kind_of_file(&path.to_string_lossy()));
            let by_name = match by_name {
                Some(base::ContractKind::Avro) => Format::Avro,
                _ => Format::JsonSchema,
            };
            let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name = name.or_else(|| stem(output_file.as_deref().unwrap_or(&file)));
            let rows_max = if all { u64::MAX } else { rows.unwrap_or(ROWS_COUNT_DEFAULT) };
            let inference = read(&file, &null, rows_max)?;
            let name = name.unwrap_or_else(|| "record".to_owned());
            let inferred = match format.unwrap_or(by_name) {
                Format::JsonSchema => inference.json_schema(&name)?,
                Format::Avro => inference.avro(&name)?,
            };
            let output_file = output_file.map(|path| target(&path, context)).transpose()?;
            if !quiet {
                for note in &inferred.notes {
                    eprintln!("  {:<24} {}", note.field, note.text);
                }
            }
            match output_file {
                None => print!("{}", inferred.text),
                Some(path) => {
                    write(&path, &inferred.text)?;
                    let rows = base::units::count_text(inference.rows_count());
                    println!("wrote {} from {rows} rows of {}", path.display(), file.display());
                }
            }
            Ok(())
        }
        Command::Validate { contract, file, null } => {
            let contract = context.path(&contract)?;
            let file = file.map(|file| context.path(&file)).transpose()?;
            validate(&contract, file.as_deref(), &null)
        }
    }
}

/// Where to write: as typed where its folder is there, else below the project folder.
fn target(typed: &Path, context: &Context) -> Result<PathBuf, Failure> {
    let folder = typed.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !typed.is_absolute() && !folder.exists() => Ok(context.root()?.join(typed)),
        _ => Ok(typed.to_path_buf()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let refuse = |error: std::io::Error| file_error(path, &error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(refuse)?;
    }
    std::fs::write(path, text).map_err(refuse)
}

fn file_error(path: &Path, error: &impl ToString) -> Error {
    Error::File { path: path.to_string_lossy().into(), reason: error.to_string() }
}

/// The separator of a file of texts; `None` for JSON Lines.
fn separator(path: &Path) -> Result<Option<u8>, Error> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => Ok(Some(b',')),
        Some("tsv") => Ok(Some(b'\t')),
        Some("json" | "jsonl" | "ndjson") => Ok(None),
        _ => Err(file_error(path, &"its name does not end in .csv, .tsv, .jsonl, .ndjson or .json")),
    }
}

/// Calls `row` with each row's line, until it says stop. CSV rows come with their header.
fn each_row(path: &Path, mut row: impl FnMut(u64, Row<'_>) -> Result<bool, Failure>) -> Result<(), Failure> {
    let name = path.to_string_lossy().into_owned();
    let broken = |line: u64, reason: String| -> Failure {
        Box::new(Error::Row { path: name.as_str().into(), line, reason })
    };
    let input = File::open(path).map_err(|error| file_error(path, &error))?;
    let Some(separator) = separator(path)? else {
        let mut lines = BufReader::with_capacity(1 << 20, input);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let mut limited = std::io::Read::take(&mut lines, LINE_BYTES_MAX as u64);
            let count =
                limited.read_until(b'\n', &mut line).map_err(|error| broken(number, error.to_string()))?;
            if count == 0 {
                break;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            if !row(number, Row::Json(line.trim_ascii()))? {
                break;
            }
        }
        return Ok(());
    };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).buffer_capacity(1 << 20).from_reader(input);
    let told = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        broken(line, error.to_string())
    };
    let header = reader.headers().map_err(told)?.clone();
    let header: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(told)? {
        let line = record.position().map_or(0, csv::Position::line);
        if !row(line, Row::Texts(&header, &record))? {
            break;
        }
    }
    Ok(())
}

enum Row<'a> {
    Texts(&'a [&'a str], &'a csv::ByteRecord),
    Json(&'a [u8]),
}

fn read(path: &Path, nulls: &[String], rows_max: u64) -> Result<Inference, Failure> {
    let nulls: Vec<&str> = nulls.iter().map(String::as_str).collect();
    let mut inference = Inference::new(&nulls);
    each_row(path, |line, row| {
        match row {
            Row::Texts(header, record) => drop(inference.add_texts(header, record)),
            Row::Json(text) => {
                let refuse =
                    |reason: String| Error::Row { path: path.to_string_lossy().into(), line, reason };
                let json: serde_json::Value =
                    serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
                let object =
                    json.as_object().ok_or_else(|| refuse("a row has to be a JSON object".to_owned()))?;
                inference.add_object(object);
            }
        }
        Ok(inference.rows_count() < rows_max)
    })?;
    Ok(inference)
}

fn validate(path: &Path, rows: Option<&Path>, nulls: &[String]) -> Result<(), Failure> {
    let name = path.to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).map_err(|error| file_error(path, &error))?;
    let kind = contracts::kind_of_file(&name)
        .ok_or_else(|| file_error(path, &"its name does not end in .json, .avsc or .proto"))?;
    let document = Document::parse(kind, &name, &text)?;
    let Some(rows) = rows else {
        if let Document::Protobuf(_) = document {
            println!("{name} is a valid Protobuf schema");
            return Ok(());
        }
        let fields = document.schema(&name)?.fields().len();
        println!("{name} is a valid {} schema with {fields} fields", contracts::kind_name(kind));
        return Ok(());
    };
    let contract = contracts::contract(kind, &name, None, &text)?;
    let nulls: Vec<&str> = nulls.iter().map(String::as_str).collect();
    let (mut encoder, mut validator) = (None, None);
    let (mut count, mut broken, mut first) = (0u64, 0u64, None);
    let mut out = Vec::new();
    each_row(rows, |line, row| {
        count += 1;
        out.clear();
        let kept = match row {
            Row::Texts(header, record) => {
                if encoder.is_none() {
                    encoder = Some(contracts::RowEncoder::compile(&contract, header, &nulls)?);
                }
                let record: Vec<&[u8]> = record.iter().collect();
                encoder.as_ref().map_or(Ok(()), |encoder| encoder.encode(&record, &mut out))
            }
            Row::Json(text) => {
                if validator.is_none() {
                    validator = Some(contracts::Validator::compile(&contract)?);
                }
                validator.as_ref().map_or(Ok(()), |validator| validator.check_json(text))
            }
        };
        if let Err(violation) = kept {
            broken += 1;
            if broken <= SHOWN_COUNT_MAX {
                println!("{}:{line}: {violation}", rows.display());
            }
            first.get_or_insert((line, violation));
        }
        Ok(true)
    })?;
    let counted = base::units::count_text(count);
    match first {
        None => {
            println!("{counted} rows of {} keep {name}", rows.display());
            Ok(())
        }
        Some((line, violation)) => {
            let path = rows.to_string_lossy().into_owned();
            Err(Box::new(BrokenRows { path, line, violation, broken, count: counted, contract: name }))
        }
    }
}

/// Rows that break the contract: how many, and the first.
#[derive(Debug, thiserror::Error)]
#[error("{broken} of {count} rows of {path} break {contract}")]
struct BrokenRows {
    path: String,
    line: u64,
    #[source]
    violation: Violation,
    broken: u64,
    count: String,
    contract: String,
}

impl Problem for BrokenRows {
    fn code(&self) -> Code {
        self.violation.code()
    }

    fn spot(&self) -> Option<Spot> {
        Some(Spot::Line { path: self.path.as_str().into(), line: self.line, column: 1 })
    }

    fn help(&self) -> String {
        "mend the rows, or widen the contract and register it again".to_owned()
    }
}
