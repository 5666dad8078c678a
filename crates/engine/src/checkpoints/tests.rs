//! What is saved is read back, by one life at a time, in every version there is.

use base::Place;

use super::*;

fn split(id: &str) -> Split {
    Split { id: id.into(), place: Arc::new(Place::Made { name: id.into() }) }
}

fn extent(id: &str, end: Position) -> Extent {
    Extent { split: split(id), start: Position::Start, end, records_count: 1, bytes: 1 }
}

#[tokio::test]
async fn a_second_life_reads_what_the_first_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let receipt = Receipt(Bytes::from_static(b"\x00\xff"));
    {
        let first = FileCheckpoints::open(folder.path(), "orders/to s3").expect("opens");
        assert_eq!(first.load(&split("a")).await.expect("loads"), Saved::default());
        first.save(&extent("a", Position::Mark(7)), &receipt).await.expect("saves");
        first
            .save(&extent("b", Position::Token(Bytes::from_static(b"\x82d"))), &Receipt::default())
            .await
            .expect("saves");
    }
    let second = FileCheckpoints::open(folder.path(), "orders/to s3").expect("opens");
    let saved = second.load(&split("a")).await.expect("loads");
    assert_eq!(saved, Saved { position: Position::Mark(7), receipt });
    assert_eq!(second.load(&split("b")).await.expect("loads").position.to_string(), "8264");
}

#[tokio::test]
async fn two_lives_at_once_are_kept_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = FileCheckpoints::open(folder.path(), "orders").expect("opens");
    let Err(error) = FileCheckpoints::open(folder.path(), "orders") else { panic!("the lock holds") };
    assert!(matches!(&error, Error::Locked { holder, .. } if holder.starts_with("process ")), "{error}");
    // Where locks do not hold (some network file systems), the epoch does.
    let path = folder.path().join("orders.json");
    let stolen = fs::read_to_string(&path).expect("reads").replace("\"epoch\": 1", "\"epoch\": 2");
    fs::write(&path, stolen).expect("writes");
    let lost = first.save(&extent("a", Position::Mark(7)), &Receipt::default()).await;
    assert!(matches!(lost, Err(Fault::Lost(_))), "{lost:?}");
}

#[tokio::test]
async fn every_version_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let stored = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/checkpoint/v1.json");
    fs::copy(stored, folder.path().join("orders-to-s3.json")).expect("copies");
    let read = FileCheckpoints::open(folder.path(), "orders-to-s3").expect("opens");
    let saved = read.load(&split("orders-3")).await.expect("loads");
    assert_eq!(saved.position, Position::Mark(1_042));
    assert_eq!(&*saved.receipt.0, b"\x00\xff");
    assert_eq!(read.load(&split("new")).await.expect("loads").position, Position::Start);
}

#[test]
fn another_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for text in ["", "[]", "{\"version\": 2}", "{\"version\": 1}"] {
        fs::write(folder.path().join("x.json"), text).expect("writes");
        let Err(error) = FileCheckpoints::open(folder.path(), "x") else { panic!("{text} was taken") };
        assert!(matches!(error, Error::CheckpointFormat { .. }), "{error}");
    }
}
