//! Where figures go: the screen, `benches/RESULTS.md` (the latest of each bench), `benches/history.jsonl` (all of them).

use std::{collections::BTreeMap, fs, io::Write, process::Command, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};

use crate::run::{quiet, root};

/// One line of a table: what was measured, ours, theirs, and how they compare.
pub struct Line {
    pub what: String,
    pub ours: f64,
    pub theirs: Option<f64>,
    pub unit: &'static str,
    /// Where less is better.
    pub less: bool,
    /// What was to be reached, in words.
    pub goal: &'static str,
    /// Between what the factor lies by its rounds, where there are some.
    pub within: Option<[f64; 2]>,
}

impl Line {
    /// How many times better we are; below 1 we are worse.
    pub fn factor(&self) -> Option<f64> {
        self.theirs.map(|theirs| if self.less { theirs / self.ours } else { self.ours / theirs })
    }

    /// In a line on the screen.
    pub fn told(&self) -> String {
        let theirs = self.theirs.map_or_else(|| "-".to_owned(), number);
        let factor = self.factor().map_or_else(String::new, |factor| format!(", {factor:.2}x"));
        format!("{}: {} against {theirs} {}{factor}", self.what, number(self.ours), self.unit)
    }

    fn row(&self) -> String {
        let theirs = self.theirs.map_or_else(|| "-".to_owned(), number);
        let factor = match (self.factor(), self.within) {
            (None, _) => "-".to_owned(),
            (Some(factor), None) => format!("{factor:.1}x"),
            (Some(factor), Some([least, most])) => format!("{factor:.2}x ({least:.2} to {most:.2})"),
        };
        format!(
            "| {} ({}) | {} | {theirs} | {factor} | {} |\n",
            self.what,
            self.unit,
            number(self.ours),
            self.goal
        )
    }
}

fn number(value: f64) -> String {
    if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

/// Prints the table, puts it in the place of the bench's last one, and adds a line to the history.
pub fn publish(bench: &str, title: &str, note: &str, lines: &[Line]) -> Result<()> {
    let mut section = format!("## {bench}: {title}\n\n{}\n\n{note}\n\n", conditions()?);
    section += "| What | Tidemill | Peer | Better by | To reach |\n|---|---|---|---|---|\n";
    for line in lines {
        section += &line.row();
    }
    println!("\n{section}");
    let path = root().join("benches/RESULTS.md");
    let mut sections = BTreeMap::new();
    let old = fs::read_to_string(&path).unwrap_or_default();
    for part in old.split("\n## ").skip(1) {
        let name = part.split(':').next().unwrap_or("").to_owned();
        sections.insert(name, format!("## {}\n", part.trim_end()));
    }
    sections.insert(bench.to_owned(), format!("{}\n", section.trim_end()));
    let head = "# Results\n\nWritten by `cargo xtask bench`: both sides in one run on one machine, alternately. A figure short of what was\n\
                to be reached stands here as it is. `benches/history.jsonl` has every run.\n\n";
    fs::write(&path, head.to_owned() + &sections.into_values().collect::<Vec<_>>().join("\n"))?;
    let figures: Vec<Value> = lines
        .iter()
        .map(|line| json!({"what": line.what, "unit": line.unit, "ours": line.ours, "theirs": line.theirs}))
        .collect();
    let line = json!({"bench": bench, "commit": commit(), "machine": conditions()?, "figures": figures});
    let history = root().join("benches/history.jsonl");
    writeln!(fs::OpenOptions::new().create(true).append(true).open(history)?, "{line}")?;
    Ok(())
}

fn commit() -> String {
    quiet(
        Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()),
        Duration::from_secs(5),
    )
    .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn conditions() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{cores} cores ({}), commit {}, Apache Kafka 4.3.1, OpenJDK 17.",
        model.unwrap_or("unknown"),
        commit()
    ))
}
