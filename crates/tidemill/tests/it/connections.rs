//! `tidemill connections`: what is listed, what real servers answer, and exports that a real Airflow reads back.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    process::{Command, Stdio},
};

use testkit::{poll, tied_to_us};

use crate::{
    shared::{shared, world},
    snapshot,
};

const YAML: &str = "\
lake:
  conn_type: mongo
  host: db.example.com
  login: reader
  password: hunter2
  port: 27017
  schema: flights
  extra: {ssl: true, authSource: admin}
air: postgresql://me:hunter%402@pg.example.com:5432/air?sslmode=require
cloud:
  conn_type: aws
  extra: {region_name: eu-central-1, role_arn: 'arn:aws:iam::1:role/x'}
wrong: {conn_type: http, port: high}
";

#[test]
fn connections_are_listed_and_never_their_secrets() {
    let mut world = world();
    snapshot!(&world, "none", world.run(&["connections", "list"]).shown());
    world.write("connections.yaml", YAML);
    world.write(".env", "AIRFLOW_CONN_AIR=postgres://you:hunter2@other.example.com/air\n");
    world.set("AIRFLOW_CONN_EVENTS", "kafka://?bootstrap.servers=k1:9092&sasl.password=hunter2");
    let listed = world.run(&["connections", "list"]).shown();
    let json = world.ok(&["connections", "list", "--output", "json"]);
    assert!(!listed.contains("hunter2") && !json.contains("hunter2"), "{listed}{json}");
    snapshot!(&world, "list", listed);
    snapshot!(&world, "list json", json);
    let wrong = world.run(&["connections", "export"]).expect_code(3);
    snapshot!(&world, "export of a wrong one", wrong.shown());
    snapshot!(&world, "export", world.run(&["connections", "export", "lake", "cloud"]).shown());
    let env = ["connections", "export", "lake", "cloud", "--format", "env"];
    snapshot!(&world, "export env", world.run(&env).shown());
}

/// What is exported with its secrets is, to Airflow, what was in the files.
#[test]
fn a_real_airflow_imports_what_is_exported() {
    let Some(python) = testkit::venv_python("airflow") else { return };
    let world = world();
    let good = YAML.split("wrong:").next().unwrap();
    world.write("connections.yaml", good);
    let mut names = vec![world.path("connections.yaml")];
    for format in ["yaml", "json", "env"] {
        let text = world.ok(&["connections", "export", "--format", format, "--with-secrets"]);
        names.push(world.write(&format!("exported.{format}"), text));
    }
    let script = "import sys\nfrom airflow.secrets.local_filesystem import load_connections_dict\n\
        all = [load_connections_dict(path).items() for path in sys.argv[1:]]\n\
        for one in all:\n    print('--', *(f'{name} {connection.get_uri()}' for name, connection in one), sep='\\n')\n";
    let mut command = Command::new(python);
    command.arg("-c").arg(script).args(&names).env("AIRFLOW_HOME", world.folder());
    let read = testkit::ran(&mut command, 120).expect_success();
    // What it logs stands before the first.
    let read: Vec<&str> = read.split("--\n").skip(1).collect();
    assert_eq!(read.len(), 4, "{read:?}");
    assert!(read.iter().all(|one| *one == read[0]), "{read:#?}");
    assert!(read[0].contains("hunter%402"), "{}", read[0]);
}

#[test]
fn real_servers_are_reached_and_a_failure_says_what_to_do() {
    let (_, parts) = shared();
    let mut world = world();
    world.set("AIRFLOW_CONN_EVENTS", &format!("kafka://{}", parts.kafka()));
    world.set("AIRFLOW_CONN_PAGE", &parts.console());
    world.set("AIRFLOW_CONN_SHELL", "ssh://example.com");
    let told = world.ok(&["connections", "test"]);
    assert!(told.contains("events: works: Kafka with 1 broker(s)"), "{told}");
    assert!(told.contains("page: works: HTTP 200") && told.contains("shell: untried"), "{told}");
    let lines = [
        world.run(&["connections", "test", "shell"]).expect_code(2).shown(),
        world.run(&["connections", "test", "nowhere"]).expect_code(3).shown(),
    ];
    snapshot!(&world, "test refused", lines.join("\n"));
    world.set("AIRFLOW_CONN_GONE", "http://127.0.0.1:1");
    let gone = world.run(&["connections", "test", "gone"]).expect_code(5);
    assert!(gone.stderr.contains("TM1056"), "{}", gone.stderr);
}

#[test]
fn aws_tells_who_we_are_and_whether_a_bucket_is_there() {
    let Some(aws) = testkit::moto() else { return };
    let mut world = world();
    let endpoint: String = aws.endpoint.replace(':', "%3A").replace('/', "%2F");
    let uri = format!("aws://AKIAIOSFODNN7EXAMPLE:secret@/?region_name=us-east-1&endpoint_url={endpoint}");
    world.set("AIRFLOW_CONN_CLOUD", &uri);
    let told = world.ok(&["connections", "test", "cloud"]);
    assert!(told.contains("cloud: works: arn:aws:"), "{told}");
    let missing = world.run(&["connections", "test", "cloud", "--bucket", "nothing"]).expect_code(3);
    assert!(missing.stderr.contains("TM0906"), "{}", missing.stderr);
}

/// A PostgreSQL of the machine, in a folder of its own; it never runs as root.
#[test]
fn postgres_signs_in() {
    let Some(initdb) = found("initdb") else { return testkit::absent::<()>("PostgreSQL").unwrap_or(()) };
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root {
        chown(folder.path(), Some(NOBODY), None).unwrap();
    }
    let (data, password, port) =
        (folder.path().join("data"), folder.path().join("password"), testkit::free_port());
    fs::write(&password, "hunter2\n").unwrap();
    let command = |program: &str| {
        let mut command = Command::new(initdb.with_file_name(program));
        command.current_dir(folder.path()).arg("-D").arg(&data);
        if is_root {
            command.uid(NOBODY);
        }
        command
    };
    let mut made = command("initdb");
    made.args(["-A", "scram-sha-256", "-U", "me", "--pwfile"]).arg(&password);
    testkit::ran(&mut made, 120).expect_success();
    let mut server = command("postgres");
    server.stderr(Stdio::null()).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""]);
    let _server = tied_to_us(server).unwrap();
    let mut world = world();
    world.set("AIRFLOW_CONN_AIR", &format!("postgres://me:hunter2@127.0.0.1:{port}/postgres"));
    world.set("AIRFLOW_CONN_BAD", &format!("postgres://me:wrong@127.0.0.1:{port}/postgres"));
    let told = poll::until("PostgreSQL answers", 60_000, || {
        let ran = world.run(&["connections", "test", "air"]);
        (ran.code == Some(0)).then_some(ran.stdout)
    });
    assert!(told.starts_with("air: works: PostgreSQL "), "{told}");
    let bad = world.run(&["connections", "test", "bad"]).expect_code(5).stderr;
    assert!(bad.contains("password authentication failed") && bad.contains("check its login"), "{bad}");
}

fn found(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::path::Path::new("/usr/lib/postgresql");
    let versions =
        fs::read_dir(installed).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    std::env::split_paths(&path)
        .chain(versions)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
