//! Joda patterns: what each letter writes, and what is refused.

use chrono::TimeZone;

use super::*;

#[track_caller]
fn check(pattern: &str, expected: &str) {
    let time = chrono_tz::America::New_York.with_ymd_and_hms(2013, 1, 5, 17, 4, 9).unwrap();
    let found = Pattern::parse(pattern, "en-US")
        .map_or_else(|error| format!("! {error}"), |pattern| pattern.format(&time));
    assert_eq!(found, expected, "{pattern}");
}

#[test]
fn folders_are_written_as_joda_writes_them() {
    check("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", "year=2013/month=01/day=05/hour=17");
    check("yyyy-MM-dd", "2013-01-05");
    check("yy/M/d", "13/1/5");
    check("'dt'=YYYYMMdd", "dt=20130105");
    check("MMM MMMM E EEEE", "Jan January Sat Saturday");
    check("hh:mm a KK kk", "05:04 PM 05 17");
    check("ss.SSS D e w xxxx", "09.000 5 6 1 2013");
    check("Z ZZ ZZZ z", "-0500 -05:00 America/New_York EST");
    check("'it''s' ''", "it's '");
    check("'%Y'", "%Y");
    check("G C", "AD 20");
}

#[test]
fn letters_without_meaning_open_quotes_and_other_languages_are_refused() {
    let refused = |what: &str| format!("! the object sink cannot use path.format: {what}");
    check(
        "'year'=YYYY/bogus",
        &refused("`b` in `'year'=YYYY/bogus` is no letter of a Joda pattern; quote plain text"),
    );
    check("'year=YYYY", &refused("a quote in `'year=YYYY` is open"));
    check("", &refused("it is empty"));
    assert!(Pattern::parse("MMM", "de-DE").is_err() && Pattern::parse("MM", "de-DE").is_ok());
}

#[test]
fn the_daily_and_hourly_patterns_use_the_delimiter() {
    assert_eq!(Pattern::daily("/"), Pattern::parse("'year'=YYYY/'month'=MM/'day'=dd", "en").unwrap());
    assert_eq!(
        Pattern::hourly("_"),
        Pattern::parse("'year'=YYYY_'month'=MM_'day'=dd_'hour'=HH", "en").unwrap()
    );
}
