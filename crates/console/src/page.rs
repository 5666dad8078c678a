//! The page as HTML, made on the server: no script, no asset from elsewhere. Everything from outside is escaped.

use std::fmt::{self, Write};

use base::units::count_text;

use crate::snapshot::{Connector, Snapshot};

const STYLE: &str = include_str!("page.css");
const REFRESH_S: u32 = 5;

/// A text as HTML.
pub(crate) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

pub(crate) fn page(snapshot: &Snapshot) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>tidemill</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_S}\"><style>{STYLE}</style></head><body><main>\
         <h1>tidemill</h1>"
    );
    html += &troubles(snapshot);
    html += &parts(snapshot);
    html += &topics(snapshot);
    html += &connectors(snapshot);
    html += &subjects(snapshot);
    html += &format!(
        "<footer>Refreshed every {REFRESH_S} s. The same as JSON: <a href=\"/api/status\">/api/status</a></footer>\
         </main></body></html>\n"
    );
    html
}

fn section(title: &str, head: &str, rows: &[String], empty: &str) -> String {
    let body = if rows.is_empty() {
        format!("<div class=\"empty\">{empty}</div>")
    } else {
        format!("<table><thead><tr>{head}</tr></thead><tbody>{}</tbody></table>", rows.concat())
    };
    format!("<h2>{title}</h2><div class=\"card\">{body}</div>")
}

fn troubles(snapshot: &Snapshot) -> String {
    let lines =
        snapshot.troubles.iter().map(|line| format!("<div class=\"empty bad\">{}</div>", Escaped(line)));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("<div class=\"card\">{lines}</div>") }
}

fn parts(snapshot: &Snapshot) -> String {
    let rows: Vec<String> = snapshot
        .parts
        .iter()
        .map(|part| {
            let class = if part.state == "running" { "good" } else { "bad" };
            let note = match (&part.reason, part.external) {
                (Some(reason), _) => format!(" <span class=\"soft\">{}</span>", Escaped(reason)),
                (None, true) => " <span class=\"soft\">external</span>".to_owned(),
                (None, false) => String::new(),
            };
            format!(
                "<tr><td>{}</td><td class=\"{class}\">{}{note}</td><td><code>{}</code></td></tr>",
                Escaped(&part.name),
                part.state,
                Escaped(&part.address)
            )
        })
        .collect();
    section("Parts", "<th>Part</th><th>State</th><th>Address</th>", &rows, "Nothing runs.")
}

fn topics(snapshot: &Snapshot) -> String {
    let rows: Vec<String> = snapshot
        .topics
        .iter()
        .map(|topic| {
            format!(
                "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
                Escaped(&topic.name),
                topic.partitions_count,
                count_text(u64::try_from(topic.records_count).unwrap_or(0))
            )
        })
        .collect();
    let head = "<th>Topic</th><th class=\"number\">Partitions</th><th class=\"number\">Records</th>";
    section("Topics", head, &rows, "No topic yet: <code>tidemill topic create NAME</code>")
}

fn connectors(snapshot: &Snapshot) -> String {
    let rows: Vec<String> = snapshot.connectors.iter().map(connector).collect();
    let head = "<th>Connector</th><th>State</th><th>Tasks</th><th class=\"number\">Lag</th>";
    section("Connectors", head, &rows, "No connector yet: <code>tidemill connect apply FILE</code>")
}

fn connector(connector: &Connector) -> String {
    let class = |state: &str| match state {
        "RUNNING" => "good",
        "FAILED" => "bad",
        _ => "soft",
    };
    let tasks = connector
        .tasks
        .iter()
        .map(|(id, state)| format!("<span class=\"{}\">{id} {}</span> ", class(state), Escaped(state)));
    let tasks: String = tasks.collect();
    let trace = connector
        .trace
        .as_ref()
        .map_or_else(String::new, |trace| format!("<div class=\"bad\">{}</div>", Escaped(trace)));
    let lag = connector.lag.map_or("–".to_owned(), |lag| count_text(u64::try_from(lag).unwrap_or(0)));
    format!(
        "<tr><td><code>{}</code></td><td class=\"{}\">{}</td><td>{tasks}{trace}</td><td class=\"number\">{lag}</td></tr>",
        Escaped(&connector.name),
        class(&connector.state),
        Escaped(&connector.state)
    )
}

fn subjects(snapshot: &Snapshot) -> String {
    let rows: Vec<String> = snapshot
        .subjects
        .iter()
        .map(|name| format!("<tr><td><code>{}</code></td></tr>", Escaped(name)))
        .collect();
    section(
        "Subjects",
        "<th>Subject</th>",
        &rows,
        "No schema yet: <code>tidemill schema register NAME</code>",
    )
}
