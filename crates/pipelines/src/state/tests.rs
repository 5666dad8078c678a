//! Files of version 1 stay readable; what a target holds is dlt's own.

use std::path::Path;

use super::*;
use crate::incremental::CursorValue;

fn fixture() -> StateFolder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1");
    StateFolder { path: folder, pipeline: "lake".to_owned() }
}

#[test]
fn version_1_stays_readable() {
    let state = fixture().state().expect("it is ours").expect("it is there");
    assert_eq!(state.streams["planes"].last_value, Some(CursorValue::timestamp(1_795_834_114_874_746)));
    assert_eq!(
        state.streams["airports"].last_value,
        Some(CursorValue::tagged("objectId", "65a0".to_owned()))
    );
    assert_eq!(state.streams["planes"].hashes, ["Tp44cKMYfAuJ"]);
    let journal = fixture().journal().expect("it is ours").expect("it is there");
    assert!(journal.is_finishing());
    assert_eq!(journal.done["planes"].tables["planes"].rows_count, 3_322);
    let history = fixture().history().expect("it is ours");
    assert_eq!((history.len(), history[0].status.as_str()), (1, "loaded"));
}

#[test]
fn what_is_written_is_read_back() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = StateFolder::of(temporary.path(), "lake");
    assert!(folder.state().expect("nothing is there").is_none());
    let state = fixture().state().expect("it is ours").expect("it is there");
    folder.save_state(&state).expect("it is written");
    assert_eq!(folder.state().expect("it is ours"), Some(state));
    let journal = fixture().journal().expect("it is ours").expect("it is there");
    folder.save_journal(&journal).expect("it is written");
    assert_eq!(folder.journal().expect("it is ours"), Some(journal));
    for load in fixture().history().expect("it is ours") {
        folder.add_history(&load).expect("it is written");
        folder.add_history(&load).expect("it is written once");
    }
    assert_eq!(folder.history().expect("it is ours"), fixture().history().expect("it is ours"));
    folder.clear().expect("it goes");
    assert_eq!(folder.state().expect("it is ours"), Some(State::default()));
}

#[test]
fn another_version_is_refused() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = StateFolder::of(temporary.path(), "lake");
    std::fs::create_dir_all(folder.path()).expect("it is ours");
    let text = "{\"version\":2,\"pipeline\":\"lake\",\"state_version\":1,\"streams\":{}}";
    std::fs::write(folder.path().join("state.json"), text).expect("it is ours");
    insta::assert_snapshot!(base::problem::plain(&folder.state().expect_err("it is newer")));
}

#[test]
fn the_targets_state_is_dlts_and_comes_back_as_it_was() {
    let state = fixture().state().expect("it is ours").expect("it is there");
    let about = About {
        pipeline: "lake",
        dataset: "planes",
        schema_name: "lake",
        load_id: "1795834114.874",
        at_ms: 1,
    };
    let row = state_row(&about, &state);
    insta::assert_snapshot!(row.state);
    let read = state_of(&row.text(), "the target").expect("it is ours");
    assert_eq!(read, State { last_load_id: Some("1795834114.874".to_owned()), ..state });
}

/// A row of `_dlt_pipeline_state` that dlt 1.31 wrote.
#[test]
fn a_state_of_dlt_is_gone_on_with() {
    let row = include_str!("../../fixtures/dlt/pipeline_state.jsonl");
    let state = state_of(row, "the target").expect("it is dlt's");
    assert_eq!(state.streams["planes"].field, "updated");
    assert_eq!(state.streams["planes"].last_value, Some(CursorValue::Int(7)));
    assert_eq!(state.streams["planes"].hashes, ["Tp44cKMYfAuJ"]);
}
