//! Names as Confluent's sinks write them, and telling our own from others'.

use std::sync::Arc;

use formats::{Compression, Format, JsonSettings, Settings};

use super::*;
use crate::objects::StoreConfig;

fn config() -> Config {
    let json = Settings { format: Format::Json(JsonSettings::default()), compression: Compression::None };
    Config::of(StoreConfig::Folder("unused".into()), json)
}

fn split(place: Place) -> Split {
    Split { id: "split".into(), place: Arc::new(place) }
}

fn topic() -> Split {
    split(Place::Topic { topic: "flights".into(), partition: 3 })
}

#[track_caller]
fn check(config: &Config, split: &Split, expected: &str) {
    assert_eq!(Names::new(config, split).unwrap().key("partition=3", 120), expected);
}

#[test]
fn names_follow_topics_dir_delimiters_and_padding() {
    check(&config(), &topic(), "topics/flights/partition=3/flights+3+0000000120.json");
    let some_dir = Config { topics_dir: "/kafka/some-sub-dir/".to_owned(), ..config() };
    check(&some_dir, &topic(), "kafka/some-sub-dir/flights/partition=3/flights+3+0000000120.json");
    let no_dir = Config { topics_dir: String::new(), ..config() };
    check(&no_dir, &topic(), "flights/partition=3/flights+3+0000000120.json");
    let other = Config { file_delim: "_".to_owned(), zero_pad_width: 0, ..config() };
    check(&other, &topic(), "topics/flights/partition=3/flights_3_120.json");
    let gzip = Settings { compression: Compression::Gzip { level: 6 }, ..config().format };
    check(
        &Config { format: gzip, ..config() },
        &topic(),
        "topics/flights/partition=3/flights+3+0000000120.json.gz",
    );
    let file = split(Place::File { path: "data/flights.csv".into() });
    check(&config(), &file, "topics/flights/partition=3/flights+0+0000000120.json");
}

#[test]
fn only_this_splits_names_are_ours() {
    let names = Names::new(&config(), &topic()).unwrap();
    let is_ours = |key| names.is_ours(key);
    assert!(is_ours("topics/flights/partition=3/flights+3+0000000120.json"));
    assert!(is_ours("topics/flights/year=2013/month=01/flights+3+120.json"));
    assert!(!is_ours("topics/flights/partition=30/flights+30+0000000120.json"));
    assert!(!is_ours("topics/flights/partition=3/flights+3+0000000120.avro"));
    assert!(!is_ours("topics/flights/partition=3/flights+3+.json"));
    assert!(!is_ours("topics/flights2/partition=3/flights+3+0000000120.json"));
}
