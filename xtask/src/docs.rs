//! `cargo xtask docs`: pages that are printed from the tables in the code, so that they cannot say something else.

mod examples;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::run::root;

#[derive(clap::Args)]
pub struct Args {
    /// Only say which pages would change
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> Result<()> {
    if args.check {
        return check();
    }
    for (path, text) in pages()? {
        fs::create_dir_all(path.parent().context("a page lies in a folder")?)?;
        fs::write(&path, text)?;
        eprintln!("wrote {}", path.display());
    }
    // The broker prints its own page from its table; the test that writes it is the one that compares.
    let mut broker = Command::new("cargo");
    broker.args(["test", "-q", "-p", "tidemill-broker", "--lib", "the_page_is_what_the_table_says"]);
    let written = broker.env("TIDEMILL_WRITE_DOCS", "1").current_dir(root()).status()?;
    if written.success() { Ok(()) } else { bail!("the broker's page of APIs could not be written") }
}

pub fn check() -> Result<()> {
    let stale: Vec<String> = pages()?
        .into_iter()
        .filter(|(path, text)| fs::read_to_string(path).unwrap_or_default() != *text)
        .map(|(path, _)| path.display().to_string())
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    bail!("run `cargo xtask docs`; these pages say something else than the code: {}", stale.join(", "))
}

/// One row of the list in `base/src/problem.rs`: `TM0412 Settings "title";`.
pub struct Row {
    pub id: String,
    pub exit: String,
    pub title: String,
}

pub fn error_codes() -> Result<Vec<Row>> {
    let source = fs::read_to_string(root().join("crates/base/src/problem.rs"))?;
    let list = source.split("\ncodes! {").nth(1).context("problem.rs has no list of codes")?;
    let list = list.split("\n}").next().context("the list of codes has no end")?;
    let mut rows = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| line.starts_with("TM")) {
        let mut words = line.splitn(3, ' ');
        let (id, exit, title) = (words.next(), words.next(), words.next());
        let title = title.context("a code has a title")?.trim_matches(|c| c == '"' || c == ';');
        let (id, exit) = (id.context("a code has an id")?, exit.context("a code has an exit")?);
        rows.push(Row { id: id.to_owned(), exit: exit.to_owned(), title: title.to_owned() });
    }
    Ok(rows)
}

fn pages() -> Result<BTreeMap<PathBuf, String>> {
    let mut pages = examples::pages()?;
    pages.insert(root().join("docs/errors/README.md"), error_index()?);
    pages.insert(root().join("docs/settings.md"), settings()?);
    Ok(pages)
}

fn error_index() -> Result<String> {
    let exits = BTreeMap::from([
        ("OurBug", "1, a bug of ours"),
        ("Usage", "2, usage"),
        ("Settings", "3, settings"),
        ("Denied", "4, denied"),
        ("Unreachable", "5, unreachable"),
        ("DataRefused", "6, data refused"),
        ("PartFailed", "7, a part failed"),
        ("Interrupted", "130, interrupted"),
    ]);
    let mut page = String::from(
        "# Errors\n\nEvery error names its code; each code has a page that says what it means, what usually causes it and\n\
         how to mend that. The middle column is the exit code of a command that fails so; 0 is success.\n\
         Printed from the list in `crates/base/src/problem.rs` by `cargo xtask docs`.\n\n\
         | Code | Exit | What happened |\n|---|---|---|\n",
    );
    for row in error_codes()? {
        let exit = exits.get(row.exit.as_str()).with_context(|| format!("{}: no such exit", row.exit))?;
        page += &format!("| [{id}]({id}.md) | {exit} | {} |\n", row.title, id = row.id);
    }
    Ok(page)
}

/// From the commented file of defaults: the comment above a key says what it is.
fn settings() -> Result<String> {
    let text = fs::read_to_string(root().join("crates/project/src/defaults.yaml"))?;
    let mut page = String::from(
        "# Settings\n\nA flag (`--set key=value`) wins over the environment (`TIDEMILL_SECTION_KEY`), that over `.env`, that over\n\
         `tidemill.yaml`, that over these defaults. `tidemill config explain KEY` tells which of them won.\n\
         Printed from `crates/project/src/defaults.yaml` by `cargo xtask docs`.\n",
    );
    let (mut section, mut comment) = (String::new(), String::new());
    for line in text.lines() {
        let body = line.trim_start();
        if let Some(words) = body.strip_prefix("# ").or_else(|| body.strip_prefix('#')) {
            comment += if comment.is_empty() { "" } else { " " };
            comment += words;
        } else if let Some((key, value)) = body.split_once(':') {
            if body.len() == line.len() {
                section = key.to_owned();
                page += &format!("\n## {section}\n\n| Key | Default | What it is |\n|---|---|---|\n");
            } else {
                let value = value.trim();
                let value = if value.is_empty() || value == "\"\"" {
                    "*empty*".to_owned()
                } else {
                    format!("`{value}`")
                };
                page += &format!("| `{section}.{key}` | {value} | {} |\n", comment.replace('|', "\\|"));
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    Ok(page)
}
