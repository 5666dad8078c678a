//! What dlt keeps beside the tables: loads, schemas and the state of pipelines, each a file of one line.

use base::Fault;

use super::Lake;
use crate::{
    Error, LOADS, STATE, Stored, VERSION, hash_in_name, load_row,
    state::{About, State, state_of, state_row},
    version_row,
};

/// Files of states that are kept; dlt's own number.
const STATES_COUNT_MAX: usize = 100;

impl Lake {
    /// The schema, unless one with the same content is there already.
    pub(crate) async fn store_schema(&self, schema: &Stored, load_id: &str, at_ms: i64) -> Result<(), Fault> {
        let hash = hash_in_name(&schema.version_hash);
        let ending = format!("__{hash}.jsonl");
        let stored = self.list(&format!("{VERSION}/{}__", schema.name)).await?;
        if stored.iter().any(|path| path.ends_with(&ending)) {
            return Ok(());
        }
        let path = format!("{VERSION}/{}__{load_id}{ending}", schema.name);
        self.put(&path, version_row(schema, at_ms.saturating_mul(1_000))).await
    }

    pub(crate) async fn store_state(
        &self,
        about: &About<'_>,
        schema: &Stored,
        state: &State,
    ) -> Result<(), Fault> {
        let (pipeline, load_id) = (about.pipeline, about.load_id);
        let hash = hash_in_name(&schema.version_hash);
        let path = format!("{STATE}/{pipeline}__{load_id}__{hash}.jsonl");
        self.put(&path, state_row(about, state).text()).await?;
        let mut kept = self.states_of(pipeline).await?;
        kept.truncate(kept.len().saturating_sub(STATES_COUNT_MAX));
        for (_, path) in kept {
            self.delete(&path).await?;
        }
        Ok(())
    }

    /// The load is complete. Last of all: who looks for it finds everything else.
    pub(crate) async fn store_load(&self, schema: &Stored, load_id: &str, at_ms: i64) -> Result<(), Fault> {
        let path = format!("{LOADS}/{}__{load_id}.jsonl", schema.name);
        self.put(&path, load_row(schema, load_id, at_ms.saturating_mul(1_000))).await
    }

    /// The newest state of a pipeline, ours or dlt's.
    pub(crate) async fn stored_state(&self, pipeline: &str) -> Result<Option<State>, Fault> {
        let Some((_, path)) = self.states_of(pipeline).await?.pop() else { return Ok(None) };
        let Some(bytes) = self.get(&path).await? else { return Ok(None) };
        let what = format!("{}/{path}", self.address());
        state_of(&String::from_utf8_lossy(&bytes), &what).map(Some).map_err(Error::fatal)
    }

    /// The newest schema of this name: the text of its document.
    pub(crate) async fn stored_schema(&self, name: &str) -> Result<Option<String>, Fault> {
        let files = self.list(&format!("{VERSION}/{name}__")).await?;
        let Some(path) = files.iter().filter_map(|path| Some((number(path)?, path))).max_by(newest) else {
            return Ok(None);
        };
        let Some(bytes) = self.get(path.1).await? else { return Ok(None) };
        let refuse = |reason: String| {
            let what = format!("{}/{}", self.address(), path.1);
            Error::StateFormat { what, reason }.fatal()
        };
        let row: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        match row["schema"].as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(refuse("it has no `schema`".to_owned())),
        }
    }

    /// Oldest first, with the number of their load.
    async fn states_of(&self, pipeline: &str) -> Result<Vec<(f64, String)>, Fault> {
        let files = self.list(&format!("{STATE}/{pipeline}__")).await?;
        let mut states: Vec<(f64, String)> =
            files.into_iter().filter_map(|path| Some((number(&path)?, path))).collect();
        states.sort_by(|one, other| one.0.total_cmp(&other.0));
        Ok(states)
    }
}

/// The load's number in `NAME__NUMBER__HASH.jsonl`.
fn number(path: &str) -> Option<f64> {
    let (rest, _hash) = path.strip_suffix(".jsonl")?.rsplit_once("__")?;
    rest.rsplit_once("__")?.1.parse().ok()
}

fn newest(one: &(f64, &String), other: &(f64, &String)) -> std::cmp::Ordering {
    one.0.total_cmp(&other.0)
}
