//! What `check` finds: one message each, with code, place, reason and what to do.

use std::{error::Error, fmt};

use base::{Code, Problem, Spot, problem::causes};

/// A mistake, or a warning where things may still work.
#[derive(Debug)]
pub(super) struct Finding {
    pub code: Code,
    pub message: String,
    pub spot: Option<Spot>,
    pub help: String,
    pub is_warning: bool,
    pub because: Option<Because>,
}

/// The reason in words of whoever was asked.
#[derive(Debug)]
pub(super) struct Because(pub String);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Because {}

impl Finding {
    pub(super) fn mistake(
        code: Code,
        message: impl Into<String>,
        spot: Option<Spot>,
        help: impl Into<String>,
    ) -> Self {
        Self { code, message: message.into(), spot, help: help.into(), is_warning: false, because: None }
    }

    pub(super) fn warning(
        code: Code,
        message: impl Into<String>,
        spot: Option<Spot>,
        help: impl Into<String>,
    ) -> Self {
        Self { is_warning: true, ..Self::mistake(code, message, spot, help) }
    }

    pub(super) fn because(mut self, reason: impl Into<String>) -> Self {
        self.because = Some(Because(reason.into()));
        self
    }

    /// Another crate's problem, as it is.
    pub(super) fn of(problem: &dyn Problem) -> Self {
        let reasons: Vec<String> = causes(problem).map(ToString::to_string).collect();
        let finding = Self::mistake(problem.code(), problem.to_string(), problem.spot(), problem.help());
        if reasons.is_empty() { finding } else { finding.because(reasons.join(": ")) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_warning { "warning: " } else { "" })?;
        f.write_str(&self.message)
    }
}

impl Error for Finding {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.because.as_ref().map(|because| because as &(dyn Error + 'static))
    }
}

impl Problem for Finding {
    fn code(&self) -> Code {
        self.code
    }

    fn spot(&self) -> Option<Spot> {
        self.spot.clone()
    }

    fn help(&self) -> String {
        self.help.clone()
    }
}

/// What has been found and what has been proven, in their order.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub findings: Vec<Finding>,
    /// What was looked at, and what holds.
    pub proven: Vec<(String, String)>,
}

impl Report {
    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn holds(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.proven.push((what.into(), why.into()));
    }

    pub(super) fn errors_count(&self) -> usize {
        self.findings.iter().filter(|finding| !finding.is_warning).count()
    }
}
