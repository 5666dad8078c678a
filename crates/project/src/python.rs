//! Texts as Python's standard library reads and writes them, which Airflow's connections and variables are made of:
//! `json.dumps`, `quote`, `unquote`, `parse_qsl`.

use std::fmt::Write;

use serde_json::Value;

/// `json.dumps(value, indent=…)`: spaces behind separators, nothing but ASCII.
pub(crate) fn json_dumps(value: &Value, indent: Option<usize>) -> String {
    let mut text = String::new();
    write_value(value, indent, 0, &mut text);
    text
}

fn write_value(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Object(entries) if entries.is_empty() => out.push_str("{}"),
        Value::Array(items) => {
            out.push('[');
            for (row, item) in items.iter().enumerate() {
                separate(row, indent, depth + 1, out);
                write_value(item, indent, depth + 1, out);
            }
            close(']', indent, depth, out);
        }
        Value::Object(entries) => {
            out.push('{');
            for (row, (name, value)) in entries.iter().enumerate() {
                separate(row, indent, depth + 1, out);
                write_text(name, out);
                out.push_str(": ");
                write_value(value, indent, depth + 1, out);
            }
            close('}', indent, depth, out);
        }
    }
}

fn separate(row: usize, indent: Option<usize>, depth: usize, out: &mut String) {
    if row > 0 {
        out.push(',');
    }
    match indent {
        Some(width) => {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', width * depth));
        }
        None if row > 0 => out.push(' '),
        None => {}
    }
}

fn close(bracket: char, indent: Option<usize>, depth: usize, out: &mut String) {
    if let Some(width) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', width * depth));
    }
    out.push(bracket);
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for one in text.chars() {
        match one {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(one),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").ok();
                }
            }
        }
    }
    out.push('"');
}

/// `quote(text, safe="")`.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            write!(quoted, "%{byte:02X}").ok();
        }
    }
    quoted
}

/// `quote_plus(text)`, as `urlencode` calls it.
pub(crate) fn quote_plus(text: &str) -> String {
    quote(text).replace("%20", "+")
}

/// `unquote(text)`: what is no escape stays, what is no UTF-8 is replaced.
pub(crate) fn unquote(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// `parse_qsl(query, keep_blank_values=True)`.
pub(crate) fn parse_qsl(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let read = |text: &str| unquote(&text.replace('+', " "));
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (read(name), read(value))
        })
        .collect()
}
