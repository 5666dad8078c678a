//! `tidemill ls s3://BUCKET/PREFIX`: what lies there, in the project's own S3 or in AWS.

use std::io::{ErrorKind, Write};

use base::{Problem, units::bytes_text};
use cloud::{
    aws::Identity,
    gcp,
    store::{self, Address, Bucket, Cloud, Credentials, GcsConfig, S3Config},
};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};

use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {
    /// Where to look: s3://BUCKET or s3://BUCKET/PREFIX/
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// All objects below it, and not only those right there
    #[arg(short, long)]
    recursive: bool,
}

/// One line of the listing.
enum Entry {
    Folder(String),
    Object(ObjectMeta),
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let address = Address::parse(&args.address).map_err(failure)?;
    let bucket = open(&address, context).await?;
    let entries = list(&bucket, &address.key, args.recursive).await?;
    let mut out = std::io::stdout().lock();
    for entry in &entries {
        let line = if context.is_json() { json(entry) } else { text(entry) };
        match writeln!(out, "{line}") {
            Ok(()) => {}
            // Whoever reads us has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(source) => {
                return Err(failure(cloud::Error::Store {
                    place: "stdout".to_owned(),
                    source: source.into(),
                }));
            }
        }
    }
    Ok(())
}

/// The bucket of an address: by the project's endpoint and keys, or a cloud by its standard chain.
pub(crate) async fn open(address: &Address, context: &Context) -> Result<Bucket, Failure> {
    if address.cloud == Cloud::Gcs {
        return GcsConfig::of_environment(&address.bucket, &gcp::Options::default())
            .and_then(|config| store::gcs(&config))
            .map_err(failure);
    }
    let endpoint = cloud::aws::endpoint_of("s3");
    let config = match context.s3()? {
        Some(access) => S3Config {
            bucket: address.bucket.clone(),
            region: Some(access.region),
            endpoint: Some(access.endpoint),
            path_style: true,
            credentials: Credentials::Keys {
                access_key: access.access_key,
                secret_key: access.secret_key,
                session_token: None,
            },
        },
        None => S3Config {
            bucket: address.bucket.clone(),
            region: None,
            path_style: endpoint.is_some(),
            endpoint,
            credentials: Credentials::Identity(Identity::load(None).await),
        },
    };
    store::s3(&config).map_err(failure)
}

pub(crate) fn failure(error: cloud::Error) -> Failure {
    Box::new(error) as Box<dyn Problem>
}

pub(crate) fn path(key: &str) -> Result<Path, Failure> {
    let refused = |error: object_store::path::Error| cloud::Error::Settings {
        what: format!("`{key}` is no object's name: {error}"),
        help: "write s3://BUCKET/KEY without empty parts".to_owned(),
    };
    Path::parse(key.trim_end_matches('/')).map_err(|error| failure(refused(error)))
}

/// Every object below `prefix`, by name; the object of that very name when there is nothing below it.
pub(crate) async fn objects(bucket: &Bucket, prefix: &str) -> Result<Vec<ObjectMeta>, Failure> {
    let fault = |error| failure(bucket.error(error, prefix));
    let path = path(prefix)?;
    let mut found: Vec<ObjectMeta> = bucket.store.list(Some(&path)).try_collect().await.map_err(fault)?;
    if found.is_empty() && !path.as_ref().is_empty() && !prefix.ends_with('/') {
        found.push(bucket.store.head(&path).await.map_err(fault)?);
    }
    found.sort_by(|one, other| one.location.cmp(&other.location));
    Ok(found)
}

async fn list(bucket: &Bucket, prefix: &str, is_recursive: bool) -> Result<Vec<Entry>, Failure> {
    if is_recursive {
        return Ok(objects(bucket, prefix).await?.into_iter().map(Entry::Object).collect());
    }
    let path = path(prefix)?;
    let fault = |error| failure(bucket.error(error, prefix));
    let listed = bucket.store.list_with_delimiter(Some(&path)).await.map_err(fault)?;
    let folders = listed.common_prefixes.into_iter().map(|folder| Entry::Folder(format!("{folder}/")));
    let mut entries: Vec<Entry> = folders.chain(listed.objects.into_iter().map(Entry::Object)).collect();
    if entries.is_empty() {
        // An object by its full name, or nothing at all.
        entries = objects(bucket, prefix).await?.into_iter().map(Entry::Object).collect();
    }
    entries.sort_by(|one, other| name(one).cmp(name(other)));
    Ok(entries)
}

fn name(entry: &Entry) -> &str {
    match entry {
        Entry::Folder(name) => name,
        Entry::Object(meta) => meta.location.as_ref(),
    }
}

fn text(entry: &Entry) -> String {
    match entry {
        Entry::Folder(name) => format!("{:>19} {:>10}  {name}", "", "folder"),
        Entry::Object(meta) => {
            let time = meta.last_modified.format("%Y-%m-%d %H:%M:%S");
            format!("{time} {:>10}  {}", bytes_text(meta.size), meta.location)
        }
    }
}

fn json(entry: &Entry) -> String {
    match entry {
        Entry::Folder(name) => serde_json::json!({"folder": name}),
        Entry::Object(meta) => serde_json::json!({
            "key": meta.location.as_ref(),
            "bytes": meta.size,
            "modified": meta.last_modified.to_rfc3339(),
        }),
    }
    .to_string()
}
