//! How resources name each other: addresses, and Confluent's resource names (`crn:///kafka=c/topic=t`).

use cloud::http::segment;
use serde_json::{Map, Value as Json, json};

pub(super) struct Links {
    /// `http://host:port/v3/clusters/ID`
    cluster: String,
    base: String,
    id: String,
}

impl Links {
    pub fn new(base: &str, id: &str) -> Self {
        let base = format!("{}/v3/clusters", base.trim_end_matches('/'));
        Self { cluster: format!("{base}/{}", segment(id)), base, id: id.to_owned() }
    }

    /// Of the list of clusters.
    pub fn clusters(&self) -> &str {
        &self.base
    }

    /// Below the cluster: `["topics", "t"]`.
    pub fn url(&self, path: &[&str]) -> String {
        let mut url = self.cluster.clone();
        for part in path {
            url.push('/');
            url += &segment(part);
        }
        url
    }

    /// The same as a relationship: `{"related": …}`.
    pub fn related(&self, path: &[&str]) -> Json {
        json!({ "related": self.url(path) })
    }

    /// `[("topic", Some("t"))]` as `crn:///kafka=c/topic=t`.
    pub fn name(&self, path: &[(&str, Option<&str>)]) -> String {
        let mut name = format!("crn:///kafka={}", segment(&self.id));
        for (kind, value) in path {
            name += &format!("/{kind}");
            if let Some(value) = value {
                name += &format!("={}", segment(value));
            }
        }
        name
    }

    /// The beginning of every resource: what it is and how it is called.
    pub fn resource(&self, kind: &str, path: &[&str], name: &[(&str, Option<&str>)]) -> Map<String, Json> {
        let mut members = Map::new();
        members.insert("kind".to_owned(), kind.into());
        let metadata = json!({ "self": self.url(path), "resource_name": self.name(name) });
        members.insert("metadata".to_owned(), metadata);
        members.insert("cluster_id".to_owned(), self.id.as_str().into());
        members
    }

    /// A list; all of it is always on its first page.
    pub fn list(&self, kind: &str, path: &[&str], data: Vec<Json>) -> Json {
        list(kind, &self.url(path), data)
    }
}

pub(super) fn list(kind: &str, url: &str, data: Vec<Json>) -> Json {
    json!({ "kind": kind, "metadata": { "self": url, "next": null }, "data": data })
}

/// A resource with what is its own.
pub(super) fn with(mut members: Map<String, Json>, own: Json) -> Json {
    if let Json::Object(own) = own {
        members.extend(own);
    }
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let links = Links::new("http://localhost:8082/", "c 1");
        assert_eq!(links.url(&["topics", "a/b"]), "http://localhost:8082/v3/clusters/c%201/topics/a%2Fb");
        let name = [("topic", Some("a=b")), ("reassignment", None)];
        assert_eq!(links.name(&name), "crn:///kafka=c%201/topic=a%3Db/reassignment");
    }
}
