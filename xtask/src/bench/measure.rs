//! What a process used: CPU seconds and its highest resident memory, as Linux tells in /proc.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// Nothing that is measured takes as long.
const WHOLE_MAX: Duration = Duration::from_secs(3600);

/// What one or several processes used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub cpu_seconds: f64,
    /// Highest so far.
    pub memory_mib_max: f64,
    /// Now.
    pub memory_mib: f64,
}

impl Used {
    /// Of these processes together, each with all its threads.
    pub fn by(pids: &[u32]) -> Result<Used> {
        let mut used = Used::default();
        for pid in pids {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
            let after_name = stat.rsplit(')').next().unwrap_or("");
            let fields: Vec<&str> = after_name.split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
            // utime and stime are fields 14 and 15; the state, field 3, is our first. Linux counts 100 a second.
            used.cpu_seconds += (ticks(11) + ticks(12)) / 100.0;
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            used.memory_mib_max += kib(&status, "VmHWM:") / 1024.0;
            used.memory_mib += kib(&status, "VmRSS:") / 1024.0;
        }
        Ok(used)
    }

    /// CPU since `earlier`; memory as it is.
    pub fn since(self, earlier: Used) -> Used {
        Used { cpu_seconds: self.cpu_seconds - earlier.cpu_seconds, ..self }
    }
}

fn kib(status: &str, field: &str) -> f64 {
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

/// Whether a Kafka broker answers ApiVersions there.
pub fn kafka_answers(address: &str) -> bool {
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        // Length 10; key 18, version 0, correlation id 1, no client id.
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
        let mut answer = [0; 10];
        stream.read_exact(&mut answer)?;
        if answer[8..10] == [0, 0] { Ok(()) } else { Err(std::io::Error::other("an error code")) }
    };
    ask().is_ok()
}

/// Status and body, from a server on this machine.
pub fn http(method: &str, address: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let answer = testkit::try_http(method, &format!("http://{address}{path}"), body)?;
    Ok((answer.status, answer.body))
}

/// What one process took from its start to its end.
#[derive(Debug, Clone)]
pub struct Ended {
    pub seconds: f64,
    /// The most that it held in memory, as Linux accounts for an ended child.
    pub memory_mib_max: f64,
    /// Of all its threads, in user and system.
    pub cpu_seconds: f64,
    pub stdout: String,
}

/// Runs a command to its end; what it said is in the error where it fails.
pub fn whole(command: &mut Command) -> Result<Ended> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut stdout, mut stderr) =
        (child.stdout.take().context("a pipe")?, child.stderr.take().context("a pipe")?);
    let _watch = watch(child.id());
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).ok();
        text
    });
    let mut text = String::new();
    stdout.read_to_string(&mut text)?;
    let mut status = 0;
    // SAFETY: all zero is a valid rusage, a plain struct of numbers.
    #[expect(unsafe_code, reason = "std tells no child's memory")]
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pid is our own child's, which nobody has waited for; both pointers live through the call.
    #[expect(unsafe_code, reason = "std tells no child's memory")]
    let waited = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage) };
    let seconds = start.elapsed().as_secs_f64();
    let errors = errors.join().unwrap_or_default();
    ensure!(
        waited > 0 && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "{command:?}: {text}{errors}"
    );
    let of = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu_seconds = of(usage.ru_utime) + of(usage.ru_stime);
    Ok(Ended { seconds, memory_mib_max: usage.ru_maxrss as f64 / 1024.0, cpu_seconds, stdout: text })
}

/// Kills a process after `WHOLE_MAX`, unless what this gives is dropped before: who waits for what never comes would hold up the bench.
fn watch(pid: u32) -> Sender<()> {
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        if end.recv_timeout(WHOLE_MAX) == Err(RecvTimeoutError::Timeout) {
            let pid = nix::unistd::Pid::from_raw(pid as i32);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
        }
    });
    ended
}

/// The middle one.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Where the median of all that could be measured lies, 19 times of 20, whatever their distribution: each number lies below or above it
/// as a coin falls (the sign test). Of so few that this says nothing, from the least to the most: 15 times of 16 with five.
pub fn median_within(mut numbers: Vec<f64>) -> Option<[f64; 2]> {
    numbers.sort_by(f64::total_cmp);
    let count = numbers.len();
    let (mut tail, mut share, mut skipped) = (0.0, 0.5_f64.powi(i32::try_from(count).ok()?), 0);
    while skipped < count / 2 {
        tail += share;
        if 2.0 * tail > 0.05 {
            break;
        }
        share *= (count - skipped) as f64 / (skipped + 1) as f64;
        skipped += 1;
    }
    let last = skipped.max(1);
    Some([*numbers.get(last - 1)?, *numbers.get(count.checked_sub(last)?)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_where_the_tables_of_the_sign_test_say() {
        let numbers = |count: u32| (1..=count).rev().map(f64::from).collect::<Vec<_>>();
        let within = |count| median_within(numbers(count)).unwrap();
        assert_eq!(
            [within(1), within(5), within(6), within(8), within(9), within(15), within(20)],
            [[1.0, 1.0], [1.0, 5.0], [1.0, 6.0], [1.0, 8.0], [2.0, 8.0], [4.0, 12.0], [6.0, 15.0]]
        );
        assert!(median_within(vec![]).is_none());
        assert_eq!(median(numbers(15)), 8.0);
    }
}
