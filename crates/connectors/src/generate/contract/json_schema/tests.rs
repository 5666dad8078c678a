//! Everything that is made keeps its contract: over schemas made by chance, over the suite that validators are tested by, and over
//! schemas that people use.

use std::{collections::BTreeMap, fs, path::Path};

use base::{ContractKind, Problem, code};
use contracts::Validator;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::generate::{Error, Recipe};

/// Records by a schema, each of which the validator of contracts has taken.
fn records(schema: &Json, count: u64) -> Result<Vec<String>, Error> {
    let text = schema.to_string();
    let recipe = Recipe::of("test", ContractKind::JsonSchema, "test.json", &text, &[])?;
    let validator = Validator::of_text("test.json", &text)?;
    let mut made = Vec::new();
    for number in 0..count {
        let mut record = Vec::new();
        recipe.write(7, number, &mut record)?;
        let shown = String::from_utf8_lossy(&record).into_owned();
        validator.check_json(&record).unwrap_or_else(|broken| panic!("{broken}\n{shown}\n{schema:#}"));
        made.push(shown);
    }
    Ok(made)
}

#[track_caller]
fn check(schema: &Json) -> Vec<String> {
    records(schema, 60).unwrap_or_else(|error| panic!("{}\n{schema:#}", base::problem::plain(&error)))
}

#[test]
fn an_order_looks_like_one() {
    let schema = json!({
        "type": "object",
        "properties": {
            "id": { "type": "integer", "minimum": 1 },
            "customer": { "$ref": "#/$defs/customer" },
            "status": { "enum": ["open", "paid", "shipped"] },
            "total": { "type": "number", "minimum": 0, "multipleOf": 0.01 },
            "sku": { "type": "string", "pattern": "^[A-Z]{2}-\\d{4}$" },
            "tags": { "type": "array", "items": { "type": "string" }, "uniqueItems": true, "maxItems": 3 },
            "created_at": { "type": "string", "format": "date-time" },
            "note": { "type": ["string", "null"], "maxLength": 20 }
        },
        "required": ["id", "customer", "status", "total", "sku", "created_at"],
        "additionalProperties": false,
        "$defs": { "customer": {
            "type": "object",
            "properties": {
                "first_name": { "type": "string" }, "last_name": { "type": "string" },
                "email": { "type": "string", "format": "email" }, "city": { "type": "string" }
            },
            "required": ["first_name", "last_name", "email", "city"]
        } }
    });
    insta::assert_snapshot!(check(&schema)[..4].join("\n"));
}

