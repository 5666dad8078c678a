//! Protobuf: the printed form, imports, descriptors, mistakes with their places. The rules of compatibility have their
//! cases in `fixtures/compatibility/protobuf.txt`.

use base::Problem;
use proptest::prelude::*;
use prost::Message;

use super::*;

fn parse(text: &str) -> Protobuf {
    Protobuf::parse_with("test.proto", text, &[]).unwrap()
}

#[track_caller]
fn check_canonical(text: &str, expected: &str) {
    // As in Confluent's, an empty line within a block is indented as every other: `~` stands for its spaces.
    let expected = expected.replace('~', "  ");
    let protobuf = parse(text);
    assert_eq!(protobuf.canonical(), expected);
    assert_eq!(parse(&expected).canonical(), expected, "canonical is stable");
    let normalized = protobuf.normalized();
    assert_eq!(parse(&normalized).normalized(), normalized, "normalized is stable");
}

const EVERYTHING: &str = r#"// A comment goes.
syntax = "proto3";

package acme.v1;
import "google/protobuf/timestamp.proto";
import public "google/protobuf/any.proto";
option java_package = "com.acme";
option optimize_for = SPEED;

enum Color { COLOR_NONE = 0; RED = 1 [deprecated = true]; }
message Order {
  oneof contact { string mail = 7; int64 phone = 6; }
  string id = 1;
  optional int32 count = 3 [deprecated = true, json_name = "n"];
  repeated Line lines = 2;
  map<string, Line> by_name = 4; // here too
  google.protobuf.Timestamp at = 5;
  message Line { double price = 1; Color color = 2; enum Kind { A = 0; } Kind kind = 3; }
  reserved 10, 12 to 14;
  reserved "old", "older";
  option deprecated = false;
}
service Orders { rpc Get (Order) returns (stream Order.Line) { option deprecated = true; } rpc Put (stream Order) returns (Order); }
"#;

#[test]
fn the_canonical_text_is_confluents() {
    check_canonical(
        EVERYTHING,
        r#"syntax = "proto3";
package acme.v1;

import "google/protobuf/timestamp.proto";
import public "google/protobuf/any.proto";

option java_package = "com.acme";
option optimize_for = SPEED;

message Order {
  reserved 10, 12 to 14;
  reserved "old", "older";

  option deprecated = false;

  string id = 1;
  optional int32 count = 3 [
    deprecated = true,
    json_name = "n"
  ];
  repeated Line lines = 2;
  map<string, Line> by_name = 4;
  google.protobuf.Timestamp at = 5;

  oneof contact {
    string mail = 7;
    int64 phone = 6;
  }

  message Line {
    double price = 1;
    Color color = 2;
    Kind kind = 3;
~
    enum Kind {
      A = 0;
    }
  }
}
enum Color {
  COLOR_NONE = 0;
  RED = 1 [deprecated = true];
}

service Orders {
  rpc Get (Order) returns (stream Order.Line) {
    option deprecated = true;
  };
  rpc Put (stream Order) returns (Order);
}
"#,
    );
}

#[test]
fn normalized_names_are_full_and_numbers_in_order() {
    let normalized = parse(EVERYTHING).normalized();
    let message = normalized.split("message Order").nth(1).unwrap().split("message Line").next().unwrap();
    assert_eq!(
        message,
        r#" {
  reserved 10;
  reserved 12 to 14;
  reserved "old";
  reserved "older";

  option deprecated = false;

  string id = 1;
  repeated .acme.v1.Order.Line lines = 2;
  optional int32 count = 3 [
    deprecated = true,
    json_name = "n"
  ];
  map<string, .acme.v1.Order.Line> by_name = 4;
  .google.protobuf.Timestamp at = 5;

  oneof contact {
    int64 phone = 6;
    string mail = 7;
  }

  "#
    );
    assert!(normalized.contains("rpc Get (.acme.v1.Order) returns (stream .acme.v1.Order.Line)"));
}

#[test]
fn proto2_has_labels_defaults_groups_and_extensions() {
    check_canonical(
        r#"import "confluent/meta.proto"; import "google/protobuf/descriptor.proto";
message A { required string s = 1 [default = "it's"]; optional group G = 2 { repeated int32 n = 1 [packed = true]; }
  optional float f = 3 [default = -1.5, (confluent.field_meta) = { tags: ["a", 'b'] params { key: "k", value: "v" } }];
  extensions 100 to 199, 500 to max; }
extend A { optional int32 more = 100; optional bool yes = 101; }"#,
        r#"
import "confluent/meta.proto";
import "google/protobuf/descriptor.proto";

message A {
  required string s = 1 [default = "it\'s"];
  optional float f = 3 [
    (confluent.field_meta) = {
      tags: [
        "a",
        "b"
      ],
      params: {
        key: "k",
        value: "v"
      }
    },
    default = -1.5
  ];

  optional group G = 2 {
    repeated int32 n = 1 [packed = true];
  }

  extensions 100 to 199;
  extensions 500 to max;
}

extend A {
  optional int32 more = 100;
  optional bool yes = 101;
}
"#,
    );
    assert!(
        parse("syntax = \"proto2\"; message A {}").canonical().starts_with("syntax = \"proto2\";\n\nmessage")
    );
}

