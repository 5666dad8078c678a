//! Listings as data: which keys there are, what is asked, what comes.

use super::*;

const KEYS: [&str; 8] = ["a", "a.b", "b/1", "b/2/x", "b/2/y", "b0", "c//d", "c/d/"];

#[track_caller]
fn check(query: Query, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    for key in KEYS {
        let path = folder.path().join(keys::path_of(key).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
    fs::create_dir_all(folder.path().join("empty/folder")).unwrap();
    let query = Query { count_max: if query.count_max == 0 { 100 } else { query.count_max }, ..query };
    let page = list(folder.path(), &query).unwrap();
    let names: Vec<&str> = page.items.iter().map(Item::name).collect();
    let more = if page.is_truncated { " …" } else { "" };
    assert_eq!(format!("{}{more}", names.join(" ")), expected, "{query:?}");
}

fn query(prefix: &str, delimiter: &str, after: &str, count_max: usize) -> Query {
    Query { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), after: after.to_owned(), count_max }
}

#[test]
fn keys_come_in_their_order_and_only_those_asked_for() {
    check(query("", "", "", 0), "a a.b b/1 b/2/x b/2/y b0 c//d c/d/");
    check(query("b", "", "", 0), "b/1 b/2/x b/2/y b0");
    check(query("b/2/", "", "", 0), "b/2/x b/2/y");
    check(query("zzz", "", "", 0), "");
}

#[test]
fn a_delimiter_folds_what_lies_below_it() {
    check(query("", "/", "", 0), "a a.b b/ b0 c/");
    check(query("b/", "/", "", 0), "b/1 b/2/");
    check(query("b", "/", "", 0), "b/ b0");
    check(query("c/", "/", "", 0), "c// c/d/");
    check(query("", ".", "", 0), "a a. b/1 b/2/x b/2/y b0 c//d c/d/");
}

#[test]
fn pages_go_on_after_the_last_name() {
    check(query("", "", "", 3), "a a.b b/1 …");
    check(query("", "", "b/1", 3), "b/2/x b/2/y b0 …");
    check(query("", "", "b0", 2), "c//d c/d/");
    check(query("", "/", "", 3), "a a.b b/ …");
    check(query("", "/", "b/", 3), "b0 c/");
}
