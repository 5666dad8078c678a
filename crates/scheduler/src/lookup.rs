//! Connections, variables and XComs as templates and operators ask for them: the project's own first, as Airflow asks its
//! environment first, then those that were made by the API.

use std::{borrow::Cow, sync::Arc};

use base::Secret;
use serde_json::Value;

use crate::{
    cells,
    dag::Arg,
    executor::{Mask, Shared, is_sensitive},
    store::{Cell, Row},
    template::{Connection, Lookup, Pull},
};

/// The lookup of one try; what it finds and is secret, the try's log masks.
pub struct Found {
    pub shared: Arc<Shared>,
    pub mask: Mask,
    pub runtime: tokio::runtime::Handle,
}

impl Found {
    fn rows(&self, sql: impl Into<Cow<'static, str>>, cells: Vec<Cell>) -> Vec<Row> {
        match self.runtime.block_on(self.shared.database.rows(sql, cells)) {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "a task's lookup failed");
                Vec::new()
            }
        }
    }

    fn mask_connection(&self, connection: &Connection) {
        if let Some(password) = &connection.password {
            self.mask.add(password.reveal());
        }
        if let Some(Ok(extra)) =
            connection.extra.as_ref().map(|extra| serde_json::from_str::<Value>(extra.reveal()))
        {
            self.mask.add_json("", &extra);
        }
    }
}

impl Lookup for Found {
    fn variable(&self, name: &str) -> Option<String> {
        let own = self.shared.options.variables.as_ref().and_then(|own| own.get(name));
        let own = own.map(|variable| variable.value.reveal().to_owned());
        let value = own.or_else(|| {
            let rows = self.rows("SELECT value FROM variable WHERE key = ?1", cells![name]);
            rows.first().and_then(|row| row[0].text().map(str::to_owned))
        })?;
        match serde_json::from_str::<Value>(&value) {
            Ok(parsed) if !parsed.is_string() => self.mask.add_json(name, &parsed),
            _text if is_sensitive(name) => self.mask.add(&value),
            _text => {}
        }
        Some(value)
    }

    fn connection(&self, id: &str) -> Option<Connection> {
        let own = self.shared.options.connections.as_ref().filter(|own| own.has(id)).map(|own| own.get(id));
        let own = own.and_then(|own| {
            own.inspect_err(|error| tracing::warn!(%error, id, "a connection is unusable")).ok()
        });
        let own = own.map(|own| given(&own));
        let connection = own.or_else(|| {
            let sql = "SELECT conn_id, conn_type, description, host, login, schema_name, port, password, extra \
                FROM connection WHERE conn_id = ?1";
            self.rows(sql, cells![id]).first().map(connection)
        })?;
        self.mask_connection(&connection);
        Some(connection)
    }

    fn xcoms(&self, pull: &Pull) -> Vec<Arg> {
        let mut cells = cells![&pull.dag_id, &pull.run_id, &pull.task_id, &pull.key];
        let run = match pull.include_prior_dates {
            false => "r.run_id = ?2".to_owned(),
            // The latest run up to this one in which the task left something.
            true => "r.id = (SELECT p.id FROM dag_run p JOIN xcom y ON y.run = p.id WHERE p.dag_id = ?1 AND y.task_id = ?3 \
                AND y.key = ?4 AND (p.run_id = ?2 OR p.logical_date <= (SELECT q.logical_date FROM dag_run q \
                WHERE q.dag_id = ?1 AND q.run_id = ?2)) ORDER BY p.run_after DESC, p.id DESC LIMIT 1)"
                .to_owned(),
        };
        let index = match pull.map_index {
            Some(map_index) => {
                cells.extend(cells![map_index]);
                "AND x.map_index = ?5"
            }
            None => "",
        };
        let sql = format!(
            "SELECT x.value FROM xcom x JOIN dag_run r ON r.id = x.run WHERE r.dag_id = ?1 AND {run} AND x.task_id = ?3 \
             AND x.key = ?4 {index} ORDER BY x.map_index"
        );
        let value =
            |row: &Row| serde_json::from_str::<Value>(row[0].text().unwrap_or("null")).unwrap_or(Value::Null);
        self.rows(sql, cells).iter().map(|row| Arg::from_json(&value(row))).collect()
    }
}

/// One of the project's own.
fn given(own: &project::Connection) -> Connection {
    let text = |text: Option<&str>| text.map(str::to_owned);
    Connection {
        conn_id: own.id.clone(),
        conn_type: own.conn_type().to_owned(),
        description: text(own.description()),
        host: text(own.host()),
        login: text(own.login()),
        password: own.password(),
        schema: text(own.schema()),
        port: own.port(),
        extra: own.extra_json(),
    }
}

/// A row of the table `connection`.
pub fn connection(row: &Row) -> Connection {
    let text = |column: usize| row[column].text().map(str::to_owned);
    Connection {
        conn_id: text(0).unwrap_or_default(),
        conn_type: text(1).unwrap_or_default(),
        description: text(2),
        host: text(3),
        login: text(4),
        schema: text(5),
        port: row[6].int().and_then(|port| u16::try_from(port).ok()),
        password: text(7).map(Secret::new),
        extra: text(8).map(Secret::new),
    }
}
