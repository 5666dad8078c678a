//! Query parameters as FastAPI reads them, and the SQL that they become.

use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, Utc};

use crate::{Error, operators::parse_time, store::Cell};

const LIMIT_DEFAULT: usize = 50;
/// Airflow's `[api] maximum_page_limit`.
const LIMIT_MAX: usize = 100;

/// The parameters of a request, in their order.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

impl Params {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some("true" | "True" | "1") => Ok(Some(true)),
            Some("false" | "False" | "0") => Ok(Some(false)),
            Some(other) => Err(Error::invalid(format!("{name}: {other} is not true or false"))),
        }
    }

    pub fn number(&self, name: &str, default: usize) -> Result<usize, Error> {
        let number = self.get(name).map(|text| {
            text.parse().map_err(|_| Error::invalid(format!("{name}: {text} is not a number of 0 or more")))
        });
        number.unwrap_or(Ok(default))
    }

    pub fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let time = self.get(name).map(|text| {
            // A `+` that was not escaped has become a space.
            let text = if text.contains('T') { text.replace(' ', "+") } else { text.to_owned() };
            parse_time(&text).ok_or_else(|| Error::bad_request(format!("Invalid datetime: '{text}'")))
        });
        time.transpose()
    }

    pub fn page(&self) -> Result<Page, Error> {
        let limit = match self.number("limit", LIMIT_DEFAULT)? {
            0 => LIMIT_DEFAULT,
            limit => limit.min(LIMIT_MAX),
        };
        Ok(Page { limit, offset: self.number("offset", 0)? })
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub limit: usize,
    pub offset: usize,
}

impl Page {
    pub fn sql(&self) -> String {
        format!("LIMIT {} OFFSET {}", self.limit, self.offset)
    }

    pub fn of<T>(&self, items: Vec<T>) -> Vec<T> {
        items.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

/// Conditions that are joined by AND, with their values.
#[derive(Debug, Default)]
pub struct Filter {
    conditions: Vec<String>,
    pub cells: Vec<Cell>,
}

impl Filter {
    /// A condition with `?` where the value goes.
    pub fn add(&mut self, condition: &str, value: impl Into<Cell>) {
        self.cells.push(value.into());
        self.conditions.push(condition.replace('?', &format!("?{}", self.cells.len())));
    }

    pub fn fixed(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// One of several; nothing where none is named. `none` stands for NULL.
    pub fn any(&mut self, column: &str, values: &[&str]) {
        if values.is_empty() {
            return;
        }
        let mut parts = Vec::new();
        for value in values {
            if matches!(*value, "none" | "null" | "no_status") {
                parts.push(format!("{column} IS NULL"));
            } else {
                self.cells.push(Cell::from(*value));
                parts.push(format!("{column} = ?{}", self.cells.len()));
            }
        }
        self.conditions.push(format!("({})", parts.join(" OR ")));
    }

    /// `%` and `_` as in LIKE, without case; `~` is everything.
    pub fn pattern(&mut self, column: &str, pattern: Option<&str>) {
        if let Some(pattern) = pattern.filter(|pattern| *pattern != "~") {
            self.add(&format!("lower({column}) LIKE ?"), format!("%{}%", pattern.to_lowercase()));
        }
    }

    /// `NAME_gte`, `_gt`, `_lte` and `_lt`.
    pub fn range(&mut self, params: &Params, name: &str, column: &str) -> Result<(), Error> {
        for (suffix, sign) in [("gte", ">="), ("gt", ">"), ("lte", "<="), ("lt", "<")] {
            if let Some(time) = params.time(&format!("{name}_{suffix}"))? {
                self.add(&format!("{column} {sign} ?"), time);
            }
        }
        Ok(())
    }

    pub fn sql(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.conditions.join(" AND "))
        }
    }
}

/// `order_by=-start_date`: from the columns that may be named; others are refused, as Airflow does.
pub fn order(params: &Params, columns: &[(&str, &str)], default: &str) -> Result<String, Error> {
    let wanted = params.all("order_by");
    if wanted.is_empty() {
        return Ok(format!("ORDER BY {default}"));
    }
    let mut parts = Vec::new();
    for name in wanted.iter().flat_map(|text| text.split(',')).filter(|name| !name.is_empty()) {
        let (name, direction) = match name.strip_prefix('-') {
            Some(name) => (name, "DESC"),
            None => (name.trim_start_matches('+'), "ASC"),
        };
        let column =
            columns.iter().find(|(known, _)| *known == name).map(|(_, column)| *column).ok_or_else(|| {
                Error::bad_request(format!(
                    "Ordering with '{name}' is disallowed or the attribute does not exist on the model"
                ))
            })?;
        parts.push(format!("{column} {direction}"));
    }
    if parts.is_empty() {
        return Ok(format!("ORDER BY {default}"));
    }
    Ok(format!("ORDER BY {}, {default}", parts.join(", ")))
}
