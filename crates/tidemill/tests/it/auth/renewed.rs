//! Loads that outlive the credentials they began with, by each way of AWS's and of Google's to be somebody. What they write to, or
//! read from, refuses whoever comes with what has ended, and knows what came through.

use std::{fs, process::Command};

use serde_json::{Value, json};
use testkit::{Gate, GoogleGate, poll};

use super::{Going, Home, chain, google, start};
use crate::shared::{name, shared};

/// A way to be somebody, and a load that takes some seconds.
struct Way {
    name: &'static str,
    variables: Vec<(&'static str, String)>,
    /// How the keys begin that it gets; the account whose tokens they are.
    who: String,
    load: Vec<String>,
    /// A load of standard input, which has a record each 50 ms.
    is_fed: bool,
}

impl Way {
    fn of(name: &'static str, who: &str, variables: &[(&'static str, String)], load: &[&str]) -> Self {
        let load: Vec<String> = load.iter().map(|word| (*word).to_owned()).collect();
        let is_fed = load[0] == "-";
        Self { name, who: who.to_owned(), variables: variables.to_vec(), load, is_fed }
    }

    /// The command's words; files take no `--rate`.
    fn words(&self) -> Vec<&str> {
        let pace: &[&str] = if self.is_fed { &[] } else { &["--rate", "20/s"] };
        let load = self.load.iter().map(String::as_str);
        ["load"].into_iter().chain(load).chain(pace.iter().copied()).chain(["--output", "json"]).collect()
    }

    /// The command behind a program that feeds it, where it has to be fed.
    fn fed(&self, command: Command, records: u64) -> Command {
        if !self.is_fed {
            return command;
        }
        // Large enough that no reader waits for more of them.
        let script = format!(
            "P=$(head -c 32000 /dev/zero | tr '\\0' x); for n in $(seq {records}); do \
             echo \"{{\\\"n\\\":$n,\\\"p\\\":\\\"$P\\\"}}\"; sleep 0.05; done | \"$0\" \"$@\""
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        shell
    }
}

/// What the last line of a load with `--output json` counts.
fn records_count(said: &str) -> u64 {
    let finished = said.lines().find(|line| line.contains("\"event\":\"finished\""));
    let finished: Value = serde_json::from_str(finished.unwrap_or_else(|| panic!("{said}"))).unwrap();
    assert_eq!(finished["rejected_count"], 0, "{finished}");
    finished["records_count"].as_u64().unwrap()
}

fn var(name: &'static str, value: impl Into<String>) -> (&'static str, String) {
    (name, value.into())
}

mod aws {
    use super::*;

    const RECORDS: u64 = 400;
    const CONFIG: &str = "[profile process]\ncredential_process = curl -s [START]/process\n\
        [profile chained]\nrole_arn = arn:aws:iam::123456789012:role/Lake\nsource_profile = middle\n\
        [profile middle]\nrole_arn = arn:aws:iam::123456789012:role/Middle\nsource_profile = keys\n\
        [profile keys]\naws_access_key_id = AKIASTANDING00000001\naws_secret_access_key = standing-secret\n\
        [profile login]\nlogin_session = arn:aws:iam::123456789012:user/ada\n";

