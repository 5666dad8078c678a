//! Addresses where nobody is: a name that no name server knows, and a port where nobody listens. Each is told at once, in one error, with
//! nothing of what the libraries below would log.

use testkit::World;

use crate::{shared::world, snapshot};

/// The command's words, without the address: `HOST` stands for it.
const LOADS: [&[&str]; 14] = [
    &["https://HOST/in.csv", "out.jsonl"],
    &["https://HOST/in.parquet", "out.jsonl"],
    &["https://HOST/pages", "out.jsonl"],
    &["s3://lake/in.csv", "out.jsonl", "--set", "s3.external=http://HOST"],
    &["s3://lake/in/", "out.jsonl", "--set", "s3.external=http://HOST"],
    &["in.csv", "s3://lake/out.jsonl", "--set", "s3.external=http://HOST"],
    &["mongodb://HOST/fleet/planes", "out.jsonl"],
    &["in.csv", "mongodb://HOST/fleet/planes"],
    &["dynamodb://local/planes", "out.jsonl", "--set", "dynamodb.external=http://HOST"],
    &["in.csv", "dynamodb://local/planes", "--set", "dynamodb.external=http://HOST"],
    &["kafka://HOST/planes", "out.jsonl"],
    &["in.csv", "kafka://HOST/planes"],
    &["in.csv", "kafka://HOST/planes", "--create", "--contract", "planes", "--registry", "http://HOST"],
    &["firestore://tidemill/planes", "out.jsonl"],
];

fn told(world: &mut World, host: &str) -> String {
    world.write("in.csv", "id,text\n1,a\n");
    world.write(
        "contracts/planes.json",
        r#"{"title":"Plane","type":"object","properties":{"id":{"type":"integer"}}}"#,
    );
    world.set("FIRESTORE_EMULATOR_HOST", host);
    let mut text = String::new();
    for words in LOADS {
        let words: Vec<String> = words.iter().map(|word| word.replace("HOST", host)).collect();
        let words: Vec<&str> = std::iter::once("load").chain(words.iter().map(String::as_str)).collect();
        let ran = world.run(&words);
        assert!(ran.code == Some(5), "{}", ran.shown());
        assert!(!ran.stderr.contains("warning: ") && !ran.stderr.contains(" ERROR "), "{}", ran.shown());
        text += &format!("$ tidemill {}\n{}", words.join(" "), ran.stderr);
    }
    text
}

/// What the resolver says differs from machine to machine.
fn plain(text: &str) -> String {
    let reasons = [
        "Name or service not known",
        "Temporary failure in name resolution",
        "No address associated with hostname",
    ];
    reasons.iter().fold(text.to_owned(), |text, reason| text.replace(reason, "[UNKNOWN]"))
}

#[test]
fn a_name_that_nobody_knows() {
    let mut world = world();
    let text = told(&mut world, "no-such-host.invalid:1");
    snapshot!(&world, "unknown", plain(&text));
}

#[test]
fn a_port_where_nobody_listens() {
    let mut world = world();
    let text = told(&mut world, "127.0.0.1:1");
    snapshot!(&world, "refused", text);
}
