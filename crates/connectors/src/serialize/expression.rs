//! Expressions over a record's fields, as `--key` and `--partitioner` take them: templates like `{{ region }}-{{ id % 8 }}`.

use std::sync::Arc;

use base::code;
use minijinja::{Environment, UndefinedBehavior, Value};

use super::Error;
use crate::record::Refusal;

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Expression {
    text: Arc<str>,
    environment: Arc<Environment<'static>>,
}

const NAME: &str = "expression";

impl Expression {
    /// Whether a text is one, and not a field's name or a word.
    pub fn is_one(text: &str) -> bool {
        text.contains("{{") || text.contains("{%")
    }

    /// # Errors
    /// `Error::Expression`: it does not compile.
    pub fn compile(option: &'static str, text: &str) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| Error::Expression {
            option,
            text: text.to_owned(),
            reason: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
        })?;
        Ok(Self { text: text.into(), environment: Arc::new(environment) })
    }

    pub(super) fn text_of(&self, record: &Value) -> Result<String, Refusal> {
        let template = self.environment.get_template(NAME);
        template.and_then(|template| template.render(record)).map_err(|error| {
            let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            self.refusal(&why)
        })
    }

    /// A partition's number.
    pub(super) fn number_of(&self, record: &Value) -> Result<i32, Refusal> {
        let text = self.text_of(record)?;
        let number = text.trim().parse::<i32>().ok().filter(|number| *number >= 0);
        number.ok_or_else(|| self.refusal(&format!("it gives {:?}, which is no partition", text.trim())))
    }

    fn refusal(&self, why: &str) -> Refusal {
        Refusal { at: 0, code: code::TM1474, reason: format!("{}: {why}", self.text) }
    }
}
