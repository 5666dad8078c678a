//! Dead letters of pipelines: sent again when the contract lets them in, or told why they cannot be.

use std::fs;

use super::{LAKE, files, project, shown, tables};
use crate::snapshot;

fn contract(mode: &str) -> String {
    LAKE.replace("primary_key: n", &format!("primary_key: n, schema_contract: {mode}"))
}

#[test]
fn rows_that_the_contract_left_out_are_loaded_when_it_lets_them_in() {
    let world = project();
    world.ok(&["run", "lake"]);
    let more = "{\"n\":9001,\"at\":9001,\"wings\":2}\n{\"n\":9002,\"at\":9002}\n{\"n\":9003,\"at\":9003,\"wings\":\"two\"}\n";
    world.write("data/planes-2.jsonl", more);
    world.write("pipelines/lake.yaml", contract("discard_row"));
    world.ok(&["run", "lake"]);
    let airports = tables(&world.path("lake/planes"))["airports"].clone();
    let retry = |code: i32, name: &str| {
        let ran = world.run(&["dead-letters", "retry", name]).expect_code(code);
        shown(&ran)
    };
    let mut text = shown(&world.run(&["dead-letters", "list"]));
    // As long as the contract is as it was, they are refused again.
    text += &retry(6, "lake");
    text += &shown(&world.run(&["dead-letters", "list"]));
    world.write("pipelines/lake.yaml", contract("evolve"));
    text += &retry(0, "lake");
    text += &shown(&world.run(&["dead-letters", "list"]));
    let found = tables(&world.path("lake/planes"));
    let planes = &found["planes"];
    assert_eq!(planes.len(), 1_003);
    assert!(planes.iter().any(|row| row.contains("\"n\":9001") && row.contains("\"wings\":2")), "{planes:?}");
    assert!(
        planes.iter().any(|row| row.contains("\"n\":9003") && row.contains("\"wings__v_text\":\"two\"")),
        "{planes:?}"
    );
    // Nothing was replaced, and the cursor stands where it stood.
    assert_eq!(found["airports"], airports);
    let state = world.ok(&["pipeline", "state", "lake"]);
    assert!(state.contains("9003"), "{state}");
    text += &shown(&world.run(&["pipeline", "history", "lake"]));
    world.ok(&["run", "lake"]);
    assert_eq!(tables(&world.path("lake/planes"))["planes"].len(), 1_003);
    snapshot!(&world, "letters", text);
}

#[test]
fn parts_of_records_say_why_they_stay() {
    let world = project();
    world.ok(&["run", "lake"]);
    world.write(
        "data/planes-2.jsonl",
        "{\"n\":9001,\"at\":9001,\"wings\":2,\"seats\":[{\"row\":1,\"wide\":true}]}\n",
    );
    world.write("pipelines/lake.yaml", contract("discard_value"));
    world.ok(&["run", "lake"]);
    let mut text = shown(&world.run(&["dead-letters", "retry", "lake"]).expect_code(6));
    assert_eq!(files(&world.path(".tidemill/dead-letters/lake")).len(), 1);
    world.ok(&["dead-letters", "rm", "lake"]);
    text += &shown(&world.run(&["dead-letters", "list"]));
    snapshot!(&world, "parts", text);
}

#[test]
fn a_retry_that_dies_loads_each_letter_once() {
    for point in [
        "pipelines.begin.after_journal",
        "pipelines.commit.after_list",
        "pipelines.finish.after_journal",
        "pipelines.finish.before_local",
        "pipelines.finish.after_local",
        "pipelines.clear.before_journal",
    ] {
        let world = project();
        world.ok(&["run", "lake"]);
        world.write(
            "data/planes-2.jsonl",
            "{\"n\":9001,\"at\":9001,\"wings\":2}\n{\"n\":9002,\"at\":9002,\"wings\":3}\n",
        );
        world.write("pipelines/lake.yaml", contract("discard_row"));
        world.ok(&["run", "lake"]);
        world.write("pipelines/lake.yaml", contract("evolve"));
        let mut command = world.command(&["dead-letters", "retry", "lake"]);
        command.env("TIDEMILL_DIE_AT", point);
        assert_eq!(testkit::ran(&mut command, 60).code, None, "{point}");
        let run = world.run(&["run", "lake"]);
        if run.code != Some(0) {
            assert!(run.stderr.contains("it sends dead letters again"), "{point}: {}", run.shown());
        }
        let again = world.run(&["dead-letters", "retry", "lake"]);
        let is_over = again.code == Some(0) || again.stderr.contains("there are no dead letters of lake");
        assert!(is_over, "{point}: {}", again.shown());
        assert_eq!(tables(&world.path("lake/planes"))["planes"].len(), 1_002, "{point}");
        assert!(
            !world.path(".tidemill/dead-letters/lake").exists()
                || files(&world.path(".tidemill/dead-letters/lake")).is_empty(),
            "{point}"
        );
        assert!(
            fs::read_dir(world.path(".tidemill/pipelines/lake"))
                .unwrap()
                .flatten()
                .all(|file| file.file_name() != "letters.json"),
            "{point}"
        );
    }
}

/// A record of CSV has its columns with it.
#[test]
fn rows_of_a_file_that_is_gone_are_loaded() {
    let world = project();
    let lake = "source: { url: data }\ntarget: { url: lake, dataset: planes, compression: none }\n\
                streams:\n  planes: { collection: '*.csv', schema_contract: MODE }\n";
    world.write("data/planes-1.csv", "n,tail\n1,N1\n");
    world.write("pipelines/lake.yaml", lake.replace("MODE", "evolve"));
    world.ok(&["run", "lake"]);
    fs::remove_file(world.path("data/planes-1.csv")).unwrap();
    world.write("data/planes-2.csv", "n,wings,tail\n2,2,N2\n3,,N3\n4\n");
    world.write("pipelines/lake.yaml", lake.replace("MODE", "discard_row"));
    world.ok(&["run", "lake"]);
    fs::remove_file(world.path("data/planes-2.csv")).unwrap();
    world.write("pipelines/lake.yaml", lake.replace("MODE", "evolve"));
    let ran = world.run(&["dead-letters", "retry", "lake"]).expect_code(6);
    // One is too short, whatever the contract says.
    assert!(ran.stdout.starts_with("1 record to lake"), "{}", ran.shown());
    let planes = &tables(&world.path("lake/planes"))["planes"];
    assert_eq!(
        planes[..],
        [r#"{"n":1,"tail":"N1"}"#, r#"{"n":2,"tail":"N2","wings":2}"#, r#"{"n":3,"tail":"N3"}"#]
    );
    for file in files(&world.path(".tidemill/dead-letters/lake")) {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("\"value\":\"4\"", "\"value\":\"4,3,N4\"")).unwrap();
    }
    world.ok(&["dead-letters", "retry", "lake"]);
    let planes = &tables(&world.path("lake/planes"))["planes"];
    assert_eq!(planes[3..], [r#"{"n":4,"tail":"N4","wings":3}"#]);
}
