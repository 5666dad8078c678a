//! Rates and intervals against a clock that the tests move, and rounds, limits and ends over a generator.

use base::{Budget, ManualClock};
use connectors::generate::{Config, GeneratedSource};
use std::time::Instant;

use super::*;

fn pace(args: &PaceArgs) -> Pace {
    Plan::of(args, None, false, 7).expect("a pace").pace
}

fn args(set: impl FnOnce(&mut PaceArgs)) -> PaceArgs {
    let mut args = PaceArgs::default();
    set(&mut args);
    args
}

/// Reads whenever it may, `records` at most and of so many bytes each, until the time is over; gives what was read.
fn read_for(pace: &mut Pace, until_ms: u64, records: u64, bytes: u64) -> u64 {
    let (mut now_ms, mut count) = (0, 0);
    while now_ms < until_ms {
        match pace.ask(now_ms as f64) {
            Grant::Wait { ms } => now_ms += ms,
            Grant::Read { records_max, bytes_max } => {
                let taken = records.min(records_max).min((bytes_max / bytes).max(1));
                pace.took(taken, taken * bytes, now_ms as f64);
                count += taken;
            }
        }
    }
    count
}

#[test]
fn a_rate_is_kept_on_average() {
    for (rate, until_ms, expected) in [
        ("500/s", 60_000, 30_000),
        ("30000/m", 60_000, 30_000),
        ("1k/s", 10_000, 10_000),
        ("2/h", 7_200_000, 4),
        ("0.5/s", 60_000, 30),
        ("5MB/s", 10_000, 50_000),
        ("1MiB/s", 10_000, 10_486),
    ] {
        let args = args(|args| args.rate = Some(rate.to_owned()));
        for records in [1, 7, 100_000] {
            let count = read_for(&mut pace(&args), until_ms, records, 1_000);
            let most = expected + expected / 100 + 1;
            assert!(
                (expected - expected / 1_000..=most).contains(&count),
                "{rate} by {records}: {count}, not {expected}"
            );
        }
    }
}

#[test]
fn batches_come_at_an_interval() {
    type Set = fn(&mut PaceArgs);
    let cases: [(Set, u64); 3] = [
        (|_| (), 1_200),
        (|args| args.batch_records = Some(7), 84),
        (|args| args.rate = Some("500/s".to_owned()), 30_000),
    ];
    for (set, expected) in cases {
        let args = args(|args| {
            args.interval = Some("5s".to_owned());
            set(args);
        });
        for records in [3, 100_000] {
            assert_eq!(read_for(&mut pace(&args), 60_000, records, 10), expected, "{args:?}");
        }
    }
}

#[test]
fn jitter_varies_the_waits_and_not_the_average() {
    let args = args(|args| {
        args.interval = Some("1s".to_owned());
        args.batch_records = Some(1);
        args.jitter = Some("20%".to_owned());
    });
    let (mut pace, mut now_ms, mut waits) = (pace(&args), 0u64, Vec::new());
    while waits.len() < 1_000 {
        match pace.ask(now_ms as f64) {
            Grant::Wait { ms } => {
                waits.push(ms);
                now_ms += ms;
            }
            Grant::Read { .. } => pace.took(1, 10, now_ms as f64),
        }
    }
    assert!(waits.iter().all(|ms| (799..=1_202).contains(ms)), "{waits:?}");
    assert!(waits.iter().min() < Some(&850) && waits.iter().max() > Some(&1_150));
    assert!((980_000..1_020_000).contains(&now_ms), "{now_ms}");
}

#[test]
fn what_was_missed_is_caught_up_for_a_second_only() {
    let mut pace = pace(&args(|args| args.rate = Some("100/s".to_owned())));
    pace.ask(0.0);
    pace.took(1, 1, 0.0);
    let mut caught_up = 0;
    while let Grant::Read { records_max, .. } = pace.ask(60_000.0) {
        pace.took(records_max, 1, 60_000.0);
        caught_up += records_max;
    }
    assert!((100..=111).contains(&caught_up), "{caught_up}");
}

