//! A connection as a URI, by the rules of `airflow.models.Connection`: read with Python's `urlsplit`, written with `quote`.
//!
//! The host of `TYPE://PROTOCOL://HOST` is `PROTOCOL://HOST`; a type's `-` stands for `_`, as no scheme has one; the query is
//! the extra: its values are JSON where they can be, and `__extra__` is all of it as JSON.

use std::net::Ipv6Addr;

use serde_json::{Map, Value};

use super::Parts;
use crate::python::{json_dumps, parse_qsl, quote, quote_plus, unquote};

const EXTRA_KEY: &str = "__extra__";

/// `urlsplit(url)`: a scheme in lower case, what stands between `//` and the path, the path, the query.
#[derive(Default)]
struct Split {
    scheme: String,
    authority: String,
    path: String,
    query: String,
}

/// What cannot be taken apart, without the text itself, which may hold a password.
type Reason = &'static str;

fn split(url: &str) -> Result<Split, Reason> {
    let url: String =
        url.trim_start_matches(|one| one <= ' ').chars().filter(|one| !"\t\r\n".contains(*one)).collect();
    let mut parts = Split::default();
    let mut rest = url.as_str();
    if let Some((scheme, behind)) = rest.split_once(':')
        && scheme.starts_with(|one: char| one.is_ascii_alphabetic())
        && scheme.chars().all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one))
    {
        parts.scheme = scheme.to_ascii_lowercase();
        rest = behind;
    }
    if let Some(behind) = rest.strip_prefix("//") {
        let end = behind.find(['/', '?', '#']).unwrap_or(behind.len());
        parts.authority = behind[..end].to_owned();
        rest = &behind[end..];
        check_brackets(&parts.authority)?;
    }
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    (parts.path, parts.query) = (path.to_owned(), query.to_owned());
    Ok(parts)
}

fn check_brackets(authority: &str) -> Result<(), Reason> {
    match (authority.find('['), authority.contains(']')) {
        (None, false) => Ok(()),
        (Some(open), true) => {
            let host = authority[open + 1..].split(']').next().unwrap_or("");
            let address = host.split('%').next().unwrap_or("");
            address.parse::<Ipv6Addr>().map(drop).map_err(|_| "what stands in [ ] is no IPv6 address")
        }
        (Some(_), false) | (None, true) => Err("a [ or ] stands alone; write it as %5B or %5D"),
    }
}

impl Split {
    /// User and password, as they stand.
    fn user(&self) -> (Option<&str>, Option<&str>) {
        match self.authority.rsplit_once('@') {
            Some((user, _)) => match user.split_once(':') {
                Some((name, password)) => (Some(name), Some(password)),
                None => (Some(user), None),
            },
            None => (None, None),
        }
    }

    /// Host and port, as they stand.
    fn host_and_port(&self) -> (&str, &str) {
        let host = self.authority.rsplit_once('@').map_or(self.authority.as_str(), |(_, host)| host);
        match host.split_once('[') {
            Some((_, bracketed)) => {
                let (name, behind) = bracketed.split_once(']').unwrap_or((bracketed, ""));
                (name, behind.split_once(':').map_or("", |(_, port)| port))
            }
            None => host.split_once(':').unwrap_or((host, "")),
        }
    }

    /// In lower case up to the first escape, unless the name has a path in it.
    fn hostname(&self) -> String {
        let (name, _) = self.host_and_port();
        let (plain, escaped) = name.split_at(name.find('%').unwrap_or(name.len()));
        let lowered = unquote(&(plain.to_lowercase() + escaped));
        if !lowered.contains('/') {
            return lowered;
        }
        let name = self.authority.rsplit_once('@').map_or(self.authority.as_str(), |(_, host)| host);
        unquote(name.split(':').next().unwrap_or(name))
    }

    fn port(&self) -> Result<Option<u16>, Reason> {
        match self.host_and_port().1 {
            "" => Ok(None),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
                Ok(port) => Ok(Some(port)),
                Err(_) => Err("its port is above 65535"),
            },
            _ => Err("its port is no number; in a password write : as %3A, / as %2F and @ as %40"),
        }
    }
}

