//! Processes that an earlier life left behind when it was killed: they are ended before anything is started, so that no
//! task runs twice at the same time.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// In the environment of every process of a task; its value names the scheduler's state folder.
pub const MARK: &str = "TIDEMILL_TASK_OF";

/// A killed process is gone within milliseconds; one that hangs in the kernel is not waited for longer.
const GONE_MS_MAX: u64 = 2_000;

/// Ends all processes whose environment has our mark, and says how many. Where the system shows no environments, none are found.
pub fn end_orphans(mark: &str) -> usize {
    let wanted = format!("{MARK}={mark}");
    let (began, limit) = (Instant::now(), Duration::from_millis(GONE_MS_MAX));
    let mut ended = BTreeSet::new();
    // Again until none is found: one of them may start another while we look.
    loop {
        let found = marked(&wanted);
        if found.is_empty() || began.elapsed() >= limit {
            return ended.len();
        }
        for pid in &found {
            kill(Pid::from_raw(*pid), Signal::SIGKILL).ok();
        }
        while found.iter().any(|pid| !is_over(*pid)) && began.elapsed() < limit {
            thread::sleep(Duration::from_millis(1));
        }
        ended.extend(found);
    }
}

/// The processes that have this variable, without our own.
fn marked(wanted: &str) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let is_wanted = |pid: &i32| {
        u32::try_from(*pid).is_ok_and(|pid| pid != std::process::id())
            && fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
            })
    };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(is_wanted).collect()
}

/// Whether nothing is left of it, its files and locks too: it is gone, or only waits for its parent to take note.
fn is_over(pid: i32) -> bool {
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return true };
    // `PID (NAME) STATE …`: the name may hold anything, what follows no parenthesis.
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
    state.is_none_or(|state| matches!(state, b'Z' | b'X'))
}
