//! Variables from every place.

use std::fs;

use super::*;
use crate::Outside;

fn listed(files: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("writes");
    }
    let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let outside = Outside { variables: variables.collect(), ..Outside::default() };
    let project = Project::open(folder.path(), &outside).expect("it opens");
    let variables = project.variables().expect("a file");
    let line = |key: &String| {
        let variable = variables.get(key).expect("it is listed");
        let (value, description) = (variable.value.reveal(), variable.description.as_deref().unwrap_or("-"));
        format!("{key} = {value:?}  {description}  {}\n", variable.origin)
    };
    variables.keys().iter().map(line).collect()
}

#[test]
fn each_of_airflows_file_formats_is_read() {
    let json = r#"{"bucket": "lake", "limits": {"rows": 5, "on": [true, null]},
"told": {"value": "v", "description": "why"}, "count": 3, "empty": {}}"#;
    let yaml = "bucket: lake\nlimits: {rows: 5, 'on': [yes, ~]}\ntold:\n  value: v\n  description: why\ncount: 3\nempty: {}\n";
    let env = "# comment\nbucket=lake\ncount= 3 \"x\" \n";
    let texts = [("variables.json", json), ("variables.yaml", yaml), ("variables.env", env)];
    insta::assert_snapshot!(texts.map(|file| listed(&[file], &[])).join("\n"));
}

#[test]
fn the_environment_wins_over_dotenv_over_the_file() {
    let files = [
        ("variables.json", "{\"Bucket\": \"file\", \"other\": \"file\"}"),
        (".env", "AIRFLOW_VAR_BUCKET=dotenv\nAIRFLOW_VAR_JSON={\"a\": [1, \"two\"]}\n"),
    ];
    let environment = [("AIRFLOW_VAR_BUCKET", "environment"), ("AIRFLOW_VAR_MY_TOKEN", "t")];
    insta::assert_snapshot!(listed(&files, &environment));
}

#[test]
fn a_name_that_sounds_like_a_secret_is_one() {
    let named = |key: &str| {
        let origin = Origin::Env("AIRFLOW_VAR_X".to_owned());
        Variable { key: key.to_owned(), value: Secret::new("x"), description: None, origin }.is_secret()
    };
    assert!(named("MY_TOKEN") && named("db_password") && named(" Private_Key "));
    assert!(!named("bucket"));
}
