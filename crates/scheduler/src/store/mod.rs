//! Where runs, task instances, XComs, variables, connections and pools are kept: SQLite in a file, or PostgreSQL by URL.
//!
//! Both speak the same statements: `?1` placeholders, BIGINT, DOUBLE PRECISION and TEXT columns, `ON CONFLICT` upserts.
//! Times are microseconds since 1970. Whoever writes hands over all statements of one decision: they are one transaction.

mod postgres;
pub mod rows;
mod schema;
mod sqlite;

use std::{borrow::Cow, path::Path};

use chrono::{DateTime, Utc};

use crate::Error;

/// A value of a row or a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

impl Cell {
    pub fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(value) => Some(*value),
            Cell::Null | Cell::Real(_) | Cell::Text(_) => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            Cell::Null | Cell::Int(_) | Cell::Real(_) => None,
        }
    }

    pub fn time(&self) -> Option<DateTime<Utc>> {
        self.int().and_then(DateTime::from_timestamp_micros)
    }
}

macro_rules! cell_from {
    ($($from:ty, $value:ident => $cell:expr;)*) => {
        $(impl From<$from> for Cell { fn from($value: $from) -> Self { $cell } })*
    };
}

cell_from! {
    i64, value => Cell::Int(value);
    i32, value => Cell::Int(value.into());
    u32, value => Cell::Int(value.into());
    bool, value => Cell::Int(value.into());
    f64, value => Cell::Real(value);
    &str, value => Cell::Text(value.to_owned());
    &String, value => Cell::Text(value.clone());
    String, value => Cell::Text(value);
    DateTime<Utc>, value => Cell::Int(value.timestamp_micros());
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

/// Cells of a statement or a query, whatever they are made from.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::Cell::from($value)),*] };
}
pub(crate) use cells;

pub type Row = Vec<Cell>;

/// One statement with its values.
#[derive(Debug, Clone)]
pub struct Statement {
    pub sql: Cow<'static, str>,
    pub cells: Vec<Cell>,
}

impl Statement {
    pub fn new(sql: impl Into<Cow<'static, str>>, cells: Vec<Cell>) -> Self {
        Self { sql: sql.into(), cells }
    }
}

/// The database, whichever it is. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Database {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Database {
    /// Opens it and brings its tables up to date. `url` is empty for a file in `folder`, or `postgresql://…`.
    pub async fn open(url: &str, folder: &Path) -> Result<Database, Error> {
        let database = if url.is_empty() {
            Database::Sqlite(sqlite::Sqlite::open(&folder.join("airflow.db")).await?)
        } else if let Some(path) = url.strip_prefix("sqlite:///") {
            Database::Sqlite(sqlite::Sqlite::open(Path::new(path)).await?)
        } else {
            Database::Postgres(postgres::Postgres::connect(url).await?)
        };
        schema::migrate(&database).await?;
        Ok(database)
    }

    /// All statements, or none.
    pub async fn write(&self, statements: Vec<Statement>) -> Result<(), Error> {
        if statements.is_empty() {
            return Ok(());
        }
        match self {
            Database::Sqlite(sqlite) => sqlite.write(statements).await,
            Database::Postgres(postgres) => postgres.write(statements).await,
        }
    }

    /// Several statements in one text, without values: what `schema` needs.
    async fn script(&self, sql: String) -> Result<(), Error> {
        match self {
            Database::Sqlite(sqlite) => sqlite.script(sql).await,
            Database::Postgres(postgres) => postgres.script(&sql).await,
        }
    }

    pub async fn rows(&self, sql: impl Into<Cow<'static, str>>, cells: Vec<Cell>) -> Result<Vec<Row>, Error> {
        let statement = Statement::new(sql, cells);
        match self {
            Database::Sqlite(sqlite) => sqlite.rows(statement).await,
            Database::Postgres(postgres) => postgres.rows(statement).await,
        }
    }

    pub async fn row(
        &self,
        sql: impl Into<Cow<'static, str>>,
        cells: Vec<Cell>,
    ) -> Result<Option<Row>, Error> {
        Ok(self.rows(sql, cells).await?.into_iter().next())
    }

    /// The one number that the query gives; 0 where it gives none.
    pub async fn count(&self, sql: impl Into<Cow<'static, str>>, cells: Vec<Cell>) -> Result<i64, Error> {
        let row = self.row(sql, cells).await?;
        Ok(row.and_then(|row| row.first().and_then(Cell::int)).unwrap_or(0))
    }
}

/// `?3, ?4, ?5` for the next `count` values after the first `after`.
pub fn placeholders(after: usize, count: usize) -> String {
    (after + 1..=after + count).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
