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
        let entity = Entity { user: who(words[0]), client_id: who(words[1]), ip: None };
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
    let entity = Entity { user: who("alice"), client_id: who("*"), ip: None };
    quotas(folder.path(), &["alice * 100", "- app 7"]);
    let again = Quotas::open(folder.path()).unwrap();
    assert_eq!(again.entities().get(&entity), Some(&BTreeMap::from([(Limit::Produced, 100.0)])));
    assert!(again.limits(Limit::Produced));
    again.alter(vec![(entity.clone(), vec![(Limit::Produced, None)])]).unwrap();
    assert_eq!(Quotas::open(folder.path()).unwrap().entities().len(), 1);
}

#[test]
fn limits_that_cannot_be_are_refused() {
    let user = Entity { user: who("alice"), ..Entity::default() };
    let ip = Entity { ip: who("*"), ..Entity::default() };
    let reason = |word: &str, value| Limit::checked(word, value, &user).unwrap_err().reason;
    assert!(Limit::checked("consumer_byte_rate", Some(1_024.0), &user).is_ok());
    assert!(Limit::checked("request_percentage", Some(0.5), &user).is_ok());
    assert!(Limit::checked("controller_mutation_rate", Some(0.5), &user).is_ok());
    assert!(Limit::checked("connection_creation_rate", Some(5.0), &ip).is_ok());
    let of_ip = |word: &str, value| Limit::checked(word, Some(value), &ip).unwrap_err().reason;
    assert_eq!(of_ip("producer_byte_rate", 1.0), "Invalid configuration key producer_byte_rate");
    assert_eq!(of_ip("connection_creation_rate", 1e10), "connection_creation_rate is at most 2147483647");
    assert_eq!(
        reason("connection_creation_rate", Some(5.0)),
        "Invalid configuration key connection_creation_rate"
    );
    assert_eq!(reason("bytes", Some(1.0)), "Invalid configuration key bytes");
    assert_eq!(reason("producer_byte_rate", Some(0.5)), "producer_byte_rate cannot be a fractional value.");
    assert_eq!(reason("producer_byte_rate", Some(f64::NAN)), "producer_byte_rate must be greater than 0");
    assert_eq!(reason("request_percentage", Some(-1.0)), "request_percentage must be greater than 0");
}

#[test]
fn entities_that_cannot_be_are_refused() {
    let checked = |user: &str, ip: &str| {
        let entity = Entity { user: who(user), client_id: None, ip: who(ip) };
        entity.checked().map(|entity| entity.ip).map_err(|refusal| refusal.reason)
    };
    assert_eq!(checked("-", "127.0.0.1"), Ok(who("127.0.0.1")));
    assert_eq!(checked("-", "0:0:0:0:0:0:0:1"), Ok(who("::1")));
    assert_eq!(checked("-", "::ffff:10.0.0.1"), Ok(who("10.0.0.1")));
    assert_eq!(checked("-", "*"), Ok(Some(Who::Default)));
    assert_eq!(checked("alice", "-"), Ok(None));
    let refused = |reason: &str| Err(reason.to_owned());
    assert_eq!(checked("-", "here"), refused("here is not a valid IP."));
    assert_eq!(checked("alice", "127.0.0.1"), refused("Invalid empty client quota entity"));
    assert_eq!(checked("-", "-"), refused("Invalid empty client quota entity"));
}

#[test]
fn an_address_may_open_so_many_connections_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = Quotas::open(folder.path()).unwrap();
    let of = |ip: &str, rate| {
        let entity = Entity { ip: who(ip), ..Entity::default() };
        (entity, vec![(Limit::Connections, Some(rate))])
    };
    let connect = |ip: &str, now_ms| quotas.connect_at(ip.parse().unwrap(), now_ms);
    assert_eq!(connect("10.0.0.1", 0), 0);
    quotas.alter(vec![of("10.0.0.1", 2.0), of("*", 1.0)]).unwrap();
    let let_in = |ip: &str, now_ms| (0..100).filter(|_| connect(ip, now_ms) == 0).count();
    // Ten seconds' worth at once; who is not let in does not count.
    assert_eq!((let_in("10.0.0.1", 0), let_in("10.0.0.2", 0), let_in("10.0.0.3", 0)), (20, 10, 10));
    assert_eq!((connect("10.0.0.2", 5_000), let_in("10.0.0.2", 11_000)), (1_000, 10));
}

#[test]
fn mutations_are_a_bucket_of_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = Quotas::open(folder.path()).unwrap();
    let entity = Entity { client_id: who("app"), ..Entity::default() };
    quotas.alter(vec![(entity, vec![(Limit::Mutations, Some(2.0))])]).unwrap();
    let take = |count, is_strict, now_ms| quotas.take_at("User:a", "app", count, is_strict, now_ms);
    // 22 tokens at first. What is begun may go below zero; then newer clients are refused.
    assert_eq!(take(10, true, 0), Ok(0));
    assert_eq!(take(16, true, 0), Ok(0));
    assert_eq!(take(1, true, 0), Err(2_000));
    assert_eq!(take(1, true, 1_000), Err(1_000));
    // Older ones are served, and wait afterwards.
    assert_eq!(take(2, false, 1_000), Ok(2_000));
    assert_eq!(take(1, true, 3_000), Ok(0));
    assert_eq!(take(22, false, 60_000), Ok(0));
    assert_eq!(quotas.take_at("User:a", "other", 1_000, true, 0), Ok(0));
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
