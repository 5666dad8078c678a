//! `load.json`, the load that runs, and a line of `history.jsonl`, a load that has ended. Both version 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CursorText;
use crate::{
    Error,
    incremental::{Backfill, CursorValue},
};

/// A load that has begun: the next run goes on with it, under its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    version: u32,
    /// Seconds since 1970 with a fraction, as dlt names its loads.
    pub load_id: String,
    /// When it began; names and times of the load come from it.
    pub began_ms: i64,
    /// What it loads, and under which rules: another life has to mean the same.
    pub plan_digest: String,
    pub kind: LoadKind,
    pub streams: Vec<String>,
    pub phase: Phase,
    /// Tables whose files go when those of this load arrive; only where something is replaced.
    pub leaving_tables: Vec<String>,
    /// The schema begins anew.
    pub is_full_refresh: bool,
    /// Streams that are read to their end.
    pub done: BTreeMap<String, StreamDone>,
    /// Of streams that are topics and were begun: which topic it is, where its cluster tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) topic_ids: BTreeMap<String, String>,
}

/// What the reading of a stream came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamDone {
    pub tables: BTreeMap<String, TableCount>,
    pub discarded_count: u64,
    /// The highest value of the cursor, and the rows that have it.
    pub(crate) last_value: Option<CursorText>,
    pub(crate) hashes: Vec<String>,
    /// Of a topic: the record behind the last one of each partition that was read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) offsets: BTreeMap<i32, i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadKind {
    /// All that the cursors have not passed.
    Incremental,
    /// A stretch that moves no cursor.
    Backfill(Bounds),
    /// Records that earlier loads refused.
    Letters,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    pub(crate) from: Option<CursorText>,
    pub(crate) to: Option<CursorText>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Reading,
    /// What it wrote is being removed: nobody goes on with it.
    GivingUp,
    /// All is read and durable; what is left to do may be repeated.
    Finishing {
        ended_ms: i64,
        swap: Swap,
    },
}

/// What becomes visible, and what goes for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// Paths of the files that are hidden so far, below the dataset once they are shown.
    pub arrive: Vec<String>,
    /// Paths of the files that were there before.
    pub leave: Vec<String>,
}

impl Bounds {
    pub(crate) fn to_backfill(&self) -> Backfill {
        let value = |text: &Option<CursorText>| text.as_ref().map(CursorValue::from);
        Backfill { from: value(&self.from), to: value(&self.to) }
    }
}

const VERSION: u32 = 1;

impl Journal {
    pub(crate) fn begin(load_id: String, began_ms: i64, plan_digest: String, kind: LoadKind) -> Self {
        Self {
            version: VERSION,
            load_id,
            began_ms,
            plan_digest,
            kind,
            streams: Vec::new(),
            phase: Phase::Reading,
            leaving_tables: Vec::new(),
            is_full_refresh: false,
            done: BTreeMap::new(),
            topic_ids: BTreeMap::new(),
        }
    }

    pub fn is_finishing(&self) -> bool {
        matches!(self.phase, Phase::Finishing { .. })
    }

    pub(super) fn check_version(&self) -> Result<(), Error> {
        check("the load that runs", self.version)
    }
}

/// A load that has ended, well or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    version: u32,
    pub load_id: String,
    pub began_ms: i64,
    pub ended_ms: i64,
    /// `loaded`, `failed`, `interrupted`.
    pub status: String,
    pub streams: Vec<String>,
    pub tables: BTreeMap<String, TableCount>,
    pub discarded_count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it loaded were dead letters.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_letters: bool,
}

/// What a load wrote of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableCount {
    pub rows_count: u64,
    pub files_count: u64,
    pub bytes: u64,
}

impl TableCount {
    pub(crate) fn add(&mut self, other: &TableCount) {
        self.rows_count += other.rows_count;
        self.files_count += other.files_count;
        self.bytes += other.bytes;
    }
}

impl Finished {
    pub(crate) fn of(journal: &Journal, status: &str, ended_ms: i64) -> Self {
        Self {
            version: VERSION,
            load_id: journal.load_id.clone(),
            began_ms: journal.began_ms,
            ended_ms,
            status: status.to_owned(),
            streams: journal.streams.clone(),
            tables: BTreeMap::new(),
            discarded_count: 0,
            error: None,
            is_of_letters: journal.kind == LoadKind::Letters,
        }
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check("the history", self.version).map(|()| self)
    }
}

fn check(what: &str, version: u32) -> Result<(), Error> {
    if version == VERSION {
        return Ok(());
    }
    let reason = format!("version {version}; this program reads {VERSION}");
    Err(Error::StateFormat { what: what.to_owned(), reason })
}
