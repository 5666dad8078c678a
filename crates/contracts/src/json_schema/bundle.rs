//! One document from a schema and those it refers to, so that everything else sees references within one document only.
//!
//! The others go under a member that no draft knows, and every `$ref` that names one of them becomes a pointer to it. Their
//! own `$id` is left out there, as it would move what their pointers start from.

use serde_json::{Map, Value as Json};

use super::resolve;

/// The member that holds the other documents.
const HOLDER: &str = "__references";

struct Other<'a> {
    name: &'a str,
    id: Option<&'a str>,
    json: &'a Json,
}

/// `main` with `others`, by the name that a `$ref` gives them.
pub(super) fn bundled(main: &Json, others: &[(String, Json)]) -> Json {
    let others: Vec<Other<'_>> =
        others.iter().map(|(name, json)| Other { name, id: id_of(json), json }).collect();
    let mut whole = rewritten(main, &Place { own: None, base: id_of(main).unwrap_or(""), others: &others });
    let Json::Object(members) = &mut whole else { return whole };
    let held = others.iter().enumerate().map(|(at, other)| {
        let place = Place { own: Some(at), base: other.id.unwrap_or(other.name), others: &others };
        let mut json = rewritten(other.json, &place);
        if let Json::Object(members) = &mut json {
            ["$id", "id", "$schema"].iter().for_each(|word| drop(members.shift_remove(*word)));
        }
        (at.to_string(), json)
    });
    members.insert(HOLDER.to_owned(), Json::Object(held.collect()));
    whole
}

/// Draft 4 calls it `id`, the later ones `$id`.
fn id_of(json: &Json) -> Option<&str> {
    let id = json.get("$id").or_else(|| json.get("id")).and_then(Json::as_str);
    id.map(|id| id.trim_end_matches('#')).filter(|id| !id.is_empty())
}

/// Where a reference stands.
struct Place<'a> {
    /// The number of the other document; none for the main one.
    own: Option<usize>,
    base: &'a str,
    others: &'a [Other<'a>],
}

fn rewritten(json: &Json, place: &Place<'_>) -> Json {
    match json {
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| match (key.as_str(), value) {
                ("$ref", Json::String(reference)) => (key.clone(), place.pointer(reference).into()),
                _ => (key.clone(), rewritten(value, place)),
            });
            Json::Object(members.collect::<Map<_, _>>())
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| rewritten(item, place)).collect()),
        other => other.clone(),
    }
}

impl Place<'_> {
    /// The reference as a pointer into the whole document; as it is where it leads nowhere that is known.
    fn pointer(&self, reference: &str) -> String {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let target = match address {
            "" => self.own,
            address => match self.others.iter().position(|other| self.means(address, other)) {
                Some(at) => Some(at),
                None => return reference.to_owned(),
            },
        };
        let Some(at) = target else { return reference.to_owned() };
        let fragment = match fragment.is_empty() || fragment.starts_with('/') {
            true => fragment.to_owned(),
            false => anchor(self.others[at].json, fragment).unwrap_or_else(|| format!("/{fragment}")),
        };
        format!("#/{HOLDER}/{at}{fragment}")
    }

    fn means(&self, address: &str, other: &Other<'_>) -> bool {
        let whole = joined(self.base, address);
        let names = [Some(other.name), other.id].into_iter().flatten();
        names.flat_map(|name| [name.to_owned(), joined(self.base, name)]).any(|name| {
            let name = name.trim_end_matches('#');
            name == address || name == whole
        })
    }
}

/// An address as seen from a document: what follows the last slash of its own is replaced.
fn joined(base: &str, address: &str) -> String {
    if address.contains("://") || address.starts_with("urn:") {
        return address.to_owned();
    }
    let scheme = base.find("://").map_or(0, |at| at + 3);
    let host = base[scheme..].find('/').map_or(base.len(), |at| scheme + at);
    match (address.starts_with('/'), base.rfind('/').filter(|at| *at >= scheme)) {
        (true, _) => format!("{}{address}", &base[..host]),
        (false, Some(slash)) => format!("{}{}", &base[..=slash], address.trim_start_matches("./")),
        (false, None) => address.trim_start_matches("./").to_owned(),
    }
}

/// The pointer to what has this anchor.
fn anchor(document: &Json, name: &str) -> Option<String> {
    let found = resolve(document, &format!("#{name}"))?;
    ["$defs", "definitions"].iter().find_map(|holder| {
        let (key, _) =
            document.get(holder)?.as_object()?.iter().find(|(_, schema)| std::ptr::eq(*schema, found))?;
        Some(format!("/{holder}/{}", key.replace('~', "~0").replace('/', "~1")))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_to_others_become_pointers() {
        let main = json!({ "$id": "http://a.b/order.json", "properties": {
            "one": { "$ref": "product.json" }, "two": { "$ref": "http://a.b/product.json#/definitions/p" },
            "three": { "$ref": "#/definitions/own" }, "four": { "$ref": "unknown.json" },
        }, "definitions": { "own": {} } });
        let product = json!({ "$id": "http://a.b/product.json", "items": { "$ref": "#/definitions/p" },
            "definitions": { "p": { "$ref": "price.json#amount" } } });
        let price = json!({ "definitions": { "a/b": { "$anchor": "amount", "type": "number" } } });
        let others = [("product.json".to_owned(), product), ("price.json".to_owned(), price)];
        let whole = bundled(&main, &others);
        let reference = |pointer: &str| whole.pointer(pointer).unwrap()["$ref"].as_str().unwrap();
        assert_eq!(reference("/properties/one"), "#/__references/0");
        assert_eq!(reference("/properties/two"), "#/__references/0/definitions/p");
        assert_eq!(reference("/properties/three"), "#/definitions/own");
        assert_eq!(reference("/properties/four"), "unknown.json");
        assert_eq!(reference("/__references/0/items"), "#/__references/0/definitions/p");
        assert_eq!(reference("/__references/0/definitions/p"), "#/__references/1/definitions/a~1b");
        assert!(whole.pointer("/__references/0/$id").is_none());
    }
}
