//! Templates against what Airflow makes of them, and how their mistakes read.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use base::{ManualClock, Secret, problem::plain};
use serde_json::{Value as Json, json};

use super::*;
use crate::files::Reader;

/// The DAG of `templates.py`.
const DAG: &str = "
orders.daily:
  schedule: '@daily'
  start_date: 2026-01-01
  description: All orders
  tags: [b, a]
  render_template_as_native_obj: NATIVE
  params: {table: orders, days: 7, flags: {full: false, parts: [1, 2]}, none: null, ratio: 0.25}
  user_defined_macros: {limit: 3, tree: {leaf: true}}
  tasks:
    load:
      operator: airflow.providers.standard.operators.python.PythonOperator
      python_callable: tasks.load
      owner: data
      retries: 2
      params: {own: x}
      templates_exts: [.sql]
";

struct Store;

impl Lookup for Store {
    fn variable(&self, name: &str) -> Option<String> {
        let found = match name {
            "bucket" => "lake",
            "settings" => r#"{"a": {"b": [1, 2.5, null, true]}, "c": "x"}"#,
            "with-dash" => "d",
            _ => return None,
        };
        Some(found.to_owned())
    }

    fn connection(&self, id: &str) -> Option<Connection> {
        (id == "warehouse").then(|| Connection {
            conn_id: id.to_owned(),
            conn_type: "postgres".to_owned(),
            host: Some("db.example.org".to_owned()),
            login: Some("reader".to_owned()),
            password: Some(Secret::new("s3cr'et")),
            schema: Some("sales".to_owned()),
            port: Some(5432),
            extra: Some(Secret::new(r#"{"sslmode": "require", "list": [1, 2]}"#)),
            description: None,
        })
    }

    fn xcoms(&self, pull: &Pull) -> Vec<Arg> {
        let found = match (pull.task_id.as_str(), pull.key.as_str()) {
            ("extract", "return_value") => {
                json!([{ "rows": 3, "names": ["a", "b'c"], "when": "2026-03-29" }])
            }
            ("extract", "path") => json!(["/tmp/x"]),
            ("mapped", "return_value") => json!([1, 2, 3]),
            _ => json!([]),
        };
        let Arg::List(found) = Arg::from_json(&found) else { return Vec::new() };
        match pull.map_index {
            Some(index) => found.into_iter().skip(index as usize).take(1).collect(),
            None => found,
        }
    }
}

fn fixtures(name: &str) -> std::path::PathBuf {
    std::fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name))
        .expect("fixtures")
}

fn context(is_native: bool, is_scheduled: bool) -> Context {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orders.yml");
    std::fs::write(&file, DAG.replace("NATIVE", &is_native.to_string())).expect("writable");
    let clock = ManualClock::at(1_774_828_800_000);
    let reader = Reader { folder: folder.path(), shown: "dags", environment: &|_| None, clock: &clock };
    let mut dag = reader.read_folder().remove(0).unwrap_or_else(|error| panic!("{}", plain(&error)));
    dag.tags = vec!["a".to_owned(), "b".to_owned()];
    dag.template_folders = vec![fixtures("templates")];
    let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
    let interval = |start, end| DataInterval { start: at(start), end: at(end) };
    let today = interval("2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z");
    let run = Run {
        run_id: "scheduled__2026-03-29T00:00:00+00:00".to_owned(),
        run_type: "scheduled".to_owned(),
        logical_date: is_scheduled.then_some(today.start),
        data_interval: is_scheduled.then_some(today),
        run_after: today.end,
        start_date: Some(at("2026-03-30T00:00:01Z")),
        end_date: None,
        conf: [("days".to_owned(), Arg::Int(9)), ("who".to_owned(), Arg::String("me".to_owned()))].into(),
        state: "running".to_owned(),
        previous_success: Some(PreviousRun {
            data_interval: Some(interval("2026-03-27T00:00:00Z", "2026-03-28T00:00:00Z")),
            start_date: Some(at("2026-03-28T00:00:05Z")),
            end_date: Some(at("2026-03-28T00:01:00Z")),
        }),
    };
    let instance = Instance {
        try_number: 2,
        max_tries: 2,
        map_index: -1,
        start_date: Some(at("2026-03-30T00:00:02Z")),
        hostname: "host".to_owned(),
    };
    Context {
        dag: Arc::new(dag),
        task_id: "load".to_owned(),
        run: Arc::new(run),
        instance,
        lookup: Arc::new(Store),
        clock: Arc::new(clock),
    }
}

