//! A program of a task: its environment, its output line by line, its end.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Command, Stdio},
};

use base::crash_point;

use super::Cancel;

/// A longer line is logged in pieces.
const LINE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug)]
pub struct Program {
    pub program: String,
    pub args: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub folder: PathBuf,
    /// What it reads from its standard input.
    pub input: Option<String>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Signal(i32),
}

impl Program {
    /// Runs it to its end; gives every line of its output, whichever stream it came on, as it comes.
    pub fn run(
        self,
        cancel: &Cancel,
        started: impl FnOnce(u32),
        mut line: impl FnMut(&str),
    ) -> io::Result<Ended> {
        let (output, writer) = io::pipe()?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.folder).env_clear().envs(&self.environment);
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(writer.try_clone()?).stderr(writer);
        // A group of its own, so that it can be ended with all that it started. Nothing here keeps the spawn from being a
        // vfork: a fork would copy our page tables for every task.
        command.process_group(0);
        let mut child = command.spawn()?;
        drop(command); // and with it our end of the pipe, or the output would never end
        crash_point("scheduler.task.spawned");
        cancel.set_process(i32::try_from(child.id()).unwrap_or(0));
        started(child.id());
        if let (Some(input), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // Small enough for the pipe, or read at once by our own runner.
            stdin.write_all(input.as_bytes()).ok();
        }
        let mut reader = BufReader::new(output);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                break;
            }
            line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']));
        }
        let status = child.wait()?;
        crash_point("scheduler.task.ended");
        cancel.set_process(0);
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, signal) => Ended::Signal(signal.unwrap_or(0)),
        })
    }
}