pub(super) fn parse(uri: &str) -> Result<Parts, Reason> {
    let schemes_count = uri.matches("://").count();
    if schemes_count > 2 {
        return Err("it has :// more than twice");
    }
    let has_protocol = schemes_count == 2;
    let scheme = split(uri)?.scheme;
    if scheme.is_empty() {
        return Err("it has no type; it begins with TYPE://, and - stands there for _");
    }
    let rest = uri.replace(&format!("{scheme}://"), if has_protocol { "" } else { "//" });
    let before = rest.split("://").next().unwrap_or("");
    if has_protocol && before.contains(['@', ':']) {
        return Err("its second :// stands behind the host; in a password or a path write / as %2F");
    }
    let parts = split(&rest)?;
    let mut host = parts.hostname();
    if has_protocol && !parts.scheme.is_empty() && !host.is_empty() {
        host = format!("{}://{host}", parts.scheme);
    }
    let (login, password) = parts.user();
    Ok(Parts {
        conn_type: normalized_type(&scheme),
        description: None,
        host: Some(host),
        schema: Some(unquote(parts.path.get(1..).unwrap_or_else(|| behind_first(&parts.path)))),
        login: login.map(unquote),
        password: password.map(unquote),
        port: parts.port()?,
        extra: extra(&parts.query),
    })
}

/// `path[1:]`, where the first character is not one byte.
fn behind_first(path: &str) -> &str {
    let mut characters = path.chars();
    characters.next();
    characters.as_str()
}

/// A scheme has no `_`, and `postgresql` is what SQLAlchemy says for Airflow's `postgres`.
pub(super) fn normalized_type(scheme: &str) -> String {
    if scheme == "postgresql" { "postgres".to_owned() } else { scheme.replace('-', "_") }
}

fn extra(query: &str) -> Option<String> {
    if query.is_empty() {
        return None;
    }
    let mut values = Map::new();
    for (name, value) in parse_qsl(query) {
        values.insert(name, Value::String(value));
    }
    if let Some(Value::String(all)) = values.get(EXTRA_KEY) {
        return Some(all.clone());
    }
    for value in values.values_mut() {
        let Value::String(text) = value else { continue };
        match serde_json::from_str(text) {
            // To Python an integer, which has no negative zero.
            Ok(_) if text.trim() == "-0" => *value = 0.into(),
            Ok(parsed) => *value = parsed,
            Err(_) => {}
        }
    }
    Some(json_dumps(&Value::Object(values), None))
}

pub(super) fn print(parts: &Parts) -> String {
    let mut uri = match parts.conn_type.as_str() {
        "" => "//".to_owned(),
        conn_type => format!("{}://", conn_type.to_lowercase().replace('_', "-")),
    };
    let host = parts.host.as_deref().unwrap_or("");
    let host = match host.split_once("://") {
        Some((protocol, rest)) if protocol != parts.conn_type => {
            if !protocol.is_empty() {
                uri += &format!("{protocol}://");
            }
            rest
        }
        _ => host,
    };
    let mut user = parts.login.as_deref().map(quote).unwrap_or_default();
    if let Some(password) = &parts.password {
        user += &format!(":{}", quote(password));
    }
    if !user.is_empty() {
        uri += &format!("{user}@");
    }
    uri += &quote(host);
    if let Some(port) = parts.port.filter(|port| *port > 0) {
        uri += if host.is_empty() && user.is_empty() { "@:" } else { ":" };
        uri += &port.to_string();
    }
    let schema = parts.schema.as_deref().unwrap_or("");
    if !schema.is_empty() {
        uri += &format!("/{}", quote(schema));
    }
    if let Some(extra) = parts.extra.as_deref().filter(|extra| !extra.is_empty()) {
        uri += if schema.is_empty() { "/?" } else { "?" };
        uri += &query(extra);
    }
    uri
}

/// Flat where every value is a text, else all of it in one.
fn query(extra: &str) -> String {
    let values: Map<String, Value> = serde_json::from_str(extra).unwrap_or_default();
    let texts: Option<Vec<String>> = values
        .iter()
        .map(|(name, value)| Some(format!("{}={}", quote_plus(name), quote_plus(value.as_str()?))))
        .collect();
    match texts {
        Some(pairs) if !pairs.is_empty() => pairs.join("&"),
        _ => format!("{EXTRA_KEY}={}", quote_plus(extra)),
    }
}
