//! The report of `auth status`: a table for people, an object for programs.

use chrono::DateTime;
use serde_json::{Value as Json, json};

use super::status::{Ends, Report, Row, Side, State, Value};
use crate::context::Context;

pub fn print(report: &Report, context: &Context) {
    if context.is_json() {
        let code = report.failure.as_ref().map(|failure| failure.code().id);
        let sides: Vec<Json> = report.sides.iter().map(object).collect();
        println!("{:#}", json!({ "clouds": sides, "error": code }));
        return;
    }
    let sides: Vec<String> = report.sides.iter().map(text).collect();
    print!("{}", sides.join("\n"));
}

pub fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn word(state: State) -> &'static str {
    match state {
        State::Wins => "wins",
        State::Hidden => "hidden",
        State::Absent => "-",
        State::Broken => "wrong",
        State::Unasked => "not asked",
    }
}

fn text(side: &Side) -> String {
    let mut lines = vec![side.cloud.to_owned()];
    let mut table: Vec<[String; 5]> = Vec::new();
    for value in &side.decides {
        table.push([
            value.name.clone(),
            String::new(),
            String::new(),
            value.value.clone(),
            value.from.clone(),
        ]);
    }
    for row in &side.rows {
        let mut source = [row.source.to_owned(), word(row.state).to_owned()];
        let values = if row.values.is_empty() { &[] } else { &row.values[..] };
        if values.is_empty() {
            let [name, state] = source;
            table.push([name, state, String::new(), String::new(), String::new()]);
            continue;
        }
        for value in values {
            let [name, state] = std::mem::take(&mut source);
            table.push([name, state, value.name.clone(), value.value.clone(), value.from.clone()]);
        }
    }
    lines.extend(columns(&table));
    for (name, value) in &side.who {
        lines.push(format!("  {name}: {value}"));
    }
    match side.ends {
        Ends::Unknown => {}
        Ends::Never => lines.push("  until: they do not end".to_owned()),
        Ends::At { ms, left_ms } => {
            let renews = if side.renews { ", and then renewed" } else { "" };
            lines.push(format!("  until: {}, {} minutes more{renews}", time(ms), left_ms / 60_000));
        }
    }
    lines.extend(side.error.iter().map(|error| format!("  error: {error}")));
    lines.extend(side.warnings.iter().map(|warning| format!("  warning: {warning}")));
    lines.join("\n") + "\n"
}

/// Cells one below the other; the last two are as wide as they are.
fn columns(table: &[[String; 5]]) -> Vec<String> {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        format!("  {}  {}", cells.join("  "), row[4]).trim_end().to_owned()
    };
    table.iter().map(line).collect()
}

fn object(side: &Side) -> Json {
    let values = |values: &[Value]| -> Json {
        let of = |value: &Value| json!({ "name": value.name, "value": value.value, "from": value.from });
        values.iter().map(of).collect()
    };
    let first = side.rows.iter().find(|row| !matches!(row.state, State::Absent | State::Unasked));
    let winner = first.map(|row| row.source);
    let row = |row: &Row| {
        json!({
            "source": row.source,
            "state": word(row.state),
            "hidden_by": winner.filter(|_| row.state == State::Hidden),
            "values": values(&row.values),
        })
    };
    let rows: Vec<Json> = side.rows.iter().map(row).collect();
    let (ends_at, minutes_left) = match side.ends {
        Ends::Unknown | Ends::Never => (None, None),
        Ends::At { ms, left_ms } => {
            let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
            (Some(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)), Some(left_ms / 60_000))
        }
    };
    let who: serde_json::Map<String, Json> =
        side.who.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    json!({
        "cloud": side.cloud,
        "decides": values(&side.decides),
        "sources": rows,
        "winner": winner,
        "identity": who,
        "expires_at": ends_at,
        "minutes_left": minutes_left,
        "renews": side.renews,
        "warnings": side.warnings,
        "error": side.error,
    })
}
