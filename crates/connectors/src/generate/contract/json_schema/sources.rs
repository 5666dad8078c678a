//! The subschemas of a document, by their place, and what references lead to.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use serde_json::{Value as Json, json};
use url::Url;

/// An index into [`Sources`].
pub(super) type SourceId = usize;

pub(super) struct Source {
    pub(super) json: Rc<Json>,
    /// A pointer into the document; what was made up for the making begins with `!`.
    pub(super) at: Arc<str>,
}

pub(super) struct Sources {
    root: Json,
    kept: Vec<Source>,
    by_place: HashMap<String, SourceId>,
    /// Addresses of documents, and of anchors within them, as pointers.
    places: HashMap<String, String>,
    /// Where a subschema has an address of its own.
    bases: HashMap<String, Url>,
    /// What stands beside a `$ref` counts too: since draft 2019-09.
    pub(super) refs_have_siblings: bool,
}

const EMPTY: &str = "json-schema:///";

impl Sources {
    pub(super) fn new(root: Json) -> Self {
        let named = root.get("$schema").and_then(Json::as_str).unwrap_or("");
        let refs_have_siblings = ["2019-09", "2020-12"].iter().any(|draft| named.contains(draft));
        let mut sources = Self {
            root: Json::Null,
            kept: Vec::new(),
            by_place: HashMap::new(),
            places: HashMap::new(),
            bases: HashMap::new(),
            refs_have_siblings,
        };
        if let Ok(base) = Url::parse(EMPTY) {
            sources.places.insert(address(&base), String::new());
            sources.bases.insert(String::new(), base.clone());
            sources.index(&root, String::new(), &base);
        }
        sources.root = root;
        sources
    }

    /// Notes the addresses of subschemas.
    fn index(&mut self, json: &Json, at: String, base: &Url) {
        let mut base = base.clone();
        if let Json::Object(members) = json {
            // Beside a `$ref` nothing else counted until draft 7.
            let is_plain = self.refs_have_siblings || !members.contains_key("$ref");
            let id =
                members.get("$id").or_else(|| members.get("id")).filter(|_| is_plain).and_then(Json::as_str);
            if let Some(Ok(own)) = id.map(|id| base.join(id)) {
                // `"$id": "#name"` was an anchor until draft 7.
                match own.fragment().filter(|fragment| !fragment.is_empty()) {
                    Some(_) => drop(self.places.insert(own.to_string(), at.clone())),
                    None => {
                        self.places.insert(address(&own), at.clone());
                        self.bases.insert(at.clone(), own.clone());
                        base = own;
                    }
                }
            }
            for anchor in ["$anchor", "$dynamicAnchor"] {
                if let Some(Ok(own)) =
                    members.get(anchor).and_then(Json::as_str).map(|name| base.join(&format!("#{name}")))
                {
                    self.places.insert(own.to_string(), at.clone());
                }
            }
            for (key, member) in members {
                if !["const", "enum", "default", "examples"].contains(&key.as_str()) {
                    self.index(member, step(&at, key), &base);
                }
            }
        } else if let Json::Array(items) = json {
            items
                .iter()
                .enumerate()
                .for_each(|(place, item)| self.index(item, format!("{at}/{place}"), &base));
        }
    }

    pub(super) fn get(&self, id: SourceId) -> &Source {
        &self.kept[id]
    }

    /// The subschema at a pointer.
    pub(super) fn at(&mut self, pointer: &str) -> Option<SourceId> {
        if let Some(id) = self.by_place.get(pointer) {
            return Some(*id);
        }
        let json = Rc::new(self.root.pointer(pointer)?.clone());
        Some(self.keep(pointer.to_owned(), json))
    }

    /// The one below another: `["properties", "a/b"]`. What was made up is looked up in itself.
    pub(super) fn below(&mut self, of: SourceId, steps: &[&str]) -> Option<SourceId> {
        let at = steps.iter().fold(self.kept[of].at.to_string(), |at, name| step(&at, name));
        if let Some(id) = self.by_place.get(&at) {
            return Some(*id);
        }
        let own = steps.iter().fold(String::new(), |at, name| step(&at, name));
        let json = Rc::new(self.kept[of].json.pointer(&own)?.clone());
        Some(self.keep(at, json))
    }

    /// A schema that stands nowhere.
    pub(super) fn made_up(&mut self, json: Json) -> SourceId {
        let at = format!("!{json}");
        match self.by_place.get(&at) {
            Some(id) => *id,
            None => self.keep(at, Rc::new(json)),
        }
    }

    pub(super) fn anything(&mut self) -> SourceId {
        self.made_up(json!(true))
    }

    pub(super) fn nothing(&mut self) -> SourceId {
        self.made_up(json!(false))
    }

    fn keep(&mut self, at: String, json: Rc<Json>) -> SourceId {
        self.kept.push(Source { json, at: at.as_str().into() });
        self.by_place.insert(at, self.kept.len() - 1);
        self.kept.len() - 1
    }

    /// Where a reference leads that stands in this subschema.
    pub(super) fn resolve(&mut self, from: SourceId, reference: &str) -> Result<SourceId, String> {
        let unknown = || format!("{reference:?} leads out of the contract and what was given with it");
        let at = self.kept[from].at.to_string();
        let within = |prefix: &&String| at == **prefix || at.starts_with(&format!("{prefix}/"));
        let nearest = self.bases.keys().filter(within).max_by_key(|prefix| prefix.len());
        let base = nearest.and_then(|prefix| self.bases.get(prefix)).ok_or_else(unknown)?;
        let target = base.join(reference).map_err(|_| unknown())?;
        let fragment = target.fragment().unwrap_or("");
        let pointer =
            match (fragment.is_empty() || fragment.starts_with('/'), self.places.get(&address(&target))) {
                (true, Some(document)) => Some(format!("{document}{}", decoded(fragment))),
                (true, None) => None,
                (false, _) => self.places.get(target.as_str()).cloned(),
            };
        let found = pointer.and_then(|pointer| self.at(&pointer));
        let own = reference.strip_prefix('#').map(decoded);
        match (found, own) {
            (Some(id), _) => Ok(id),
            // From the document's own root, whatever address stands above.
            (None, Some(own)) => self.at(&own).ok_or_else(unknown),
            (None, None) => Err(unknown()),
        }
    }
}

/// Without its fragment.
fn address(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    url.to_string()
}

fn step(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Without the escapes of addresses.
fn decoded(fragment: &str) -> String {
    let bytes = fragment.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let escaped = fragment.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
