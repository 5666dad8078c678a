//! Values as Python writes them, which is what Jinja prints, and Python's literals read back for native rendering.

use minijinja::{Value, value::ValueKind};

use super::values::{Clock, Day, Delta, Moment};

/// `str(value)`.
pub(super) fn text(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    if let Some(moment) = value.downcast_object_ref::<Moment>() {
        return moment.iso(' ');
    }
    if let Some(day) = value.downcast_object_ref::<Day>() {
        return day.0.to_string();
    }
    if let Some(clock) = value.downcast_object_ref::<Clock>() {
        return clock.iso();
    }
    if let Some(delta) = value.downcast_object_ref::<Delta>() {
        return crate::timetable::python_delta(delta.duration);
    }
    repr(value)
}

/// `repr(value)`: what stands in a list or a dict that is printed.
pub(super) fn repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => match (value.is_integer(), f64::try_from(value.clone())) {
            (false, Ok(number)) => float(number),
            (_, _) => value.to_string(),
        },
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<String> = value.try_iter().into_iter().flatten().map(|item| repr(&item)).collect();
            match (value.is_tuple(), items.len()) {
                (true, 1) => format!("({},)", items[0]),
                (true, _) => format!("({})", items.join(", ")),
                (false, _) => format!("[{}]", items.join(", ")),
            }
        }
        ValueKind::Map => {
            let entries = entries(value).into_iter();
            let entries: Vec<String> =
                entries.map(|(key, value)| format!("{}: {}", repr(&key), repr(&value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        ValueKind::Bytes | ValueKind::Plain | ValueKind::Invalid => plain(value),
        _ => value.to_string(),
    }
}

fn plain(value: &Value) -> String {
    if let Some(moment) = value.downcast_object_ref::<Moment>() {
        return moment.repr();
    }
    if let Some(day) = value.downcast_object_ref::<Day>() {
        return day.repr();
    }
    if let Some(delta) = value.downcast_object_ref::<Delta>() {
        return delta.repr();
    }
    value.to_string()
}

/// Keys and values of a map, in their order.
pub(super) fn entries(value: &Value) -> Vec<(Value, Value)> {
    match value.as_object() {
        Some(object) => object.try_iter_pairs().into_iter().flatten().collect(),
        None => Vec::new(),
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut result = String::with_capacity(text.len() + 2);
    result.push(quote);
    for c in text.chars() {
        match c {
            '\\' => result.push_str("\\\\"),
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            _ if c == quote => {
                result.push('\\');
                result.push(c);
            }
            _ if c.is_control() => result.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ => result.push(c),
        }
    }
    result.push(quote);
    result
}

/// `repr(float)`: 1.0, 1e+16, 1e-05, inf.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    let text = number.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// `json.dumps`: with spaces after `,` and `:`, keys sorted where that is asked for.
pub(super) fn json(value: &Value, is_sorted: bool, result: &mut String) {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => result.push_str("null"),
        ValueKind::Bool => result.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => result.push_str(&repr(value)),
        ValueKind::Seq | ValueKind::Iterable => {
            result.push('[');
            for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
                if index > 0 {
                    result.push_str(", ");
                }
                json(&item, is_sorted, result);
            }
            result.push(']');
        }
        ValueKind::Map => {
            let mut entries: Vec<(String, Value)> =
                entries(value).into_iter().map(|(key, value)| (text(&key), value)).collect();
            if is_sorted {
                entries.sort_by(|a, b| a.0.cmp(&b.0));
            }
            result.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    result.push_str(", ");
                }
                json_text(key, result);
                result.push_str(": ");
                json(value, is_sorted, result);
            }
            result.push('}');
        }
        _ => json_text(&text(value), result),
    }
}

