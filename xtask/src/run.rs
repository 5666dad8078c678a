//! Running other programs, with their words kept for when they fail.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

static IS_LINTED: AtomicBool = AtomicBool::new(false);

/// From now on clippy compiles what is ours, and a warning ends the build.
///
/// `cargo clippy` would check every dependency first, for which it takes half as long as building them, and nothing goes on from that.
pub fn lint() {
    IS_LINTED.store(true, Ordering::Relaxed);
}

/// `cargo`, as the one that runs us, in the workspace's folder.
pub fn cargo(args: &[&str]) -> Command {
    let program = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let mut command = Command::new(&program);
    command.args(args).current_dir(root());
    if IS_LINTED.load(Ordering::Relaxed) {
        // As `cargo clippy -- -D warnings` says it to its compiler, which lies beside it.
        command.env("RUSTC_WORKSPACE_WRAPPER", program.with_file_name("clippy-driver"));
        command.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    }
    command
}

/// Runs it with our own stdout and stderr; says the command first, as a shell's `set -x` does.
pub fn show(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", line(command));
    let status = command.status().with_context(|| format!("cannot run {}", line(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

/// Runs it silently within `limit`, and gives its stdout; all it said is in the error where it fails.
pub fn quiet(command: &mut Command, limit: Duration) -> Result<String> {
    let said = line(command);
    let mut all = Command::new("timeout");
    all.arg("--kill-after=5").arg(limit.as_secs().to_string()).arg(command.get_program());
    all.args(command.get_args()).stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        all.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            all.env(name, value);
        }
    }
    let output = all.output().with_context(|| format!("cannot run {said}"))?;
    if output.status.code() == Some(124) {
        bail!("{said}: no end after {} s", limit.as_secs());
    }
    if !output.status.success() {
        let words = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let words = String::from_utf8_lossy(&words);
        let last: Vec<&str> = words.lines().rev().filter(|line| !line.trim().is_empty()).take(6).collect();
        bail!("{said}: {}\n    {}", output.status, last.into_iter().rev().collect::<Vec<_>>().join("\n    "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
