//! `tidemill up` as a process of its own: started, watched until it is ready, tied to the life of its parent or not.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use project::{Project, Running};

use crate::{
    context::{Context, Failure},
    errors::{Error, Told},
};

/// How long the environment may take to be ready: recovery of a large log after kill -9 is the longest.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What is shown of the log when it did not start.
const LOG_SHOWN_BYTES_MAX: usize = 4_000;

/// A child that runs `tidemill up`.
#[derive(Debug)]
pub struct Background {
    child: Child,
    /// While it is open the child lives; one byte sets it free.
    tie: Option<ChildStdin>,
    log: PathBuf,
}

impl Background {
    /// Starts `up` with `arguments` in a process group of its own, its output in `.tidemill/up.log`. A `tied` one ends
    /// when this process does, however that happens.
    pub fn spawn(
        context: &Context,
        project: &Project,
        arguments: &[String],
        tied: bool,
    ) -> Result<Self, Failure> {
        let log = project.state_folder()?.join("up.log");
        let open = || -> io::Result<(File, File)> {
            let file = File::create(&log)?;
            Ok((file.try_clone()?, file))
        };
        let (stdout, stderr) = open().map_err(|source| Error::Write { path: log.clone(), source })?;
        let program =
            std::env::current_exe().map_err(|source| Error::Spawn { program: "tidemill".into(), source })?;
        let mut command = Command::new(&program);
        command.arg("--project").arg(&project.root);
        for flag in &context.global().set {
            command.arg("--set").arg(flag);
        }
        command.args((0..context.verbose()).map(|_| "-v"));
        command.arg("up").args(arguments);
        if tied {
            command.arg("--until-stdin-closes");
        }
        command.current_dir(&project.root).stdout(stdout).stderr(stderr);
        command.stdin(if tied { Stdio::piped() } else { Stdio::null() });
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|source| Error::Spawn { program, source })?;
        let tie = child.stdin.take();
        Ok(Self { child, tie, log })
    }

    /// What it started, as soon as all of it is ready; else why it is not.
    pub async fn ready(&mut self, project: &Project) -> Result<Running, Failure> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(running) = Running::of_process(project, self.child.id()) {
                return Ok(running);
            }
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
                Ok(None) => {
                    self.child.kill().ok();
                    self.child.wait().ok();
                    return Err(self.failure("it was not ready in time"));
                }
                Ok(Some(status)) => return Err(self.failure(&format!("it ended with {status}"))),
                Err(error) => return Err(self.failure(&error.to_string())),
            }
        }
    }

    fn failure(&self, otherwise: &str) -> Failure {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let text = text.trim();
        let tail = (0..=text.len())
            .rev()
            .filter(|at| text.is_char_boundary(*at))
            .find(|at| text.len() - at >= LOG_SHOWN_BYTES_MAX);
        let shown = &text[tail.unwrap_or(0)..];
        let told = Told(if shown.is_empty() { otherwise.to_owned() } else { shown.to_owned() });
        Error::Detached { log: self.log.clone(), source: told }.into()
    }

    /// Unties it: it lives on when this process ends.
    pub fn set_free(mut self) {
        if let Some(mut tie) = self.tie.take() {
            tie.write_all(b"k").and_then(|()| tie.flush()).ok();
        }
    }

    /// Asks it to end, and waits for that.
    pub async fn stop(&mut self, wait: Duration) -> bool {
        drop(self.tie.take());
        let deadline = Instant::now() + wait;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.child.kill().ok();
        self.child.wait().is_ok()
    }
}
