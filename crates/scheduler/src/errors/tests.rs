//! Every error as a person reads it.

use base::problem::plain;

use super::*;

#[test]
fn every_error_says_what_and_what_to_do() {
    let errors = [
        Error::Bind {
            listen: "127.0.0.1:8090".parse().expect("an address"),
            source: io::ErrorKind::AddrInUse.into(),
        },
        Error::Folder {
            path: "/project/.tidemill/scheduler".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        },
        Error::Sqlite {
            path: "/project/.tidemill/scheduler/airflow.db".into(),
            source: rusqlite::Error::InvalidQuery,
        },
        Error::Postgres {
            server: "postgresql://airflow:***@127.0.0.1:5432/airflow".to_owned(),
            source: "postgresql://h:port".parse::<tokio_postgres::Config>().expect_err("no port"),
        },
        Error::Store { reason: "its thread has ended".to_owned() },
        Error::DatabaseOwned { server: "postgresql://127.0.0.1:5432/airflow".to_owned() },
        Error::DatabaseNewer { version: 3, known: 1 },
        Error::not_found("Dag with dag_id: 'lake' not found"),
    ];
    let shown: Vec<String> = errors.iter().map(|error| plain(error)).collect();
    insta::assert_snapshot!(shown.join("\n"));
}
