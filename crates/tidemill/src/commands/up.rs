//! `tidemill up`: starts the environment of a project and keeps it until it is told to stop.

use std::time::Instant;

use base::{Clock, SystemClock, units::seconds_text};
use chrono::DateTime;
use project::{Project, ProjectLock, Running};
use tokio::{
    io::AsyncReadExt,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    background::Background,
    context::{Context, Failure},
    environment::{self, Plan},
    errors::Error,
    identities,
};

#[derive(clap::Args)]
pub struct Args {
    /// Start only these parts: s3, dynamodb, broker, registry, rest, connect, scheduler, console
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<String>,
    /// Return when all is ready; `tidemill down` stops it
    #[arg(long)]
    detach: bool,
    /// Where a port is in use, take a free one; `tidemill status` tells which
    #[arg(long)]
    free_ports: bool,
    /// End when standard input closes without a byte: how a parent ties the environment to its own life
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let began = Instant::now();
    let project = context.project()?;
    if args.detach {
        return detach(&args, context, project, began).await;
    }
    let mut signals = Signals::listen()?;
    let since = DateTime::from_timestamp_millis(SystemClock.now_ms()).unwrap_or_default();
    let lock = ProjectLock::take(project, &format!("started {}", since.format("%F %T UTC")))?;
    Running::remove(project); // what a killed one left
    let plan = Plan::new(project, &args.only, args.free_ports)?;
    identities::check(project, plan.own_s3().as_deref()).await?;
    let stop_ms_max = u64::try_from(project.settings.milliseconds("environment.stop_ms_max")?).unwrap_or(0);
    let mut environment = tokio::select! {
        started = environment::start(project, &plan) => started?,
        () = signals.any() => return Err(Error::Interrupted.into()),
    };
    let running = environment.running();
    running.write(project)?;
    print(context, project, &running, began);
    let ended = tokio::select! {
        () = signals.any() => Ok(()),
        () = untied(), if args.until_stdin_closes => Ok(()),
        error = environment.failed() => Err(error),
    };
    Running::remove(project);
    environment.stop(stop_ms_max).await;
    drop(lock);
    Ok(ended?)
}

async fn detach(args: &Args, context: &Context, project: &Project, began: Instant) -> Result<(), Failure> {
    let mut arguments = Vec::new();
    if !args.only.is_empty() {
        arguments.extend(["--only".to_owned(), args.only.join(",")]);
    }
    if args.free_ports {
        arguments.push("--free-ports".to_owned());
    }
    // A folder that is held is told before the holder's log is overwritten.
    drop(ProjectLock::take(project, "looking")?);
    let mut signals = Signals::listen()?;
    let mut background = Background::spawn(context, project, &arguments, true)?;
    let ready = tokio::select! {
        ready = background.ready(project) => Some(ready),
        () = signals.any() => None,
    };
    let Some(ready) = ready else {
        background.stop(std::time::Duration::from_secs(6)).await;
        return Err(Error::Interrupted.into());
    };
    let running = ready?;
    background.set_free();
    print(context, project, &running, began);
    Ok(())
}

/// Ctrl-C, and what `down`, init systems and shells send.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on these no longer kill the process.
    pub fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|source| Error::Runtime { source });
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    pub async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Comes back when the parent is gone; never when it has sent a byte before.
async fn untied() {
    let mut byte = [0_u8; 1];
    if matches!(tokio::io::stdin().read(&mut byte).await, Ok(1)) {
        std::future::pending::<()>().await;
    }
}

fn print(context: &Context, project: &Project, running: &Running, began: Instant) {
    if context.is_json() {
        println!("{}", serde_json::json!({ "pid": running.pid, "parts": running.parts }));
        return;
    }
    println!("ready in {} ({})", seconds_text(began.elapsed().as_secs_f64()), project.root.display());
    for (name, part) in &running.parts {
        let note = if part.external { "  external" } else { "" };
        println!("  {name:<9} {}{note}", shown(name, &part.address));
    }
    println!("`tidemill status` shows it, `tidemill down` stops it");
}

/// An address as one would paste it: URLs for what speaks HTTP.
pub fn shown(part: &str, address: &str) -> String {
    match part {
        "broker" => address.to_owned(),
        _ if address == "aws" => "AWS".to_owned(),
        _ => console::url(address),
    }
}
