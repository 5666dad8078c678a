//! From one page to the next: what is asked for, and the position that says it.

use base::Position;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::{Config, Error, Paging, client::Answer, page};

/// A page to ask for, and how many of its records were taken before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub(super) ask: Ask,
    pub(super) skip: u64,
    /// Records and pages before this page: bounds hold for all lives together.
    pub(super) records_count: u64,
    pub(super) pages_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// The address as it was given.
    First,
    /// The number or the offset.
    Number(u64),
    Cursor(String),
    Address(String),
}

/// How a position is kept; version 1.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    v: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    skip: u64,
    records: u64,
    pages: u64,
}

/// The place of a record in pages that have numbers: its page, and its place there.
const PLACE_BITS: u32 = 24;
/// Far from the sign.
const NUMBER_MAX: u64 = 1 << (62 - PLACE_BITS);

impl At {
    pub(super) fn first(config: &Config) -> Self {
        let ask = match &config.paging {
            Paging::Number { first, .. } => Ask::Number(*first),
            Paging::Offset { .. } => Ask::Number(0),
            Paging::One | Paging::Cursor { .. } | Paging::Next { .. } | Paging::Link => Ask::First,
        };
        Self { ask, skip: 0, records_count: 0, pages_count: 0 }
    }

    /// Where a position leads.
    pub(super) fn of(config: &Config, position: &Position) -> Result<Self, Error> {
        let refuse = || Error::Position { position: position.to_string(), url: config.name() };
        match (position, &config.paging) {
            (Position::Start, _) => Ok(Self::first(config)),
            (Position::Mark(mark), Paging::Number { first, .. }) => {
                let mark = u64::try_from(*mark).map_err(|_| refuse())?;
                let (page, skip) = (mark >> PLACE_BITS, mark % (1 << PLACE_BITS));
                let pages_count = page.saturating_sub(*first);
                // How many records there were before cannot be told from a number; the bound is held from here.
                Ok(Self { ask: Ask::Number(page), skip, records_count: 0, pages_count })
            }
            (Position::Mark(mark), Paging::Offset { .. }) => {
                let offset = u64::try_from(*mark).map_err(|_| refuse())?;
                Ok(Self { ask: Ask::Number(offset), skip: 0, records_count: offset, pages_count: 0 })
            }
            (
                Position::Token(bytes),
                Paging::One | Paging::Cursor { .. } | Paging::Next { .. } | Paging::Link,
            ) => {
                let token: Token = serde_json::from_slice(bytes).map_err(|_| refuse())?;
                let ask = match (token.cursor, token.next, &config.paging) {
                    (Some(cursor), None, Paging::Cursor { .. }) => Ask::Cursor(cursor),
                    (None, Some(next), Paging::Next { .. } | Paging::Link) => Ask::Address(next),
                    (None, None, _) => Ask::First,
                    _ => return Err(refuse()),
                };
                if token.v != 1 {
                    return Err(refuse());
                }
                Ok(Self { ask, skip: token.skip, records_count: token.records, pages_count: token.pages })
            }
            (Position::Mark(_) | Position::Token(_), _) => Err(refuse()),
        }
    }

    /// The mark of a record of this page, where records have one.
    pub(super) fn mark(&self, config: &Config, place: u64) -> Option<i64> {
        match (&self.ask, &config.paging) {
            (Ask::Number(page), Paging::Number { .. }) => i64::try_from((page << PLACE_BITS) + place).ok(),
            (Ask::Number(offset), Paging::Offset { .. }) => i64::try_from(offset + place).ok(),
            _ => None,
        }
    }

    /// The position behind so many records of this page.
    pub(super) fn behind(&self, config: &Config, place: u64) -> Position {
        if let Some(mark) = self.mark(config, place) {
            return Position::Mark(mark);
        }
        let (cursor, next) = match &self.ask {
            Ask::First | Ask::Number(_) => (None, None),
            Ask::Cursor(cursor) => (Some(cursor.clone()), None),
            Ask::Address(next) => (None, Some(next.clone())),
        };
        let token =
            Token { v: 1, cursor, next, skip: place, records: self.records_count, pages: self.pages_count };
        Position::Token(Bytes::from(serde_json::to_vec(&token).unwrap_or_default()))
    }

