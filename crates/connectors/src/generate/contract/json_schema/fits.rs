//! Whether a value that the contract itself gives (of an `enum`, the name of a member) keeps the rest of it, as far as that is plain.

use serde_json::Value as Json;

use super::wish::{Wish, kinds, same};
use crate::generate::contract::pattern::Pattern;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    Unsure,
}

pub(super) fn kind_of(value: &Json) -> u8 {
    match value {
        Json::Null => kinds::NULL,
        Json::Bool(_) => kinds::BOOLEAN,
        Json::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => kinds::INTEGER,
        Json::Number(_) => kinds::FRACTION,
        Json::String(_) => kinds::STRING,
        Json::Array(_) => kinds::ARRAY,
        Json::Object(_) => kinds::OBJECT,
    }
}

impl Wish {
    pub(super) fn fits(&self, value: &Json) -> Fit {
        let is_known = self.known.as_ref().is_none_or(|known| known.iter().any(|one| same(one, value)));
        let is_excluded = self.excluded.iter().any(|one| same(one, value));
        if self.kinds & kind_of(value) == 0 || !is_known || is_excluded {
            return Fit::No;
        }
        match value {
            Json::Null | Json::Bool(_) => Fit::Yes,
            Json::Number(number) => self.fits_number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => self.fits_text(text),
            Json::Array(items) => {
                if !(self.items_min..=self.items_max).contains(&items.len()) {
                    return Fit::No;
                }
                unsure_if(
                    self.is_set
                        || !self.contains.is_empty()
                        || !self.lists.is_empty()
                        || self.more_items.is_some(),
                )
            }
            Json::Object(members) => {
                let count = members.len();
                let has_all = self.required.iter().all(|name| members.contains_key(name));
                if !has_all || !(self.members_min..=self.members_max).contains(&count) {
                    return Fit::No;
                }
                let is_open = self.objects.is_empty() && self.names.is_empty() && self.needs.is_empty();
                unsure_if(!is_open || self.more_members.is_some())
            }
        }
    }

    fn fits_number(&self, number: f64) -> Fit {
        let value =
            |decimal: super::super::number::Decimal| decimal.units as f64 / 10f64.powi(decimal.scale as i32);
        let above = self
            .number
            .lower
            .is_none_or(|(bound, is_open)| number > value(bound) || (!is_open && number == value(bound)));
        let below = self
            .number
            .upper
            .is_none_or(|(bound, is_open)| number < value(bound) || (!is_open && number == value(bound)));
        if above && below { unsure_if(!self.number.steps.is_empty()) } else { Fit::No }
    }

    fn fits_text(&self, text: &str) -> Fit {
        let chars = text.chars().count();
        if chars < self.chars_min || self.chars_max.is_some_and(|most| chars > most) {
            return Fit::No;
        }
        let mut fit = unsure_if(self.format.is_some() || self.is_base64 || self.is_json);
        for pattern in &self.patterns {
            match Pattern::matcher(pattern) {
                Some(matcher) if !matcher.is_match(text) => return Fit::No,
                Some(_) => {}
                None => fit = Fit::Unsure,
            }
        }
        fit
    }
}

fn unsure_if(is_unsure: bool) -> Fit {
    if is_unsure { Fit::Unsure } else { Fit::Yes }
}
