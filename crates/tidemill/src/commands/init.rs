//! `tidemill init`: a project folder to start from, with real data, a connector and nothing to fill in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    context::{Context, Failure},
    errors::Error,
};

#[derive(clap::Args)]
pub struct Args {
    /// The folder to make
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Write over files of the same names in a folder that is not empty
    #[arg(long)]
    force: bool,
}

/// The example project, built in: a binary alone can make it.
pub const SETTINGS: &str = include_str!("../../../../examples/flights/tidemill.yaml");
pub const CONNECTOR: &str = include_str!("../../../../examples/flights/connectors/s3-sink-flights.json");
pub const FLIGHTS: &[u8] = include_bytes!("../../../../examples/flights/flights.csv");
pub const PLANES: &[u8] = include_bytes!("../../../../examples/flights/planes.csv");
pub const PLANES_CHANGED: &[u8] = include_bytes!("../../../../examples/flights/planes_changed.csv");
pub const PIPELINE: &str = include_str!("../../../../examples/flights/pipelines/planes_to_lake.yaml");
pub const DAG: &str = include_str!("../../../../examples/flights/dags/lake.yml");
const IGNORED: &str = "/.tidemill/\n/.env\n";

pub async fn run(args: Args, _context: &Context) -> Result<(), Failure> {
    let folder = &args.folder;
    if !args.force && !is_empty(folder) {
        return Err(Error::FolderNotEmpty { folder: folder.clone() }.into());
    }
    write(folder, "tidemill.yaml", SETTINGS.as_bytes())?;
    write(folder, ".gitignore", IGNORED.as_bytes())?;
    write(folder, "connectors/s3-sink-flights.json", CONNECTOR.as_bytes())?;
    write(folder, "pipelines/planes_to_lake.yaml", PIPELINE.as_bytes())?;
    write(folder, "dags/lake.yml", DAG.as_bytes())?;
    write(folder, "data/flights.csv", FLIGHTS)?;
    write(folder, "data/planes.csv", PLANES)?;
    write(folder, "data/planes_changed.csv", PLANES_CHANGED)?;
    println!("{} is a project now:", folder.display());
    println!("  tidemill.yaml                    settings; empty means: the defaults");
    println!("  connectors/s3-sink-flights.json  a Kafka Connect connector, topic to S3");
    println!("  pipelines/planes_to_lake.yaml    a batch pipeline, DynamoDB to tables in S3");
    println!("  dags/lake.yml                    a DAG that runs it and looks at the result");
    println!("  data/flights.csv                 6,998 flights from New York (CC0)");
    println!("  data/planes.csv                  3,322 planes; planes_changed.csv: 41 of them, changed");
    println!("next: cd {} && tidemill up", folder.display());
    Ok(())
}

/// Whether nothing is there, or a folder with nothing in it.
pub fn is_empty(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Writes a file of a project, making the folders on its way.
pub fn write(folder: &Path, name: &str, content: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, content));
    written.map_err(|source| Error::Write { path, source }.into())
}
