//! One property of a flat schema, compiled: which types, which values. What it cannot express makes the schema not flat.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};

use super::format;
use crate::errors::shorten;

/// A set of the types that a flat property may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Types(u8);

impl Types {
    pub(crate) const NULL: Types = Types(1);
    pub(crate) const BOOLEAN: Types = Types(2);
    pub(crate) const INTEGER: Types = Types(4);
    pub(crate) const NUMBER: Types = Types(8);
    pub(crate) const STRING: Types = Types(16);

    pub(crate) fn has(self, types: Types) -> bool {
        self.0 & types.0 != 0
    }

    /// These and no others but null.
    pub(crate) fn are(self, types: Types) -> bool {
        self.0 & !Types::NULL.0 == types.0
    }

    fn of(word: &str) -> Option<Types> {
        Some(match word {
            "null" => Types::NULL,
            "boolean" => Types::BOOLEAN,
            "integer" => Types::INTEGER,
            "number" => Types::NUMBER,
            "string" => Types::STRING,
            _ => return None,
        })
    }

    /// `integer or null`, as an error says it.
    pub(crate) fn words(self) -> String {
        let all = [
            (Types::INTEGER, "integer"),
            (Types::NUMBER, "number"),
            (Types::BOOLEAN, "boolean"),
            (Types::STRING, "string"),
            (Types::NULL, "null"),
        ];
        let words: Vec<&str> =
            all.iter().filter(|(types, _)| self.has(*types)).map(|(_, word)| *word).collect();
        words.join(" or ")
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    fn of(json: &Json) -> Option<Number> {
        let number = json.as_number()?;
        match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), _, _) => Some(Number::Int(int.into())),
            (None, Some(int), _) => Some(Number::Int(int.into())),
            (None, None, Some(float)) => Some(Number::Float(float)),
            (None, None, None) => None,
        }
    }

    /// Exact, also where one is an integer that a float cannot hold.
    fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a.cmp(&b),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Number::Int(a), Number::Float(b)) => compare_mixed(a, b),
            (Number::Float(a), Number::Int(b)) => compare_mixed(b, a).reverse(),
        }
    }
}

fn compare_mixed(int: i128, float: f64) -> Ordering {
    const BEYOND: f64 = 1e37; // Every integer from JSON here has 64 bits, so this is far outside.
    if float >= BEYOND {
        return Ordering::Less;
    }
    if float <= -BEYOND {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    int.cmp(&(whole as i128)).then(0.0f64.partial_cmp(&(float - whole)).unwrap_or(Ordering::Equal))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Date,
    Time,
    DateTime,
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Format::Date => "date",
            Format::Time => "time",
            Format::DateTime => "date-time",
        }
    }

    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Format::Date => format::is_date(text),
            Format::Time => format::is_time(text),
            Format::DateTime => format::is_date_time(text),
        }
    }
}

/// Everything a flat property may ask for.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: Box<str>,
    pub(crate) types: Types,
    pub(crate) required: bool,
    /// Allowed texts; a null among the values is kept in `types`.
    pub(crate) values: Option<Box<[Box<str>]>>,
    minimum: Option<(Number, bool)>,
    maximum: Option<(Number, bool)>,
    length_min: Option<usize>,
    length_max: Option<usize>,
    format: Option<Format>,
    /// From draft 6 on `1.0` is an integer.
    pub(crate) whole_floats: bool,
    pub(crate) bounded: bool,
}

/// Words of a property that ask for nothing.
const SILENT: [&str; 13] = [
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "readOnly",
    "writeOnly",
    "deprecated",
    "connect.type",
    "connect.index",
    "connect.version",
    "connect.parameters",
    "connect.doc",
];

impl Rule {
    /// `None` where the property asks for more than a rule can hold.
    pub(crate) fn compile(name: &str, json: &Json, required: bool, whole_floats: bool) -> Option<Rule> {
        let object = json.as_object()?;
        let mut rule = Rule::bare(name, types_of(object)?, required, whole_floats);
        for (key, value) in object {
            match key.as_str() {
                "type" => {}
                "enum" => rule.restrict(value.as_array()?)?,
                "minimum" if whole_floats => rule.raise(Number::of(value)?, false),
                "maximum" if whole_floats => rule.lower(Number::of(value)?, false),
                "exclusiveMinimum" if whole_floats => rule.raise(Number::of(value)?, true),
                "exclusiveMaximum" if whole_floats => rule.lower(Number::of(value)?, true),
                "minLength" => rule.length_min = Some(usize::try_from(value.as_u64()?).ok()?),
                "maxLength" => rule.length_max = Some(usize::try_from(value.as_u64()?).ok()?),
                "format" => rule.format = Some(format_of(value.as_str()?)?),
                silent if SILENT.contains(&silent) => {}
                _ => return None,
            }
        }
        rule.bounded = rule.minimum.is_some() || rule.maximum.is_some();
        Some(rule)
    }

    /// A rule with types alone: what a column is read as where the full validator decides the rest.
    pub(crate) fn loose(name: &str, json: &Json, required: bool) -> Rule {
        let types = json.as_object().and_then(types_of).unwrap_or(Types(Types::STRING.0 | Types::NULL.0));
        Rule::bare(name, types, required, true)
    }

