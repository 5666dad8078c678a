//! Named places at which a test may kill the process, as `kill -9` would.

use std::{env, sync::OnceLock};

/// Aborts here when `TIDEMILL_DIE_AT` names this point; `name:3` dies at the third passage.
pub fn crash_point(name: &str) {
    static DIE_AT: OnceLock<Option<(String, u64)>> = OnceLock::new();
    let die_at = DIE_AT.get_or_init(|| {
        let wanted = env::var("TIDEMILL_DIE_AT").ok()?;
        Some(match wanted.rsplit_once(':') {
            Some((point, count)) => (point.to_owned(), count.parse().unwrap_or(1)),
            None => (wanted, 1),
        })
    });
    if let Some((point, count)) = die_at
        && point == name
    {
        use std::sync::atomic::{AtomicU64, Ordering};
        static PASSED: AtomicU64 = AtomicU64::new(0);
        if PASSED.fetch_add(1, Ordering::SeqCst) + 1 >= *count {
            std::process::abort();
        }
    }
}
