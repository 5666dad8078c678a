//! Texts brought to the one way; records cut to the columns that are wanted; JSON and rows typed.

use std::borrow::Cow;

use base::Kind;
use proptest::prelude::*;

use super::*;
use crate::files::Dialect;

fn read(kind: &str, mark: u8, format: Option<&str>, text: &str) -> String {
    let format = format.map(|format| format.parse::<DateFormat>().expect("a format"));
    let kind: Type = kind.parse().expect("a type");
    let read = match Reading::of(kind, mark, format.as_ref()) {
        Some(reading) => reading.read(text.as_bytes()),
        None => Some(Cow::Borrowed(text.as_bytes())),
    };
    read.map_or("-".to_owned(), |read| String::from_utf8_lossy(&read).into_owned())
}

#[track_caller]
fn check(kind: &str, mark: u8, format: Option<&str>, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(read(kind, mark, format, text), *expected, "{kind} {text}");
    }
}

#[test]
fn money_is_read_however_it_is_written() {
    check(
        "money",
        b'.',
        None,
        &[
            ("$1,234.50", "1234.50"),
            ("$-77.00", "-77.00"),
            ("-$77.00", "-77.00"),
            ("($12.00)", "-12.00"),
            ("USD 1 234 567.8", "1234567.8"),
            ("12,34,567.00 ₹", "1234567.00"),
            ("12.00-", "-12.00"),
            ("CHF 1'000.05", "1000.05"),
            (".5", "0.5"),
            ("7", "7"),
            ("+€3", "3"),
            ("1,2", "-"),
            ("1,23,4", "-"),
            ("$", "-"),
            ("", "-"),
            ("--1", "-"),
            ("1.2.3", "-"),
            ("12abc3", "-"),
        ],
    );
    check(
        "money",
        b',',
        None,
        &[("1.234,50 €", "1234.50"), ("-1\u{a0}234,5 €", "-1234.5"), ("1\u{202f}000", "1000"), ("1.23", "-")],
    );
}

#[test]
fn numbers_have_the_mark_that_was_said() {
    check("float", b',', None, &[("1,5", "1.5"), ("-1.234,5", "-1234.5"), ("1,5e3", "1.5e3"), ("x", "-")]);
    check("int", b',', None, &[("1.234.567", "1234567"), ("12", "12"), ("1.2", "-")]);
    check("decimal(2)", b'.', None, &[("1,234", "1,234")]);
}

#[test]
fn dates_and_moments_have_the_format_that_was_said() {
    check("date", b'.', Some("%d/%m/%Y"), &[("31/01/2013", "2013-01-31"), ("2013-01-31", "-")]);
    check(
        "timestamp",
        b'.',
        None,
        &[
            ("2010-01-01 00:01:00", "2010-01-01T00:01:00Z"),
            ("2010-01-01 00:01", "2010-01-01T00:01:00Z"),
            ("2010-01-01T00:01:00.25", "2010-01-01T00:01:00.25Z"),
            ("2010-01-01T00:01:00+01:00", "2010-01-01T00:01:00+01:00"),
            ("2010-01-01 00:01:00 +0100", "2010-01-01T00:01:00+01:00"),
            ("2010-01-01 00:01:00+01", "2010-01-01T00:01:00+01:00"),
            ("2010-01-01 00:01:00 UTC", "2010-01-01T00:01:00Z"),
            ("2010-01-01", "2010-01-01T00:00:00Z"),
        ],
    );
    let american = Some("%m/%d/%Y %I:%M %p");
    check("timestamp", b'.', american, &[("01/31/2013 02:05 PM", "2013-01-31T14:05:00.000Z")]);
    check("timestamp", b'.', Some("%d.%m.%Y"), &[("31.01.2013", "2013-01-31T00:00:00.000Z")]);
    let zoned = Some("%Y-%m-%dT%H:%M:%S%z");
    check("timestamp", b'.', zoned, &[("2013-01-31T10:00:00+0100", "2013-01-31T09:00:00.000Z")]);
    check("bool", b'.', None, &[("Yes", "true"), ("0", "false"), ("maybe", "-")]);
}

