//! Processes that an earlier life left behind when it was killed: they are ended before anything is started, so that no
//! task runs twice at the same time.

use std::{
    fs,
    path::Path,
    thread,
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
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let mut ended = Vec::new();
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if u32::try_from(pid).is_ok_and(|pid| pid == std::process::id()) {
            continue;
        }
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
            ended.push(entry.path());
        }
    }
    let began = Instant::now();
    while ended.iter().any(|process| has_memory(process))
        && began.elapsed() < Duration::from_millis(GONE_MS_MAX)
    {
        thread::sleep(Duration::from_millis(1));
    }
    ended.len()
}

/// Whether it still runs: one that waits for its parent to take note of its end has no environment any more.
fn has_memory(process: &Path) -> bool {
    fs::read(process.join("environ")).is_ok_and(|environment| !environment.is_empty())
}
