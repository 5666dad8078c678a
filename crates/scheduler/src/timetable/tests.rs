//! Timetables against Airflow's own, and what cron expressions say.

use std::{io::Write as _, process::Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use testkit::Seeded;

use super::*;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time in a test")
}

#[track_caller]
fn check(cron: &str, from: &str, expected: &str) {
    let cron = Cron::parse(cron).expect("a cron expression");
    let mut at = from.parse().expect("a local time");
    let mut found = Vec::new();
    for _ in 0..3 {
        at = cron.find(at, Towards::Future).expect("a next time");
        found.push(at.format("%m-%d %H:%M").to_string());
    }
    assert_eq!(found.join(", "), expected, "{cron:?}");
}

#[test]
fn days_of_month_and_of_week_each_count() {
    check("0 6 13 * fri", "2026-01-01T00:00:00", "01-02 06:00, 01-09 06:00, 01-13 06:00");
    check("0 6 l * *", "2026-01-31T06:00:00", "02-28 06:00, 03-31 06:00, 04-30 06:00");
    check("0 6 * * mon#2", "2026-01-31T06:00:00", "02-09 06:00, 03-09 06:00, 04-13 06:00");
    check("0 6 * * L5", "2026-01-31T06:00:00", "02-27 06:00, 03-27 06:00, 04-24 06:00");
    check("0 6 1W * *", "2026-01-31T06:00:00", "02-02 06:00, 03-02 06:00, 04-01 06:00");
    check("30 */6 * nov-feb *", "2026-02-28T12:30:00", "02-28 18:30, 11-01 00:30, 11-01 06:30");
    check("@quarterly", "2026-01-31T06:00:00", "04-01 00:00, 07-01 00:00, 10-01 00:00");
}

