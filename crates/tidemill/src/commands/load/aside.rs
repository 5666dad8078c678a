//! Refused records of a load into files: kept with the load's id, and the load with its arguments, so that they can be sent again.
//!
//! Its files appear at its end, or not at all: whatever ends it before takes its dead letters away, which come again with the next
//! run. A kill leaves them, and a load that is to be begun anew.

use std::sync::Arc;

use base::Schema;
use connectors::{received::WithColumns, rows::Planned};
use engine::{DeadLetters, dead_letters::FileDeadLetters};

use super::{Args, OnBad, dead_letter_folder, input::Input, objects::Files, state::State};
use crate::{
    commands::dead_letters,
    context::{Context, Failure},
};

pub(super) struct Aside {
    letters: Arc<FileDeadLetters>,
    state: Option<State>,
}

impl Aside {
    /// `None`: a bad record ends the load. `state`: that of a load that was killed, and begins anew.
    pub(super) async fn begin(
        args: &Args,
        context: &Context,
        files: &Files,
        (input, columns): (&Input, Option<&Schema>),
        state: Option<State>,
    ) -> Result<Option<Self>, Failure> {
        if args.on_error == OnBad::Stop {
            return Ok(None);
        }
        let folder = dead_letter_folder(args, context, files.name())?;
        let mut state = match state {
            Some(state) => Some(state),
            None => State::begin(context, files.name(), files.shown(), None)?,
        };
        let Some(state_of) = &mut state else {
            return Ok(Some(Self { letters: Arc::new(FileDeadLetters::at(&folder)), state: None }));
        };
        if state_of.is_second_life() {
            dead_letters::forget(&folder, state_of.id())?;
            state_of.compare(input, true).await?;
        }
        state_of.keep_files(columns)?;
        let letters = Arc::new(FileDeadLetters::of_load(&folder, state_of.id().into()));
        Ok(Some(Self { letters, state }))
    }

    /// Where refused records go: those of CSV with their columns.
    pub(super) fn letters(&self, input: &Input, planned: Vec<Planned>) -> Arc<dyn DeadLetters> {
        match input.columns(planned, true) {
            Some(find) => Arc::new(WithColumns::new(self.letters.clone(), find)),
            None => self.letters.clone(),
        }
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.letters.folder()
    }

    /// The load is over; `rejected_count`: `None` where its files are not there.
    pub(super) fn end(self, rejected_count: Option<u64>) -> Result<(), Failure> {
        let Some(state) = self.state else { return Ok(()) };
        if let Some(count) = rejected_count {
            return state.finish(count > 0);
        }
        dead_letters::forget(self.letters.folder(), state.id())?;
        state.remove()
    }
}