#[test]
fn a_descriptor_stands_for_its_text() {
    let first = parse(EVERYTHING);
    let bytes = STANDARD.decode(first.serialized()).unwrap();
    let descriptor = FileDescriptorProto::decode(&bytes[..]).unwrap();
    assert_eq!((descriptor.name(), descriptor.package()), ("default", "acme.v1"));
    assert_eq!(descriptor.message_type[0].field[5].type_name(), ".acme.v1.Order.ByNameEntry");
    // Clients send it in base64, under a name of their own.
    let sent = FileDescriptorProto { name: Some("orders.proto".to_owned()), ..descriptor };
    let second = parse(&STANDARD.encode(sent.encode_to_vec()));
    assert_eq!(second.normalized(), first.normalized());
    assert!(second.canonical().contains("map<string, .acme.v1.Order.Line> by_name = 4;"));
    assert_eq!(second.serialized(), first.serialized());
}

#[test]
fn a_map_that_is_kept_as_its_message_is_a_map() {
    let kept = "syntax = \"proto3\";\n\nmessage A {\n  repeated .A.MEntry m = 1;\n\n  message MEntry {\n    option map_entry = true;\n\n    string key = 1;\n    int32 value = 2;\n  }\n}\n";
    let written = "syntax = \"proto3\"; message A { map<string, int32> m = 1; }";
    assert_eq!(parse(kept).canonical(), parse(written).canonical());
    assert_eq!(parse(kept).normalized(), parse(written).normalized());
}

#[test]
fn imports_come_from_references_and_from_what_everybody_has() {
    let reference = |name: &str, text: &str| Referenced { name: name.to_owned(), text: text.to_owned() };
    let references = [
        reference(
            "money.proto",
            "syntax = \"proto3\"; package m; import \"google/type/money.proto\"; message M { google.type.Money money = 1; }",
        ),
        reference(
            "line.proto",
            "syntax = \"proto3\"; package l; import \"money.proto\"; message L { m.M price = 1; }",
        ),
    ];
    let text =
        "syntax = \"proto3\";\n\nimport \"line.proto\";\n\nmessage Order {\n  repeated l.L lines = 1;\n}\n";
    let protobuf = Protobuf::parse_with("order.proto", text, &references).unwrap();
    assert_eq!(protobuf.canonical(), text);
    assert!(protobuf.normalized().contains("repeated .l.L lines = 1;"));
    let error = Protobuf::parse_with("order.proto", text, &references[..1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "order.proto is not a valid Protobuf schema: import 'line.proto' not found"
    );
    assert_eq!(error.spot().unwrap().to_string(), "order.proto:3:1");
}

#[test]
fn the_index_of_a_message_counts_messages_only() {
    let protobuf = parse(
        "syntax = \"proto3\"; package p; enum E { Z = 0; } message A {} message B { message C {} message D {} }",
    );
    assert_eq!(protobuf.message_index("p.A"), Some(vec![0]));
    assert_eq!(protobuf.message_index("p.B.D"), Some(vec![1, 1]));
    assert_eq!(protobuf.message_index("B"), Some(vec![1]));
    assert_eq!(protobuf.message_index("p.X"), None);
}

#[track_caller]
fn check_refused(text: &str, spot: &str, reason: &str) {
    let error = Protobuf::parse_with("a.proto", text, &[]).unwrap_err();
    let told = error.to_string();
    assert_eq!(told, format!("a.proto is not a valid Protobuf schema: {reason}"));
    assert_eq!(error.spot().unwrap().to_string(), spot);
    assert_eq!(error.code().id, "TM0413");
}

#[test]
fn mistakes_are_told_with_their_place() {
    check_refused(
        "syntax = \"proto3\";\nmessage A { string a = 0; }",
        "a.proto:2:24",
        "message numbers must be between 1 and 536870911",
    );
    check_refused(
        "syntax = \"proto3\";\nmessage A { Strin a = 1; }",
        "a.proto:2:13",
        "name 'Strin' is not defined",
    );
    check_refused(
        "syntax = \"proto3\";\nmessage A { int32 a = 1; int32 b = 1; }",
        "a.proto:2:36",
        "field number '1' is already used",
    );
    check_refused(
        "message A { int32 a = 1; }",
        "a.proto:1:13",
        "fields must have a label with proto2 syntax (expected one of 'optional', 'repeated' or 'required')",
    );
    let deep = "message A {".repeat(5_000);
    check_refused(
        "// of today\nedition = \"2023\";\nmessage A {}",
        "a.proto:2:1",
        "it is of an edition of Protobuf, and only syntax = \"proto2\" and \"proto3\" are read",
    );
    check_refused(&deep, "a.proto:1:1", "it is nested deeper than 64 levels");
    assert!(!is_too_deep(&format!("// {deep}\n/* {deep} */ 'a{deep}' \"\\\"{deep}\"")));
}

proptest! {
    /// Whatever comes from outside is taken or refused; and what was taken is taken again as it was printed.
    #[test]
    fn no_text_breaks_it(cuts in prop::collection::vec((0usize..EVERYTHING.len(), 0usize..40, "[ -~]{0,6}"), 1..6)) {
        let mut text = EVERYTHING.to_owned();
        for (start, length, put) in cuts {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            text.replace_range(start..end, &put);
        }
        if let Ok(protobuf) = Protobuf::parse_with("test.proto", &text, &[]) {
            let again = parse(&protobuf.canonical());
            prop_assert_eq!(again.canonical(), protobuf.canonical());
            prop_assert_eq!(parse(&protobuf.normalized()).normalized(), protobuf.normalized());
            prop_assert!(compatibility::can_read(&again, &protobuf).is_empty());
            let sent = parse(&protobuf.serialized());
            prop_assert_eq!(sent.normalized(), protobuf.normalized());
        }
    }
}
