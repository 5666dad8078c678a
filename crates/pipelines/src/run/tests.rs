//! Whole loads from files into a folder: what is new, what is replaced, what a failed load leaves.

use std::{fs, path::Path};

use base::{ManualClock, Place, Split, problem::plain};
use engine::Ended;
use project::TextFile;
use tempfile::TempDir;

use super::*;
use crate::{CursorValue, LOADS, STATE, VERSION, incremental::scalar_value, target::open_files::OpenFiles};

struct World {
    folder: TempDir,
    clock: ManualClock,
}

const HEAD: &str = "source: { url: data }\ntarget: { url: lake, dataset: planes, compression: none }\n";

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: ManualClock::at(1_795_834_114_874),
        };
        fs::create_dir(world.path("data")).expect("it is ours");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("it is ours");
    }

    fn options(&self, streams: &str) -> Options {
        let text = format!("{HEAD}{streams}");
        let file = PipelineFile::parse(TextFile { path: "pipelines/lake.yaml".into(), text: text.into() });
        let file = file.map_err(|error| plain(&error)).expect("it is a pipeline");
        let lake = Lake::in_folder(&self.path("lake"), "lake", &file.target.dataset).expect("a folder");
        Options {
            streams: file.streams.clone(),
            target: Target::Lake(lake),
            places: Places { root: self.folder.path().to_owned(), ..Places::default() },
            state: StateFolder::of(&self.path(".tidemill"), &file.name),
            dead_letters: self.path(".tidemill/dead-letters"),
            letters: None,
            full_refresh: false,
            backfill: None,
            clock: Arc::new(self.clock.clone()),
            progress: Arc::new(Progress::default()),
            file,
        }
    }

    async fn run(&self, streams: &str) -> Report {
        self.run_with(self.options(streams)).await.expect("it loads")
    }

    async fn run_with(&self, options: Options) -> Result<Report, BoxError> {
        self.clock.advance_ms(1_000);
        run(options, CancellationToken::new()).await
    }

    /// Every file of a table and what is in them, sorted.
    fn rows(&self, table: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for path in files(&self.path(&format!("lake/planes/{table}"))) {
            let text = fs::read_to_string(path).expect("it is text");
            rows.extend(text.lines().map(str::to_owned));
        }
        rows.sort();
        rows
    }

    /// Of each row of a table, one field.
    fn numbers(&self, table: &str) -> Vec<i64> {
        let number = |row: &String| {
            let row: serde_json::Value = serde_json::from_str(row).expect("it is JSON");
            row["n"].as_i64().expect("it has n")
        };
        let mut numbers: Vec<i64> = self.rows(table).iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

const PLANES: &str = "streams:\n  planes: { collection: '*.jsonl', cursor: at, primary_key: n }\n";

#[tokio::test]
async fn a_second_run_takes_only_what_is_new() {
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5,\"tags\":[\"a\",\"b\"]}\n{\"n\":2,\"at\":7}\n");
    let report = world.run(PLANES).await;
    assert_eq!((report.ended, report.is_resumed, report.is_restored), (Ended::Finished, false, false));
    assert_eq!(report.tables["planes"].rows_count, 2);
    assert_eq!(report.tables["planes__tags"].rows_count, 2);
    world.write("data/2.jsonl", "{\"n\":3,\"at\":7}\n{\"n\":4,\"at\":9}\n{\"n\":5,\"at\":1}\n");
    let report = world.run(PLANES).await;
    assert_eq!(report.tables["planes"].rows_count, 2);
    assert_eq!(world.numbers("planes"), [1, 2, 3, 4]);
    let report = world.run(PLANES).await;
    assert!(report.tables.is_empty(), "{:?}", report.tables);
    // The load of nothing is none at the target.
    for (table, count) in [(LOADS, 2), (VERSION, 1), (STATE, 2)] {
        assert_eq!(files(&world.path(&format!("lake/planes/{table}"))).len(), count, "{table}");
    }
    let history = world.options(PLANES).state.history().expect("it is ours");
    assert_eq!(history.iter().map(|load| load.status.as_str()).collect::<Vec<_>>(), ["loaded"; 3]);
    assert!(world.options(PLANES).state.journal().expect("it is ours").is_none());
}

