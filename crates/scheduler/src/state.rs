//! The states of runs and task instances, in Airflow's words.

use crate::dag::words;

words! {
    RunState {
        Queued = "queued",
        Running = "running",
        Success = "success",
        Failed = "failed",
    }
}

words! {
    RunKind {
        Scheduled = "scheduled",
        Manual = "manual",
        /// By a task of another DAG.
        OperatorTriggered = "operator_triggered",
        Backfill = "backfill",
    }
}

words! {
    /// `None` in an `Option<TaskState>` is Airflow's state without a name: nothing was decided yet.
    TaskState {
        Scheduled = "scheduled",
        Queued = "queued",
        Running = "running",
        /// Cleared while it ran: it is killed, and then starts anew.
        Restarting = "restarting",
        UpForRetry = "up_for_retry",
        UpForReschedule = "up_for_reschedule",
        Success = "success",
        Failed = "failed",
        Skipped = "skipped",
        UpstreamFailed = "upstream_failed",
        /// The task is no longer in the DAG, or the instance no longer in the mapping.
        Removed = "removed",
    }
}

words! {
    Reprocess {
        None = "none",
        Failed = "failed",
        Completed = "completed",
    }
}

impl RunState {
    pub fn is_finished(self) -> bool {
        match self {
            RunState::Success | RunState::Failed => true,
            RunState::Queued | RunState::Running => false,
        }
    }
}

impl TaskState {
    pub fn is_finished(self) -> bool {
        match self {
            TaskState::Success
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::UpstreamFailed
            | TaskState::Removed => true,
            TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Restarting
            | TaskState::UpForRetry
            | TaskState::UpForReschedule => false,
        }
    }

    pub fn is_failed(self) -> bool {
        matches!(self, TaskState::Failed | TaskState::UpstreamFailed)
    }

    /// Occupies a process and slots of its pool.
    pub fn is_running(self) -> bool {
        matches!(self, TaskState::Running | TaskState::Restarting)
    }
}
