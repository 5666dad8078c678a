//! Objects below a prefix, exactly those of the plan; and buckets that are made.

use base::{
    BoxError,
    units::{bytes_text, count_text},
};
use cloud::store::{Address, Bucket};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore, path::Path};

use super::{Action, Args, Step};
use crate::{
    commands::ls,
    context::{Context, Failure},
};

pub(super) struct Work {
    bucket: Bucket,
    keys: Vec<Path>,
}

/// All objects below the target, whose names go on with `--prefix`.
pub(super) async fn plan(args: &Args, context: &Context, target: &str) -> Result<Vec<Step>, Failure> {
    let address = Address::parse(target).map_err(ls::failure)?;
    let bucket = ls::open(&address, context).await?;
    let is_there = match bucket.check().await {
        Ok(()) => true,
        Err(error) if error.is_policy() => true,
        Err(_) if args.create => false,
        Err(error) => return Err(ls::failure(error)),
    };
    let mut steps = Vec::new();
    if !is_there {
        let work = super::Work::Objects(Work { bucket: bucket.clone(), keys: Vec::new() });
        let thing = bucket.address();
        return Ok(vec![Step { action: Action::Make, thing, detail: "a bucket".to_owned(), work }]);
    }
    for action in args.actions(true).into_iter().filter(|action| *action != Action::Make) {
        let objects = objects(&bucket, &address.key, args.prefix.as_deref()).await?;
        if objects.is_empty() {
            continue;
        }
        let bytes = objects.iter().map(|object| object.size).sum();
        let detail = format!("{} objects, {}", count_text(objects.len() as u64), bytes_text(bytes));
        let keys = objects.into_iter().map(|object| object.location).collect();
        let work = super::Work::Objects(Work { bucket: bucket.clone(), keys });
        let thing = format!("{}{}", target, args.prefix.as_deref().unwrap_or_default());
        steps.push(Step { action, thing, detail, work });
    }
    Ok(steps)
}

async fn objects(bucket: &Bucket, key: &str, prefix: Option<&str>) -> Result<Vec<ObjectMeta>, Failure> {
    let start = format!("{key}{}", prefix.unwrap_or_default());
    // Stores list whole folders; the rest of a prefix is looked at here.
    let folder = match prefix {
        Some(_) => start.rsplit_once('/').map_or("", |(folder, _)| folder),
        None => key.trim_end_matches('/'),
    };
    let fault = |error| ls::failure(bucket.error(error, key));
    let folder = ls::path(folder)?;
    let listed = bucket.store.list((!folder.as_ref().is_empty()).then_some(&folder));
    let mut found: Vec<ObjectMeta> = listed.try_collect().await.map_err(fault)?;
    if prefix.is_some() {
        found.retain(|object| object.location.as_ref().starts_with(&start));
    }
    found.sort_by(|one, other| one.location.cmp(&other.location));
    Ok(found)
}

/// Does it, and says how much it was.
pub(super) async fn act(action: Action, work: &Work) -> Result<String, BoxError> {
    let Work { bucket, keys } = work;
    if action == Action::Make {
        bucket.create().await?;
        return Ok(String::new());
    }
    let keys = futures::stream::iter(keys.clone()).map(Ok).boxed();
    let gone: Vec<Result<Path, object_store::Error>> = bucket.store.delete_stream(keys).collect().await;
    let mut count = 0;
    for answer in gone {
        match answer {
            Ok(_) => count += 1,
            // Somebody else was first.
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(Box::new(bucket.error(error, ""))),
        }
    }
    Ok(format!("{} objects", count_text(count)))
}
