//! When a schedule is due.

use super::*;

#[track_caller]
fn check(timezone: &str, interval_ms: i64, now: &str, next: &str) {
    let schedule = Schedule { interval_ms, timezone: timezone.parse().expect("a timezone") };
    let now_ms = DateTime::parse_from_rfc3339(now).expect("a time").timestamp_millis();
    let got = DateTime::from_timestamp_millis(schedule.next_ms(now_ms)).expect("a time").to_rfc3339();
    assert_eq!(got, next, "{timezone} {interval_ms} {now}");
}

#[test]
fn a_schedule_counts_from_local_midnight() {
    const HOUR: i64 = 3_600_000;
    check("UTC", HOUR, "2026-05-01T10:20:00Z", "2026-05-01T11:00:00+00:00");
    check("UTC", HOUR, "2026-05-01T11:00:00Z", "2026-05-01T12:00:00+00:00");
    check("Asia/Kolkata", HOUR, "2026-05-01T10:00:00Z", "2026-05-01T10:30:00+00:00");
    check("Europe/Berlin", 5 * HOUR, "2026-05-01T21:00:00Z", "2026-05-01T22:00:00+00:00");
    check("UTC", 24 * HOUR, "2026-05-01T10:00:00Z", "2026-05-02T00:00:00+00:00");
}
