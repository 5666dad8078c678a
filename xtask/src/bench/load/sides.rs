//! Runs the sides of a row in turn, and puts ours beside each of the others.

use anyhow::Result;

use super::Plan;
use crate::bench::{
    measure::{Ended, median},
    report::Line,
};

/// Who takes part: a name, records of a round, and a run of it by the round's number.
pub(super) struct Side<'a> {
    name: &'static str,
    amount: u64,
    run: Box<dyn FnMut(usize) -> Result<Ended> + 'a>,
}

pub(super) fn side<'a>(
    name: &'static str,
    amount: u64,
    run: impl FnMut(usize) -> Result<Ended> + 'a,
) -> Side<'a> {
    Side { name, amount, run: Box::new(run) }
}

/// What a side did in all rounds.
pub(super) struct Runs {
    pub(super) name: &'static str,
    pub(super) ended: Vec<Ended>,
    /// Records, or bytes, of one round.
    pub(super) amount: f64,
}

impl Runs {
    pub(super) fn rate(&self) -> f64 {
        self.amount / median(self.ended.iter().map(|one| one.seconds).collect())
    }

    fn memory_mib(&self) -> f64 {
        self.ended.iter().map(|one| one.memory_mib_max).fold(0.0, f64::max)
    }

    /// CPU seconds of a million records, so that sides of other amounts compare.
    fn cpu_seconds(&self) -> f64 {
        median(self.ended.iter().map(|one| one.cpu_seconds).collect()) / self.amount * 1e6
    }
}

/// All rounds of all sides; the first side is ours.
pub(super) fn run(plan: &Plan, mut sides: Vec<Side<'_>>) -> Result<Vec<Runs>> {
    let one = |side: &Side<'_>| Runs { name: side.name, ended: Vec::new(), amount: side.amount as f64 };
    let mut runs: Vec<Runs> = sides.iter().map(one).collect();
    for round in 0..plan.rounds {
        for (side, kept) in sides.iter_mut().zip(&mut runs) {
            let ended = (side.run)(round)?;
            eprintln!(
                "  round {round}: {} {:.2} s, {:.0} MiB",
                side.name, ended.seconds, ended.memory_mib_max
            );
            kept.ended.push(ended);
        }
    }
    Ok(runs)
}

/// The first side against each other: rate with its goal, then CPU and memory against all of them.
pub(super) fn lines(
    what: &str,
    unit: &'static str,
    runs: &[Runs],
    goals: &[&'static str],
    memory: &'static str,
) -> Vec<Line> {
    let Some((ours, others)) = runs.split_first() else { return Vec::new() };
    let mut lines = Vec::new();
    for (peer, goal) in others.iter().zip(goals) {
        let line = |figure: &str, unit, less, ours, theirs, goal| Line {
            what: format!("{what}, {}{figure}", peer.name),
            ours,
            theirs: Some(theirs),
            unit,
            less,
            goal,
            within: None,
        };
        lines.push(line("", unit, false, ours.rate(), peer.rate(), goal));
        let (ours_cpu, theirs_cpu) = (ours.cpu_seconds(), peer.cpu_seconds());
        lines.push(line(": CPU of a million", "s", true, ours_cpu, theirs_cpu, ""));
        lines.push(line(": highest memory", "MiB", true, ours.memory_mib(), peer.memory_mib(), memory));
    }
    lines
}
