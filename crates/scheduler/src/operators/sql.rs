//! SQLExecuteQueryOperator on PostgreSQL: statements one after the other, rows of the last one as what it returns.

use serde_json::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, types::Type};

use crate::{
    dag::Arg,
    executor::{Attempt, Done, Failure},
    template::{Connection, Lookup},
};

pub fn run(attempt: &mut Attempt) -> Result<Done, Failure> {
    let id = attempt.text("conn_id").unwrap_or_else(|| "postgres_default".to_owned());
    let connection = attempt
        .lookup
        .connection(&id)
        .ok_or_else(|| Failure::new(format!("The conn_id `{id}` isn't defined")))?;
    if !["postgres", "postgresql"].contains(&connection.conn_type.as_str()) {
        let reason = format!("the connection {id} is of type {}; SQL runs on postgres", connection.conn_type);
        return Err(Failure::for_good(reason));
    }
    let given = super::sensors::texts(attempt, "sql").unwrap_or_default();
    let split = attempt.flag("split_statements", false);
    let statements: Vec<String> =
        if split { given.iter().flat_map(|text| statements(text)).collect() } else { given };
    let parameters = attempt.arg("parameters").cloned();
    for statement in &statements {
        attempt.say("info", &format!("Running statement: {statement}"));
    }
    let filled =
        statements.iter().map(|text| fill(text, parameters.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let autocommit = attempt.flag("autocommit", false);
    let cancel = attempt.cancel.clone();
    let rows = attempt.runtime.block_on(async {
        tokio::select! {
            rows = execute(&connection, &filled, autocommit) => rows,
            () = cancel.stopped() => Err(Failure::new("ended")),
        }
    })?;
    Ok(Done::Success(rows))
}

async fn execute(connection: &Connection, statements: &[String], autocommit: bool) -> Result<Value, Failure> {
    let failed = |error: tokio_postgres::Error| {
        Failure::new(error.as_db_error().map_or_else(|| error.to_string(), |error| error.to_string()))
    };
    let mut config = tokio_postgres::Config::new();
    config.host(connection.host.as_deref().unwrap_or("localhost")).port(connection.port.unwrap_or(5432));
    if let Some(login) = &connection.login {
        config.user(login);
    }
    if let Some(password) = &connection.password {
        config.password(password.reveal());
    }
    if let Some(database) = connection.schema.as_ref().filter(|name| !name.is_empty()) {
        config.dbname(database);
    }
    let (client, driver) = config.connect(NoTls).await.map_err(failed)?;
    let driver = tokio::spawn(driver);
    if !autocommit {
        client.batch_execute("BEGIN").await.map_err(failed)?;
    }
    let mut rows = Value::Null;
    for statement in statements {
        rows = query(&client, statement).await.map_err(failed)?;
    }
    if !autocommit {
        client.batch_execute("COMMIT").await.map_err(failed)?;
    }
    drop(client);
    driver.await.ok();
    Ok(rows)
}

/// The rows of one statement, each a list, with numbers and truth values as JSON has them.
async fn query(client: &Client, statement: &str) -> Result<Value, tokio_postgres::Error> {
    // Several statements in one text cannot be prepared: then all values stay texts.
    let types: Vec<Type> = match client.prepare(statement).await {
        Ok(prepared) => prepared.columns().iter().map(|column| column.type_().clone()).collect(),
        Err(error) if error.code().is_some_and(|code| code.code() == "42601") => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut rows = Vec::new();
    let mut has_columns = !types.is_empty();
    for message in client.simple_query(statement).await? {
        match message {
            SimpleQueryMessage::RowDescription(_) => {
                rows.clear(); // of an earlier statement
                has_columns = true;
            }
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|column| value(row.get(column), types.get(column)));
                rows.push(Value::from(cells.collect::<Vec<_>>()));
            }
            _count => {}
        }
    }
    Ok(if has_columns { Value::from(rows) } else { Value::Null })
}

fn value(text: Option<&str>, kind: Option<&Type>) -> Value {
    let Some(text) = text else { return Value::Null };
    match kind {
        Some(&Type::BOOL) => Value::from(text == "t"),
        Some(
            &(Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC | Type::OID),
        ) => serde_json::from_str(text).unwrap_or_else(|_nan| Value::from(text)),
        Some(&(Type::JSON | Type::JSONB)) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        Some(_) | None => Value::from(text),
    }
}

/// `%s` and `%(name)s` replaced as psycopg2 does: by literals. `%%` is a percent sign, where there are parameters.
fn fill(text: &str, parameters: Option<&Arg>) -> Result<String, Failure> {
    let parameters = match parameters {
        None | Some(Arg::Null) => return Ok(text.to_owned()),
        Some(parameters) => parameters,
    };
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    let mut place = 0;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let missing = || Failure::for_good("a parameter of the statement is missing");
        if let Some(after) = rest.strip_prefix('%') {
            filled.push('%');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('s') {
            let Arg::List(items) = parameters else { return Err(missing()) };
            filled.push_str(&literal(items.get(place).ok_or_else(missing)?));
            place += 1;
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(")s")) {
            let Arg::Map(entries) = parameters else { return Err(missing()) };
            filled.push_str(&literal(entries.get(name).ok_or_else(missing)?));
            rest = after;
        } else {
            filled.push('%');
        }
    }
    Ok(filled + rest)
}

fn literal(arg: &Arg) -> String {
    match arg {
        Arg::Null => "NULL".to_owned(),
        Arg::Boolean(value) => value.to_string(),
        Arg::Int(value) => value.to_string(),
        Arg::Float(value) => value.to_string(),
        Arg::List(items) => format!("ARRAY[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        other => {
            let text = crate::executor::as_text(other).unwrap_or_default();
            let quoted = text.replace('\'', "''");
            if quoted.contains('\\') {
                format!("E'{}'", quoted.replace('\\', "\\\\"))
            } else {
                format!("'{quoted}'")
            }
        }
    }
}

/// Statements of a text, cut at semicolons outside of quotes, comments and dollar quotes.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let skipped = match rest.as_bytes()[0] {
            b'\'' | b'"' => rest[1..].find(&rest[..1]).map_or(rest.len(), |end| end + 2),
            b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            b'$' => match rest[1..].find('$').map(|end| &rest[..end + 2]) {
                Some(tag) if tag[1..tag.len() - 1].chars().all(|it| it.is_alphanumeric() || it == '_') => {
                    rest[tag.len()..].find(tag).map_or(rest.len(), |end| end + 2 * tag.len())
                }
                _no_tag => 1,
            },
            b';' => {
                found.push(text[start..at].trim().to_owned());
                start = at + 1;
                1
            }
            _letter => rest.chars().next().map_or(1, char::len_utf8),
        };
        at += skipped;
    }
    found.push(text.get(start..).unwrap_or_default().trim().to_owned());
    found.retain(|statement| !statement.is_empty());
    found
}

#[cfg(test)]
mod tests;
