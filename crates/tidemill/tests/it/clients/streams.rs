//! Apache Kafka's Streams: a word count with exactly_once_v2, whose two instances are thrown out of their group in the middle of it.

use super::{place, programs};
use crate::shared::name;

#[track_caller]
fn check(address: &str, more: &[&str]) {
    let Some(java) = testkit::java_tools() else { return };
    let folder = testkit::run_folder(&name("streams")).unwrap().display().to_string();
    let program = programs("WordCount.java").display().to_string();
    let words = name("words");
    let args = [&[&program, address, &words, &folder], more].concat();
    let said = java.tool(args[0], &args[1..]).expect_success();
    let expected = "counted: each word once\n\
        inner topics: [-counts-changelog, -counts-repartition]\n\
        changelog: compact\n\
        stores: the same\n\
        committed: 600\n";
    assert_eq!(said, expected);
}

#[test]
fn streams_counts_words_exactly_once() {
    check(&place().plaintext, &[]);
}

#[test]
fn streams_counts_words_exactly_once_through_tls_and_scram() {
    check(&place().sasl_ssl, &place().secret());
}

#[test]
fn streams_counts_the_same_on_apache_kafka() {
    let Some(kafka) = testkit::kafka() else { return };
    check(&kafka.bootstrap, &[]);
}
