//! The store in PostgreSQL: one connection that writes and one that reads, each made anew where the server closed it.

use std::{collections::HashMap, error::Error as StdError, sync::Arc};

use futures::future::try_join_all;
use tokio::sync::Mutex;
use tokio_postgres::{
    Client, NoTls,
    error::SqlState,
    types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use super::{Cell, Row, Statement};
use crate::Error;

/// The lock that the scheduler which owns the database holds; any number, but always this one.
const OWNER_LOCK: i64 = 0x7469_6465;
/// The server takes note of a killed scheduler's end within milliseconds; until then its lock is held.
const OWNER_LOCK_WAIT_MS_MAX: u64 = 2_000;
/// Prepared statements that each connection keeps.
const STATEMENTS_KEPT_MAX: usize = 256;

#[derive(Debug, Clone)]
pub struct Postgres {
    /// Without the password.
    shown: Arc<str>,
    url: base::Secret,
    writer: Arc<Mutex<Option<Session>>>,
    reader: Arc<Mutex<Option<Session>>>,
}

#[derive(Debug)]
struct Session {
    client: Client,
    prepared: HashMap<String, tokio_postgres::Statement>,
}

impl Postgres {
    pub async fn connect(url: &str) -> Result<Postgres, Error> {
        // SQLAlchemy's spelling, as people have it in Airflow's settings.
        let url = url.replacen("postgresql+psycopg2://", "postgresql://", 1).replacen(
            "postgresql+asyncpg://",
            "postgresql://",
            1,
        );
        let postgres = Postgres {
            shown: shown(&url).into(),
            url: base::Secret::new(url),
            writer: Arc::default(),
            reader: Arc::default(),
        };
        let writer = postgres.session(true).await?;
        *postgres.writer.lock().await = Some(writer);
        Ok(postgres)
    }

    async fn session(&self, owner: bool) -> Result<Session, Error> {
        let failed = |source| Error::Postgres { server: self.shown.to_string(), source };
        let (client, connection) = tokio_postgres::connect(self.url.reveal(), NoTls).await.map_err(failed)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "the connection to the scheduler's database ended");
            }
        });
        if owner {
            // Held as long as the connection lives: a second scheduler on this database would run every task twice.
            let lock = format!(
                "SET lock_timeout = {OWNER_LOCK_WAIT_MS_MAX}; SELECT pg_advisory_lock({OWNER_LOCK}); RESET lock_timeout"
            );
            client.batch_execute(&lock).await.map_err(|error| match error.code() {
                Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                    Error::DatabaseOwned { server: self.shown.to_string() }
                }
                Some(_) | None => failed(error),
            })?;
        }
        Ok(Session { client, prepared: HashMap::new() })
    }

    pub async fn write(&self, statements: Vec<Statement>) -> Result<(), Error> {
        let mut held = self.writer.lock().await;
        // Twice: every statement may be repeated, so a transaction whose fate is unknown is simply written again.
        for again in [true, false] {
            let session = match held.take() {
                Some(session) if !session.client.is_closed() => session,
                _ended => self.session(true).await?,
            };
            let session = held.insert(session);
            match session.write(&statements).await {
                Ok(()) => return Ok(()),
                Err(_closed) if again && session.client.is_closed() => {}
                Err(source) => {
                    session.client.batch_execute("ROLLBACK").await.ok();
                    return Err(Error::Postgres { server: self.shown.to_string(), source });
                }
            }
        }
        Ok(())
    }

    pub async fn script(&self, sql: &str) -> Result<(), Error> {
        let mut held = self.writer.lock().await;
        let session = match held.take() {
            Some(session) => session,
            None => self.session(true).await?,
        };
        let session = held.insert(session);
        let done = session.client.batch_execute(sql).await;
        done.map_err(|source| Error::Postgres { server: self.shown.to_string(), source })
    }

    pub async fn rows(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let mut held = self.reader.lock().await;
        let session = match held.take() {
            Some(session) if !session.client.is_closed() => session,
            _ended => self.session(false).await?,
        };
        let session = held.insert(session);
        session
            .read(&statement)
            .await
            .map_err(|source| Error::Postgres { server: self.shown.to_string(), source })
    }
}

impl Session {
    async fn prepared(&mut self, sql: &str) -> Result<tokio_postgres::Statement, tokio_postgres::Error> {
        if let Some(prepared) = self.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        if self.prepared.len() >= STATEMENTS_KEPT_MAX {
            self.prepared.clear();
        }
        let prepared = self.client.prepare(&sql.replace('?', "$")).await?;
        self.prepared.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// One round trip for all statements: they are sent without waiting for each other's answers.
    async fn write(&mut self, statements: &[Statement]) -> Result<(), tokio_postgres::Error> {
        let mut prepared = Vec::with_capacity(statements.len());
        for statement in statements {
            prepared.push(self.prepared(&statement.sql).await?);
        }
        self.client.batch_execute("BEGIN").await?;
        let client = &self.client;
        let sent = statements.iter().zip(&prepared).map(|(statement, prepared)| async move {
            client.execute_raw(prepared, statement.cells.iter()).await
        });
        try_join_all(sent).await?;
        self.client.batch_execute("COMMIT").await
    }

    async fn read(&mut self, statement: &Statement) -> Result<Vec<Row>, tokio_postgres::Error> {
        let prepared = self.prepared(&statement.sql).await?;
        let cells: Vec<&(dyn ToSql + Sync)> =
            statement.cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect();
        let rows = self.client.query(&prepared, &cells).await?;
        rows.iter().map(|row| (0..row.len()).map(|column| cell(row, column)).collect()).collect()
    }
}

fn cell(row: &tokio_postgres::Row, column: usize) -> Result<Cell, tokio_postgres::Error> {
    let kind = row.columns()[column].type_();
    Ok(match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(column)?.into(),
        Type::INT4 => row.try_get::<_, Option<i32>>(column)?.into(),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(column)?.into(),
        Type::BOOL => row.try_get::<_, Option<bool>>(column)?.into(),
        _ => row.try_get::<_, Option<String>>(column)?.into(),
    })
}

impl ToSql for Cell {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Cell::Null => Ok(IsNull::Yes),
            Cell::Int(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Cell::Int(value) if *kind == Type::FLOAT8 => (*value as f64).to_sql(kind, out),
            Cell::Int(value) => value.to_sql(kind, out),
            Cell::Real(value) => value.to_sql(kind, out),
            Cell::Text(text) => text.to_sql(kind, out),
        }
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The address as people may see it.
fn shown(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return "PostgreSQL".to_owned() };
    if url.password().is_some() {
        url.set_password(Some("***")).ok();
    }
    url.to_string()
}
