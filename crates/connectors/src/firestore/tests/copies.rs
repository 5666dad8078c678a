//! A collection with all below it, copied by the engine: killed at each save, begun again, the same in the end.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering::SeqCst},
};

use async_trait::async_trait;
use base::{Backoff, Budget, Extent, Fault, Load, Receipt, Saved, SystemClock};
use engine::{
    Checkpoints, Cuts, OnError, Progress, Summary, Transfer, checkpoints::NoCheckpoints,
    dead_letters::NoDeadLetters,
};
use tokio_util::sync::CancellationToken;

use super::*;

/// The save with this number does not happen: the life ends.
struct Dying {
    kept: NoCheckpoints,
    dies_at: AtomicI64,
}

#[async_trait]
impl Checkpoints for Dying {
    async fn load(&self, split: &Split) -> Result<Saved, Fault> {
        self.kept.load(split).await
    }

    async fn save(&self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault> {
        if self.dies_at.fetch_sub(1, SeqCst) == 1 {
            return Err(Fault::Fatal("killed".into()));
        }
        self.kept.save(extent, receipt).await
    }
}

async fn life(world: &World, to: &str, kept: Arc<Dying>) -> Result<Summary, Fault> {
    let from = world.settings(&[("collection", "users"), ("subcollections", "all")]);
    let transfer = Transfer {
        load: Load { id: "copy".into(), transfer: "copy".into() },
        source: source(&from, &Selection::default()).unwrap(),
        stages: Vec::new(),
        sink: sink(&world.settings(&[("collection", to)])).unwrap(),
        cuts: Cuts::records(20),
        budget: Budget::new(256 << 10),
        checkpoints: kept,
        dead_letters: Arc::new(NoDeadLetters),
        progress: Arc::new(Progress::default()),
        on_error: OnError::Stop,
        clock: Arc::new(SystemClock),
        retries: Backoff::new(10, 100, 5, 7),
        lanes_count_max: 4,
    };
    transfer.run(CancellationToken::new()).await
}

async fn tree(world: &World, collection: &str) -> BTreeMap<String, Value> {
    let settings = [("collection", collection), ("subcollections", "all")];
    read_all(world, &settings, &Selection::default()).await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_the_same_wherever_its_first_life_ends() {
    let Some(world) = World::new("copies") else { return };
    // A batch without marks is cut at its end only, so there are some batches' worth of documents.
    let ids: Vec<String> = (0..1_200).map(|number| format!("{number:04}-{}", "x".repeat(200))).collect();
    world.put_numbers("users", &ids[..1_000]);
    world.put_numbers(&format!("users/{}/orders", ids[7]), &ids[1_000..]);
    let whole = tree(&world, "users").await;
    assert_eq!(whole.len(), 1_200);
    let mut dies_at = 1;
    loop {
        let kept = Arc::new(Dying { kept: NoCheckpoints::default(), dies_at: AtomicI64::new(dies_at) });
        let to = format!("copy-{dies_at}");
        let first = life(&world, &to, kept.clone()).await;
        if first.is_ok() {
            break;
        }
        life(&world, &to, kept).await.unwrap();
        assert!(tree(&world, &to).await == whole, "save {dies_at}");
        dies_at += 1;
    }
    assert!(dies_at > 5, "the plan and some extents: {dies_at}");
}
