//! When a DAG's runs are due and which data interval each covers, as Airflow 3.3's timetables say.
//!
//! Airflow's `[scheduler] create_cron_data_intervals` chooses between two families. Without it (the default) a run covers
//! a moment: CronTriggerTimetable, DeltaTriggerTimetable. With it a run covers the time since the one before:
//! CronDataIntervalTimetable, DeltaDataIntervalTimetable.

mod cron;
#[cfg(test)]
mod tests;
pub mod zones;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;

pub use cron::{Cron, Towards};

use crate::dag::{Dag, Schedule};

/// What a run works on: `[start, end)`. Both are the same moment without `create_cron_data_intervals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataInterval {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl DataInterval {
    fn exact(at: DateTime<Utc>) -> Self {
        Self { start: at, end: at }
    }
}

/// A run that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTimes {
    /// The run may start from then on.
    pub run_after: DateTime<Utc>,
    pub interval: DataInterval,
}

impl RunTimes {
    pub fn logical_date(&self) -> DateTime<Utc> {
        self.interval.start
    }

    fn after(interval: DataInterval) -> Self {
        Self { run_after: interval.end, interval }
    }
}

/// Between which times runs are wanted, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restriction {
    pub earliest: Option<DateTime<Utc>>,
    pub latest: Option<DateTime<Utc>>,
    pub catchup: bool,
}

