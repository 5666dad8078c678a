//! Airflow's trigger rules: whether a task may run, given how many instances of its upstream tasks ended how.
//!
//! Follows `TriggerRuleDep` of Airflow 3: first what the rule decides at once (skipped, upstream_failed, removed), then
//! whether it is met.

use crate::{dag::TriggerRule, state::TaskState};

/// Instances of all upstream tasks of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Instances there are, ended or not.
    pub total: usize,
    pub success: usize,
    pub skipped: usize,
    pub failed: usize,
    pub upstream_failed: usize,
    pub removed: usize,
}

impl Upstream {
    pub fn add(&mut self, state: Option<TaskState>) {
        self.total += 1;
        match state {
            Some(TaskState::Success) => self.success += 1,
            Some(TaskState::Skipped) => self.skipped += 1,
            Some(TaskState::Failed) => self.failed += 1,
            Some(TaskState::UpstreamFailed) => self.upstream_failed += 1,
            Some(TaskState::Removed) => self.removed += 1,
            Some(
                TaskState::Scheduled
                | TaskState::Queued
                | TaskState::Running
                | TaskState::Restarting
                | TaskState::UpForRetry
                | TaskState::UpForReschedule,
            )
            | None => {}
        }
    }

    pub fn merge(&mut self, other: &Upstream) {
        self.total += other.total;
        self.success += other.success;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.upstream_failed += other.upstream_failed;
        self.removed += other.removed;
    }

    pub fn done(&self) -> usize {
        self.success + self.skipped + self.failed + self.upstream_failed + self.removed
    }

    fn any_failed(&self) -> bool {
        self.failed + self.upstream_failed > 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Wait,
    Run,
    /// It will never run: this is its state.
    End(TaskState),
}

/// What the rule says of an instance with this map index.
pub fn judge(rule: TriggerRule, upstream: &Upstream, map_index: i32) -> Verdict {
    if upstream.total == 0 || rule == TriggerRule::Always {
        return Verdict::Run;
    }
    if let Some(state) = decided(rule, upstream, map_index) {
        return Verdict::End(state);
    }
    if met(rule, upstream) { Verdict::Run } else { Verdict::Wait }
}

fn decided(rule: TriggerRule, upstream: &Upstream, map_index: i32) -> Option<TaskState> {
    let all_done = upstream.done() >= upstream.total;
    let skip = |yes: bool| yes.then_some(TaskState::Skipped);
    let fail = |yes: bool| yes.then_some(TaskState::UpstreamFailed);
    match rule {
        TriggerRule::AllSuccess => {
            let gone = map_index > -1 && upstream.removed > 0 && upstream.success > 0;
            let gone = gone && usize::try_from(map_index).is_ok_and(|index| index >= upstream.success);
            fail(upstream.any_failed()).or(skip(upstream.skipped > 0)).or(gone.then_some(TaskState::Removed))
        }
        TriggerRule::AllFailed => skip(upstream.success + upstream.skipped > 0),
        TriggerRule::OneSuccess => {
            skip(all_done && upstream.done() == upstream.skipped).or(fail(all_done && upstream.success == 0))
        }
        TriggerRule::OneFailed => skip(all_done && !upstream.any_failed()),
        TriggerRule::OneDone => skip(all_done && upstream.failed + upstream.success == 0),
        TriggerRule::NoneFailed => fail(upstream.any_failed()),
        TriggerRule::NoneFailedMinOneSuccess => fail(upstream.any_failed())
            .or(skip(upstream.skipped == upstream.total))
            .or(fail(all_done && upstream.success == 0)),
        TriggerRule::NoneSkipped => skip(upstream.skipped > 0),
        TriggerRule::AllSkipped => skip(upstream.success > 0 || upstream.any_failed()),
        TriggerRule::AllDoneMinOneSuccess => {
            skip(upstream.skipped > 0).or(fail(all_done && upstream.success == 0))
        }
        // Without setup tasks, which the file format has not, it is `all_done`.
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess | TriggerRule::Always => None,
    }
}

fn met(rule: TriggerRule, upstream: &Upstream) -> bool {
    let all_done = upstream.done() >= upstream.total;
    match rule {
        TriggerRule::AllSuccess => upstream.success + upstream.removed >= upstream.total,
        TriggerRule::AllFailed => {
            upstream.failed + upstream.upstream_failed + upstream.removed >= upstream.total
        }
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess => all_done,
        TriggerRule::AllDoneMinOneSuccess => all_done && upstream.success > 0,
        TriggerRule::OneSuccess => upstream.success > 0,
        TriggerRule::OneFailed => upstream.any_failed(),
        TriggerRule::OneDone => upstream.success + upstream.failed > 0,
        TriggerRule::NoneFailed => upstream.success + upstream.skipped + upstream.removed >= upstream.total,
        TriggerRule::NoneFailedMinOneSuccess => {
            upstream.success > 0 && upstream.success + upstream.skipped + upstream.removed >= upstream.total
        }
        TriggerRule::NoneSkipped => all_done && upstream.skipped == 0,
        TriggerRule::AllSkipped => upstream.skipped >= upstream.total,
        TriggerRule::Always => true,
    }
}

#[cfg(test)]
mod tests;