/// A program that died between two steps of tidying up left the list of its last extents, and no load that they belong to.
#[tokio::test]
async fn what_a_complete_load_has_left_lying_is_not_taken_for_the_next_ones() {
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5}\n{\"n\":2,\"at\":7}\n");
    world.run(PLANES).await;
    let state = world.options(PLANES).state;
    let path: Arc<str> = world.path("data/1.jsonl").display().to_string().into();
    let split = Split { id: path.clone(), place: Arc::new(Place::File { path }) };
    let key = |path: &PathBuf| {
        let below = path.strip_prefix(world.path("lake")).expect("it lies there");
        below.display().to_string()
    };
    let keys = files(&world.path("lake/planes/planes")).iter().map(key).collect();
    OpenFiles::of(&state, "planes", &split).write(0, keys).expect("it is ours");
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5}\n{\"n\":2,\"at\":7}\n{\"n\":3,\"at\":9}\n");
    world.run(PLANES).await;
    assert_eq!(world.numbers("planes"), [1, 2, 3]);
}

#[tokio::test]
async fn a_lost_state_comes_back_from_the_target() {
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5}\n{\"n\":2,\"at\":7}\n");
    world.run(PLANES).await;
    fs::remove_dir_all(world.path(".tidemill")).expect("it is there");
    world.write("data/2.jsonl", "{\"n\":3,\"at\":8}\n");
    let report = world.run(PLANES).await;
    assert!(report.is_restored);
    assert_eq!(world.numbers("planes"), [1, 2, 3]);
}

#[tokio::test]
async fn replace_takes_the_place_of_what_was_there_when_it_is_complete() {
    let streams = "streams:\n  planes: { collection: 1.jsonl, write_disposition: replace }\n";
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1,\"tags\":[1]}\n{\"n\":2}\n");
    world.run(streams).await;
    assert_eq!(world.numbers("planes"), [1, 2]);
    // A load that fails leaves what was there, and goes on later.
    world.write("data/1.jsonl", "{\"n\":3}\n{\"n\":\"four\"}\n");
    let frozen =
        "streams:\n  planes: { collection: 1.jsonl, write_disposition: replace, schema_contract: freeze }\n";
    world.run_with(world.options(frozen)).await.expect_err("it is frozen");
    assert_eq!(world.numbers("planes"), [1, 2]);
    assert_eq!(world.rows("planes__tags").len(), 1);
    world.options(frozen).state.clear_load().expect("it is ours");
    world.run(streams).await;
    assert_eq!(world.rows("planes").len(), 2);
    assert_eq!(world.rows("planes__tags").len(), 0);
    assert!(files(&world.path("lake/planes/_staging")).is_empty());
}

#[tokio::test]
async fn a_full_refresh_forgets_and_loads_everything() {
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5,\"old\":1}\n");
    world.run(PLANES).await;
    world.write("data/1.jsonl", "{\"n\":2,\"at\":3}\n{\"n\":3,\"at\":4}\n");
    assert!(world.run(PLANES).await.tables.is_empty());
    let report =
        world.run_with(Options { full_refresh: true, ..world.options(PLANES) }).await.expect("it loads");
    assert_eq!(report.tables["planes"].rows_count, 2);
    assert_eq!(world.numbers("planes"), [2, 3]);
    let state = world.options(PLANES).state.state().expect("it is ours").expect("it is there");
    assert_eq!(state.streams["planes"].last_value, Some(CursorValue::Int(4)));
}

#[tokio::test]
async fn a_backfill_moves_no_cursor() {
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5}\n{\"n\":2,\"at\":7}\n{\"n\":3,\"at\":9}\n");
    world.run(PLANES).await;
    let backfill = Backfill { from: Some(scalar_value("5")), to: Some(scalar_value("9")) };
    let options = Options { backfill: Some(backfill), ..world.options(PLANES) };
    let report = world.run_with(options).await.expect("it loads");
    assert_eq!(report.tables["planes"].rows_count, 2);
    assert_eq!(world.numbers("planes"), [1, 1, 2, 2, 3]);
    let state = world.options(PLANES).state.state().expect("it is ours").expect("it is there");
    assert_eq!(state.streams["planes"].last_value, Some(CursorValue::Int(9)));
}

#[tokio::test]
async fn an_unfinished_load_is_not_mixed_with_another() {
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5}\n{\"n\":2}\n");
    world.run_with(world.options(PLANES)).await.expect_err("a record has no cursor");
    let other = "streams:\n  planes: { collection: '*.jsonl', cursor: { field: at, on_missing: exclude } }\n";
    let error = world.run_with(world.options(other)).await.expect_err("it is another load");
    let error = error.downcast::<Error>().expect("it is ours");
    assert!(plain(&*error).contains("TM1225"), "{}", plain(&*error));
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5}\n{\"n\":2,\"at\":6}\n");
    let report = world.run(PLANES).await;
    assert!(report.is_resumed);
    assert_eq!(world.numbers("planes"), [1, 2]);
    let history = world.options(PLANES).state.history().expect("it is ours");
    assert_eq!(history.iter().map(|load| load.status.as_str()).collect::<Vec<_>>(), ["failed", "loaded"]);
}