    /// Keys of eight seconds, which are renewed after six, for loads of twenty.
    fn ways(home: &Home) -> Vec<Way> {
        let into = |table| ["generate:users?count=400&seed=1", table, "--key", "email", "--create"];
        let objects = |place| ["-", place, "--format", "jsonl", "--file-rows", "20"];
        let token = home.world.write("web-token", "token-1");
        let web = [
            var("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_string_lossy()),
            var("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/Web"),
        ];
        let container = [var("AWS_CONTAINER_CREDENTIALS_FULL_URI", home.filled("[START]/container"))];
        let instance = [
            var("AWS_EC2_METADATA_DISABLED", "false"),
            var("AWS_EC2_METADATA_SERVICE_ENDPOINT", &home.portal.endpoint),
        ];
        let profile = |name: &str| [var("AWS_PROFILE", name)];
        let read = ["s3://lake/in/", "dynamodb://fleet/container", "--key", "n", "--create"];
        vec![
            Way::of("credential process", "ASIAPROC", &profile("process"), &into("dynamodb://fleet/process")),
            Way::of("a role by a role", "ASIALAKE", &profile("chained"), &objects("s3://lake/chained/")),
            Way::of("web identity", "ASIAWEBB", &web, &into("dynamodb://fleet/web")),
            Way::of("login session", "ASIALOGN", &profile("login"), &objects("s3://lake/login/")),
            Way::of("container", "ASIACONT", &container, &read),
            Way::of("instance", "ASIAIMDS", &instance, &into("dynamodb://fleet/instance")),
        ]
    }

    /// Twenty records in each of twenty objects, each opened when its turn comes.
    fn fill(home: &Home) {
        let lines: String = (0..RECORDS).map(|number| format!("{{\"n\":{number}}}\n")).collect();
        home.world.write("in.jsonl", lines);
        home.world.ok(&["load", "in.jsonl", "s3://lake/in/", "--file-rows", "20"]);
    }

    fn begin(home: &Home, way: &Way, tables: &Gate, objects: &Gate) -> Going {
        let mut command = home.tidemill(&way.words());
        let fleet = json!({ "conn_type": "aws", "extra": { "region_name": "us-east-1",
            "service_config": { "dynamodb": { "endpoint_url": tables.endpoint } } } });
        command.env("AIRFLOW_CONN_FLEET", fleet.to_string()).env("AWS_REGION", "us-east-1");
        command.env("TIDEMILL_S3_EXTERNAL", "aws").env("AWS_ENDPOINT_URL_S3", &objects.endpoint);
        command.env("AWS_ENDPOINT_URL_STS", &home.portal.endpoint).envs(way.variables.clone());
        home.start(way.fed(command, RECORDS))
    }

    /// What is there, by the keys of the stores themselves.
    fn arrived(home: &Home, way: &Way) -> usize {
        let place = way.load[1].replace("//fleet/", "//local/");
        match place.strip_prefix("dynamodb://local/") {
            Some(table) => {
                let file = format!("{table}.jsonl");
                home.world.ok(&["load", &place, &file]);
                fs::read_to_string(home.world.path(&file)).unwrap().lines().count()
            }
            None => home.world.ok(&["cat", &place]).lines().count(),
        }
    }

    #[test]
    fn a_load_outlives_the_keys_that_it_began_with() {
        let mut home = Home::new(CONFIG);
        let session = [("ada", "ASIAOLDLOGIN00000001", "2020-01-01T00:00:00Z")];
        if chain::leave_login_sessions(&home, &session).is_none() {
            return;
        }
        home.portal.keys_last_ms(8_000);
        home.portal.web_token_is("token-1");
        home.world.set("TIDEMILL_S3_BUCKETS", "lake");
        let parts = home.world.up_with(&["--only", "s3,dynamodb"]);
        fill(&home);
        let tables = Gate::start(&home.portal, &parts.dynamodb());
        let objects = Gate::start(&home.portal, &parts.s3());
        let ways = ways(&home);
        let going: Vec<Going> = ways.iter().map(|way| begin(&home, way, &tables, &objects)).collect();
        // As a kubelet does it: another token in the file, and the old one is good for nothing.
        poll::until("the first web identity is used", 60_000, || (tables.keys("ASIAWEBB") > 0).then_some(()));
        home.world.write("web-token", "token-2");
        home.portal.web_token_is("token-2");
        let said: Vec<String> = going.into_iter().map(|going| going.ended(0)).collect();
        for (way, said) in ways.iter().zip(&said) {
            let keys_count = tables.keys(&way.who) + objects.keys(&way.who);
            assert!(keys_count >= 3, "{}: {keys_count} keys: {said}", way.name);
            assert_eq!(records_count(said), RECORDS, "{}: {said}", way.name);
            assert_eq!(arrived(&home, way), RECORDS as usize, "{}: {said}", way.name);
        }
        for gate in [&tables, &objects] {
            assert_eq!(gate.counts().1 + gate.counts().2, 0, "{:?}", gate.counts());
        }
        home.world.down();
    }
}

mod gcp {
    use super::*;

