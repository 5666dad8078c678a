//! An answer taken apart: its records as they stand in it, and the values that paging asks for.

use serde_json::value::RawValue;

/// The records of a page, each as its text.
pub(super) struct Page {
    /// Ranges of the body.
    pub(super) records: Vec<std::ops::Range<usize>>,
}

/// What stands at a path of a page; `None`: nothing.
pub(super) fn at<'a>(body: &'a RawValue, path: &[String]) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let mut value = body;
    for step in path {
        let text = value.get();
        let below = match text.as_bytes().first() {
            Some(b'{') => serde_json::from_str::<Members<'a>>(text)?.last(step),
            Some(b'[') => {
                let items: Vec<&'a RawValue> = serde_json::from_str(text)?;
                step.parse::<usize>().ok().and_then(|place| items.get(place).copied())
            }
            _ => None,
        };
        match below {
            Some(below) => value = below,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// The records of a page: the items of the list at the path, or the one value there. Without a path: the page's own items, those
/// of its only list of objects, or the page itself.
pub(super) fn records(
    body: &str,
    path: Option<&[String]>,
) -> Result<Result<Page, &'static str>, serde_json::Error> {
    // One record on each line is a page too.
    let page: &RawValue = match serde_json::from_str(body) {
        Ok(page) => page,
        Err(error) if path.is_none() => match lines(body) {
            Some(page) => return Ok(Ok(page)),
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let found = match path {
        Some(path) => at(page, path)?,
        None => Some(only_list(page)?.unwrap_or(page)),
    };
    let Some(found) = found else { return Ok(Err("nothing")) };
    let begun = body.as_ptr() as usize;
    let range = |value: &RawValue| {
        let start = value.get().as_ptr() as usize - begun;
        start..start + value.get().len()
    };
    Ok(match found.get().as_bytes().first() {
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(found.get())?;
            Ok(Page { records: items.into_iter().map(range).collect() })
        }
        Some(b'{') => Ok(Page { records: vec![range(found)] }),
        Some(b'n') => Ok(Page { records: Vec::new() }),
        Some(b'"') => Err("a text"),
        _ => Err("a number or a boolean"),
    })
}

/// Of an object with one list of objects, that list.
fn only_list(page: &RawValue) -> Result<Option<&RawValue>, serde_json::Error> {
    if !page.get().starts_with('{') {
        return Ok(None);
    }
    let members: Members<'_> = serde_json::from_str(page.get())?;
    let is_list = |value: &&RawValue| {
        let inner = value.get().strip_prefix('[').map(str::trim_start);
        inner.is_some_and(|inner| inner.starts_with(['{', ']']))
    };
    let mut lists = members.0.iter().map(|(_, value)| *value).filter(is_list);
    Ok(match (lists.next(), lists.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    })
}

fn lines(body: &str) -> Option<Page> {
    let mut records = Vec::new();
    let mut start = 0;
    for line in body.split_inclusive('\n') {
        let record = line.trim();
        if !record.is_empty() {
            serde_json::from_str::<&RawValue>(record).ok()?;
            let from = start + (line.len() - line.trim_start().len());
            records.push(from..from + record.len());
        }
        start += line.len();
    }
    Some(Page { records })
}

/// The members of an object in their order, values as they stand.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn last(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Visitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> serde::de::Visitor<'de> for Visitor<'a> {
            type Value = Members<'a>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Members<'a>, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        input.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str, path: Option<&str>) -> String {
        let path: Option<Vec<String>> = path.map(|path| path.split('.').map(str::to_owned).collect());
        match records(body, path.as_deref()) {
            Ok(Ok(page)) => page.records.into_iter().map(|range| &body[range]).collect::<Vec<_>>().join(" "),
            Ok(Err(found)) => format!("found {found}"),
            Err(_) => "no JSON".to_owned(),
        }
    }

    #[test]
    fn records_are_where_they_are_said_or_plainly_are() {
        let cases = [
            (r#" [ {"a":1}, 2 ] "#, None, r#"{"a":1} 2"#),
            (r#"{"results": [{"a":1},{"a":2}], "tags": ["x"], "info": {}}"#, None, r#"{"a":1} {"a":2}"#),
            (r#"{"a": [{}], "b": [{}]}"#, None, r#"{"a": [{}], "b": [{}]}"#),
            (r#"{"id": 7}"#, None, r#"{"id": 7}"#),
            ("{\"a\":1}\n\n{\"a\":2}\n", None, r#"{"a":1} {"a":2}"#),
            (r#"{"data": {"items": [1, 2]}}"#, Some("data.items"), "1 2"),
            (r#"{"data": {"items": {"a": 1}}}"#, Some("data.items"), r#"{"a": 1}"#),
            (r#"{"data": null}"#, Some("data"), ""),
            (r#"{"data": "none"}"#, Some("data"), "found a text"),
            (r#"{"data": []}"#, Some("items"), "found nothing"),
            ("<html>", None, "no JSON"),
            ("", None, ""),
        ];
        for (body, path, expected) in cases {
            assert_eq!(shown(body, path), expected, "{body}");
        }
    }
}
