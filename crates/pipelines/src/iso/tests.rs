//! Texts that are dates and times, and texts that only look so.

use super::*;

#[track_caller]
fn check(text: &str, expected: Option<Iso>) {
    assert_eq!(parse(text), expected, "{text:?}");
}

#[test]
fn timestamps_count_as_utc_without_a_zone() {
    let at = |seconds: i64, us: i64| Some(Iso::Timestamp(seconds * 1_000_000 + us));
    check("2024-01-02T03:04:05Z", at(1_704_164_645, 0));
    check("2024-01-02 03:04:05", at(1_704_164_645, 0));
    check("2024-01-02T03:04:05.123456789+02:00", at(1_704_157_445, 123_456));
    check("20240102T030405Z", at(1_704_164_645, 0));
    check("2024/01/02 3:04:05", at(1_704_164_645, 0));
    check("2024-01-02T03", at(1_704_164_400, 0));
}

#[test]
fn dates_and_times_are_told_apart() {
    check("2024-01-02", Some(Iso::Date(19_724)));
    check("2024", Some(Iso::Date(19_723)));
    check("2024-W01-2", Some(Iso::Date(19_724)));
    check("2024-002", Some(Iso::Date(19_724)));
    check("03:04:05", Some(Iso::Time(11_045_000_000)));
    check("T0304", Some(Iso::Time(11_040_000_000)));
}

#[test]
fn the_rest_stays_text() {
    for text in [
        "",
        "N14228",
        "2024-13-01",
        "2024-01-02T25:00:00Z",
        "P1D",
        "12345",
        "2024-01-02T03:04:05+99:00",
        "12:",
    ] {
        check(text, None);
    }
}
