//! dlt's schema contract: what may change in a schema, and what happens to data that would change it anyway.

/// What happens where data does not fit the schema as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The schema grows.
    #[default]
    Evolve,
    /// The load fails, naming the record.
    Freeze,
    /// The row is left out, with the rows below it.
    DiscardRow,
    /// The value is left out, the rest of the row goes on.
    DiscardValue,
}

/// One mode for each thing that can change: new tables, new columns, new types of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchemaContract {
    pub tables: Mode,
    /// A table that has never held data yet may always take its first columns.
    pub columns: Mode,
    pub data_type: Mode,
}

impl SchemaContract {
    /// The short form of a pipeline file: one mode for all three.
    pub fn all(mode: Mode) -> Self {
        Self { tables: mode, columns: mode, data_type: mode }
    }
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Evolve => "evolve",
            Mode::Freeze => "freeze",
            Mode::DiscardRow => "discard_row",
            Mode::DiscardValue => "discard_value",
        }
    }
}
