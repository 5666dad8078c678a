//! Every error as its reader sees it.

use super::*;

#[test]
fn errors_say_what_why_and_what_to_do() {
    let errors = [
        Error::NoSchema { format: "Parquet" },
        Error::SchemaUnfit { format: "Avro", what: "`a-b` is no Avro name".to_owned() },
        Error::Form { format: "Avro", form: "raw bytes" },
        Error::Unreadable { name: "a.avro".to_owned(), format: "Avro", source: "wrong magic".into() },
        Error::Unknown { given: "lzma".to_owned(), what: "Avro codec", known: "null, deflate" },
        Error::Encoder { format: "Parquet", source: "out of range".into() },
    ];
    let all: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
    insta::assert_snapshot!(all.join("\n"));
}
