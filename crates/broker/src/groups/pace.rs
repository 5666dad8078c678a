//! How soon a member of a group that has epochs shows itself again. The answer to each heartbeat says it (KIP-848), and only then does
//! a member learn what it has to give up, and what others have given up for it: while a group settles, members come sooner than the
//! setting says. What they are told then is not here.

use std::time::Duration;

use tokio::time::Instant;

/// Nobody is asked to come sooner.
const SHORTEST: Duration = Duration::from_millis(100);
/// Who waits for what another still holds comes so often: that one is given minutes for it.
const WAITING: Duration = Duration::from_millis(500);

/// What has been as it is for some time is taken to stay so for as long again: a group that is being formed is done within a second,
/// and one that has been at rest for a while costs no more heartbeats than without this. `None`: by the setting.
pub(super) fn next_within(assigned_at: Option<Instant>, waits: bool, now: Instant) -> Option<Duration> {
    let settled = assigned_at.map(|at| now.duration_since(at).max(SHORTEST));
    if waits { Some(settled.map_or(WAITING, |settled| settled.min(WAITING))) } else { settled }
}

/// The interval by the setting, or the sooner one.
pub fn interval_ms(setting_ms: u32, within: Option<Duration>) -> i32 {
    let within_ms = within.map_or(u128::MAX, |within| within.as_millis());
    i32::try_from(within_ms.min(setting_ms.into())).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_nothing_changes_the_later_a_member_comes() {
        let start = Instant::now();
        let asked = |age_ms: u64, waits: bool| {
            let within = next_within(Some(start), waits, start + Duration::from_millis(age_ms));
            interval_ms(5_000, within)
        };
        let ages = [0, 60, 300, 4_999, 60_000, u64::from(u32::MAX)];
        assert_eq!(ages.map(|age_ms| asked(age_ms, false)), [100, 100, 300, 4_999, 5_000, 5_000]);
        assert_eq!(ages.map(|age_ms| asked(age_ms, true)), [100, 100, 300, 500, 500, 500]);
    }

    #[test]
    fn a_setting_that_is_shorter_holds() {
        let now = Instant::now();
        assert_eq!(interval_ms(50, next_within(Some(now), false, now)), 50);
        assert_eq!(interval_ms(u32::MAX, None), i32::MAX);
        assert_eq!(interval_ms(5_000, next_within(None, true, now)), 500);
    }
}
