//! Names as dlt's `snake_case` makes them; the comparison with real dlt is in `normalize/tests`.

use super::*;

#[track_caller]
fn check(name: &str, expected: &str) {
    assert_eq!(Naming::new(None).name(name), expected, "{name:?}");
}

#[test]
fn names_become_snake_case() {
    check("CustomerAddress", "customer_address");
    check("HTTPServer2Go", "http_server2_go");
    check("_id", "_id");
    check("a b.c-d", "a_b_c_d");
    check("trailing_", "trailingx");
    check("1st", "_1st");
    check("a__b", "a__b");
    check("A++", "axx");
    check("Größe", "gr_e");
    check("  ", "_empty");
    check("__", "_empty");
    check("_", "x");
}

#[test]
fn names_that_are_too_long_keep_both_ends() {
    let long = "a".repeat(40) + &"b".repeat(40);
    let short = Naming::new(Some(63)).name(&long);
    assert_eq!(short.len(), 63);
    assert!(short.starts_with("aaa") && short.ends_with("bbb"), "{short}");
}
