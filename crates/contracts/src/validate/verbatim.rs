//! Texts that JSON writes as they stand: told without making a value of them.

use super::{
    json::is_plain,
    rule::{Format, Rule, Types},
};

/// What nearly all texts of a column are. A text that is none is the rule's to decide over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verbatim {
    Integer,
    Number,
    Text(Option<Format>),
}

/// Digits of a whole number that has at most 64 bits, and is a finite float, whatever they are.
const DIGITS_MAX: usize = 18;

impl Verbatim {
    /// `None`: the rule asks for more than a type, or for one of several.
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        if rule.bounded {
            return None;
        }
        if rule.types.are(Types::INTEGER) {
            return Some(Verbatim::Integer);
        }
        if rule.types.are(Types::NUMBER) {
            return Some(Verbatim::Number);
        }
        let format = rule.texts_of_any_length()?;
        rule.types.are(Types::STRING).then_some(Verbatim::Text(format))
    }

    /// Whether the text was written.
    pub(super) fn write(self, text: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            Verbatim::Integer | Verbatim::Number => {
                let is_it = is_number(text, self == Verbatim::Number);
                if is_it {
                    out.extend_from_slice(text);
                }
                is_it
            }
            Verbatim::Text(format) => {
                let fits = |format: Format| std::str::from_utf8(text).is_ok_and(|text| format.fits(text));
                let is_it = is_plain(text) && format.is_none_or(fits);
                if is_it {
                    out.push(b'"');
                    out.extend_from_slice(text);
                    out.push(b'"');
                }
                is_it
            }
        }
    }
}

/// Whether it is a number as our JSON has it: no plus, no zeros in front, no negative zero that is whole.
fn is_number(text: &[u8], may_have_fraction: bool) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole == 0 || whole > DIGITS_MAX || (unsigned[0] == b'0' && whole > 1) {
        return false;
    }
    match &unsigned[whole..] {
        [] => unsigned[0] != b'0' || unsigned.len() == text.len(),
        [b'.', digits @ ..] => {
            may_have_fraction && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::validate::{float, row::write_cell};

    fn text() -> impl Strategy<Value = String> {
        let texts =
            ["", "-", "0", "-0", "-0.0", "00", "007", "+7", "1.", ".5", "1e3", "inf", "9223372036854775808"];
        let times = ["2013-01-31", "2013-02-30", "2013-01-31T10:00:00Z", "10:00:00Z"];
        let all = texts.into_iter().chain(times).map(str::to_owned).collect::<Vec<_>>();
        prop_oneof![prop::sample::select(all), ".{0,20}", "[ -~]{0,20}", "-?[0-9]{1,20}(\\.[0-9]{0,9})?"]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn what_stands_as_it_is_is_what_the_rule_writes(
            word in prop::sample::select(vec!["integer", "number", "string"]),
            more in prop::sample::select(vec![json!({}), json!({ "format": "date" }), json!({ "format": "date-time" }),
                json!({ "format": "time" }), json!({ "minimum": 5 }), json!({ "maxLength": 3 }), json!({ "enum": ["a"] })]),
            is_nullable: bool,
            text in text(),
        ) {
            let mut property = more;
            property["type"] = if is_nullable { json!([word, "null"]) } else { json!(word) };
            let rule = Rule::compile("a", &property, true, true).unwrap();
            let mut out = b"kept".to_vec();
            if Verbatim::of(&rule).is_some_and(|verbatim| verbatim.write(text.as_bytes(), &mut out)) {
                let mut asked = b"kept".to_vec();
                write_cell(&rule, text.as_bytes(), &mut asked).unwrap();
                prop_assert_eq!(out, asked);
            } else {
                prop_assert_eq!(out, b"kept");
            }
        }

        #[test]
        fn plain_texts_are_written_as_they_are(text in text()) {
            let is_same = serde_json::to_string(&text).unwrap() == format!("\"{text}\"") && text.is_ascii();
            prop_assert_eq!(is_plain(text.as_bytes()), is_same);
        }

        #[test]
        fn short_decimals_are_the_nearest_floats(text in "-?[0-9]{1,12}\\.[0-9]{0,12}") {
            let nearest: f64 = text.parse().unwrap();
            prop_assert_eq!(float(text.as_bytes()).map(f64::to_bits), Some(nearest.to_bits()));
        }
    }
}
