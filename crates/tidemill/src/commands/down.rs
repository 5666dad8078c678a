//! `tidemill down`: stops the environment of a project and waits until it is gone.

use std::time::{Duration, Instant};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use project::{Project, ProjectLock, Running};

use crate::{
    context::{Context, Failure},
    errors::Error,
};

#[derive(clap::Args)]
pub struct Args {}

/// Twice what the parts are given to stop.
const WAIT_MS_MAX: u64 = 10_000;
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub async fn run(_args: Args, context: &Context) -> Result<(), Failure> {
    let project = context.project()?;
    match stop(project).await? {
        Some(pid) => println!("stopped (process {pid})"),
        None => println!("no environment runs in {}", project.root.display()),
    }
    Ok(())
}

/// Stops what holds the project's lock; its process id, where there was one.
pub async fn stop(project: &Project) -> Result<Option<u32>, Failure> {
    let Some(pid) = ProjectLock::holder(project)? else {
        Running::remove(project);
        return Ok(None);
    };
    let process = i32::try_from(pid).map_or_else(|_| Pid::from_raw(i32::MAX), Pid::from_raw);
    // It may be gone by now, which is what is wanted.
    kill(process, Signal::SIGTERM).ok();
    let deadline = Instant::now() + Duration::from_millis(WAIT_MS_MAX);
    while ProjectLock::is_held(project) {
        if Instant::now() > deadline {
            return Err(Error::StillRunning { pid, waited_ms: WAIT_MS_MAX }.into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(Some(pid))
}
