//! Whose quota holds, and how long who has taken too much waits.

use std::fs;

use super::*;

fn who(text: &str) -> Option<Who> {
    match text {
        "-" => None,
        "*" => Some(Who::Default),
        name => Some(Who::Named(name.to_owned())),
    }
}

/// `alice app 100`: user, client id (`*` the default, `-` none) and bytes a second.
fn quotas(folder: &Path, lines: &[&str]) -> Quotas {
    let quotas = Quotas::open(folder).unwrap();
    let change = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        let entity = Entity { user: who(words[0]), client_id: who(words[1]) };
        (entity, vec![(Limit::Produced, Some(words[2].parse().unwrap()))])
    };
    quotas.alter(lines.iter().map(change).collect()).unwrap();
    quotas
}

#[test]
fn the_most_exact_quota_holds() {
    let all = ["alice app 1", "alice * 2", "alice - 3", "* app 4", "* * 5", "* - 6", "- app 7", "- * 8"];
    let found = |skipped: usize, user: &str, client_id: &str| {
        let folder = tempfile::tempdir().unwrap();
        let quotas = quotas(folder.path(), &all[skipped..]);
        quotas.most(Limit::Produced, &format!("User:{user}"), client_id).unwrap() / 10.0
    };
    for skipped in 0..all.len() {
        assert_eq!(found(skipped, "alice", "app"), skipped as f64 + 1.0, "{skipped}");
    }
    assert_eq!(
        (found(0, "alice", "other"), found(0, "bob", "app"), found(0, "bob", "other")),
        (2.0, 4.0, 5.0)
    );
    assert_eq!((found(6, "bob", "app"), found(6, "bob", "other")), (7.0, 8.0));
}

#[test]
fn who_takes_too_much_waits_as_long_as_kafka_lets_him() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = quotas(folder.path(), &["* - 1000"]);
    let send = |user: &str, bytes: f64, now_ms| quotas.record_at(Limit::Produced, user, "app", bytes, now_ms);
    // Ten seconds' worth is free at first; then (rate - bound) / bound * span.
    assert_eq!(send("User:alice", 10_000.0, 0), 0);
    assert_eq!(send("User:alice", 5_000.0, 0), 5_000);
    assert_eq!(send("User:bob", 5_000.0, 0), 0);
    assert_eq!(send("User:alice", 0.0, 15_000), 0); // forgotten by now
    assert_eq!(quotas.record_at(Limit::Fetched, "User:alice", "app", 1e9, 0), 0);
}

#[test]
fn time_mutes_for_a_second_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = Quotas::open(folder.path()).unwrap();
    let entity = Entity { client_id: who("app"), ..Entity::default() };
    quotas.alter(vec![(entity, vec![(Limit::Time, Some(0.5))])]).unwrap();
    assert_eq!(quotas.record_at(Limit::Time, "User:alice", "app", 1e6, 0), 1_000);
    assert!(quotas.limits(Limit::Time) && !quotas.limits(Limit::Produced));
}

#[test]
fn quotas_are_read_back_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let entity = Entity { user: who("alice"), client_id: who("*") };
    quotas(folder.path(), &["alice * 100", "- app 7"]);
    let again = Quotas::open(folder.path()).unwrap();
    assert_eq!(again.entities().get(&entity), Some(&BTreeMap::from([(Limit::Produced, 100.0)])));
    assert!(again.limits(Limit::Produced));
    again.alter(vec![(entity.clone(), vec![(Limit::Produced, None)])]).unwrap();
    assert_eq!(Quotas::open(folder.path()).unwrap().entities().len(), 1);
}

#[test]
fn limits_that_cannot_be_are_refused() {
    let reason = |word: &str, value| Limit::checked(word, value).unwrap_err().reason;
    assert!(Limit::checked("consumer_byte_rate", Some(1_024.0)).is_ok());
    assert!(Limit::checked("request_percentage", Some(0.5)).is_ok());
    assert_eq!(reason("bytes", Some(1.0)), "Invalid configuration key bytes");
    assert_eq!(reason("producer_byte_rate", Some(0.5)), "producer_byte_rate cannot be a fractional value.");
    assert_eq!(reason("producer_byte_rate", Some(f64::NAN)), "producer_byte_rate must be greater than 0");
    assert_eq!(reason("request_percentage", Some(-1.0)), "request_percentage must be greater than 0");
}

/// The first form that was ever written: every later broker must read it.
#[test]
fn version_1_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"version":1,"quotas":[{"entity":{"user":{"name":"alice"},"client_id":"default"},"values":{"request_percentage":12.5}}]}"#;
    fs::write(folder.path().join(FILE_NAME), text).unwrap();
    let quotas = Quotas::open(folder.path()).unwrap();
    assert_eq!(quotas.most(Limit::Time, "User:alice", "app"), Some(125.0));
}