#[test]
fn what_is_no_expression_says_why() {
    let reasons = [
        "* * * *",
        "60 * * * *",
        "* * 0 * *",
        "* * * foo *",
        "*/0 * * * *",
        "* * * * 1#6",
        "* * 1,15w * *",
        "* * * * 1#2,3",
    ]
    .map(|text| Cron::parse(text).expect_err(text));
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn a_repeated_hour_runs_twice_only_where_every_hour_runs() {
    let zone = chrono_tz::Europe::Zurich;
    let from = utc("2026-10-25T00:00:00Z"); // 02:00 in summer, for the first time
    let next = |cron: &str| {
        let table = Timetable::new(&Schedule::Cron(cron.to_owned()), zone, false);
        let restriction = Restriction { earliest: None, latest: None, catchup: true };
        let last = Some(DataInterval { start: from, end: from });
        iso(table.next_run(last, &restriction, from).expect("a next run").run_after)
    };
    assert_eq!(next("30 * * * *"), "2026-10-25T00:30:00+00:00");
    assert_eq!(next("30 2 * * *"), "2026-10-25T01:30:00+00:00");
}

#[test]
fn run_ids_are_airflows() {
    let at = utc("2026-01-01T06:00:00Z");
    assert_eq!(run_id(RunType::Scheduled, at, None), "scheduled__2026-01-01T06:00:00+00:00");
    let at = at + TimeDelta::microseconds(1234);
    assert_eq!(run_id(RunType::Manual, at, Some("x0Y1")), "manual__2026-01-01T06:00:00.001234+00:00_x0Y1");
}

/// Against Airflow's own timetables and croniter: at least 10,000 random cases over zones, changes of clocks, catchup, both
/// families of timetables, dates and former intervals.
#[test]
fn every_answer_is_airflows() {
    const CASES_COUNT: usize = 10_800;
    let Some(python) = testkit::venv_python("airflow") else { return };
    let home = tempfile::tempdir().expect("a folder");
    let seed = testkit::seeds(1)[0];
    let mut chance = Seeded::new(seed);
    let cases: Vec<Value> = (0..CASES_COUNT).map(|_| random_case(&mut chance)).collect();
    let mut airflow = std::process::Command::new(python)
        .args(["-c", include_str!("../../fixtures/timetables.py")])
        .env("AIRFLOW_HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = airflow.stdin.take().expect("a pipe");
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = airflow.wait_with_output().expect("Python ends");
    writing.join().expect("no panic").expect("Python reads");
    let answers = String::from_utf8(output.stdout).expect("text");
    let mut compared = 0;
    let mut differences = Vec::new();
    for (case, line) in cases.iter().zip(answers.lines()) {
        let theirs: Value = serde_json::from_str(line).expect("an answer");
        let ours = our_answer(case);
        let refused = |answer: &Value| answer.get("refused").is_some();
        compared += usize::from(!refused(&theirs));
        let same = (refused(&theirs) && refused(&ours)) || theirs == ours;
        // Where Airflow's scheduler would only log an exception, there is nothing to agree with.
        if !same && theirs.get("failed").is_none() {
            differences.push(format!("{case}\n  Airflow {theirs}\n  here    {ours}"));
        }
    }
    assert_eq!(answers.lines().count(), CASES_COUNT, "seed {seed}");
    let shown = differences.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "seed {seed}: {} differences\n{shown}", differences.len());
    assert!(compared >= 10_000, "seed {seed}: only {compared} cases were valid");
}

fn our_answer(case: &Value) -> Value {
    let schedule = &case["schedule"];
    let schedule = match (schedule["cron"].as_str(), schedule["seconds"].as_i64(), schedule["name"].as_str())
    {
        (Some(cron), _, _) => match Cron::parse(cron) {
            Ok(_) => Schedule::Cron(cron.to_owned()),
            Err(reason) => return json!({ "refused": reason }),
        },
        (_, Some(seconds), _) => Schedule::Delta(TimeDelta::seconds(seconds)),
        (_, _, Some("once")) => Schedule::Once,
        _ => Schedule::Continuous,
    };
    let zone = case["zone"].as_str().expect("a zone").parse().expect("a known zone");
    let table = Timetable::new(&schedule, zone, case["intervals"] == true);
    let now = utc(case["now"].as_str().expect("now"));
    let restriction = Restriction {
        earliest: case["earliest"].as_str().map(utc),
        latest: case["latest"].as_str().map(utc),
        catchup: case["catchup"] == true,
    };
    let time = |value: &Value| utc(value.as_str().expect("a time"));
    let mut last =
        case["last"].as_array().map(|last| DataInterval { start: time(&last[0]), end: time(&last[1]) });
    let mut runs = Vec::new();
    for _ in 0..2 {
        let Some(run) = table.next_run(last, &restriction, now) else {
            runs.push(Value::Null);
            break;
        };
        last = Some(run.interval);
        runs.push(json!([iso(run.run_after), iso(run.interval.start), iso(run.interval.end)]));
    }
    let manual = table.manual_interval(now);
    json!({ "runs": runs, "manual": [iso(manual.start), iso(manual.end)], "summary": table.summary() })
}

const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Asia/Tehran",
    "America/St_Johns",
    "Pacific/Auckland",
];

fn one_of<T: Copy>(chance: &mut Seeded, choices: &[T]) -> T {
    choices[chance.within(0..choices.len() as u64) as usize]
}

