//! BashOperator: `bash -c`, its last line of output as what it returns, exit code 99 as skipped.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use crate::{
    dag::Arg,
    executor::{Attempt, Done, Ended, Failure, Program},
};

const SKIP_CODE_DEFAULT: i64 = 99;

pub fn run(attempt: &mut Attempt) -> Result<Done, Failure> {
    let (ended, last) = bash(attempt)?;
    match ended {
        Ended::Code(0) => Ok(Done::Success(Value::from(last))),
        Ended::Code(code) if skip_codes(attempt).contains(&i64::from(code)) => {
            Ok(Done::Skipped(format!("Bash command returned exit code {code}. Skipping.")))
        }
        Ended::Code(code) => Err(Failure::new(format!(
            "Bash command failed. The command returned a non-zero exit code {code}."
        ))),
        Ended::Signal(signal) => {
            Err(Failure::new(format!("Bash command failed. It was ended by signal {signal}.")))
        }
    }
}

/// Whether it ended with 0; any other code means: not yet.
pub fn poke(attempt: &mut Attempt) -> Result<bool, Failure> {
    let retry_code = attempt.arg("retry_exit_code").and_then(Arg::as_i64);
    match bash(attempt)?.0 {
        Ended::Code(0) => Ok(true),
        Ended::Code(code) if retry_code.is_none_or(|retry| retry == i64::from(code)) => Ok(false),
        Ended::Code(code) => Err(Failure::for_good(format!("Command exited with return code {code}."))),
        Ended::Signal(signal) => Err(Failure::new(format!("The command was ended by signal {signal}."))),
    }
}

fn bash(attempt: &mut Attempt) -> Result<(Ended, String), Failure> {
    let command = attempt.text("bash_command").unwrap_or_default();
    let mut environment = match attempt.arg("env") {
        Some(Arg::Map(given)) => {
            let given: BTreeMap<String, String> = given
                .iter()
                .map(|(name, value)| (name.clone(), crate::executor::as_text(value).unwrap_or_default()))
                .collect();
            // Without a PATH of its own it still finds our commands, as it would find Airflow's.
            let mut environment = match attempt.flag("append_env", false) {
                true => attempt.inherited_environment(),
                false => BTreeMap::from([("PATH".to_owned(), attempt.shared.path.clone())]),
            };
            environment.extend(given);
            environment
        }
        _none => attempt.inherited_environment(),
    };
    environment.extend(attempt.own_environment());
    let (folder, ours) = folder(attempt)?;
    attempt.say("info", &format!("Running command: ['bash', '-c', {command:?}]"));
    let program = Program {
        program: "bash".to_owned(),
        args: vec!["-c".to_owned(), command],
        environment,
        folder: folder.clone(),
        input: None,
    };
    let mut last = String::new();
    let ended = super::python::run_program(attempt, program, "bash", |line| last = line.to_owned());
    if ours {
        fs::remove_dir_all(folder).ok();
    }
    Ok((ended?, last))
}

/// The folder that was asked for, or one of its own that goes away afterwards.
fn folder(attempt: &Attempt) -> Result<(PathBuf, bool), Failure> {
    if let Some(folder) = attempt.text("cwd") {
        let folder = PathBuf::from(folder);
        if !folder.is_dir() {
            return Err(Failure::new(format!("Can not find the cwd: {}", folder.display())));
        }
        return Ok((folder, false));
    }
    let folder = attempt.shared.options.state_folder.join("work").join(attempt.instance.id.to_string());
    fs::create_dir_all(&folder)?;
    Ok((folder, true))
}

fn skip_codes(attempt: &Attempt) -> Vec<i64> {
    match attempt.arg("skip_on_exit_code") {
        None => vec![SKIP_CODE_DEFAULT],
        Some(Arg::Int(code)) => vec![*code],
        Some(Arg::List(codes)) => codes.iter().filter_map(Arg::as_i64).collect(),
        Some(_none) => Vec::new(),
    }
}
