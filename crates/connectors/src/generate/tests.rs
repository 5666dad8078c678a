//! What is made refers to itself, is the same each time, and can be begun anywhere.

use std::{collections::HashMap, time::Duration, time::Instant};

use base::{Ask, Body, Discovery, Lease, Position, Read, Source, problem::plain};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Config, Error, GeneratedSource};

fn ask() -> Ask {
    Ask {
        bytes_max: 64 << 10,
        records_max: 1000,
        deadline: Instant::now() + Duration::from_secs(10),
        lease: Lease::free(),
    }
}

/// The records of every split from a position on; of all splits from `Start`.
async fn made_from(text: &str, from: Position) -> Vec<String> {
    let source = GeneratedSource::new(Config::parse(text).expect("a generator"));
    let Discovery::Changed { assigned, .. } = source.discover(&ask()).await.expect("splits") else {
        panic!("no splits");
    };
    assert!(matches!(source.discover(&ask()).await, Ok(Discovery::Complete)));
    let mut all = Vec::new();
    for split in &assigned {
        let mut reader = source.open(split, &from).await.expect("opens");
        while let Read::Batch(batch) = reader.read(&ask()).await.expect("reads") {
            let Body::Raw(values) = &batch.body else { panic!("not raw") };
            all.extend(values.iter().flatten().map(|value| String::from_utf8_lossy(value).into_owned()));
        }
    }
    all
}