    /// The address to ask.
    pub(super) fn url(&self, config: &Config) -> Result<Url, Error> {
        let parameter = match &config.paging {
            Paging::Number { parameter, .. }
            | Paging::Offset { parameter }
            | Paging::Cursor { parameter, .. } => Some(parameter),
            Paging::One | Paging::Next { .. } | Paging::Link => None,
        };
        match (&self.ask, parameter) {
            (Ask::Number(number), Some(parameter)) => Ok(with(&config.url, parameter, &number.to_string())),
            (Ask::Cursor(cursor), Some(parameter)) => Ok(with(&config.url, parameter, cursor)),
            (Ask::Address(address), _) => Url::parse(address)
                .map_err(|_| Error::Position { position: address.clone(), url: config.name() }),
            (Ask::First, _) | (Ask::Number(_) | Ask::Cursor(_), None) => Ok(config.url.clone()),
        }
    }

    /// The page behind this one, of which there were so many records; `None`: there is none.
    pub(super) fn next(
        &self,
        config: &Config,
        answer: &Answer,
        records_count: u64,
    ) -> Result<Option<Self>, Error> {
        let malformed = |reason: String| Error::Malformed { url: config.name(), reason };
        let endless = |reason: String| Error::Endless { url: config.name(), reason };
        let text = |path: &[String]| -> Result<Option<String>, Error> {
            let body = std::str::from_utf8(&answer.body).unwrap_or("");
            let Ok(body) = serde_json::from_str::<&RawValue>(body) else { return Ok(None) };
            let found = page::at(body, path).map_err(|error| malformed(error.to_string()))?;
            let value = found.map(|value| serde_json::from_str::<serde_json::Value>(value.get()));
            Ok(match value.transpose().map_err(|error| malformed(error.to_string()))? {
                None | Some(serde_json::Value::Null | serde_json::Value::Bool(_)) => None,
                Some(serde_json::Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
                Some(other) => Some(other.to_string()),
            })
        };
        let address = |found: Option<String>| -> Result<Option<Ask>, Error> {
            let Some(found) = found else { return Ok(None) };
            let url = answer
                .url
                .join(&found)
                .map_err(|error| malformed(format!("{found:?} is no address: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(malformed(format!("{found:?} is no address of HTTP")));
            }
            Ok(Some(Ask::Address(url.to_string())))
        };
        let ask = match &config.paging {
            Paging::One => None,
            Paging::Number { .. } | Paging::Offset { .. } if records_count == 0 => None,
            Paging::Number { .. } => match self.ask {
                Ask::Number(number) if number < NUMBER_MAX => Some(Ask::Number(number + 1)),
                _ => return Err(endless(format!("pages have numbers below {NUMBER_MAX}"))),
            },
            Paging::Offset { .. } => match self.ask {
                Ask::Number(offset) => Some(Ask::Number(offset + records_count)),
                _ => None,
            },
            Paging::Cursor { path, .. } => text(path)?.map(Ask::Cursor),
            Paging::Next { path } => address(text(path)?)?,
            Paging::Link => address(answer.next.clone())?,
        };
        let Some(ask) = ask else { return Ok(None) };
        if ask == self.ask {
            return Err(endless("a page is its own next one".to_owned()));
        }
        let pages_count = self.pages_count + 1;
        if config.pages_wanted.is_some_and(|wanted| pages_count >= wanted) {
            return Ok(None);
        }
        if config.pages_wanted.is_none() && pages_count >= config.pages_count_max {
            return Err(endless(format!("there are more than {} pages", config.pages_count_max)));
        }
        Ok(Some(Self { ask, skip: 0, records_count: self.records_count + records_count, pages_count }))
    }
}

/// The address with one parameter of its query set.
fn with(url: &Url, parameter: &str, value: &str) -> Url {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != parameter)
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(parameter, value);
    url
}