#[test]
fn each_keyword_is_kept() {
    let schemas = [
        json!({ "type": "integer", "minimum": -3, "exclusiveMaximum": 3 }),
        json!({ "type": "number", "exclusiveMinimum": 0.001, "exclusiveMaximum": 0.002 }),
        json!({ "type": "integer", "multipleOf": 7, "minimum": 1_000_000_000_000_000u64 }),
        json!({ "type": "integer", "minimum": -9_223_372_036_854_775_808i64, "maximum": u64::MAX }),
        json!({ "type": "string", "minLength": 200, "maxLength": 210 }),
        json!({ "type": "string", "maxLength": 0 }),
        json!({ "type": "string", "pattern": "^(?=.*[0-9])[a-z0-9]{8,}$" }),
        json!({ "type": "string", "pattern": "^[^\\s@]+@[a-z]+\\.(com|org)$", "minLength": 40 }),
        json!({ "type": "string", "pattern": "^\\u00e4[\\w-]{2}$" }),
        json!({ "allOf": [{ "pattern": "^a" }, { "pattern": "b$" }], "type": "string" }),
        json!({ "type": "string", "format": "uri", "maxLength": 40 }),
        json!({ "type": "array", "items": { "enum": [1, 2, 3] }, "uniqueItems": true, "minItems": 3 }),
        json!({ "type": "array", "contains": { "const": 5 }, "items": { "type": "integer", "minimum": 1 } }),
        json!({ "type": "array", "items": [{ "const": 1 }, { "type": "string" }], "additionalItems": false, "minItems": 2 }),
        json!({ "type": "object", "minProperties": 3, "maxProperties": 4 }),
        json!({ "type": "object", "patternProperties": { "^x-": { "type": "integer" } }, "additionalProperties": false }),
        json!({ "type": "object", "propertyNames": { "pattern": "^[a-z]{3}$" }, "minProperties": 2 }),
        json!({ "type": "object", "additionalProperties": { "type": "boolean" } }),
        json!({ "type": "object", "properties": { "a": {}, "b": {} }, "dependencies": { "a": ["b"] } }),
        json!({ "properties": { "a": { "type": "string" }, "b": false }, "dependencies": { "a": { "required": ["b"] } }, "type": "object" }),
        json!({ "properties": { "kind": { "enum": ["a", "b"] } }, "required": ["kind"],
            "if": { "properties": { "kind": { "const": "a" } } }, "then": { "required": ["x"] }, "else": { "required": ["y"] } }),
        json!({ "oneOf": [{ "type": "integer" }, { "type": "number", "minimum": 2 }] }),
        json!({ "oneOf": [{ "required": ["a"] }, { "required": ["b"] }], "type": "object",
            "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } } }),
        json!({ "not": { "type": ["string", "number", "null"] } }),
        json!({ "type": "object", "properties": { "a": {} }, "not": { "required": ["a"] } }),
        json!({ "not": { "const": 1 }, "enum": [1, 2] }),
        json!({ "allOf": [{ "properties": { "a": { "minimum": 3 } }, "required": ["a"] },
            { "properties": { "a": { "type": "integer", "maximum": 4 } } }], "type": "object" }),
        json!({ "$ref": "#/definitions/tree", "definitions": { "tree": { "type": "object", "required": ["value"],
            "properties": { "value": { "type": "integer" }, "left": { "$ref": "#/definitions/tree" },
                "children": { "type": "array", "items": { "$ref": "#" } } }, "additionalProperties": false } } }),
        json!({ "type": "string", "contentEncoding": "base64", "minLength": 9 }),
        json!({ "enum": ["x", 1, null, { "a": [1] }], "type": ["object", "null"] }),
        json!(true),
        json!({}),
    ];
    for schema in &schemas {
        check(schema);
    }
}

#[test]
fn values_differ_and_come_again() {
    let schema = json!({ "type": "object", "properties": { "id": { "type": "integer" }, "name": { "type": "string" } },
        "required": ["id", "name"] });
    let made = check(&schema);
    assert_eq!(made, check(&schema));
    let ids: std::collections::HashSet<&String> = made.iter().collect();
    assert_eq!(ids.len(), made.len(), "an id is each record's own");
}

#[test]
fn what_cannot_be_made_is_refused_with_its_place() {
    let refused = [
        json!({ "type": "object", "properties": { "a": { "type": "integer", "minimum": 5, "maximum": 4 } }, "required": ["a"] }),
        json!({ "type": "object", "properties": { "code": { "type": "string", "pattern": "^(a)\\1$" } } }),
        json!({ "type": "array", "items": { "$ref": "#" }, "minItems": 1 }),
        json!({ "type": "object", "properties": { "a": { "type": "string", "format": "date", "pattern": "^x" } }, "required": ["a"] }),
        json!({ "type": "array", "items": { "type": "array", "minItems": 50_000, "items": { "minLength": 9_000, "type": "string" } }, "minItems": 90_000 }),
        json!({ "enum": ["a"], "type": "integer" }),
        json!(false),
    ];
    let told: Vec<String> = refused
        .iter()
        .map(|schema| match records(schema, 1) {
            Ok(made) => panic!("{schema} made {made:?}"),
            Err(error) => base::problem::plain(&error),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

/// A schema of a plain value.
fn leaves() -> impl Strategy<Value = Json> {
    let number = (-1_000i64..1_000, 0i64..500, prop::option::of(1i64..9)).prop_map(|(min, span, step)| {
        let mut schema =
            json!({ "type": "integer", "minimum": min, "maximum": min + span + step.unwrap_or(0) });
        if let Some(step) = step {
            schema["multipleOf"] = json!(step);
        }
        schema
    });
    let fraction = (-50i32..50, 1i32..100)
        .prop_map(|(min, span)| json!({ "type": "number", "exclusiveMinimum": min, "maximum": f64::from(min + span) / 2.0 + 60.0 }));
    let text = (0usize..30, 0usize..30)
        .prop_map(|(min, more)| json!({ "type": "string", "minLength": min, "maxLength": min + more }));
    let format = prop::sample::select(vec![
        "date",
        "time",
        "date-time",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "uuid",
        "duration",
        "json-pointer",
        "relative-json-pointer",
        "regex",
        "uri-template",
        "iri",
        "idn-email",
        "idn-hostname",
    ])
    .prop_map(|format| json!({ "type": "string", "format": format }));
    let pattern = prop::sample::select(vec![
        "^[A-Z]{3}[0-9]+$",
        "^(red|green|blue)$",
        "^\\d{4}-\\d{2}$",
        "[a-f]+",
        "^.{3,5}$",
        "^\\p{Lu}\\w*$",
        "^(a|b|c\\d)*x?$",
    ])
    .prop_map(|pattern| json!({ "type": "string", "pattern": pattern }));
    let known = prop::collection::vec(
        prop_oneof![
            any::<i32>().prop_map(|one| json!(one)),
            "[a-z]{0,5}".prop_map(|one| json!(one)),
            Just(Json::Null)
        ],
        1..5,
    )
    .prop_map(|mut values| {
        values.dedup();
        json!({ "enum": values })
    });
    prop_oneof![
        number,
        fraction,
        text,
        format,
        pattern,
        known,
        Just(json!({ "type": "boolean" })),
        Just(json!({}))
    ]
}

/// A schema that something keeps, of four levels at most.
fn schemas() -> impl Strategy<Value = Json> {
    leaves().prop_recursive(4, 40, 5, |inner| {
        let members = prop::collection::btree_map("[a-z_]{1,8}", (inner.clone(), any::<bool>()), 0..6);
        let object = (members, any::<bool>()).prop_map(|(members, is_closed)| {
            let required: Vec<&String> = members.iter().filter(|(_, (_, is))| *is).map(|(name, _)| name).collect();
            let properties: BTreeMap<&String, &Json> = members.iter().map(|(name, (schema, _))| (name, schema)).collect();
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": !is_closed })
        });
        let list = (inner.clone(), 0usize..4, 0usize..4).prop_map(|(items, min, more)| {
            json!({ "type": "array", "items": items, "minItems": min, "maxItems": min + more })
        });
        let map = inner.clone().prop_map(|values| json!({ "type": "object", "additionalProperties": values }));
        let any_of = prop::collection::vec(inner.clone(), 1..4).prop_map(|of| json!({ "anyOf": of }));
        let all_of = (inner.clone(), inner.clone()).prop_map(|(a, b)| {
            json!({ "type": "object", "allOf": [{ "properties": { "a": a }, "required": ["a"] }, { "properties": { "b": b } }] })
        });
        let tagged = prop::collection::vec(inner, 1..4).prop_map(|of| {
            let way = |(number, schema): (usize, Json)| json!({ "properties": { "kind": { "const": number }, "value": schema }, "required": ["kind"] });
            json!({ "type": "object", "oneOf": of.into_iter().enumerate().map(way).collect::<Vec<_>>() })
        });
        prop_oneof![object, list, map, any_of, all_of, tagged]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn records_keep_schemas_made_by_chance(schema in schemas()) {
        if let Err(error) = records(&schema, 12) {
            prop_assert!(false, "{}\n{schema:#}", base::problem::plain(&error));
        }
    }
}

/// What became of a set of schemas.
#[derive(Default)]
struct Tally {
    made: usize,
    refused: Vec<String>,
}

impl Tally {
    fn add(&mut self, name: &str, schema: &Json) {
        match records(schema, 8) {
            Ok(_) => self.made += 1,
            // What the parser does not take is not for us.
            Err(Error::Contract(_)) => {}
            Err(error) => {
                assert_eq!(error.code(), code::TM1490);
                self.refused.push(format!(
                    "{name}: {}",
                    error.to_string().replace("no records can be made by test.json: ", "")
                ));
            }
        }
    }

    fn shown(&self) -> String {
        format!("made by {}, refused {}:\n{}", self.made, self.refused.len(), self.refused.join("\n"))
    }
}

fn files_of(folder: &Path) -> Vec<(String, Json)> {
    let mut paths: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        Some((name, serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?))
    };
    paths.iter().filter_map(read).collect()
}

#[test]
fn records_keep_the_schemas_that_validators_are_tested_by() {
    let Some(folder) = testkit::json_schemas("suite") else { return };
    let mut tally = Tally::default();
    for (draft, address) in [
        ("draft4", "http://json-schema.org/draft-04/schema#"),
        ("draft6", "http://json-schema.org/draft-06/schema#"),
        ("draft7", "http://json-schema.org/draft-07/schema#"),
        ("draft2019-09", "https://json-schema.org/draft/2019-09/schema"),
        ("draft2020-12", "https://json-schema.org/draft/2020-12/schema"),
    ] {
        for (file, groups) in files_of(&folder.join(draft)) {
            for group in groups.as_array().into_iter().flatten() {
                let mut schema = group["schema"].clone();
                if let Json::Object(members) = &mut schema {
                    members.entry("$schema").or_insert_with(|| json!(address));
                }
                let is_satisfiable = group["tests"]
                    .as_array()
                    .is_some_and(|tests| tests.iter().any(|test| test["valid"] == true));
                if is_satisfiable {
                    tally.add(
                        &format!("{draft}/{file}: {}", group["description"].as_str().unwrap_or("")),
                        &schema,
                    );
                }
            }
        }
    }
    assert!(tally.made > 1_000, "{}", tally.shown());
    insta::assert_snapshot!(tally.shown());
}

#[test]
fn records_keep_schemas_that_people_use() {
    let Some(folder) = testkit::json_schemas("used") else { return };
    let mut tally = Tally::default();
    for (name, schema) in files_of(&folder) {
        tally.add(&name, &schema);
    }
    assert!(tally.made > 15, "{}", tally.shown());
    insta::assert_snapshot!(tally.shown());
}
