//! Many partitions that nobody uses: what they cost at start, in memory, and in open files.

use std::{fs, time::Instant};

use testkit::World;

use crate::shared::world;

/// A number of `/proc/<pid>/status`, in KiB.
fn status_kib(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn partitions_that_nobody_uses_cost_little() {
    // 50,000 in all with --deep: ten topics, as one has at most 10,000.
    let (topics, partitions) = if testkit::deep() { (10, 5_000) } else { (5, 1_000) };
    let mut world = world();
    world.up_with(&["--only", "broker"]);
    for topic in 0..topics {
        let count = partitions.to_string();
        world.ok(&["topic", "create", &format!("t{topic}"), "--partitions", &count]);
    }
    for end in ["down", "kill -9"] {
        if end == "down" {
            world.down();
        } else {
            world.kill();
        }
        check(&mut world, topics * partitions, end);
    }
}

fn check(world: &mut World, partitions: u64, end: &str) {
    let start = Instant::now();
    let parts = world.up_with(&["--only", "broker"]);
    let took_ms = start.elapsed().as_millis();
    let memory_kib = status_kib(parts.pid, "VmRSS");
    // In its folder: pipes of the clients that other tests have in this process are handed down to it.
    let opened = fs::read_dir(format!("/proc/{}/fd", parts.pid)).unwrap();
    let targets = opened.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let files = targets.filter(|target| target.starts_with(world.folder())).count();
    eprintln!(
        "{partitions} partitions after {end}: {took_ms} ms, {} MiB, {files} open files",
        memory_kib / 1_024
    );
    assert!(memory_kib < 300 * 1_024 && files < 100, "{memory_kib} KiB, {files} open files");
    assert!(took_ms < 20_000, "also where nothing is optimized: {took_ms} ms");
}
