//! Kill -9 as an input: at each named point in turn, then at random moments. Afterwards the dataset holds what an undisturbed
//! run gives, and nothing else.

mod stores;

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use testkit::{Seeded, World, crash_points, poll, tied_to_us};

use super::{Tables, change, documents, files, project, tables};

/// Passed by `pipeline reset --load`.
const GIVE_UP: &str = "pipelines.give_up.";

/// Three loads, undisturbed: the third finds nothing new, and takes nothing that the second has left lying for its own.
fn undisturbed() -> (Tables, usize) {
    let world = project();
    world.ok(&["run", "lake"]);
    change(&world);
    world.ok(&["run", "lake"]);
    world.ok(&["run", "lake"]);
    (tables(&world.path("lake/planes")), files(&world.path("lake/planes")).len())
}

/// The load that the pipeline's state names: what it says is complete, another run would not go on with.
fn last_load(world: &World) -> Option<String> {
    let text = fs::read(world.path(".tidemill/pipelines/lake/state.json")).ok()?;
    let state: Value = serde_json::from_slice(&text).ok()?;
    state["last_load_id"].as_str().map(str::to_owned)
}

#[track_caller]
fn assert_as_if_nothing_happened(world: &World, expected: &Tables, files_count: usize, when: &str) {
    let dataset = world.path("lake/planes");
    let found = tables(&dataset);
    for (table, rows) in expected {
        let (has, wanted) = (found.get(table).map_or(0, Vec::len), rows.len());
        assert_eq!(has, wanted, "{when}: rows of {table}");
        assert!(found[table] == *rows, "{when}: other rows in {table}");
    }
    assert_eq!(found.len(), expected.len(), "{when}");
    let paths = files(&dataset);
    assert_eq!(paths.len(), files_count, "{when}: {paths:#?}");
    let loads: BTreeSet<String> = files(&dataset.join("_dlt_loads"))
        .iter()
        .map(|file| {
            let row: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            row["load_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(loads.len(), 3, "{when}");
    for path in paths.iter().filter(|path| path.to_string_lossy().contains("/planes/planes/")) {
        assert!(loads.iter().any(|load| path.to_string_lossy().contains(load.as_str())), "{when}: {path:?}");
    }
}

#[test]
fn dying_at_each_named_point_changes_nothing() {
    let (expected, files_count) = undisturbed();
    let mut never_passed = Vec::new();
    for point in crash_points() {
        let is_here =
            ["pipelines.", "engine.", "objects.commit."].iter().any(|start| point.starts_with(start));
        // The third passage too: then there is something before it.
        for die_at in [point.clone(), format!("{point}:3")] {
            if !is_here || point.starts_with(GIVE_UP) {
                continue;
            }
            let world = project();
            world.ok(&["run", "lake"]);
            let first = last_load(&world);
            change(&world);
            let mut command = world.command(&["run", "lake"]);
            command.env("TIDEMILL_DIE_AT", &die_at);
            let died = testkit::ran(&mut command, 60).code.is_none();
            if !died && die_at == point {
                never_passed.push(point.clone());
            }
            if last_load(&world) == first {
                world.ok(&["run", "lake"]);
            }
            world.ok(&["run", "lake"]);
            assert_as_if_nothing_happened(&world, &expected, files_count, &die_at);
        }
    }
    assert!(never_passed.is_empty(), "never passed: {never_passed:?}");
}

/// A load fails after some of its files are shown, and giving it up dies at each of its points in turn.
#[test]
fn giving_a_load_up_may_die_too() {
    for point in crash_points().into_iter().filter(|point| point.starts_with(GIVE_UP)) {
        let world = project();
        world.ok(&["run", "lake"]);
        let whole = (tables(&world.path("lake/planes")), files(&world.path("lake/planes")));
        change(&world);
        // Behind three extents of 300 records.
        world.write("data/planes-2.jsonl", documents(1_000, 1_000) + "{\"n\":9}\n");
        world.run(&["run", "lake"]).expect_code(6);
        assert!(files(&world.path("lake/planes")).len() > whole.1.len(), "{point}");
        let mut command = world.command(&["pipeline", "reset", "lake", "--load"]);
        command.env("TIDEMILL_DIE_AT", &point);
        assert_eq!(testkit::ran(&mut command, 60).code, None, "{point}");
        let refused = world.run(&["run", "lake"]).expect_code(2);
        assert!(refused.stderr.contains("TM1233"), "{point}: {}", refused.stderr);
        world.ok(&["pipeline", "reset", "lake", "--load"]);
        let found = (tables(&world.path("lake/planes")), files(&world.path("lake/planes")));
        assert!(found == whole, "{point}: {:#?}", found.1);
        fs::remove_file(world.path("data/planes-2.jsonl")).unwrap();
        world.ok(&["run", "lake"]);
    }
}

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let (expected, files_count) = undisturbed();
    // As many again between real stores.
    let kills_wanted = if testkit::deep() { 500 } else { 100 };
    for seed in testkit::seeds(1) {
        let mut random = Seeded::new(seed);
        let (mut kills, mut worlds) = (0, 0);
        while kills < kills_wanted {
            worlds += 1;
            let world = project();
            world.ok(&["run", "lake"]);
            let first = last_load(&world);
            change(&world);
            kills += killed_until_done(&world, &first, &mut random, 40);
            world.ok(&["run", "lake"]);
            let when = format!("seed {seed}: world {worlds} after {kills} kills");
            assert_as_if_nothing_happened(&world, &expected, files_count, &when);
        }
        eprintln!("seed {seed}: {kills} kills in {worlds} worlds");
    }
}

/// Runs that are killed, each living a little longer than the one before, until the load is complete; how many were.
fn killed_until_done(world: &World, first: &Option<String>, random: &mut Seeded, growth_ms: u64) -> usize {
    let mut kills = 0;
    while last_load(world) == *first {
        let mut command = world.command(&["run", "lake"]);
        let said = std::fs::File::create(world.path("run.log")).unwrap();
        command.stdout(said.try_clone().unwrap()).stderr(said);
        let mut life = tied_to_us(command).unwrap();
        poll::moment(random.within(5..120 + kills as u64 * growth_ms));
        if let Some(status) = life.ended() {
            let said = std::fs::read_to_string(world.path("run.log")).unwrap();
            assert!(status.success(), "{status}: {said}");
            break;
        }
        life.kill();
        kills += 1;
    }
    kills
}