fn json_text(text: &str, result: &mut String) {
    result.push('"');
    for c in text.chars() {
        match c {
            '"' => result.push_str("\\\""),
            '\\' => result.push_str("\\\\"),
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            '\u{8}' => result.push_str("\\b"),
            '\u{c}' => result.push_str("\\f"),
            ' '..='~' => result.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    result.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    result.push('"');
}

/// Nesting of a literal that is read back.
const DEPTH_MAX: usize = 64;

/// `ast.literal_eval`: a literal, or nothing.
pub(super) fn literal(text: &str) -> Option<Value> {
    if text.starts_with([' ', '\t']) {
        return None;
    }
    let mut reader = Literal { rest: text.trim_end() };
    let value = reader.value(0)?;
    // `1, 2` is a tuple without brackets.
    if reader.take(',') {
        let mut items = vec![value];
        while !reader.rest.is_empty() {
            items.push(reader.value(0)?);
            if !reader.take(',') {
                break;
            }
        }
        return reader.rest.is_empty().then(|| Value::from(items));
    }
    reader.rest.is_empty().then_some(value)
}

struct Literal<'a> {
    rest: &'a str,
}

impl Literal<'_> {
    fn take(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.rest = self.rest.trim_start();
        let next = self.rest.chars().next()?;
        match next {
            '\'' | '"' => self.text(next),
            '[' => self.items('[', ']', depth).map(|(items, _)| Value::from(items)),
            '(' => {
                let (mut items, has_comma) = self.items('(', ')', depth)?;
                if items.len() == 1 && !has_comma { items.pop() } else { Some(Value::from(items)) }
            }
            '{' => self.braces(depth),
            _ => self.word(),
        }
    }

    fn items(&mut self, open: char, close: char, depth: usize) -> Option<(Vec<Value>, bool)> {
        self.take(open);
        let (mut items, mut has_comma) = (Vec::new(), false);
        while !self.take(close) {
            items.push(self.value(depth + 1)?);
            has_comma = self.take(',');
            if !has_comma && !self.rest.starts_with(close) {
                return None;
            }
        }
        Some((items, has_comma))
    }

    /// A dict, or a set, which is a list here.
    fn braces(&mut self, depth: usize) -> Option<Value> {
        self.take('{');
        let (mut entries, mut items) = (Vec::new(), Vec::new());
        while !self.take('}') {
            let key = self.value(depth + 1)?;
            if self.take(':') {
                entries.push((key, self.value(depth + 1)?));
            } else {
                items.push(key);
            }
            if !self.take(',') && !self.rest.starts_with('}') {
                return None;
            }
        }
        match (entries.is_empty(), items.is_empty()) {
            (_, true) => Some(Value::from_pairs(entries)),
            (true, false) => Some(Value::from(items)),
            (false, false) => None,
        }
    }

    fn text(&mut self, quote: char) -> Option<Value> {
        let mut result = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((index, c)) = chars.next() {
            match c {
                '\n' => return None,
                '\\' => match chars.next()?.1 {
                    'n' => result.push('\n'),
                    't' => result.push('\t'),
                    'r' => result.push('\r'),
                    '\n' => {}
                    c @ ('\\' | '\'' | '"') => result.push(c),
                    other => {
                        result.push('\\');
                        result.push(other);
                    }
                },
                _ if c == quote => {
                    self.rest = &self.rest[index + 1..];
                    return Some(Value::from(result));
                }
                _ => result.push(c),
            }
        }
        None
    }

    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find([',', ']', ')', '}', ':', ' ', '\n', '\t']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "None" => return Some(Value::from(())),
            "True" => return Some(Value::from(true)),
            "False" => return Some(Value::from(false)),
            _ => {}
        }
        let digits = word.trim_start_matches(['-', '+']);
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || word.len() - digits.len() > 1 {
            return None;
        }
        let plain = word.replace('_', "");
        let has_leading_zero =
            digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        if let Ok(number) = plain.parse::<i64>() {
            let is_zero = number == 0;
            return (!has_leading_zero || is_zero).then(|| Value::from(number));
        }
        let is_float =
            digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-' | b'_'));
        plain.parse::<f64>().ok().filter(|_| is_float).map(Value::from)
    }
}
