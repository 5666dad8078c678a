//! `tidemill convert IN OUT`: a file of one format as one of another, as fast as the cores are.
//!
//! It is a load whose target is a file, with the arguments that files have, and nothing else.

use super::{Args as LoadArgs, OnBad, Target, objects, reading::ReadingArgs};
use crate::{
    context::{Context, Failure},
    notices::Showing,
};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tidemill convert transactions.csv transactions.parquet
  tidemill convert transactions.csv transactions.jsonl.gz
  tidemill convert 2013.csv 2014.csv years.parquet --infer-rows all
  tidemill convert big.csv parts/ --target-format parquet --file-rows 1000000
  tidemill convert s3://lake/in.jsonl.gz out.avro")]
pub struct Args {
    /// Files, folders and patterns, objects, addresses of the web, - for standard input, or a generator; then the file, the object or the folder that is written
    #[arg(required = true, num_args = 2.., value_name = "IN... OUT")]
    paths: Vec<String>,
    /// Contract the records keep: a name in contracts/, or a file (.json JSON Schema, .avsc Avro)
    #[arg(long, value_name = "NAME|FILE")]
    contract: Option<String>,
    /// Text of CSV that stands for a missing value; may be given several times [default: empty and NA]
    #[arg(long, value_name = "MARKER")]
    null: Vec<String>,
    /// Format of what is read, where the names do not tell
    #[arg(long, value_parser = ["csv", "jsonl", "json", "avro", "parquet", "excel"])]
    format: Option<String>,
    /// What separates fields of CSV that is read [default: a comma, a tab for .tsv]
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// none, gzip or zstd for text; also snappy for Parquet and Avro
    #[arg(long)]
    compression: Option<String>,
    /// What a bad record does: stop leaves no file
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnBad,
    /// Folder for dead letters [default: .tidemill/dead-letters/NAME of the file]
    #[arg(long, value_name = "DIR")]
    dead_letters: Option<std::path::PathBuf>,
    /// Stop after so many records of all sources together
    #[arg(long, value_name = "RECORDS")]
    limit: Option<u64>,
    #[command(flatten)]
    files: objects::FileArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let _showing = Showing::of_command(context.is_json());
    let mut load = LoadArgs::of_paths(args.paths);
    load.contract = args.contract;
    load.null = args.null;
    load.format = args.format;
    load.delimiter = args.delimiter;
    load.compression = args.compression;
    load.on_error = args.on_error;
    load.dead_letters = args.dead_letters;
    load.limit = args.limit;
    load.files = args.files;
    load.reading = args.reading;
    let (target, sources) = load.paths.split_last().expect("clap asks for two");
    match Target::parse(target, &load, context) {
        Ok(Target::Files(files)) => objects::run(&load, context, &files, sources, None).await,
        Ok(Target::Kafka(_) | Target::Store(_)) | Err(_) => {
            let name = target.clone();
            Err(Box::new(connectors::output::Error::NoFormat { name }))
        }
    }
}

impl LoadArgs {
    /// What a load of these has when nothing else is said.
    fn of_paths(paths: Vec<String>) -> Self {
        use clap::{Args as _, Command, FromArgMatches as _};
        let words = std::iter::once("load".to_owned()).chain(["--".to_owned()]).chain(paths);
        let matches = Self::augment_args(Command::new("load")).try_get_matches_from(words);
        matches
            .and_then(|matches| Self::from_arg_matches(&matches))
            .expect("paths are all that a load has to be given")
    }
}