#[tokio::test]
async fn what_the_contract_discards_is_counted_and_kept() {
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1}\n");
    let frozen = "streams:\n  planes: { collection: '*.jsonl', schema_contract: { columns: discard_row } }\n";
    world.run(frozen).await;
    world.write("data/1.jsonl", "{\"n\":2}\n{\"n\":3,\"more\":1}\nnot json\n");
    let report = world.run(frozen).await;
    assert_eq!(report.discarded_count, 2);
    assert_eq!(world.numbers("planes"), [1, 2]);
    let letters: String =
        files(&report.dead_letters).iter().map(|path| fs::read_to_string(path).expect("text")).collect();
    assert_eq!(letters.lines().count(), 2, "{letters}");
}

/// Two files are safe and shown when the third extent fails.
fn failing(world: &World) -> Options {
    let mut options = world.options(PLANES);
    options.file.target.file_records_max = 2;
    options
}

const BAD: &str = "{\"n\":9}\n";

fn five_and_a_bad_one(world: &World) {
    let line = |n: usize| format!("{{\"n\":{n},\"at\":{n}0,\"tags\":[1]}}\n");
    world.write("data/2.jsonl", &((2..7).map(line).collect::<String>() + BAD));
}

#[tokio::test]
async fn a_load_that_is_given_up_leaves_nothing() {
    let world = World::new();
    world.write("data/1.jsonl", "{\"n\":1,\"at\":5,\"tags\":[1]}\n");
    world.run(PLANES).await;
    let lake = world.path("lake/planes");
    let before = files(&lake);
    five_and_a_bad_one(&world);
    world.run_with(failing(&world)).await.expect_err("a record has no cursor");
    assert_eq!(world.numbers("planes"), [1, 2, 3, 4, 5]);
    let options = failing(&world);
    let given_up = give_up(&options.file, &options.state, &options.target).await.expect("it goes");
    let given_up = given_up.expect("there is one");
    assert_eq!((given_up.removed_count, given_up.missing_count), (4, 0));
    assert_eq!(files(&lake), before);
    assert_eq!(give_up(&options.file, &options.state, &options.target).await.expect("none"), None);
    // A target that is another one by now keeps its files, and that is counted.
    world.run_with(failing(&world)).await.expect_err("a record has no cursor");
    let elsewhere = Target::Lake(Lake::in_folder(&world.path("other"), "other", "planes").expect("a folder"));
    let given_up = give_up(&options.file, &options.state, &elsewhere).await.expect("it goes");
    assert_eq!(given_up.map(|given_up| (given_up.removed_count, given_up.missing_count)), Some((0, 4)));
}

#[tokio::test]
async fn a_load_that_is_being_given_up_is_not_gone_on_with() {
    let world = World::new();
    five_and_a_bad_one(&world);
    world.run_with(failing(&world)).await.expect_err("a record has no cursor");
    let folder = world.options(PLANES).state;
    let mut journal = folder.journal().expect("it is ours").expect("it is there");
    journal.phase = crate::state::Phase::GivingUp;
    folder.save_journal(&journal).expect("it is written");
    let error = world.run_with(failing(&world)).await.expect_err("files of it may be gone");
    assert!(error.to_string().contains("is being given up"), "{error}");
    journal.phase = crate::state::Phase::Finishing { ended_ms: 1, swap: crate::state::Swap::default() };
    folder.save_journal(&journal).expect("it is written");
    let options = failing(&world);
    let error = give_up(&options.file, &options.state, &options.target).await.expect_err("it is all read");
    assert!(error.to_string().contains("cannot be given up"), "{error}");
}

#[tokio::test]
async fn what_earlier_lives_discarded_is_counted_too() {
    let world = World::new();
    world.write(
        "data/1.jsonl",
        "{\"n\":1,\"at\":1}\nno json\n{\"n\":2,\"at\":2}\n{\"n\":3,\"at\":3}\n{\"n\":4}\n",
    );
    world.run_with(failing(&world)).await.expect_err("a record has no cursor");
    world.write(
        "data/1.jsonl",
        "{\"n\":1,\"at\":1}\nno json\n{\"n\":2,\"at\":2}\n{\"n\":3,\"at\":3}\nnor this\n",
    );
    let report = world.run_with(failing(&world)).await.expect("it loads");
    assert!(report.is_resumed);
    assert_eq!((report.discarded_count, world.numbers("planes")), (2, vec![1, 2, 3]));
}
