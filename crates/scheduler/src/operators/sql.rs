//! SQLExecuteQueryOperator on PostgreSQL: statements one after the other in one transaction, their rows as what it returns.

use serde_json::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, types::Type};

use crate::{
    dag::Arg,
    executor::{Attempt, Done, Failure},
    template::{Connection, Lookup},
};

pub fn run(attempt: &mut Attempt) -> Result<Done, Failure> {
    let id = attempt.text("postgres_conn_id").or_else(|| attempt.text("conn_id"));
    let id = id.unwrap_or_else(|| "postgres_default".to_owned());
    let mut connection = attempt
        .lookup
        .connection(&id)
        .ok_or_else(|| Failure::new(format!("The conn_id `{id}` isn't defined")))?;
    if !["postgres", "postgresql"].contains(&connection.conn_type.as_str()) {
        let reason = format!("the connection {id} is of type {}; SQL runs on postgres", connection.conn_type);
        return Err(Failure::for_good(reason));
    }
    connection.schema = attempt.text("database").or(connection.schema);
    let given = super::sensors::texts(attempt, "sql").unwrap_or_default();
    let splits = attempt.arg("split_statements").and_then(Arg::as_bool);
    let parameters = attempt.arg("parameters").cloned();
    let mut texts = Vec::new();
    for text in &given {
        attempt.say("info", &format!("Running statement: {text}"));
        // Each statement is sent alone, so that the types of its columns are known.
        let parts = statements(&fill(text, parameters.as_ref())?);
        match splits {
            Some(true) => texts.extend(parts.into_iter().map(|part| vec![part])),
            Some(false) | None => texts.push(parts),
        }
    }
    let autocommit = attempt.flag("autocommit", false);
    let cancel = attempt.cancel.clone();
    let mut results = attempt.runtime.block_on(async {
        tokio::select! {
            results = execute(&connection, &texts, autocommit) => results,
            () = cancel.stopped() => Err(Failure::new("ended")),
        }
    })?;
    // As Airflow: the last result of one text, a list of the results of several.
    let is_text = matches!(attempt.arg("sql"), Some(Arg::String(_)));
    let is_last = is_text && (attempt.flag("return_last", true) || splits == Some(false));
    Ok(Done::Success(if is_last { results.pop().unwrap_or(Value::Null) } else { Value::from(results) }))
}

/// The rows of the last statement of each text.
async fn execute(
    connection: &Connection,
    texts: &[Vec<String>],
    autocommit: bool,
) -> Result<Vec<Value>, Failure> {
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
    let mut results = Vec::with_capacity(texts.len());
    for statements in texts {
        let mut rows = Value::Null;
        for statement in statements {
            rows = query(&client, statement).await.map_err(failed)?;
        }
        results.push(rows);
    }
    if !autocommit {
        client.batch_execute("COMMIT").await.map_err(failed)?;
    }
    drop(client);
    driver.await.ok();
    Ok(results)
}

/// The rows of one statement, each a list, with numbers and truth values as JSON has them.
async fn query(client: &Client, statement: &str) -> Result<Value, tokio_postgres::Error> {
    let prepared = client.prepare(statement).await?;
    let types: Vec<&Type> = prepared.columns().iter().map(|column| column.type_()).collect();
    let mut rows = Vec::new();
    for message in client.simple_query(statement).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let cells = (0..row.len()).map(|column| value(row.get(column), types.get(column).copied()));
            rows.push(Value::from(cells.collect::<Vec<_>>()));
        }
    }
    Ok(if types.is_empty() { Value::Null } else { Value::from(rows) })
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