impl Restriction {
    /// From the dates of the DAG and of its tasks.
    pub fn of(dag: &Dag) -> Self {
        let ends: Vec<_> = dag.tasks.values().filter_map(|task| task.end_date).collect();
        let latest = if ends.len() == dag.tasks.len() {
            ends.into_iter().chain(dag.end_date).max()
        } else {
            dag.end_date
        };
        Self { earliest: dag.earliest(), latest, catchup: dag.catchup }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunType {
    Scheduled,
    Manual,
    Backfill,
}

impl RunType {
    pub fn word(self) -> &'static str {
        match self {
            RunType::Scheduled => "scheduled",
            RunType::Manual => "manual",
            RunType::Backfill => "backfill",
        }
    }
}

/// `scheduled__2026-01-01T00:00:00+00:00`, as Airflow names a run. A run without a logical date gets `suffix` too, 8 random
/// letters and digits.
pub fn run_id(run_type: RunType, run_after: DateTime<Utc>, suffix: Option<&str>) -> String {
    let mut id = format!("{}__{}", run_type.word(), iso(run_after));
    if let Some(suffix) = suffix {
        id.push('_');
        id.push_str(suffix);
    }
    id
}

/// Python's `isoformat()`: microseconds only where there are any.
pub fn iso(time: DateTime<Utc>) -> String {
    let whole = time.timestamp_subsec_micros() == 0;
    time.to_rfc3339_opts(if whole { SecondsFormat::Secs } else { SecondsFormat::Micros }, false)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    rhythm: Rhythm,
    data_intervals: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rhythm {
    Null,
    Once,
    Continuous,
    Cron(Cron, Tz),
    Delta(TimeDelta),
}

impl Timetable {
    /// `data_intervals` is Airflow's `create_cron_data_intervals`, which in 3.3 holds for timedeltas too. The DAG's cron
    /// expression was read when its file was: one that is wrong is no schedule.
    pub fn of(dag: &Dag, data_intervals: bool) -> Self {
        Self::new(&dag.schedule, dag.timezone, data_intervals)
    }

    pub fn new(schedule: &Schedule, zone: Tz, data_intervals: bool) -> Self {
        let rhythm = match schedule {
            Schedule::None => Rhythm::Null,
            Schedule::Once => Rhythm::Once,
            Schedule::Continuous => Rhythm::Continuous,
            Schedule::Cron(text) => Cron::parse(text).map_or(Rhythm::Null, |cron| Rhythm::Cron(cron, zone)),
            Schedule::Delta(delta) => Rhythm::Delta(*delta),
        };
        Self { rhythm, data_intervals }
    }

    /// The run after the one whose interval was `last`; `None`: never again.
    pub fn next_run(
        &self,
        last: Option<DataInterval>,
        restriction: &Restriction,
        now: DateTime<Utc>,
    ) -> Option<RunTimes> {
        match &self.rhythm {
            Rhythm::Null => None,
            Rhythm::Once => {
                let run_after = restriction.earliest.unwrap_or(now);
                let is_due = last.is_none() && restriction.latest.is_none_or(|latest| run_after <= latest);
                is_due.then(|| RunTimes::after(DataInterval::exact(run_after)))
            }
            Rhythm::Continuous => continuous(last, restriction, now),
            Rhythm::Cron(..) | Rhythm::Delta(_) if self.data_intervals => {
                self.next_interval(last, restriction, now)
            }
            Rhythm::Cron(..) | Rhythm::Delta(_) => self.next_moment(last, restriction, now),
        }
    }

    /// The interval of a run that someone triggers, as Airflow infers it.
    pub fn manual_interval(&self, run_after: DateTime<Utc>) -> DataInterval {
        let exact = DataInterval::exact(run_after);
        match &self.rhythm {
            Rhythm::Null | Rhythm::Once | Rhythm::Continuous => exact,
            Rhythm::Cron(..) | Rhythm::Delta(_) if self.data_intervals => {
                let end = self.align_to_previous(run_after).unwrap_or(run_after);
                DataInterval { start: self.previous(end).unwrap_or(end), end }
            }
            Rhythm::Cron(..) | Rhythm::Delta(_) => exact,
        }
    }

    /// The runs with a logical date in `from..=to`, for a backfill: the earliest first, as many as are asked for.
    pub fn runs_between(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = RunTimes> {
        let restriction = Restriction { earliest: Some(from), latest: Some(to), catchup: true };
        let next = move |last: Option<DataInterval>| self.next_run(last, &restriction, now);
        std::iter::successors(next(None), move |run| next(Some(run.interval)))
    }

    /// Whether runs are made without anybody asking.
    pub fn can_be_scheduled(&self) -> bool {
        self.rhythm != Rhythm::Null
    }

    /// Whether it has a rhythm that a backfill can follow.
    pub fn is_periodic(&self) -> bool {
        matches!(self.rhythm, Rhythm::Cron(..) | Rhythm::Delta(_))
    }

    /// A bound on active runs that the schedule itself sets: 1 for `@continuous`.
    pub fn active_runs_max(&self) -> Option<u32> {
        (self.rhythm == Rhythm::Continuous).then_some(1)
    }

    /// `0 6 * * *`, `1 day, 0:00:00`, `@once`, `None`: what Airflow's API shows as `timetable_summary`.
    pub fn summary(&self) -> String {
        match &self.rhythm {
            Rhythm::Null => "None".to_owned(),
            Rhythm::Once => "@once".to_owned(),
            Rhythm::Continuous => "@continuous".to_owned(),
            Rhythm::Cron(cron, _) => cron.expression.clone(),
            Rhythm::Delta(delta) => python_delta(*delta),
        }
    }

    /// What Airflow's API shows as `timetable_description`; cron expressions are not put into words here.
    pub fn description(&self) -> &'static str {
        match &self.rhythm {
            Rhythm::Null => "Never, external triggers only",
            Rhythm::Once => "Once, as soon as possible",
            Rhythm::Continuous => "As frequently as possible, but only one run at a time.",
            Rhythm::Cron(..) | Rhythm::Delta(_) => "",
        }
    }

    fn next_moment(
        &self,
        last: Option<DataInterval>,
        restriction: &Restriction,
        now: DateTime<Utc>,
    ) -> Option<RunTimes> {
        let at = if restriction.catchup {
            match (last, restriction.earliest) {
                (Some(last), _) => self.next(last.end)?,
                (None, None) => self.first_moment(now)?,
                (None, Some(earliest)) => self.align_to_next(earliest)?,
            }
        } else {
            let mut at = self.align_to_previous(now)?;
            match (last, restriction.earliest) {
                (Some(last), _) => at = at.max(self.next(last.end)?),
                (None, None) => at = at.max(self.first_moment(now)?),
                (None, Some(_)) => {}
            }
            if let Some(earliest) = restriction.earliest {
                at = at.max(self.align_to_next(earliest)?);
            }
            at
        };
        let is_wanted = restriction.latest.is_none_or(|latest| at <= latest);
        is_wanted.then(|| RunTimes::after(DataInterval::exact(at)))
    }

    /// Without a start date: the latest moment, if that was just now; else the next one.
    fn first_moment(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let past = self.align_to_previous(now)?;
        if let Rhythm::Delta(_) = self.rhythm {
            return Some(past);
        }
        let next = self.align_to_next(now)?;
        // Airflow's `run_immediately=False` counts as a wait of no length.
        let buffer = ((next - past) / 10).max(TimeDelta::minutes(5));
        Some(if now - past <= buffer { past } else { next })
    }

    fn next_interval(
        &self,
        last: Option<DataInterval>,
        restriction: &Restriction,
        now: DateTime<Utc>,
    ) -> Option<RunTimes> {
        let earliest = match restriction.earliest {
            earliest if !restriction.catchup => Some(self.skip_to_latest(earliest, now)?),
            Some(earliest) => Some(self.align_to_next(earliest)?),
            None => None,
        };
        let start = match last {
            None => earliest?,
            Some(last) => {
                let aligned = self.align_to_previous(last.end)?;
                let start = earliest.map_or(aligned, |earliest| earliest.max(aligned));
                // After a change of the schedule the aligned time may be that of the last run again.
                if start <= last.start {
                    self.next(start).filter(|start| *start > last.start)?
                } else {
                    start
                }
            }
        };
        if restriction.latest.is_some_and(|latest| start > latest) {
            return None;
        }
        Some(RunTimes::after(DataInterval { start, end: self.next(start)? }))
    }

    /// Without catchup: the start of the interval that ended last.
    fn skip_to_latest(&self, earliest: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Rhythm::Delta(delta) = self.rhythm {
            let (now_us, delta_us) = (now.timestamp_micros(), delta.num_microseconds()?);
            let rounded = DateTime::from_timestamp_micros(now_us - now_us.rem_euclid(delta_us))?;
            let start = rounded.checked_sub_signed(delta)?;
            return Some(earliest.map_or(start, |earliest| earliest.max(start)));
        }
        let last_start = self.previous(now)?;
        let start = if self.next(last_start)? == now { last_start } else { self.previous(last_start)? };
        match earliest {
            None => Some(start),
            Some(earliest) => Some(start.max(self.align_to_next(earliest)?)),
        }
    }

    fn next(&self, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.step(from, Towards::Future)
    }

    fn previous(&self, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.step(from, Towards::Past)
    }

    fn step(&self, from: DateTime<Utc>, towards: Towards) -> Option<DateTime<Utc>> {
        match &self.rhythm {
            Rhythm::Cron(cron, zone) => {
                let local = zones::to_local(from, *zone);
                let found = cron.find(local, towards)?;
                // What runs every hour counts real time, so that a repeated hour has its runs too.
                if cron.covers_every_hour() {
                    Some(from + (found - local))
                } else {
                    Some(zones::to_utc(found, *zone))
                }
            }
            Rhythm::Delta(delta) if towards == Towards::Future => from.checked_add_signed(*delta),
            Rhythm::Delta(delta) => from.checked_sub_signed(*delta),
            Rhythm::Null | Rhythm::Once | Rhythm::Continuous => None,
        }
    }

    fn align_to_next(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Rhythm::Delta(_) = self.rhythm {
            return Some(at);
        }
        let next = self.next(at)?;
        Some(if self.previous(next)? == at { at } else { next })
    }

    fn align_to_previous(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Rhythm::Delta(_) = self.rhythm {
            return Some(at);
        }
        let previous = self.previous(at)?;
        Some(if self.next(previous)? == at { at } else { previous })
    }
}

fn continuous(last: Option<DataInterval>, restriction: &Restriction, now: DateTime<Utc>) -> Option<RunTimes> {
    let earliest = restriction.earliest.unwrap_or(now);
    let interval = match last {
        Some(last) if last.end > now => {
            DataInterval { start: earliest, end: earliest + (last.end - last.start) }
        }
        Some(last) => DataInterval { start: last.end, end: now },
        None => DataInterval { start: earliest, end: earliest.max(now) },
    };
    let is_wanted = restriction.latest.is_none_or(|latest| interval.end <= latest);
    is_wanted.then(|| RunTimes::after(interval))
}

/// `str(timedelta)`: `1 day, 6:00:00`.
pub fn python_delta(delta: TimeDelta) -> String {
    let total_us = delta.num_microseconds().unwrap_or(i64::MAX);
    let (days, rest) = (total_us.div_euclid(86_400_000_000), total_us.rem_euclid(86_400_000_000));
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let clock = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let clock = if micros == 0 { clock } else { format!("{clock}.{micros:06}") };
    match days {
        0 => clock,
        1 | -1 => format!("{days} day, {clock}"),
        _ => format!("{days} days, {clock}"),
    }
}