struct Case {
    template: String,
    is_native: bool,
    is_scheduled: bool,
    /// Whether both have to refuse it; by chance both may.
    is_error: Option<bool>,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(fixtures("templates/cases.txt")).expect("readable");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (marks, template) = match line.split_once(' ') {
                Some((marks, rest)) if !marks.is_empty() && marks.chars().all(|c| "NME".contains(c)) => {
                    (marks, rest)
                }
                _ => ("", line),
            };
            Case {
                template: template.replace("\\n", "\n").replace("\\\n", "\\n"),
                is_native: marks.contains('N'),
                is_scheduled: !marks.contains('M'),
                is_error: Some(marks.contains('E')),
            }
        })
        .collect()
}

/// Expressions by chance, of what the rewriting touches and of what lies around it.
fn random_cases(chance: &mut testkit::Seeded, count: usize) -> Vec<Case> {
    fn expression(chance: &mut testkit::Seeded, depth: u64) -> String {
        if depth == 0 || chance.within(0..5) == 0 {
            return match chance.within(0..6) {
                0 => "params.days".to_owned(),
                1 => "limit".to_owned(),
                2 => "-3".to_owned(),
                3 => "[4, 5][1]".to_owned(),
                4 => "'ab' | length".to_owned(),
                _ => chance.within(0..10).to_string(),
            };
        }
        let mut inner = || expression(chance, depth - 1);
        let (a, b, c) = (inner(), inner(), inner());
        match chance.within(0..12) {
            0..3 => format!("{a} - {b}"),
            3..5 => format!("{a}+{b}"),
            5 => format!("({a}) * ({b})"),
            6 => format!("{a} - ({b} - {c})"),
            7 => format!("({a} if {b} > {c} else {c})"),
            8 => format!("({a}) % 7"),
            9 => format!("[{a}, {b} - {c}] | max"),
            10 => format!("(({a}) | string ~ {b}) | length"),
            _ => format!("-({a}) - -{}", chance.within(0..9)),
        }
    }
    let case = |template| Case { template, is_native: false, is_scheduled: true, is_error: None };
    (0..count).map(|_| case(format!("{{{{ {} }}}}", expression(chance, 3)))).collect()
}

proptest::proptest! {
    #[test]
    fn rewriting_leaves_what_is_no_arithmetic(text in "(\\{\\{|\\}\\}|\\{%|%\\}|[-a-c ~+%'\"(){}|.,]|\\PC){0,40}") {
        let rewritten = rewrite::template(&text);
        if !text.contains(['+', '-', '~', '%']) {
            assert_eq!(rewritten, text);
        }
        python::literal(&text);
        format::strftime(&values::Moment::utc(DateTime::UNIX_EPOCH), &text);
        format::pendulum(&values::Moment::utc(DateTime::UNIX_EPOCH), &text);
    }
}