    fn bare(name: &str, types: Types, required: bool, whole_floats: bool) -> Rule {
        Rule {
            name: name.into(),
            types,
            required,
            values: None,
            minimum: None,
            maximum: None,
            length_min: None,
            length_max: None,
            format: None,
            whole_floats,
            bounded: false,
        }
    }

    /// Only texts and null: numbers compare by value and are left to the full validator.
    fn restrict(&mut self, values: &[Json]) -> Option<()> {
        let texts =
            values.iter().filter(|value| !value.is_null()).map(|value| value.as_str().map(Into::into));
        self.values = Some(texts.collect::<Option<Vec<Box<str>>>>()?.into());
        let null = self.types.0 & (Types::NULL.0 * u8::from(values.iter().any(Json::is_null)));
        // Another type never equals a text, so only these two can pass.
        self.types = Types(self.types.0 & Types::STRING.0 | null);
        Some(())
    }

    fn raise(&mut self, bound: Number, exclusive: bool) {
        let stricter = |(old, _): (Number, bool)| bound.compare(old) == Ordering::Greater;
        let same = self.minimum.is_some_and(|(old, _)| exclusive && bound.compare(old) == Ordering::Equal);
        if same || self.minimum.is_none_or(stricter) {
            self.minimum = Some((bound, exclusive));
        }
    }

    fn lower(&mut self, bound: Number, exclusive: bool) {
        let stricter = |(old, _): (Number, bool)| bound.compare(old) == Ordering::Less;
        let same = self.maximum.is_some_and(|(old, _)| exclusive && bound.compare(old) == Ordering::Equal);
        if same || self.maximum.is_none_or(stricter) {
            self.maximum = Some((bound, exclusive));
        }
    }

    pub(crate) fn takes_integer(&self, number: i128) -> bool {
        self.types.has(Types(Types::INTEGER.0 | Types::NUMBER.0)) && self.in_bounds(Number::Int(number))
    }

    pub(crate) fn takes_float(&self, number: f64) -> bool {
        let typed = self.types.has(Types::NUMBER)
            || (self.whole_floats && self.types.has(Types::INTEGER) && number.fract() == 0.0);
        typed && self.in_bounds(Number::Float(number))
    }

    pub(crate) fn takes_text(&self, text: &str) -> bool {
        self.types.has(Types::STRING)
            && self.values.as_ref().is_none_or(|values| values.iter().any(|value| **value == *text))
            && self.format.is_none_or(|format| format.fits(text))
            && (self.length_min.is_none() && self.length_max.is_none() || self.length_fits(text))
    }

    /// The format of texts of which nothing else is asked; `None`: more is.
    pub(crate) fn texts_of_any_length(&self) -> Option<Option<Format>> {
        let is_any = self.values.is_none() && self.length_min.is_none() && self.length_max.is_none();
        is_any.then_some(self.format)
    }

    fn length_fits(&self, text: &str) -> bool {
        let length = text.chars().count();
        self.length_min.is_none_or(|min| length >= min) && self.length_max.is_none_or(|max| length <= max)
    }

    fn in_bounds(&self, number: Number) -> bool {
        if !self.bounded {
            return true;
        }
        let above = self.minimum.is_none_or(|(bound, exclusive)| match number.compare(bound) {
            Ordering::Greater => true,
            Ordering::Equal => !exclusive,
            Ordering::Less => false,
        });
        above
            && self.maximum.is_none_or(|(bound, exclusive)| match number.compare(bound) {
                Ordering::Less => true,
                Ordering::Equal => !exclusive,
                Ordering::Greater => false,
            })
    }

    /// All that the rule asks for, in words.
    pub(crate) fn expected(&self) -> String {
        let mut words = self.types.words();
        if let Some(values) = &self.values {
            let list: Vec<&str> = values.iter().map(|value| &**value).collect();
            words = format!("one of {}", shorten(&list.join(", "), 120));
            if self.types.has(Types::NULL) {
                words += " or null";
            }
        }
        if let Some(format) = self.format {
            words += &format!(" ({})", format.word());
        }
        let bound = |bound: &Option<(Number, bool)>, inclusive: &str, exclusive: &str| {
            bound.map(|(number, is_exclusive)| {
                let sign = if is_exclusive { exclusive } else { inclusive };
                match number {
                    Number::Int(number) => format!(" {sign} {number}"),
                    Number::Float(number) => format!(" {sign} {number}"),
                }
            })
        };
        words += &bound(&self.minimum, ">=", ">").unwrap_or_default();
        words += &bound(&self.maximum, "<=", "<").unwrap_or_default();
        match (self.length_min, self.length_max) {
            (Some(min), Some(max)) => words += &format!(" of {min} to {max} characters"),
            (Some(min), None) => words += &format!(" of at least {min} characters"),
            (None, Some(max)) => words += &format!(" of at most {max} characters"),
            (None, None) => {}
        }
        words
    }
}

fn types_of(object: &Map<String, Json>) -> Option<Types> {
    match object.get("type")? {
        Json::String(word) => Types::of(word),
        Json::Array(words) => {
            let mut types = words.iter().map(|word| Types::of(word.as_str()?));
            types.try_fold(Types::default(), |all, types| Some(Types(all.0 | types?.0)))
        }
        _ => None,
    }
}

fn format_of(word: &str) -> Option<Format> {
    Some(match word {
        "date" => Format::Date,
        "time" => Format::Time,
        "date-time" => Format::DateTime,
        _ => return None,
    })
}
