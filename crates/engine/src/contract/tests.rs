//! The suite finds what it is there to find: a store that keeps all rules, and one that names by chance.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use arrow_array::Array;
use async_trait::async_trait;
use base::{Batch, Body, Extent, Fault, Load, Position, Receipt, Rejects, Saved, Writer};
use parking_lot::Mutex;

use super::*;

/// The split and the first mark.
type Name = (Arc<str>, i64);

/// Objects by name, as an object store has them.
#[derive(Default)]
struct Store {
    objects: Mutex<BTreeMap<Name, Vec<Vec<u8>>>>,
    names_by_chance: bool,
    chance: AtomicU64,
}

struct StoreSink(Arc<Store>);
struct StoreWriter(Arc<Store>, Split, Option<i64>, Vec<Vec<u8>>);

#[async_trait]
impl Sink for StoreSink {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(StoreWriter(self.0.clone(), split.clone(), None, Vec::new())))
    }
    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Writer for StoreWriter {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None)
    }
    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        if !batch.is_empty() && self.2.is_none() {
            self.2 = batch.envelope.mark(0);
        }
        match &batch.body {
            Body::Raw(values) => {
                self.3.extend(
                    (0..values.len())
                        .filter(|row| values.is_valid(*row))
                        .map(|row| values.value(row).to_vec()),
                );
            }
            Body::Rows(rows) => self.3.extend(rows.iter().map(|_| b"row".to_vec())),
            Body::Columns(_) => {}
        }
        Ok(Rejects::default())
    }
    async fn commit(&mut self, _: &Extent) -> Result<Receipt, Fault> {
        let mut name = self.2.take().unwrap_or(0);
        if self.0.names_by_chance {
            name = self.0.chance.fetch_add(1, SeqCst) as i64;
        }
        self.0.objects.lock().insert((self.1.id.clone(), name), std::mem::take(&mut self.3));
        Ok(Receipt::default())
    }
}

async fn verdict(names_by_chance: bool) -> String {
    let store = Arc::new(Store { names_by_chance, ..Store::default() });
    let (opened, read) = (store.clone(), store.clone());
    let fixture = SinkFixture {
        open: Box::new(move || Arc::new(StoreSink(opened.clone()))),
        read_back: Box::new(move |split| {
            let (store, id) = (read.clone(), split.id.clone());
            Box::pin(async move {
                store
                    .objects
                    .lock()
                    .iter()
                    .filter(|((of, _), _)| *of == id)
                    .flat_map(|(_, values)| values.clone())
                    .collect()
            })
        }),
        value,
        bad_value: None,
        denied: None,
        throttled: None,
        cannot: &[
            (Rule::RejectAmongGood, "it takes all bytes"),
            (Rule::Throttled, "it has no limit"),
            (Rule::Denied, "it has no rights"),
        ],
    };
    sink(&fixture).await
}

#[tokio::test]
async fn a_store_that_names_by_the_start_keeps_the_contract() {
    insta::assert_snapshot!(verdict(false).await);
}

#[tokio::test]
async fn a_store_that_names_by_chance_is_found_out() {
    insta::assert_snapshot!(verdict(true).await);
}
