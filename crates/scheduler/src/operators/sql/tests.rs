//! Parameters and statements as psycopg2 and Airflow's hook see them.

use super::*;

#[test]
fn parameters_become_literals() {
    let list = Arg::List(vec![Arg::Int(1), Arg::String("it's".to_owned()), Arg::Null]);
    assert_eq!(
        fill("a = %s and b = %s or c is %s", Some(&list)).ok().as_deref(),
        Some("a = 1 and b = 'it''s' or c is NULL")
    );
    let map = Arg::Map([("n".to_owned(), Arg::Boolean(true))].into());
    assert_eq!(fill("x like 'a%%' and %(n)s", Some(&map)).ok().as_deref(), Some("x like 'a%' and true"));
    assert_eq!(fill("x like 'a%'", None).ok().as_deref(), Some("x like 'a%'"));
    assert!(fill("%s %s", Some(&Arg::List(vec![Arg::Int(1)]))).is_err());
}

#[test]
fn statements_end_at_semicolons_outside_of_quotes() {
    let text = "select ';' ; -- no ; here\nselect $tag$ ; $tag$; /* ; */ select 1;;";
    assert_eq!(statements(text), ["select ';'", "-- no ; here\nselect $tag$ ; $tag$", "/* ; */ select 1"]);
}
