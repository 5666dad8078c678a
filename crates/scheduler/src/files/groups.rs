//! Task groups: in dict and list form, nested by `parent_group_name`.

use indexmap::{IndexMap, IndexSet};

use super::{
    Error, keys,
    section::{Section, nearest},
    tasks::refuse_unsupported,
    yaml::{Data, Map, Node, Place},
};
use crate::dag::TaskGroup;

/// Airflow's bound for the id of a group.
const ID_LENGTH_MAX: usize = 200;

/// A group as it stands in the file.
pub(crate) struct Written<'a> {
    pub place: Place,
    pub map: &'a Map,
}

/// The groups of a DAG by their name in the file: as written, and as they are.
pub(crate) struct Groups<'a> {
    pub written: &'a IndexMap<String, Written<'a>>,
    /// Parents before children.
    pub made: IndexMap<String, TaskGroup>,
}

/// Reads a mapping of names to mappings, or a list of mappings with the name in them under `name_key`.
pub(crate) fn named<'a>(
    what: &'static str,
    name_key: &'static str,
    node: Option<&'a Node>,
) -> Result<IndexMap<String, Written<'a>>, Error> {
    let mut named = IndexMap::new();
    let refuse = |node: &Node, expected: String| Error::Value {
        place: node.place.clone(),
        what: "a DAG".to_owned(),
        key: what.to_owned(),
        found: node.kind().to_owned(),
        expected,
    };
    let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(named) };
    if let Data::List(items) = &node.data {
        for item in items {
            let map = item.as_map().ok_or_else(|| refuse(item, format!("a map with {name_key}")))?;
            let (_, name) = map.get(name_key).ok_or_else(|| Error::Missing {
                place: item.place.clone(),
                what: format!("an entry of {what}"),
                key: name_key.to_owned(),
                why: "",
            })?;
            let text = name.as_text().ok_or_else(|| refuse(name, format!("a text as {name_key}")))?;
            let written = Written { place: name.place.clone(), map };
            if named.insert(text.clone(), written).is_some() {
                return Err(Error::Duplicate { place: name.place.clone(), what: name_key, name: text });
            }
        }
        return Ok(named);
    }
    let map =
        node.as_map().ok_or_else(|| refuse(node, format!("a map, or a list of maps with {name_key}")))?;
    for (name, (place, node)) in map {
        let map = node.as_map().ok_or_else(|| refuse(node, format!("a map for {name}")))?;
        named.insert(name.clone(), Written { place: place.clone(), map });
    }
    Ok(named)
}

impl<'a> Groups<'a> {
    pub(crate) fn make(written: &'a IndexMap<String, Written<'a>>) -> Result<Self, Error> {
        let mut groups = Groups { written, made: IndexMap::new() };
        for name in written.keys() {
            groups.add(name, &mut Vec::new())?;
        }
        Ok(groups)
    }

    fn add(&mut self, name: &str, path: &mut Vec<String>) -> Result<(), Error> {
        if self.made.contains_key(name) {
            return Ok(());
        }
        let written = &self.written[name];
        let section = Section::new(format!("the task group {name}"), &written.place, written.map);
        if path.iter().any(|above| above == name) {
            path.push(name.to_owned());
            return Err(Error::Cycle { place: written.place.clone(), names: path.clone() });
        }
        path.push(name.to_owned());
        check_keys(&section)?;
        let is_good = !name.is_empty()
            && name.len() <= ID_LENGTH_MAX
            && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        if !is_good {
            return Err(Error::Id {
                place: written.place.clone(),
                what: "task group",
                name: name.to_owned(),
                length_max: ID_LENGTH_MAX,
            });
        }
        let parent = match section.get("parent_group_name") {
            None => None,
            Some(node) => {
                let parent = node.as_str().filter(|parent| self.written.contains_key(*parent));
                let parent = parent.ok_or_else(|| Error::Dependency {
                    place: node.place.clone(),
                    what: section.what.clone(),
                    name: node.as_text().unwrap_or_default(),
                    nearest: nearest(
                        node.as_str().unwrap_or_default(),
                        self.written.keys().map(String::as_str),
                    ),
                })?;
                self.add(parent, path)?;
                Some(&self.made[parent])
            }
        };
        let group_id = parent.map_or_else(|| name.to_owned(), |parent| child_id(parent, name));
        let group = TaskGroup {
            label: name.to_owned(),
            display_name: section.text("group_display_name")?.unwrap_or_else(|| name.to_owned()),
            parent: parent.map(|parent| parent.group_id.clone()),
            tooltip: section.text("tooltip")?.unwrap_or_default(),
            prefix_group_id: section.boolean("prefix_group_id")?.unwrap_or(true),
            upstream_groups: IndexSet::new(),
            downstream_groups: IndexSet::new(),
            upstream_tasks: IndexSet::new(),
            downstream_tasks: IndexSet::new(),
            group_id,
        };
        self.made.insert(name.to_owned(), group);
        path.pop();
        Ok(())
    }

    /// `default_args` of a group and of those it lies in, the nearest first.
    pub(crate) fn default_args(&self, name: &str) -> Result<Vec<&'a Map>, Error> {
        let mut found = Vec::new();
        let mut next = Some(name);
        while let Some(name) = next {
            let Some(written) = self.written.get(name) else { break };
            let section = Section::new(format!("the task group {name}"), &written.place, written.map);
            found.extend(section.map("default_args")?);
            next = written.map.get("parent_group_name").and_then(|(_, node)| node.as_str());
        }
        Ok(found)
    }
}

/// The id of something in a group.
pub(crate) fn child_id(group: &TaskGroup, label: &str) -> String {
    if group.prefix_group_id { format!("{}.{label}", group.group_id) } else { label.to_owned() }
}

fn check_keys(section: &Section<'_>) -> Result<(), Error> {
    for (key, (place, _)) in section.maps[0] {
        refuse_unsupported(section, key, place, &[])?;
        if !keys::GROUP.contains(&key.as_str()) && key != "group_name" {
            return Err(Error::UnknownKey {
                place: place.clone(),
                what: section.what.clone(),
                key: key.clone(),
                nearest: nearest(key, keys::GROUP.iter().copied()),
            });
        }
    }
    if let Some(map) = section.map("default_args")? {
        super::dags::check_default_args(section, map)?;
    }
    Ok(())
}