async fn made(text: &str) -> Vec<Value> {
    let lines = made_from(text, Position::Start).await;
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const TABLES: [&str; 6] = [
    "users",
    "finance.users",
    "finance.cards",
    "finance.transactions",
    "finance.mcc_codes",
    "finance.fraud_labels",
];

#[tokio::test]
async fn the_first_record_of_each_table() {
    for table in TABLES {
        let first = made(&format!("{table}?count=1")).await;
        let text = serde_json::to_string_pretty(&first[0]).expect("text");
        insta::with_settings!({ snapshot_suffix => table }, { insta::assert_snapshot!("first", text) });
    }
}

#[tokio::test]
async fn the_same_seed_makes_the_same_and_another_seed_another() {
    for table in TABLES {
        let [one, same, other] = [7, 7, 8].map(|seed| format!("{table}?count=300&seed={seed}&customers=300"));
        let one = made_from(&one, Position::Start).await;
        assert_eq!(one, made_from(&same, Position::Start).await, "{table}");
        if table != "finance.mcc_codes" {
            assert_ne!(one, made_from(&other, Position::Start).await, "{table}");
        }
    }
}

#[tokio::test]
async fn a_second_life_goes_on_at_any_number() {
    let whole = made_from("finance.transactions?count=2500", Position::Start).await;
    assert_eq!(whole.len(), 2500);
    for from in [1, 999, 1000, 2499, 2500] {
        let rest = made_from("finance.transactions?count=2500", Position::Mark(from)).await;
        assert_eq!(rest, whole[from as usize..]);
    }
}

#[tokio::test]
async fn parts_of_a_large_table_are_the_whole() {
    let lines = made_from("finance.fraud_labels?count=230000", Position::Start).await;
    assert_eq!(lines.len(), 230_000);
    let first = made_from("finance.fraud_labels?count=49999", Position::Start).await;
    assert_eq!(first, lines[..49_999]);
}

#[tokio::test]
async fn columns_hold_what_the_text_says() {
    let config = || Config::parse("finance.transactions?count=3000&seed=5").expect("a generator");
    let lines = made("finance.transactions?count=3000&seed=5").await;
    let source = GeneratedSource::new(config()).in_columns();
    let schema = source.schema().expect("payments have columns");
    let Discovery::Changed { assigned, .. } = source.discover(&ask()).await.expect("splits") else {
        panic!("no splits");
    };
    for from in [Position::Start, Position::Mark(2_999)] {
        let mut reader = source.open(&assigned[0], &from).await.expect("opens");
        let mut number = if from == Position::Start { 0 } else { 2_999 };
        while let Read::Batch(batch) = reader.read(&ask()).await.expect("reads") {
            let Body::Columns(columns) = &batch.body else { panic!("no columns") };
            let mut text = Vec::new();
            let mut writer = arrow_json::LineDelimitedWriter::new(&mut text);
            writer.write(columns).and_then(|()| writer.finish()).expect("JSON");
            for line in String::from_utf8_lossy(&text).lines() {
                let told: Value = serde_json::from_str(line).expect("JSON");
                let mut expected = lines[number].clone();
                // Columns have no members that are null.
                expected.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
                assert_eq!(told, expected);
                number += 1;
            }
            assert_eq!(batch.end, Position::Mark(number as i64));
        }
        assert_eq!(number, 3_000);
    }
    assert_eq!(schema.fields().len(), 12);
    assert!(
        GeneratedSource::new(Config::parse("users").expect("a generator")).in_columns().schema().is_none()
    );
}

#[tokio::test]
async fn the_banks_tables_refer_to_each_other() {
    let options = "seed=3&customers=101&count=20000";
    let users = made(&format!("finance.users?{options}")).await;
    let cards = made(&format!("finance.cards?{options}")).await;
    let codes = made("finance.mcc_codes").await;
    assert_eq!(users.len(), 101);
    let mut cards_of: HashMap<u64, u64> = HashMap::new();
    for card in &cards {
        *cards_of.entry(card["client_id"].as_u64().expect("a client")).or_default() += 1;
    }
    for user in &users {
        let id = user["id"].as_u64().expect("an id");
        assert_eq!(user["num_credit_cards"].as_u64(), cards_of.get(&id).copied(), "customer {id}");
    }
    let owners: HashMap<_, _> =
        cards.iter().map(|card| (card["id"].as_u64(), card["client_id"].as_u64())).collect();
    let codes: Vec<_> = codes.iter().filter_map(|code| code["id"].as_str()).collect();
    let transactions = made(&format!("finance.transactions?{options}")).await;
    let labels = made(&format!("finance.fraud_labels?{options}")).await;
    let mut before = String::new();
    for (paid, label) in transactions.iter().zip(&labels) {
        assert_eq!(owners.get(&paid["card_id"].as_u64()), Some(&paid["client_id"].as_u64()));
        assert_eq!(label["id"].as_str().map(str::to_owned), paid["id"].as_u64().map(|id| id.to_string()));
        assert!(codes.contains(&&*paid["mcc"].to_string()), "{paid}");
        assert_eq!(paid["merchant_city"] == "ONLINE", paid["zip"].is_null());
        let date = paid["date"].as_str().expect("a date");
        assert!(*date > *before, "{before} before {date}");
        date.clone_into(&mut before);
    }
    let frauds = labels.iter().filter(|label| label["value"] == "Yes").count();
    assert!((10..120).contains(&frauds), "{frauds} of 20,000");
}

#[tokio::test]
async fn the_digests_of_a_user_are_true() {
    for user in made("users?count=50").await {
        let login = &user["login"];
        let text = |name: &str| login[name].as_str().expect("a text").to_owned();
        let digest = Sha256::digest(text("password") + &text("salt"));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text("sha256"), digest);
        assert_eq!((text("md5").len(), text("sha1").len()), (32, 40));
    }
}

#[test]
fn wishes_that_nobody_grants() {
    let refused = |text: &str| plain(&Config::parse(text).expect_err(text));
    let told: Vec<String> = ["finance.transaction", "users?amount=3", "users?count=many", "users?count=-1"]
        .into_iter()
        .map(refused)
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
    assert!(matches!(Config::parse(""), Err(Error::UnknownTable { .. })));
    assert_eq!(
        Config::parse("users?count=1_000&seed=9").map(|config| (config.records_count(), config.seed)).ok(),
        Some((1000, 9))
    );
}
