//! The store in one SQLite file. Disk is for threads: one writes, one reads, and write-ahead logging keeps them apart.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use rusqlite::{
    Connection,
    types::{ToSqlOutput, Value, ValueRef},
};
use tokio::sync::oneshot;

use super::{Cell, Row, Statement};
use crate::Error;

/// Prepared statements that each connection keeps.
const STATEMENTS_KEPT_MAX: usize = 256;

type Answer<T> = oneshot::Sender<Result<T, rusqlite::Error>>;

enum Job {
    Write(Vec<Statement>, Answer<()>),
    Read(Statement, Answer<Vec<Row>>),
    Script(String, Answer<()>),
}

#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
    writer: mpsc::Sender<Job>,
    reader: mpsc::Sender<Job>,
}

impl Sqlite {
    pub async fn open(path: &Path) -> Result<Sqlite, Error> {
        let path = path.to_path_buf();
        let at = path.clone();
        // The writer first: it makes the file and turns write-ahead logging on.
        let opened = tokio::task::spawn_blocking(move || {
            let writer = connect(&at)?;
            let reader = connect(&at)?;
            Ok::<_, rusqlite::Error>((worker(writer), worker(reader)))
        });
        let opened = opened.await.map_err(|panic| Error::Store { reason: panic.to_string() })?;
        let (writer, reader) = opened.map_err(|source| Error::Sqlite { path: path.clone(), source })?;
        Ok(Sqlite { path, writer, reader })
    }

    pub async fn write(&self, statements: Vec<Statement>) -> Result<(), Error> {
        self.ask(&self.writer, |answer| Job::Write(statements, answer)).await
    }

    pub async fn rows(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        self.ask(&self.reader, |answer| Job::Read(statement, answer)).await
    }

    pub async fn script(&self, sql: String) -> Result<(), Error> {
        self.ask(&self.writer, |answer| Job::Script(sql, answer)).await
    }

    async fn ask<T>(
        &self,
        worker: &mpsc::Sender<Job>,
        job: impl FnOnce(Answer<T>) -> Job,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let gone = || Error::Store { reason: "its thread has ended".to_owned() };
        worker.send(job(answer)).map_err(|_closed| gone())?;
        let answered = answered.await.map_err(|_dropped| gone())?;
        answered.map_err(|source| Error::Sqlite { path: self.path.clone(), source })
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    #[cfg(unix)]
    {
        // Connections' passwords are in it.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).ok();
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT_MAX);
    // NORMAL: a commit survives the death of the process, which is what we promise, without a sync of the disk each time.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000; PRAGMA cache_size = -4096;",
    )?;
    Ok(connection)
}

/// A thread that owns the connection and ends when all senders are gone.
fn worker(mut connection: Connection) -> mpsc::Sender<Job> {
    let (send, jobs) = mpsc::channel::<Job>();
    thread::spawn(move || {
        for job in jobs {
            match job {
                Job::Write(statements, answer) => {
                    answer.send(write(&mut connection, &statements)).ok();
                }
                Job::Script(sql, answer) => {
                    answer.send(connection.execute_batch(&sql)).ok();
                }
                Job::Read(statement, answer) => {
                    answer.send(read(&connection, &statement)).ok();
                }
            }
        }
    });
    send
}

fn write(connection: &mut Connection, statements: &[Statement]) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for statement in statements {
        transaction.prepare_cached(&statement.sql)?.execute(rusqlite::params_from_iter(&statement.cells))?;
    }
    transaction.commit()
}

fn read(connection: &Connection, statement: &Statement) -> Result<Vec<Row>, rusqlite::Error> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let columns = prepared.column_count();
    let mut rows = prepared.query(rusqlite::params_from_iter(&statement.cells))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let cells = (0..columns).map(|column| row.get_ref(column).map(cell)).collect::<Result<Row, _>>()?;
        found.push(cells);
    }
    Ok(found)
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(text) | ValueRef::Blob(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
    }
}

impl rusqlite::ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Cell::Real(value) => ToSqlOutput::Owned(Value::Real(*value)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}
