//! The batch half: documents into a store, from there into tables of the lake, again by what changed, and as a DAG.
//!
//! The rows in the lake are counted from the footers of its Parquet files, not from what the pipeline says of itself.

use std::path::Path;

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{objects::Objects, steps::Steps};
use crate::{
    commands::init,
    context::Failure,
    errors::{Error, Told},
};

const BUCKET: &str = "lake";
const PIPELINE: &str = "planes_to_lake";
/// Where the pipeline's table lies: the target's folder, the dataset, the table.
const TABLE: &str = "warehouse/planes/planes/";
/// The database in a MongoDB of the user's.
const DATABASE: &str = "tidemill_quickstart";

/// What the pipeline brought, as the lake has it.
pub(super) struct Brought {
    pub first_count: u64,
    pub changed_count: u64,
}

/// The project's files of this half; `up` starts the scheduler where there are DAGs.
pub(super) fn write_files(folder: &Path, mongodb: Option<&str>) -> Result<(), Failure> {
    init::write(folder, "data/planes.csv", init::PLANES)?;
    init::write(folder, "data/planes_changed.csv", init::PLANES_CHANGED)?;
    init::write(folder, "dags/lake.yml", init::DAG.as_bytes())?;
    let pipeline = match mongodb {
        Some(uri) => init::PIPELINE
            .replace("  url: dynamodb://local\n", &format!("  url: {uri}\n  database: {DATABASE}\n"))
            .replace("of DynamoDB", "of MongoDB"),
        None => init::PIPELINE.to_owned(),
    };
    init::write(folder, &format!("pipelines/{PIPELINE}.yaml"), pipeline.as_bytes())
}

impl Steps {
    pub(super) async fn batch(&self, objects: &Objects) -> Result<Brought, Failure> {
        let target = match &self.mongodb {
            Some(uri) => format!("{}/{DATABASE}/planes", uri.trim_end_matches('/')),
            None => "dynamodb://local/planes".to_owned(),
        };
        let load = |file| ["load", file, &target, "--key", "tailnum", "--stamp", "updated_at"];
        let first = load("data/planes.csv");
        // A collection comes to be with its first document; a table has to be made.
        let create = if self.mongodb.is_some() { None } else { Some("--create") };
        self.command(&first.into_iter().chain(create).collect::<Vec<_>>()).await?;
        self.command(&["run", PIPELINE]).await?;
        let first_count = self.rows(objects).await?;
        self.command(&load("data/planes_changed.csv")).await?;
        self.command(&["run", PIPELINE]).await?;
        let all_count = self.rows(objects).await?;
        self.command(&["dag", "trigger", "lake", "--wait"]).await?;
        let after_dag = self.rows(objects).await?;
        let (planes, changed) = (records(init::PLANES), records(init::PLANES_CHANGED));
        if (first_count, all_count, after_dag) != (planes, planes + changed, planes + changed) {
            let difference = format!(
                "the lake has {first_count}, {all_count} and {after_dag} rows after the three runs; the files have {planes} \
                 planes, and {changed} that changed"
            );
            return Err(Error::Differs { difference }.into());
        }
        Ok(Brought { first_count, changed_count: all_count - first_count })
    }

    /// Rows of the table's files.
    async fn rows(&self, objects: &Objects) -> Result<u64, Failure> {
        let told = |reason: String| Error::Step {
            step: format!("counting the rows of s3://{BUCKET}/{TABLE}"),
            source: Told(reason),
        };
        let mut count = 0;
        for name in objects.list(BUCKET, TABLE).await.map_err(told)? {
            if !name.ends_with(".parquet") {
                continue;
            }
            let content = objects.object(BUCKET, &name).await.map_err(told)?;
            let reader = SerializedFileReader::new(Bytes::from(content));
            let reader = reader.map_err(|error| told(format!("{name}: {error}")))?;
            count += u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        }
        Ok(count)
    }
}

/// Of a built-in CSV file, without its header.
fn records(file: &[u8]) -> u64 {
    file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count().saturating_sub(1) as u64
}
