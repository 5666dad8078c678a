//! `tidemill cat s3://BUCKET/KEY`: the records of one object or of all below a prefix, as JSON lines.

use std::io::{self, BufWriter, ErrorKind, Write};

use base::Problem;
use cloud::store::Address;
use object_store::ObjectStoreExt;

use super::ls;
use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {
    /// An object, or a prefix with all objects below it: s3://BUCKET/KEY or s3://BUCKET/PREFIX/
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Only so many records
    #[arg(long, value_name = "COUNT")]
    head: Option<u64>,
}

/// Objects are unpacked (.gz) and decoded (.avro, .parquet) by their names; one is in memory at a time.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let address = Address::parse(&args.address).map_err(ls::failure)?;
    let bucket = ls::open(&address, context).await?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut left = args.head.unwrap_or(u64::MAX);
    for meta in ls::objects(&bucket, &address.key).await? {
        if left == 0 {
            break;
        }
        let key = meta.location.as_ref();
        let fault = |error| ls::failure(bucket.error(error, key));
        let bytes = bucket.store.get(&meta.location).await.map_err(fault)?.bytes().await.map_err(fault)?;
        let mut written = Ok(());
        formats::read_json_lines(key, bytes, &mut |line| {
            written = out.write_all(line).and_then(|()| out.write_all(b"\n"));
            left -= 1;
            written.is_ok() && left > 0
        })
        .map_err(|error| Box::new(error) as Box<dyn Problem>)?;
        if !ended(written)? {
            return Ok(());
        }
    }
    ended(out.flush()).map(|_| ())
}

/// Whether to go on: not when whoever reads us has seen enough (`| head`).
fn ended(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(source) => {
            Err(ls::failure(cloud::Error::Store { place: "stdout".to_owned(), source: source.into() }))
        }
    }
}
