//! The problem nearest to the cause of a failed transfer: the rooms' errors lie in boxes, one within the other.

use std::error::Error as StdError;

use base::{Problem, problem::chain};

/// The last error of the chain that has a code.
pub fn deepest<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a dyn Problem> {
    chain(error).filter_map(problem).last()
}

fn problem<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a dyn Problem> {
    fn is<'a, P: Problem>(error: &'a (dyn StdError + 'static)) -> Option<&'a dyn Problem> {
        error.downcast_ref::<P>().map(|problem| problem as &dyn Problem)
    }
    is::<crate::commands::load::Hindrance>(error)
        .or_else(|| is::<pipelines::Error>(error))
        .or_else(|| is::<pipelines::TablesError>(error))
        .or_else(|| is::<connectors::kafka::Error>(error))
        .or_else(|| is::<connectors::files::Error>(error))
        .or_else(|| is::<connectors::generate::Error>(error))
        .or_else(|| is::<connectors::http::Error>(error))
        .or_else(|| is::<connectors::mapping::Error>(error))
        .or_else(|| is::<connectors::serialize::Error>(error))
        .or_else(|| is::<connectors::rows::Error>(error))
        .or_else(|| is::<connectors::mongodb::Error>(error))
        .or_else(|| is::<connectors::dynamodb::Error>(error))
        .or_else(|| is::<connectors::firestore::Error>(error))
        .or_else(|| is::<connectors::objects::Error>(error))
        .or_else(|| is::<connectors::output::Error>(error))
        .or_else(|| is::<cloud::Error>(error))
        .or_else(|| is::<cloud::registry::Failed>(error))
        .or_else(|| is::<contracts::Error>(error))
        .or_else(|| is::<formats::Error>(error))
        .or_else(|| is::<engine::Error>(error))
}
