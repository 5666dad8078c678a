//! Folders by field and by time, and what the engine is told of them.

use std::sync::Arc;

use arrow_array::BinaryViewArray;
use base::{Envelope, Lease, ManualClock, Place, Position};
use engine::Boundary;
use formats::{Compression, Format, JsonSettings, Settings};

use super::*;
use crate::objects::{Config, Extractor, PartitionBoundary, Pattern, StoreConfig};

const HOUR_MS: i64 = 3_600_000;

fn batch(body: Body, times_ms: &[i64]) -> Batch {
    Batch {
        envelope: Envelope {
            marks: Some((0..body.len() as i64).collect()),
            timestamps_ms: Some(times_ms.iter().copied().collect()),
            ..Envelope::default()
        },
        end: Position::Mark(body.len() as i64),
        body,
        contract: None,
        place: Arc::new(Place::Topic { topic: "flights".into(), partition: 3 }),
        lease: Lease::free(),
    }
}

fn raw(values: &[&str]) -> Batch {
    let times = vec![0; values.len()];
    batch(Body::Raw(BinaryViewArray::from_iter_values(values.iter().map(|value| value.as_bytes()))), &times)
}

fn time(pattern: &str, zone: &str, duration_ms: i64, extractor: Extractor) -> Partitioner {
    Partitioner::Time(TimeRule {
        pattern: Pattern::parse(pattern, "en").unwrap(),
        timezone: zone.parse().unwrap(),
        duration_ms,
        extractor,
    })
}

fn folders(partitioner: &Partitioner, batch: &Batch) -> String {
    let clock = Arc::new(ManualClock::at(1_357_000_000_000));
    let mut folders = Folders::new(partitioner.clone(), "/", 3, clock);
    let all = (0..batch.len()).map(|row| match folders.folder(batch, row) {
        Ok(folder) => folder.to_string(),
        Err(homeless) => format!("! {} {}", homeless.code, homeless.reason),
    });
    all.collect::<Vec<_>>().join(" | ")
}

#[track_caller]
fn check(partitioner: &Partitioner, batch: &Batch, expected: &str) {
    assert_eq!(folders(partitioner, batch), expected);
}

#[test]
fn fields_of_values_and_of_raw_json_name_the_same_folders() {
    let by = Partitioner::Field { names: vec!["carrier".into(), "at.month".into(), "late".into()] };
    let text = "{\"late\":true,\"at\":{\"month\":1},\"carrier\":\"UA\"}";
    check(&by, &raw(&[text]), "carrier=UA/at.month=1/late=true");
    let value = Value::Struct(vec![
        ("late".into(), Value::Boolean(true)),
        ("at".into(), Value::Struct(vec![("month".into(), Value::Int(1))])),
        ("carrier".into(), Value::string("UA")),
    ]);
    check(&by, &batch(Body::Rows(vec![value].into()), &[0]), "carrier=UA/at.month=1/late=true");
}

#[test]
fn values_that_cannot_name_a_folder_are_told() {
    let by = Partitioner::Field { names: vec!["a".into()] };
    check(
        &by,
        &raw(&["{\"a\":null}", "{\"b\":1}", "{\"a\":1.5}", "[]", "{\"a\":\"\"}"]),
        "a=null | ! TM0753 there is no field a | ! TM0753 a: 1.5 cannot name a folder | \
         ! TM0753 the value is no JSON object: invalid type: sequence, expected a map at line 1 column 0 | \
         ! TM0753 a: \"\" cannot be part of a folder's name",
    );
}

#[test]
fn times_fall_into_folders_of_their_zone() {
    let rows = || Body::Rows(vec![Value::Null; 3].into());
    // 2013-01-01T04:59:59Z, a second later, and a day later.
    let times = [1_357_016_399_000, 1_357_016_400_000, 1_357_102_800_000];
    let daily = |zone| time("'d'=YYYY-MM-dd", zone, 24 * HOUR_MS, Extractor::Record);
    check(&daily("UTC"), &batch(rows(), &times), "d=2013-01-01 | d=2013-01-01 | d=2013-01-02");
    check(&daily("America/New_York"), &batch(rows(), &times), "d=2012-12-31 | d=2013-01-01 | d=2013-01-02");
    let quarter = time("HH:mm", "Asia/Kolkata", HOUR_MS / 4, Extractor::Record);
    check(&quarter, &batch(rows(), &times), "10:15 | 10:30 | 10:30");
}

