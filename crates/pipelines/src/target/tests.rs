//! The lake in a folder: what is listed, moved, and removed.

use std::fs;

use super::*;

#[tokio::test]
async fn files_are_listed_moved_and_tidied_by_their_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::in_folder(folder.path(), "lake", "planes").expect("it is made");
    assert!(lake.list("planes/").await.expect("nothing is there").is_empty());
    lake.initialize().await.expect("it is written");
    for path in [
        "planes/1.a.jsonl",
        "planes__seats/1.b.jsonl",
        "_staging/lake/2/planes/2.c.jsonl",
        "_staging/lake/9/x",
    ] {
        lake.put(path, "{}\n").await.expect("it is written");
    }
    assert_eq!(lake.list("planes/").await.expect("it lists"), ["planes/1.a.jsonl"]);
    // What a kill leaves of writing, of this load and of another one.
    let half = |load: &str| folder.path().join(format!("planes/planes/{load}.d.jsonl#1"));
    for load in ["2", "3"] {
        fs::write(half(load), "half").expect("it is ours");
    }
    // A layout without the load's id: what was open says whose it is.
    let (own, other) = (half("a"), half("b"));
    for path in [&own, &other] {
        fs::write(path, "half").expect("it is ours");
    }
    lake.tidy("lake", "2", &["planes/planes/a.d.jsonl".to_owned()]).await.expect("it goes");
    assert!(!half("2").exists() && half("3").exists());
    assert!(!own.exists() && other.exists());
    assert_eq!(lake.list("_staging/").await.expect("it lists"), ["_staging/lake/2/planes/2.c.jsonl"]);
    for _ in 0..2 {
        // The second time it has moved already.
        lake.rename("_staging/lake/2/planes/2.c.jsonl", "planes/2.c.jsonl").await.expect("it moves");
        lake.delete("planes/1.a.jsonl").await.expect("it goes");
    }
    lake.remove_staging("lake");
    assert_eq!(lake.list("").await.expect("it lists"), ["planes/2.c.jsonl", "planes__seats/1.b.jsonl"]);
    assert!(!folder.path().join("planes/_staging").exists());
}