#[test]
fn types_have_their_words() {
    let words = ["int", "decimal", "decimal(4)", "money", "money(3)", "timestamp"];
    let kinds: Vec<Type> = words.iter().map(|word| word.parse().expect("a type")).collect();
    assert_eq!(
        kinds,
        [
            Type::Int,
            Type::Decimal(None),
            Type::Decimal(Some(4)),
            Type::Money(2),
            Type::Money(3),
            Type::Timestamp
        ]
    );
    assert!(
        ["int(3)", "decimal(-1)", "decimal(99)", "money(", "uuid", ""]
            .iter()
            .all(|word| word.parse::<Type>().is_err())
    );
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The columns, then the fields of each record or why it is refused.
fn split(mapping: &Mapping, header: &[&str], has_header: bool, records: &[&str]) -> String {
    let cells = Cells::new(mapping, Dialect::of(b','), "a.csv", &names(header), has_header);
    let (columns, cells) = match cells {
        Ok(made) => made,
        Err(error) => return base::problem::plain(&error),
    };
    let mut lines = vec![columns.join("|")];
    for record in records {
        let mut fields = Vec::new();
        lines.push(match cells.split(record.as_bytes(), &mut fields) {
            Ok(()) => fields.iter().map(|field| String::from_utf8_lossy(field)).collect::<Vec<_>>().join("|"),
            Err(refusal) => format!("{} at {}: {}", refusal.code, refusal.at, refusal.reason),
        });
    }
    lines.join("\n")
}

#[test]
fn records_are_cut_to_the_columns_that_are_wanted() {
    let header = ["id", "name", "amount", "day"];
    let records = ["1,a,\"$1,000.00\",31/01/2013", "2,b,NA,", "3,c,x,31/01/2013", "4,d", "5,e,$1,,more"];
    let mapping = Mapping {
        types: vec![("price".to_owned(), Type::Money(2)), ("day".to_owned(), Type::Date)],
        rename: vec![("amount".to_owned(), "price".to_owned())],
        date_format: Some("%d/%m/%Y".parse().expect("a format")),
        ..Mapping::default()
    };
    let mut told = vec![split(&mapping, &header, true, &records)];
    let some = Mapping { columns: names(&["id", "amount"]), ..mapping.clone() };
    let some = Mapping { types: vec![("amount".to_owned(), Type::Money(2))], ..some };
    told.push(split(&some, &header, true, &records));
    let turned = Mapping { columns: names(&["day", "id"]), ..Mapping::default() };
    told.push(split(&turned, &header, true, &records[..1]));
    for ragged in [Ragged::Fill, Ragged::DropExtra, Ragged::Allow] {
        told.push(split(&Mapping { ragged, ..Mapping::default() }, &header, true, &records[3..]));
    }
    let named = Mapping { columns: names(&["a", "b"]), ..Mapping::default() };
    told.push(split(&named, &["column_1", "column_2"], false, &["1,2"]));
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn every_error_says_what_and_what_to_do() {
    let header = ["id", "name"];
    let of = |mapping: Mapping, has_header| split(&mapping, &header, has_header, &[]);
    let pair = |from: &str, to: &str| vec![(from.to_owned(), to.to_owned())];
    let mut told = vec![
        of(Mapping { columns: names(&["nome"]), ..Mapping::default() }, true),
        of(Mapping { columns: names(&["a", "b", "c"]), ..Mapping::default() }, false),
        of(Mapping { rename: pair("nome", "x"), ..Mapping::default() }, true),
        of(Mapping { rename: pair("id", "name"), ..Mapping::default() }, true),
        of(Mapping { types: vec![("nome".to_owned(), Type::Int)], ..Mapping::default() }, true),
    ];
    told.push(base::problem::plain(&"uuid".parse::<Type>().expect_err("no type")));
    told.push(base::problem::plain(&"%!".parse::<DateFormat>().expect_err("no format")));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn readings_follow_what_a_column_was_found_to_be() {
    let mapping = Mapping { decimal_mark: b',', ..Mapping::default() };
    let (_, cells) =
        Cells::new(&mapping, Dialect::of(b';'), "a.csv", &names(&["n", "t"]), true).expect("fits");
    let fields = |cells: &Cells| {
        let mut fields = Vec::new();
        cells.split(b"1,5;1,5", &mut fields).map_err(|refusal| refusal.reason).expect("reads");
        fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(fields(&cells), ["1,5", "1,5"]);
    assert_eq!(fields(&cells.looking()), ["1.5", "1.5"]);
    assert_eq!(fields(&cells.for_kinds(&[Kind::Float64, Kind::String])), ["1.5", "1,5"]);
}

proptest! {
    #[test]
    fn money_that_was_written_is_read(cents in -10_000_000_000i64..10_000_000_000) {
        let (whole, rest) = (cents.abs() / 100, cents.abs() % 100);
        let digits = whole.to_string();
        let mut grouped = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        let sign = if cents < 0 { "-" } else { "" };
        prop_assert_eq!(read("money", b'.', None, &format!("{sign}${grouped}.{rest:02}")), format!("{sign}{digits}.{rest:02}"));
    }

    #[test]
    fn no_text_is_too_strange(text in ".{0,40}") {
        for kind in ["money", "int", "bool", "date", "timestamp"] {
            for mark in [b'.', b','] {
                read(kind, mark, None, &text);
                read(kind, mark, Some("%d/%m/%Y"), &text);
            }
        }
    }
}
