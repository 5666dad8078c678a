//! Panics of libraries that read bytes from outside, as errors.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// What `work` gives, or the words of the panic that ended it. What it was at must not be used again.
///
/// # Errors
/// The panic's words.
pub fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    DEPTH.set(DEPTH.get() + 1);
    let ended = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    ended.map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        words.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
    })
}

/// Whether a panic of this thread becomes an error: a hook that prints panics leaves it alone.
pub fn is_contained() -> bool {
    DEPTH.get() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_where_it_is_contained() {
        assert_eq!(contained(|| 3), Ok(3));
        let told: Result<(), _> = contained(|| {
            assert!(is_contained());
            let empty: &[u8] = &[];
            assert!(!empty.is_empty(), "{} bytes", empty.len());
        });
        assert_eq!(told, Err("0 bytes".to_owned()));
        assert!(!is_contained());
    }
}