    const RECORDS: u64 = 360;

    /// Tokens of 14 seconds, which Google's library renews after ten, for loads of 18. A service account signs its own for an hour.
    #[test]
    fn a_load_outlives_the_tokens_that_it_began_with() {
        let Some(gcs) = testkit::fake_gcs() else { return };
        let (_, parts) = shared();
        let mut home = google::Home::new();
        home.sign_in(&["--client-id-file", "client.json"], 0);
        let Some([service_account, workload, impersonated]) = home.files() else { return };
        let bucket = name("renewed");
        gcs.create_bucket(&bucket);
        home.google.tokens_last_s(14);
        let gate = GoogleGate::start(&home.google, &gcs.endpoint);
        let from = |file: &str| [var("GOOGLE_APPLICATION_CREDENTIALS", file)];
        let nowhere = [var("CLOUDSDK_CONFIG", home.world.path("nothing-here").to_string_lossy())];
        let place = |folder: &str| format!("gs://{bucket}/{folder}/");
        let fed = |name, who, variables: &[(&'static str, String)], folder| {
            Way::of(name, who, variables, &["-", &place(folder), "--format", "jsonl", "--file-rows", "20"])
        };
        let ways = [
            fed("sign-in", "ada@example.org", &[], "person"),
            fed("workload identity", "principal://workload", &from(&workload), "workload"),
            fed("impersonated account", "loader@lake.example.org", &from(&impersonated), "impersonated"),
            fed("metadata server", "machine@lake.example.org", &nowhere, "machine"),
            fed("service account", "writer@lake.example.org", &from(&service_account), "service"),
        ];
        let begin = |way: &Way| {
            let mut command = home.command(&way.words());
            command.env("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", format!("{}/storage/v1/", gate.endpoint));
            command.envs(way.variables.clone());
            start(&home.world, way.fed(command, RECORDS))
        };
        let going: Vec<Going> = ways.iter().map(begin).collect();
        let said: Vec<String> = going.into_iter().map(|going| going.ended(0)).collect();
        home.world.set("STORAGE_EMULATOR_HOST", &gcs.endpoint);
        for (way, said) in ways.iter().zip(&said) {
            assert_eq!(records_count(said), RECORDS, "{}: {said}", way.name);
            let arrived = home.world.ok(&["cat", &way.load[1]]).lines().count();
            assert_eq!(arrived, RECORDS as usize, "{}: {said}", way.name);
            let least = if way.name == "service account" { 1 } else { 2 };
            assert!(gate.tokens(&way.who) >= least, "{}: {}", way.name, gate.tokens(&way.who));
        }
        assert_eq!(gate.refused(), Vec::<String>::new());
        home.world.unset("STORAGE_EMULATOR_HOST");
        reads(&home, &gate, &place("person"), &parts.kafka());
    }

    /// The same for objects that are read, each when its turn comes.
    fn reads(home: &google::Home, gate: &GoogleGate, place: &str, kafka: &str) {
        let before = gate.tokens("ada@example.org");
        let target = format!("kafka://{kafka}/{}", name("read"));
        let way = Way::of("sign-in", "ada@example.org", &[], &[place, &target, "--create"]);
        let mut command = home.command(&way.words());
        command.env("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", &gate.endpoint);
        let said = testkit::ran(&mut command, 60).expect_success();
        assert_eq!(records_count(&said), RECORDS, "{said}");
        assert!(gate.tokens(&way.who) >= before + 2, "{}", gate.tokens(&way.who));
        assert_eq!(gate.refused(), Vec::<String>::new());
    }
}
