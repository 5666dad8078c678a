//! The floors of ARCHITECTURE.md against `cargo metadata`: an edge only goes down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::assert_none;
use crate::{licences::metadata, run::root};

/// The table under `## Floors`: crate -> floor; and the rows under `Allowed beside the floors`.
struct Floors {
    floor_of: BTreeMap<String, usize>,
    beside: BTreeSet<(String, String)>,
}

fn floors() -> Floors {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split("\n## Floors").nth(1).expect("ARCHITECTURE.md has ## Floors");
    let section = section.split("\n## ").next().unwrap();
    let mut floors = Floors { floor_of: BTreeMap::new(), beside: BTreeSet::new() };
    for line in section.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let Some(floor) = cells[0].chars().next().and_then(|digit| digit.to_digit(10)) {
            for name in cells[1].split(',') {
                floors.floor_of.insert(name.trim().trim_matches('`').to_owned(), floor as usize);
            }
        } else if let Some((from, to)) = cells[0].split_once(" -> ") {
            floors.beside.insert((from.trim_matches('`').to_owned(), to.trim_matches('`').to_owned()));
        }
    }
    floors
}

/// `tidemill-base` is said `base`.
fn short(name: &str) -> &str {
    name.strip_prefix("tidemill-").unwrap_or(name)
}

#[test]
fn every_edge_goes_down() {
    let floors = floors();
    let metadata = metadata().unwrap();
    let mut broken = Vec::new();
    let mut used = BTreeSet::new();
    let members = metadata["packages"].as_array().unwrap().iter();
    for package in members.filter(|package| package["source"].is_null()) {
        let name = short(package["name"].as_str().unwrap());
        let Some(&floor) = floors.floor_of.get(name) else {
            broken.push(format!("{name} stands on no floor of ARCHITECTURE.md"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = short(dependency["name"].as_str().unwrap());
            let for_tests = dependency["kind"].as_str() == Some("dev");
            let Some(&below) = floors.floor_of.get(to).filter(|_| dependency["path"].is_string()) else {
                continue;
            };
            let edge = (name.to_owned(), to.to_owned());
            let goes_down = below < floor || (for_tests && (below <= floor || to == "testkit"));
            if floors.beside.contains(&edge) {
                used.insert(edge);
            } else if !goes_down {
                broken.push(format!("{name} (floor {floor}) -> {to} (floor {below})"));
            }
        }
        if package["features"].as_object().is_some_and(|features| !features.is_empty()) {
            broken.push(format!("{name} has features; a heavy part is a crate of its own"));
        }
    }
    broken
        .extend(floors.beside.difference(&used).map(|(from, to)| format!("unused exception {from} -> {to}")));
    assert_none("edges that do not go down", &broken);
}
