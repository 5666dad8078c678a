//! What a setting's value has to look like, and how people write sizes and times. Each key's kind stands in brackets in
//! `defaults.yaml`.

use std::net::{SocketAddr, ToSocketAddrs};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `127.0.0.1:9092`, `localhost:9092`.
    Address,
    Text,
    Secret,
    /// `512`, `64 MiB`, `1GB`; -1 where there is no bound.
    Bytes,
    /// `500`, `500 ms`, `7 d`; -1 where there is no bound.
    Milliseconds,
    Count,
    /// 0: none at all.
    CountOrNone,
    Boolean,
    /// Words separated by commas.
    List,
    OneOf(Vec<String>),
    /// An open map of client properties: each entry is a key of its own.
    Properties,
    /// An open map of secrets: names and what only they know.
    Secrets,
}

impl Kind {
    /// From the text in brackets; `None` where there is no such kind.
    pub(crate) fn parse(text: &str) -> Option<Kind> {
        Some(match text {
            "host:port" => Kind::Address,
            "text" => Kind::Text,
            "secret" => Kind::Secret,
            "bytes" => Kind::Bytes,
            "milliseconds" => Kind::Milliseconds,
            "count" => Kind::Count,
            "count or 0" => Kind::CountOrNone,
            "boolean" => Kind::Boolean,
            "list" => Kind::List,
            "properties" => Kind::Properties,
            "secrets" => Kind::Secrets,
            words if words.contains('|') => {
                Kind::OneOf(words.split('|').map(|word| word.trim().to_owned()).collect())
            }
            _ => return None,
        })
    }

    /// What it has to look like, for an error: `expected …`.
    pub fn expected(&self) -> String {
        match self {
            Kind::Address => "an address such as 127.0.0.1:9092".to_owned(),
            Kind::Text | Kind::Secret => "a text".to_owned(),
            Kind::Bytes => "a size such as 1048576, 64 MiB or 1 GB (-1: no bound)".to_owned(),
            Kind::Milliseconds => "a time such as 500, 500 ms, 30 s or 7 d (-1: no bound)".to_owned(),
            Kind::Count => "a whole number from 1 on".to_owned(),
            Kind::CountOrNone => "a whole number; 0: none".to_owned(),
            Kind::Boolean => "true or false".to_owned(),
            Kind::List => "words separated by commas".to_owned(),
            Kind::OneOf(words) => words.join(" or "),
            Kind::Properties => "a map of client properties".to_owned(),
            Kind::Secrets => "a map of names and secrets".to_owned(),
        }
    }

    /// Whether its entries are keys of their own, whatever their names.
    pub fn is_open(&self) -> bool {
        matches!(self, Kind::Properties | Kind::Secrets)
    }

    /// Whether `text` is a value of this kind.
    pub(crate) fn takes(&self, text: &str) -> bool {
        match self {
            Kind::Address => address(text).is_some(),
            Kind::Text | Kind::Secret | Kind::List => true,
            Kind::Bytes => bytes(text).is_some(),
            Kind::Milliseconds => milliseconds(text).is_some(),
            Kind::Count => text.parse::<u32>().is_ok_and(|count| count > 0),
            Kind::CountOrNone => text.parse::<u32>().is_ok(),
            Kind::Boolean => matches!(text, "true" | "false"),
            Kind::OneOf(words) => words.iter().any(|word| word == text),
            Kind::Properties | Kind::Secrets => false,
        }
    }
}

/// `host:port`; a name is only looked up among local ones, so that reading settings never waits for a name server.
pub fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    match host {
        "localhost" => Some(SocketAddr::from(([127, 0, 0, 1], port))),
        "" | "*" => Some(SocketAddr::from(([0, 0, 0, 0], port))),
        _ => (host, port).to_socket_addrs().ok()?.next(),
    }
}

/// `1 KiB` (or `1K`) is 1,024 bytes, `1 KB` 1,000; without a unit: bytes.
pub fn bytes(text: &str) -> Option<i64> {
    let (number, unit) = split_unit(text)?;
    number.checked_mul(if unit.is_empty() { 1 } else { unit_bytes(unit)? })
}

/// What stands behind a number of bytes.
pub fn unit_bytes(unit: &str) -> Option<i64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    })
}

/// `500`, `500 ms`, `30 s`, `5 min`, `12 h`, `7 d`.
pub fn milliseconds(text: &str) -> Option<i64> {
    let (number, unit) = split_unit(text)?;
    number.checked_mul(if unit.is_empty() { 1 } else { unit_ms(unit)? })
}

/// What stands behind a number of a time.
pub fn unit_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" | "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

fn split_unit(text: &str) -> Option<(i64, &str)> {
    let text = text.trim();
    if text == "-1" {
        return Some((-1, ""));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let number = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim()))
}
