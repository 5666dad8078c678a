//! Kill -9 at each point of a conversion and at random moments: a file is what it was before or whole, and the next run leaves
//! what an undisturbed one leaves.

use std::{collections::BTreeMap, fs, path::Path, process::Stdio, time::Instant};

use testkit::{Seeded, crash_points, poll, tied_to_us};

use super::{shared, world};

const COUNT: usize = 60_000;

fn many() -> String {
    (0..COUNT).fold("n,text\n".to_owned(), |text, n| text + &format!("{n},some text of {n}\n"))
}

/// Names and bytes of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// One file, and a folder of several.
const TARGETS: [(&str, &[&str]); 3] = [
    ("one/out.jsonl.gz", &[]),
    ("parts/", &["--target-format", "parquet", "--file-rows", "16384"]),
    ("bytes/", &["--target-format", "csv", "--file-bytes", "400KB"]),
];

#[test]
fn a_conversion_that_dies_anywhere_is_made_whole_by_the_next() {
    let world = world();
    world.write("in.csv", many());
    let points: Vec<String> = crash_points()
        .into_iter()
        .filter(|point| point.starts_with("output.") || point.starts_with("objects.commit"))
        .collect();
    assert!(points.len() >= 5, "{points:?}");
    for (target, more) in TARGETS {
        let whole = format!("whole/{target}");
        world.ok(&[&["convert", "in.csv", &whole], more].concat());
        let expected =
            files(world.path(&whole).parent().filter(|_| more.is_empty()).unwrap_or(&world.path(&whole)));
        let folder = world.path(target);
        let folder = if more.is_empty() { folder.parent().unwrap() } else { &folder };
        for point in &points {
            for passage in 1..=2 {
                let words = [&["convert", "in.csv", target], more].concat();
                let mut command = world.command(&words);
                command.env("TIDEMILL_DIE_AT", format!("{point}:{passage}"));
                let ran = testkit::ran(&mut command, 120);
                // What is there under a whole name is whole, and what it was or will be.
                for (name, bytes) in files(folder).iter().filter(|(name, _)| !name.contains('#')) {
                    assert_eq!(expected.get(name), Some(bytes), "{point} {name}: {}", ran.shown());
                }
            }
            world.ok(&[&["convert", "in.csv", target], more].concat());
            assert_eq!(files(folder), expected, "{point}");
        }
    }
}

#[test]
fn killed_at_any_moment_a_file_is_whole_or_not_there() {
    let world = world();
    world.write("in.csv", many());
    let (target, more) = TARGETS[1];
    let words = [&["convert", "in.csv", target], more].concat();
    let began = Instant::now();
    world.ok(&words);
    let whole_ms = began.elapsed().as_millis() as u64;
    let expected = files(&world.path(target));
    for seed in testkit::seeds(1) {
        let mut chance = Seeded::new(seed);
        for _ in 0..8 {
            let mut command = world.command(&words);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut convert = tied_to_us(command).unwrap();
            poll::moment(chance.within(1..whole_ms));
            convert.kill();
            for (name, bytes) in files(&world.path(target)).iter().filter(|(name, _)| !name.contains('#')) {
                assert_eq!(expected.get(name), Some(bytes), "seed {seed}: {name}");
            }
        }
        world.ok(&words);
        assert_eq!(files(&world.path(target)), expected, "seed {seed}");
    }
}

/// An upload in parts that dies leaves nothing that is seen, and the next run gives it up.
#[test]
fn an_upload_that_dies_leaves_no_object() {
    let (world, _) = shared();
    // More than one part of 8 MiB.
    let text = (0..400_000).fold("n,text\n".to_owned(), |text, n| text + &format!("{n},some text of {n}\n"));
    world.write("data/large.csv", text);
    let target = format!("s3://lake/{}/out.jsonl", super::name("killed"));
    for point in ["objects.part.between", "objects.commit.before_complete"] {
        let mut command = world.command(&["load", "data/large.csv", &target]);
        command.env("TIDEMILL_DIE_AT", point);
        testkit::ran(&mut command, 120);
        world.run(&["ls", &target]).expect_code(6);
    }
    for _ in 0..2 {
        world.ok(&["load", "data/large.csv", &target]);
        assert_eq!(world.ok(&["cat", &target]).lines().count(), 400_000);
    }
}