#[test]
fn times_come_from_fields_in_every_spelling() {
    let by = time("YYYY-MM-dd'T'HH", "UTC", HOUR_MS, Extractor::RecordField("at".into()));
    check(
        &by,
        &raw(&[
            "{\"at\":1357016400000}",
            "{\"at\":\"2013-01-01T05:00:00Z\"}",
            "{\"at\":\"2013-01-01T05:00:00.123+05:00\"}",
            "{\"at\":\"2013-01-01\"}",
            "{\"at\":\"noon\"}",
            "{}",
        ]),
        "2013-01-01T05 | 2013-01-01T05 | 2013-01-01T00 | 2013-01-01T00 | ! TM0754 at: \"noon\" is no ISO 8601 time | \
         ! TM0754 there is no field at",
    );
    let values = vec![
        Value::Struct(vec![("at".into(), Value::TimestampMs(1_357_016_400_000))]),
        Value::Struct(vec![("at".into(), Value::Int(1_357_016_400_000))]),
    ];
    check(&by, &batch(Body::Rows(values.into()), &[0, 0]), "2013-01-01T05 | 2013-01-01T05");
    let wall = time("YYYY", "UTC", HOUR_MS, Extractor::Wallclock);
    check(&wall, &raw(&["{}"]), "2013");
    check(
        &time("YYYY", "UTC", HOUR_MS, Extractor::Record),
        &batch(raw(&["{}"]).body, &[-1]),
        "! TM0754 the record has no timestamp",
    );
}

#[test]
fn an_hour_that_a_zone_skips_still_has_a_folder() {
    // 2013-03-10T07:30Z is 03:30 in New York, half an hour after the gap; two-hour slots begin inside it.
    let by = time("dd HH", "America/New_York", 2 * HOUR_MS, Extractor::Record);
    check(&by, &batch(raw(&["{}"]).body, &[1_362_900_600_000]), "10 03");
}

#[test]
fn runs_are_cut_where_the_folder_changes() {
    let by = Partitioner::Field { names: vec!["a".into()] };
    let batch = raw(&["{\"a\":1}", "{\"a\":1}", "{\"a\":2}", "x", "{\"a\":1}"]);
    let mut folders = Folders::new(by, "/", 0, Arc::new(ManualClock::at(0)));
    let runs: Vec<_> =
        folders.runs(&batch, 0..5).into_iter().map(|run| (run.rows, run.folder.ok())).collect();
    let expected = vec![
        (0..2, Some("a=1".into())),
        (2..3, Some("a=2".into())),
        (3..4, None),
        (4..5, Some("a=1".into())),
    ];
    assert_eq!(runs, expected);
}

#[test]
fn the_engine_is_told_times_and_groups() {
    let json = Settings { format: Format::Json(JsonSettings::default()), compression: Compression::None };
    let config = |partitioner| Config {
        partitioner,
        ..Config::of(StoreConfig::Folder("unused".into()), json.clone())
    };
    let clock = Arc::new(ManualClock::at(0));
    let by = time("HH", "UTC", HOUR_MS, Extractor::RecordField("at".into()));
    let boundary = PartitionBoundary::new(&config(by), clock.clone());
    let batch = raw(&["{\"at\":0}", "x", "{\"at\":3600000}", "{\"at\":1}"]);
    assert_eq!(boundary.times_ms(&batch).to_vec(), [0, 0, 3_600_000, 1]);
    let groups = boundary.group_ids(&batch).unwrap();
    assert!(groups[0] == groups[1] && groups[0] == groups[3] && groups[0] != groups[2]);
    assert_eq!(PartitionBoundary::new(&config(Partitioner::Default), clock).group_ids(&batch), None);
}
