//! Code that was let go of is there when it is called.

use std::fs;

/// Pages of the program's code and constants that are mapped, in KiB.
fn mapped_kib() -> u64 {
    let program = std::env::current_exe().unwrap().display().to_string();
    let text = fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut is_code, mut sum) = (false, 0);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first.contains('-') && !first.ends_with(':') {
            is_code = line.ends_with(&program) && line.contains(" r-xp ");
        } else if is_code && first == "Rss:" {
            sum += words.next().unwrap().parse::<u64>().unwrap();
        }
    }
    sum
}

#[test]
fn code_that_was_let_go_of_comes_back_when_it_is_called() {
    let before = mapped_kib();
    super::forget_code();
    let after = mapped_kib();
    assert!(after < before, "{before} KiB of code were mapped, and {after} are");
    // Code and constants that were used before, and are again.
    let words: Vec<String> = ["kind", "of", "blue"].iter().map(|word| word.to_uppercase()).collect();
    assert_eq!(words.join(" "), "KIND OF BLUE");
}
