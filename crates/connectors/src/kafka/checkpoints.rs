//! The group's committed offsets as the checkpoint, with the sink's receipt in the commit's metadata.
//!
//! So `kafka-consumer-groups --reset-offsets` and Connect's offsets API mean what people think they mean, and a member
//! that the group has given up is refused by its generation.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base::{Backoff, Extent, Fault, Position, Receipt, Saved, Split};
use engine::Checkpoints;
use rdkafka::error::KafkaError;

use super::{
    Error, KafkaSource,
    errors::{fault, is_transient},
    source::{Inner, blocking, partition_of},
};

/// Metadata that begins so is ours; what follows is the receipt in hexadecimal.
const RECEIPT_PREFIX: &str = "tidemill:1:";
/// Tries of one commit while the group's coordinator moves or a rebalance ends.
const TRIES_MAX: u32 = 8;

pub struct GroupCheckpoints {
    inner: Arc<Inner>,
}

impl GroupCheckpoints {
    pub fn of(source: &KafkaSource) -> Self {
        Self { inner: source.inner.clone() }
    }
}

#[async_trait]
impl Checkpoints for GroupCheckpoints {
    async fn load(&self, split: &Split) -> Result<Saved, Fault> {
        let (inner, partition) = (self.inner.clone(), partition_of(split)?);
        blocking(move || {
            let read = inner.member.committed(&partition);
            let (offset, metadata) = read.map_err(|source| refused(&inner, &partition, source))?;
            inner.stands_at(&partition, offset);
            Ok(Saved {
                position: offset.map_or(Position::Start, Position::Mark),
                receipt: receipt(&metadata),
            })
        })
        .await
    }

    async fn save(&self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault> {
        let Position::Mark(offset) = extent.end else {
            return Err(Fault::Fatal(format!("{}: {} is no offset", extent.split.id, extent.end).into()));
        };
        let (inner, partition, metadata) =
            (self.inner.clone(), partition_of(&extent.split)?, metadata(receipt));
        blocking(move || {
            let mut waits = Backoff::new(20, 500, TRIES_MAX, offset.unsigned_abs());
            loop {
                match inner.member.commit(&partition, offset, &metadata) {
                    Ok(()) => return Ok(()),
                    Err(source) => {
                        let again = source.rdkafka_error_code().is_some_and(is_transient);
                        match waits.next().filter(|_| again) {
                            Some(wait) => std::thread::sleep(wait.min(Duration::from_millis(500))),
                            None => return Err(refused(&inner, &partition, source)),
                        }
                    }
                }
            }
        })
        .await
    }
}

fn refused(inner: &Inner, partition: &super::member::Partition, source: KafkaError) -> Fault {
    let (group, topic, partition) =
        (inner.member.config.group_id.clone(), partition.0.to_string(), partition.1);
    let code = source.clone();
    let error = match source.rdkafka_error_code() {
        Some(code) if super::errors::is_lost(code) => {
            Error::Fenced { group, topic, partition, source: Box::new(source) }
        }
        Some(code) if super::errors::is_denied(code) => {
            Error::Denied { subject: format!("group {group}"), source }
        }
        _ => Error::Commit { group, topic, partition, source: Box::new(source) },
    };
    fault(&code, error)
}

fn metadata(receipt: &Receipt) -> String {
    if receipt.0.is_empty() {
        return String::new();
    }
    receipt.0.iter().fold(RECEIPT_PREFIX.to_owned(), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

/// None where the metadata is empty or another program's.
fn receipt(metadata: &str) -> Receipt {
    let Some(digits) = metadata.strip_prefix(RECEIPT_PREFIX) else { return Receipt::default() };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?))
        .collect();
    Receipt(bytes.unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_survives_the_metadata() {
        for bytes in [&b""[..], b"\x00\xff", b"orders+3"] {
            let given = Receipt(bytes.to_vec().into());
            assert_eq!(receipt(&metadata(&given)), given);
        }
        assert_eq!(receipt("another program's"), Receipt::default());
        assert_eq!(receipt("tidemill:1:zz"), Receipt::default());
    }
}
