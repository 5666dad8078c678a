//! The documented rules, case by case: `cases/*.txt` have a change and what breaks in either direction, and each case is
//! asked at all seven levels.

use super::*;

struct Case {
    title: String,
    old: String,
    new: String,
    backward: String,
    forward: String,
}

/// A title, then its lines `key: value`, two spaces further in; what does not break is left out.
fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let Some(member) = line.strip_prefix("  ") else {
            let empty = String::new;
            cases.push(Case {
                title: line.to_owned(),
                old: empty(),
                new: empty(),
                backward: empty(),
                forward: empty(),
            });
            continue;
        };
        let (key, value) = member.split_once(':').unwrap();
        let case = cases.last_mut().unwrap();
        let member = match key {
            "old" => &mut case.old,
            "new" => &mut case.new,
            "backward" => &mut case.backward,
            "forward" => &mut case.forward,
            other => panic!("{other}"),
        };
        value.trim().clone_into(member);
    }
    cases
}

fn parse(kind: ContractKind, text: &str) -> Document {
    let within = |start: &str| text.strip_prefix(start).and_then(|rest| rest.strip_suffix(')'));
    let whole = match kind {
        ContractKind::Avro => within("r(").map(record),
        ContractKind::JsonSchema => within("o(").map(|properties| object(properties, "")).or_else(|| {
            within("c(").map(|properties| object(properties, r#","additionalProperties":false"#))
        }),
        ContractKind::Protobuf => text.strip_prefix("p3 ").map(|rest| format!("syntax = \"proto3\"; {rest}")),
    };
    Document::parse(kind, "test", whole.as_deref().unwrap_or(text)).unwrap()
}

fn told(reader: &Document, writer: &Document) -> String {
    let found = can_read(reader, writer);
    found.iter().map(|one| format!("{} {}", one.kind, one.path)).collect::<Vec<_>>().join("; ")
}

fn check_cases(kind: ContractKind, text: &str, count_min: usize) {
    let cases = cases(text);
    assert!(cases.len() >= count_min, "{}", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let (old, new) = (parse(kind, &case.old), parse(kind, &case.new));
        let (backward, forward) = (told(&new, &old), told(&old, &new));
        if (&backward, &forward) != (&case.backward, &case.forward) {
            wrong += &format!("{}\n  backward: {backward}\n  forward: {forward}\n", case.title);
        }
        check_levels(case, &old, &new);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Against the old schema alone, and against it with the new one registered already: then only a transitive level minds.
fn check_levels(case: &Case, old: &Document, new: &Document) {
    let (backward, forward) = (case.backward.is_empty(), case.forward.is_empty());
    let [first, second] =
        [(1, old), (2, new)].map(|(version, document)| Earlier { version, text: "…", document });
    let history = [first, second];
    for name in Level::NAMES {
        let level: Level = name.parse().unwrap();
        let expected = match name.split('_').next().unwrap_or_default() {
            "NONE" => true,
            "BACKWARD" => backward,
            "FORWARD" => forward,
            _ => backward && forward,
        };
        assert_eq!(
            check(&Rules::of(level), new, &history[..1]).is_empty(),
            expected,
            "{}: {name}",
            case.title
        );
        let expected = expected || !level.is_transitive();
        assert_eq!(
            check(&Rules::of(level), new, &history).is_empty(),
            expected,
            "{}: {name}, later",
            case.title
        );
    }
}

#[test]
fn avro_case_by_case() {
    check_cases(ContractKind::Avro, include_str!("../cases/avro.txt"), 37);
}

#[test]
fn json_schema_case_by_case() {
    check_cases(ContractKind::JsonSchema, include_str!("../cases/json.txt"), 43);
}

#[test]
fn protobuf_case_by_case() {
    check_cases(ContractKind::Protobuf, include_str!("../cases/protobuf.txt"), 36);
}