fn rendered(case: &Case) -> Result<Arg, Error> {
    let context = context(case.is_native, case.is_scheduled);
    let task = &context.dag.tasks["load"];
    let mut args = task.operator.args.clone();
    args.insert("op_args".to_owned(), Arg::List(vec![Arg::String(case.template.clone())]));
    let mut args = render(task, &args, &context)?;
    match args.swap_remove("op_args") {
        Some(Arg::List(mut items)) => Ok(items.remove(0)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn templates_render_as_in_airflow() {
    let Some(python) = testkit::venv_python("airflow") else { return };
    let home = tempfile::tempdir().expect("a folder");
    let mut airflow = Command::new(python)
        .args(["-c", include_str!("../../fixtures/templates.py")])
        .arg(fixtures("templates"))
        .env("AIRFLOW_HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = airflow.stdin.take().expect("a pipe");
    let seed = testkit::seeds(1)[0];
    let mut cases = cases();
    cases.extend(random_cases(&mut testkit::Seeded::new(seed), 1_000));
    let line = |case: &Case| json!({ "template": case.template, "native": case.is_native, "scheduled": case.is_scheduled });
    let lines: String = cases.iter().map(|case| format!("{}\n", line(case))).collect();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = airflow.wait_with_output().expect("Python ends");
    writing.join().expect("no panic").expect("Python reads");
    let text = String::from_utf8_lossy(&output.stdout);
    let answers: Vec<Json> = text
        .lines()
        .filter(|line| line.starts_with("{\"value\"") || line.starts_with("{\"error\""))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), cases.len(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut differences = Vec::new();
    for (case, theirs) in cases.iter().zip(&answers) {
        let ours = rendered(case);
        let is_same = match &ours {
            Ok(value) => theirs.get("value") == Some(&value.to_json()) && case.is_error != Some(true),
            Err(_) => theirs.get("error").is_some() && case.is_error != Some(false),
        };
        if !is_same {
            let ours = ours.map_or_else(|error| plain(&error), |value| value.to_json().to_string());
            differences.push(format!("{}\n  Airflow {theirs}\n  here    {ours}", case.template));
        }
    }
    assert!(
        differences.is_empty(),
        "seed {seed}: {} of {}\n{}",
        differences.len(),
        cases.len(),
        differences.join("\n")
    );
}

#[test]
fn mistakes_say_what_and_where() {
    let templates = [
        "{{ nothing }}",
        "{{ params.nothing.more }}",
        "{{ var.value.nothing }}",
        "{{ conn.nothing.host }}",
        "{{ 'a' + 1 }}",
        "{{ logical_date.nothing() }}",
        "{{ 1 +",
        "{% for x in y %}",
        "missing.sql",
    ];
    let texts = templates.map(|template| {
        let case = Case {
            template: template.to_owned(),
            is_native: false,
            is_scheduled: true,
            is_error: Some(true),
        };
        rendered(&case).map_or_else(|error| plain(&error), |value| format!("{value:?}\n"))
    });
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn arithmetic_becomes_calls_with_jinjas_precedence() {
    let check = |source: &str, expected: &str| assert_eq!(rewrite::template(source), expected, "{source}");
    check("{{ a - b }}", "{{ __minus(a, b) }}");
    check("{{a-b+c}}", "{{__plus(__minus(a,b),c)}}");
    check("{{- a * b - c -}}", "{{- __minus(a * b, c) -}}");
    check("{{ f(a - 1, b=-2)[x - 1:] }}", "{{ f(__minus(a, 1), b=-2)[__minus(x, 1):] }}");
    check("{{ 'a' ~ b ~ c + d }}", "{{ __plus(__concat('a', b, c), d) }}");
    check("{{ a + b if c - d > e else -f }}", "{{ __plus(a, b) if __minus(c, d) > e else -f }}");
    check("{% set x = a - b %}", "{% set x = __minus(a, b) %}");
    check("{% for i in a + b %}- {{ i }}", "{% for i in __plus(a, b) %}- {{ i }}");
    check("{{ a | f(b - c) - d | g }}", "{{ __minus(a | f(__minus(b, c)), d | g) }}");
    check("{{ a - b is not none }}", "{{ __minus(a, b is not none) }}");
    check("{{ '%s' % (a, b) }}", "{{ __percent('%s', (a, b)) }}");
    check(
        "a - b {# c - d #}{% raw %}{{ e - f }}{% endraw %}",
        "a - b {# c - d #}{% raw %}{{ e - f }}{% endraw %}",
    );
    check("{{ '}} - ' ~ {'a': {'b': 1}} }}", "{{ __concat('}} - ', {'a': {'b': 1}}) }}");
    check("{{ a -", "{{ a -");
}

#[test]
fn outputs_of_other_tasks_are_put_in() {
    let context = context(false, true);
    let task = &context.dag.tasks["load"];
    let output = |task_id: &str, key: &str| Arg::XCom { task_id: task_id.to_owned(), key: key.to_owned() };
    let args = |value: Arg| [("op_args".to_owned(), Arg::List(vec![value]))].into();
    let render =
        |value: Arg| render(task, &args(value), &context).map(|args| args["op_args"].to_json().to_string());
    assert_eq!(render(output("extract", "path")).expect("rendered"), r#"["/tmp/x"]"#);
    assert_eq!(render(output("nobody", "return_value")).expect("rendered"), "[null]");
    let error = render(output("extract", "rows")).expect_err("no such key");
    insta::assert_snapshot!(plain(&error));
}
