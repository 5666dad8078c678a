//! What each error looks like to the one who reads it, and what a client gets.

use base::problem::plain;

use super::*;

#[test]
fn every_error_says_what_why_and_what_to_do() {
    let log: Arc<str> = "flights-0".into();
    let path = PathBuf::from("data/flights-0/00000000000000000000.log");
    let failing = || io::Error::from_raw_os_error(5);
    let errors = [
        LogError::disk("write", &path, failing()),
        LogError::disk("write", &path, ErrorKind::StorageFull.into()),
        LogError::disk("write", &path, ErrorKind::ReadOnlyFilesystem.into()),
        LogError::Locked { path: "data/.lock".into() },
        LogError::Damaged { path, what: "the checksum is 00000001, the batch says 00000002".into() },
        LogError::Failed { log: log.clone(), reason: "cannot sync the log".into() },
        LogError::Closed { log: log.clone() },
        LogError::Deleted { log: log.clone() },
        LogError::OffsetOutOfRange { log: log.clone(), offset: 7, start: 10, end: 20 },
        LogError::Batch { log: log.clone(), source: BatchError::Magic { magic: 1 } },
        LogError::Batch { log: log.clone(), source: BatchError::Record { index: 2, what: "it is cut off" } },
        LogError::BatchTooLarge { log: log.clone(), bytes: 2_000_000, bytes_max: 1_048_588 },
        LogError::InvalidRecord { log: log.clone(), why: "there is no record batch" },
        LogError::NoKey { log: log.clone(), records: [0, 2].into() },
        LogError::InvalidTimestamp {
            log: log.clone(),
            timestamp_ms: 9,
            from_ms: 1,
            to_ms: 5,
            records: [1].into(),
        },
        LogError::OutOfOrderSequence { log: log.clone(), producer_id: 4, sequence: 9, expected: 5 },
        LogError::ProducerFenced { log: log.clone(), producer_id: 4, epoch: 0, current: 1 },
        LogError::NoTransaction { log, producer_id: 4 },
    ];
    let shown = |error: &LogError| format!("{}  answer: {:?}\n", plain(error), error.answer());
    insta::assert_snapshot!(errors.iter().map(shown).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_clock_that_jumps_says_what_follows() {
    let jumps = [-90_000, 86_400_000].map(|by_ms| plain(&crate::log::ClockJumped { by_ms }));
    insta::assert_snapshot!(jumps.join("\n"));
}