fn random_case(chance: &mut Seeded) -> Value {
    let zone = one_of(chance, &ZONES);
    let schedule = match chance.within(0..20) {
        0 => json!({ "name": "once" }),
        1 => json!({ "name": "continuous" }),
        2 | 3 => json!({ "seconds": one_of(chance, &[60, 3600, 5400, 86_400, 604_800, 7]) }),
        4 => {
            json!({ "cron": one_of(chance, &["@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"]) })
        }
        _ => json!({ "cron": random_cron(chance) }),
    };
    let now = random_time(chance, zone);
    let near = |chance: &mut Seeded| {
        let spread = one_of(chance, &[3_600_u64, 86_400, 40 * 86_400, 800 * 86_400]);
        let mut at = now + TimeDelta::seconds(chance.within(0..2 * spread) as i64 - spread as i64);
        if chance.within(0..2) == 0 {
            at -= TimeDelta::seconds(at.timestamp().rem_euclid(3_600));
        }
        at
    };
    let earliest = (chance.within(0..4) > 0).then(|| iso(near(chance)));
    let latest = (chance.within(0..4) == 0).then(|| iso(near(chance)));
    let last = (chance.within(0..2) == 0).then(|| {
        let end = near(chance);
        let length = one_of(chance, &[0, 3_600, 86_400]);
        [iso(end - TimeDelta::seconds(length)), iso(end)]
    });
    json!({
        "schedule": schedule, "zone": zone, "intervals": chance.within(0..2) == 0, "now": iso(now),
        "earliest": earliest, "latest": latest, "last": last, "catchup": chance.within(0..2) == 0,
    })
}

/// Any time from 1995 to 2034; every second one within a day of a change of clocks.
fn random_time(chance: &mut Seeded, zone: &str) -> DateTime<Utc> {
    let (from, to) = (788_918_400, 2_051_222_400);
    let mut at = DateTime::from_timestamp(chance.within(from..to) as i64, 0).expect("in range");
    if chance.within(0..2) == 0 {
        let zone: chrono_tz::Tz = zone.parse().expect("a zone");
        let offset = |at: DateTime<Utc>| zones::to_local(at, zone) - at.naive_utc();
        let changes = |from: DateTime<Utc>, step: TimeDelta, count: i32| {
            (0..count).map(|index| from + step * index).find(|at| offset(*at) != offset(*at + step))
        };
        if let Some(day) = changes(at, TimeDelta::days(1), 300)
            && let Some(hour) = changes(day, TimeDelta::hours(1), 24)
        {
            at = hour + TimeDelta::minutes(chance.within(0..2_880) as i64 - 1_440);
        }
    }
    match chance.within(0..3) {
        0 => at - TimeDelta::seconds(at.timestamp().rem_euclid(1_800)),
        1 => at - TimeDelta::seconds(at.timestamp().rem_euclid(60)),
        _ => at + TimeDelta::microseconds(chance.within(0..1_000_000) as i64),
    }
}

fn random_cron(chance: &mut Seeded) -> String {
    let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    let fields: Vec<String> = (0..5)
        .map(|index| {
            let (low, high): (u64, u64) = bounds[index];
            let mut value = || low + chance.roll() % (high - low + 1);
            let (a, b, c) = (value(), value(), value());
            let step = 1 + c % 12;
            match (index, chance.within(0..24)) {
                (0, 0..5) => "0".to_owned(),
                (_, 0..7) => "*".to_owned(),
                (_, 7..10) => format!("*/{step}"),
                (_, 10..15) => a.to_string(),
                (_, 15) => format!("{},{},{}", a, b, c),
                (_, 16) => format!("{a}-{b}"),
                (_, 17) => format!("{a}-{b}/{step}"),
                (_, 18) => format!("{a}/{step}"),
                (_, 19) => format!("{}-{},{c}", a.min(b), a.max(b)),
                (2, 20) => "L".to_owned(),
                (2, 21) => format!("{a}W"),
                (2, 22) => "?".to_owned(),
                (3, 20) => "jan-mar".to_owned(),
                (3, 21) => "OCT-feb/2".to_owned(),
                (4, 20) => format!("{}#{}", a % 7, 1 + b % 5),
                (4, 21) => format!("L{}", a % 7),
                (4, 22) => "mon-fri".to_owned(),
                (4, 23) => format!("mon-{}#{}", ["fri", "3", "sun", "wed"][(a % 4) as usize], 1 + c % 4),
                _ => "*".to_owned(),
            }
        })
        .collect();
    fields.join(" ")
}
