//! Kill -9 is an input: a scheduler that is killed at each named point, and at random moments with its tasks or without, ends
//! its runs as one that never was, runs no task twice at once, and keeps all that it acknowledged: runs, values, what was
//! cleared, and backfills that are paused and cancelled meanwhile.

mod backfills;
mod history;
mod life;

use std::{sync::Mutex, thread};

use history::{Cut, Ended, History, Victims};
use testkit::Seeded;

/// Histories beside each other.
const WORKERS: usize = 4;
/// Each history has so many lives that are cut short: far more than its first runs need.
const KILLS_PER_HISTORY: usize = 13;

/// What a scheduler gives that nobody kills: one run of `chores`, and those of the schedule.
fn undisturbed() -> Ended {
    let ended = History::new(String::new()).end();
    assert_eq!((ended.runs.len(), ended.runs["r0"].len(), ended.scheduled.len()), (1, 13, 5), "{ended:?}");
    assert_eq!(ended.runs["r0"][0], "success", "{ended:?}");
    ended
}

#[track_caller]
fn assert_as_if_nothing_happened(ended: &Ended, undisturbed: &Ended, when: &str) {
    for (run, states) in &ended.runs {
        assert_eq!(*states, undisturbed.runs["r0"], "{when}: {run}");
    }
    assert_eq!(ended.scheduled, undisturbed.scheduled, "{when}");
}

/// Does each of them, some at once.
fn at_once<T: Send>(all: impl IntoIterator<Item = T>, each: impl Fn(T) + Sync) {
    let (waiting, each) = (&Mutex::new(all.into_iter().collect::<Vec<_>>()), &each);
    let next = || waiting.lock().expect("nobody panics with it").pop();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(move || {
                while let Some(one) = next() {
                    each(one);
                }
            });
        }
    });
}

#[test]
fn dying_at_each_named_point_changes_nothing() {
    let undisturbed = undisturbed();
    let points: Vec<String> =
        testkit::crash_points().into_iter().filter(|point| point.starts_with("scheduler.")).collect();
    assert!(points.len() >= 5, "{points:?}");
    let passages = if testkit::deep() { 1..=25 } else { 1..=4 };
    let all = passages.flat_map(|passage| points.iter().map(move |point| format!("{point}:{passage}")));
    at_once(all, |point| {
        let mut history = History::new(String::new());
        assert!(history.live(&Cut::At(point.clone())), "never passed: {point}");
        assert_as_if_nothing_happened(&history.end(), &undisturbed, &point);
    });
}

/// Days that it makes new runs for lie around one that runs again, which is looked up between them.
#[test]
fn a_backfill_is_made_whole_or_not_at_all() {
    for passage in 1..=2 {
        let mut history = History::new(String::new());
        history.ask_for_days(2..=3, "none");
        history.settle();
        history.ask_for_days(1..=4, "completed");
        assert!(history.live(&Cut::At(format!("scheduler.run.made:{passage}"))), "it makes two runs");
        history.end();
    }
}

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let undisturbed = undisturbed();
    let seeds = testkit::seeds(if testkit::deep() { 80 } else { 16 });
    let (histories, kills) = (seeds.len(), seeds.len() * KILLS_PER_HISTORY);
    at_once(seeds, |seed| {
        let server = if seed % 4 == 0 { testkit::postgres() } else { None };
        let mut history = History::new(server.map(|server| server.database()).unwrap_or_default());
        let mut random = Seeded::new(seed);
        for life in 1..=KILLS_PER_HISTORY {
            let cut = cut(&mut random);
            assert!(history.live(&cut), "seed {seed}: life {life}, {cut:?}");
        }
        let when = format!("seed {seed} after {KILLS_PER_HISTORY} kills");
        assert_as_if_nothing_happened(&history.end(), &undisturbed, &when);
    });
    eprintln!("{kills} kills in {histories} histories");
}

/// One in five before it is ready, else up to so much later; in every second life the tasks are left behind.
fn cut(random: &mut Seeded) -> Cut {
    let is_ready = random.within(0..5) > 0;
    let victims = match random.within(0..4) {
        0 => Victims::SchedulerThenTasks,
        1 => Victims::TasksThenScheduler,
        _ => Victims::Scheduler,
    };
    Cut::After { ms: random.within(0..if is_ready { 150 } else { 60 }), is_ready, victims }
}