#[test]
fn what_is_no_pace_is_refused() {
    let cases: [fn(&mut PaceArgs); 9] = [
        |args| args.rate = Some("500".to_owned()),
        |args| args.rate = Some("fast/s".to_owned()),
        |args| args.rate = Some("0/s".to_owned()),
        |args| args.rate = Some("5 apples/s".to_owned()),
        |args| args.interval = Some("5".to_owned()),
        |args| args.duration = Some("soon".to_owned()),
        |args| args.jitter = Some("20".to_owned()),
        |args| args.jitter = Some("120%".to_owned()),
        |args| (args.rate, args.interval) = (Some("5MB/s".to_owned()), Some("5s".to_owned())),
    ];
    for set in cases {
        let args = args(set);
        assert!(Plan::of(&args, None, false, 0).is_err(), "{args:?}");
    }
}

/// Reads all that a generator of `count` records gives; the marks by split, in the order of their splits.
async fn read_all(
    count: u64,
    args: &PaceArgs,
    limit: Option<u64>,
    from: impl Fn(&str) -> Position,
    ending: CancellationToken,
) -> Vec<(String, Vec<i64>)> {
    let config = Config::parse(&format!("users?count={count}")).expect("a generator");
    let plan = Plan::of(args, limit, false, 0).expect("a pace");
    let clock = Arc::new(ManualClock::at(0));
    let source = Paced::new(Arc::new(GeneratedSource::new(config)), plan, clock.clone(), ending);
    let lease = Arc::new(Budget::new(1 << 20).lease(1).await);
    let deadline = Instant::now() + Duration::from_millis(5);
    let ask = Ask { bytes_max: 4_000, records_max: 1_000, deadline, lease };
    let mut all = Vec::new();
    loop {
        let assigned = match source.discover(&ask).await.expect("discovers") {
            Discovery::Complete => return all,
            Discovery::Changed { assigned, .. } => assigned,
        };
        for split in assigned {
            let (mut reader, mut marks) =
                (source.open(&split, &from(&split.id)).await.expect("opens"), Vec::new());
            loop {
                match reader.read(&ask).await.expect("reads") {
                    Read::End => break,
                    Read::Idle => clock.advance_ms(1_000),
                    Read::Batch(batch) => {
                        marks.extend((0..batch.len()).filter_map(|row| batch.envelope.mark(row)))
                    }
                }
            }
            all.push((split.id.to_string(), marks));
        }
    }
}

#[tokio::test]
async fn rounds_read_the_same_again() {
    let args = args(|args| args.rounds = Some(3));
    let all = read_all(5, &args, None, |_| Position::Start, CancellationToken::new()).await;
    let names: Vec<_> = all.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(names, ["generate:users-0", "generate:users-0#2", "generate:users-0#3"]);
    assert!(all.iter().all(|(_, marks)| *marks == [0, 1, 2, 3, 4]), "{all:?}");
}

#[tokio::test]
async fn a_limit_is_over_all_rounds_and_lives() {
    let args = args(|args| args.rounds = Some(0));
    let all = read_all(5, &args, Some(7), |_| Position::Start, CancellationToken::new()).await;
    assert_eq!(
        all,
        [("generate:users-0".to_owned(), vec![0, 1, 2, 3, 4]), ("generate:users-0#2".to_owned(), vec![0, 1])]
    );
    // A second life that has the first round and one record of the second behind it.
    let from = |id: &str| Position::Mark(if id == "generate:users-0" { 5 } else { 1 });
    let rest = read_all(5, &args, Some(7), from, CancellationToken::new()).await;
    assert_eq!(rest, [("generate:users-0".to_owned(), vec![]), ("generate:users-0#2".to_owned(), vec![1])]);
}

#[tokio::test]
async fn an_end_that_was_asked_for_ends_every_split() {
    let ending = CancellationToken::new();
    ending.cancel();
    let args = args(|args| args.rounds = Some(0));
    assert_eq!(read_all(5, &args, None, |_| Position::Start, ending).await, []);
}
