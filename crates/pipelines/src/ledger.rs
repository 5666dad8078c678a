//! The rows of dlt's own tables: `_dlt_loads`, `_dlt_version`, `_dlt_pipeline_state`, each one JSON document.

use std::io::{Read as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use serde_json::{Value as Json, json};

use crate::{
    encode::json::timestamp,
    iso::{self, Iso},
    schema::Stored,
};

pub const LOADS: &str = "_dlt_loads";
pub const VERSION: &str = "_dlt_version";
pub const STATE: &str = "_dlt_pipeline_state";

/// A state that unpacks to more is refused: nothing of dlt's or ours is that large.
const STATE_BYTES_MAX: u64 = 64 << 20;

/// A row of `_dlt_loads`: the load is complete.
pub fn load_row(schema: &Stored, load_id: &str, inserted_at_us: i64) -> String {
    json!({
        "load_id": load_id,
        "schema_name": schema.name,
        "status": 0,
        "inserted_at": text(inserted_at_us),
        "schema_version_hash": schema.version_hash,
    })
    .to_string()
}

/// A row of `_dlt_version`: this schema is current from here on.
pub fn version_row(schema: &Stored, inserted_at_us: i64) -> String {
    json!({
        "version_hash": schema.version_hash,
        "schema_name": schema.name,
        "version": schema.version,
        "engine_version": schema.engine_version,
        "inserted_at": text(inserted_at_us),
        "schema": schema.text,
    })
    .to_string()
}

/// A pipeline's state, as a row of `_dlt_pipeline_state` holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StateRow {
    pub version: u64,
    pub engine_version: u64,
    pub pipeline_name: String,
    /// The state's JSON; it is stored compressed, as dlt does.
    pub state: String,
    pub created_at_us: i64,
    pub version_hash: String,
    pub load_id: String,
}

impl StateRow {
    pub fn text(&self) -> String {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        // Writing into a Vec does not fail.
        packed.write_all(self.state.as_bytes()).ok();
        json!({
            "version": self.version,
            "engine_version": self.engine_version,
            "pipeline_name": self.pipeline_name,
            "state": STANDARD.encode(packed.finish().unwrap_or_default()),
            "created_at": text(self.created_at_us),
            "version_hash": self.version_hash,
            "_dlt_load_id": self.load_id,
        })
        .to_string()
    }

    /// Reads what `text` or dlt wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let row: Json = serde_json::from_str(text).ok()?;
        let word = |name: &str| row.get(name)?.as_str().map(str::to_owned);
        let packed = STANDARD.decode(word("state")?).ok()?;
        let mut state = String::new();
        ZlibDecoder::new(&packed[..]).take(STATE_BYTES_MAX).read_to_string(&mut state).ok()?;
        let Some(Iso::Timestamp(created_at_us)) = iso::parse(&word("created_at")?) else { return None };
        Some(Self {
            version: row.get("version")?.as_u64()?,
            engine_version: row.get("engine_version")?.as_u64()?,
            pipeline_name: word("pipeline_name")?,
            state,
            created_at_us,
            version_hash: word("version_hash").unwrap_or_default(),
            load_id: word("_dlt_load_id")?,
        })
    }
}

fn text(us: i64) -> String {
    let mut out = Vec::new();
    timestamp(us, true, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A hash of a schema as file names carry it: hexadecimal of its base64.
pub fn hash_in_name(version_hash: &str) -> String {
    let bytes = STANDARD.decode(version_hash).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
