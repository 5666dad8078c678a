//! The commands of the quickstart, each a child process of this very program, each printed before it runs.

use std::{collections::BTreeSet, path::PathBuf, process::Stdio, time::Duration};

use project::Running;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{
    address,
    batch::Brought,
    data::{Data, Form},
    heading,
    objects::Objects,
    peak_bytes,
    proof::{Tally, text_columns},
};
use crate::{
    commands::init,
    context::{Failure, S3Access},
    errors::{Error, Told},
};

const BUCKET: &str = "lake";
const TOPICS_DIR: &str = "kafka";
/// Objects of a partition that the connector is set to make, so that the listing stays readable.
const OBJECTS_OF_A_PARTITION: u64 = 3;
const FLUSH_SIZE_MIN: u64 = 500;
const TASKS_COUNT_MAX: u32 = 2;
const OBJECTS_SHOWN: usize = 8;
const RECORDS_SHOWN: usize = 3;

pub(super) struct Steps {
    pub folder: PathBuf,
    pub data: Data,
    /// The data file as it is typed in a command.
    pub typed: String,
    pub partitions: u32,
    /// Where the batch half's documents go, if not into the embedded DynamoDB.
    pub mongodb: Option<String>,
    pub access: S3Access,
    pub running: Running,
}

pub(super) struct Outcome {
    pub records_count: u64,
    pub keys_count: u64,
    pub objects_count: usize,
    pub brought: Brought,
    pub memory_bytes: u64,
    pub ready: Duration,
    pub hints: Vec<String>,
}

/// `connectors/s3-sink-flights.json`, below the project folder.
pub(super) fn connector_path(data: &Data) -> String {
    format!("connectors/{}.json", connector_name(data))
}

fn connector_name(data: &Data) -> String {
    format!("s3-sink-{}", data.topic)
}

/// The example's connector with this topic and these addresses.
pub(super) fn connector(data: &Data, partitions: u32, s3: &str, registry: &str) -> String {
    let mut connector: Value =
        serde_json::from_str(init::CONNECTOR).expect("the built-in connector is JSON: a test reads it");
    let flush_size =
        (data.records_about / u64::from(partitions.max(1)) / OBJECTS_OF_A_PARTITION).max(FLUSH_SIZE_MIN);
    let name = connector_name(data);
    connector["name"] = name.into();
    let config = &mut connector["config"];
    for (key, value) in [
        ("topics", data.topic.as_str()),
        ("s3.bucket.name", BUCKET),
        ("topics.dir", TOPICS_DIR),
        ("store.url", s3),
        ("value.converter.schema.registry.url", registry),
        ("flush.size", &flush_size.to_string()),
        ("tasks.max", &partitions.clamp(1, TASKS_COUNT_MAX).to_string()),
    ] {
        config[key] = value.into();
    }
    format!("{connector:#}\n")
}

impl Steps {
    pub(super) async fn all(&self) -> Result<Outcome, Failure> {
        let Steps { data, typed, .. } = self;
        let (topic, key) = (&data.topic, &data.key);
        let contract = format!("contracts/{topic}.json");
        let connector = connector_path(data);
        let partitions = self.partitions.to_string();
        self.command(&["topic", "create", topic, "--partitions", &partitions]).await?;
        self.command(&["contract", "infer", typed, "-o", &contract]).await?;
        self.command(&["schema", "register", topic]).await?;
        let target = format!("kafka://local/{topic}");
        self.command(&["load", typed, &target, "--contract", topic, "--key", key]).await?;
        self.command(&["check"]).await?;
        self.command(&["connect", "apply", &connector, "--wait"]).await?;
        let prefix = format!("{TOPICS_DIR}/{topic}/");
        self.head(&["ls", "--recursive", &format!("s3://{BUCKET}/")], OBJECTS_SHOWN).await?;
        let objects = Objects::new(self.access.clone());
        let step = || format!("reading s3://{BUCKET}/{prefix} back");
        let told = |reason: String| Error::Step { step: step(), source: Told(reason) };
        let names = objects.list(BUCKET, &prefix).await.map_err(told)?;
        if let Some(first) = names.first() {
            self.head(&["cat", &format!("s3://{BUCKET}/{first}")], RECORDS_SHOWN).await?;
        }
        let (input, written) = self.tallies(&objects, &names, &contract).await.map_err(told)?;
        if let Some(difference) = input.difference(&written) {
            return Err(Error::Differs { difference }.into());
        }
        let brought = self.batch(&objects).await?;
        Ok(Outcome {
            records_count: input.records_count,
            keys_count: input.keys_count() as u64,
            objects_count: names.len(),
            brought,
            memory_bytes: peak_bytes(self.running.pid),
            ready: Duration::ZERO,
            hints: self.hints(&prefix),
        })
    }

    async fn tallies(
        &self,
        objects: &Objects,
        names: &[String],
        contract: &str,
    ) -> Result<(Tally, Tally), String> {
        let texts = match self.data.form {
            Form::Csv => text_columns(&self.folder.join(contract))?,
            Form::JsonLines => BTreeSet::new(),
        };
        let data = self.data.clone();
        let input = tokio::task::spawn_blocking(move || Tally::of_input(&data, &texts));
        let mut written = Tally::default();
        for name in names {
            let content = objects.object(BUCKET, name).await?;
            written.add_object(&content, &self.data.key).map_err(|reason| format!("{name}: {reason}"))?;
        }
        let input = input.await.map_err(|error| error.to_string())??;
        Ok((input, written))
    }

    /// Runs a command as it is printed, in the project's folder, and waits for it.
    pub(super) async fn command(&self, arguments: &[&str]) -> Result<(), Failure> {
        let text = typed_command(arguments);
        heading(&text, "");
        let status = self.child(arguments)?.status().await;
        let step = |reason: String| Error::Step { step: text.clone(), source: Told(reason) };
        let status = status.map_err(|error| step(error.to_string()))?;
        if !status.success() {
            return Err(step(format!("it ended with {status}; its own words are above")).into());
        }
        Ok(())
    }

    /// `tidemill … | head -n COUNT`.
    async fn head(&self, arguments: &[&str], lines_count: usize) -> Result<(), Failure> {
        let text = format!("{} | head -n {lines_count}", typed_command(arguments));
        heading(&text, "");
        let step =
            |reason: String| -> Failure { Error::Step { step: text.clone(), source: Told(reason) }.into() };
        let spawned = self.child(arguments)?.stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| step(error.to_string()))?;
        let Some(stdout) = child.stdout.take() else { return Ok(()) };
        let mut lines = BufReader::new(stdout).lines();
        for _ in 0..lines_count {
            match lines.next_line().await.map_err(|error| step(error.to_string()))? {
                Some(line) => println!("{line}"),
                None => {
                    let status = child.wait().await.map_err(|error| step(error.to_string()))?;
                    let failed = || step(format!("it ended with {status}; its own words are above"));
                    return if status.success() { Ok(()) } else { Err(failed()) };
                }
            }
        }
        drop(lines); // as head does: what the command writes now ends it
        child.kill().await.ok();
        Ok(())
    }

    fn child(&self, arguments: &[&str]) -> Result<Command, Failure> {
        let program =
            std::env::current_exe().map_err(|source| Error::Spawn { program: "tidemill".into(), source })?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("TIDEMILL_PROJECT", &self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Commands of other people's clients, with the real addresses.
    fn hints(&self, prefix: &str) -> Vec<String> {
        let part = |name: &str| address(&self.running, name).to_owned();
        let topic = &self.data.topic;
        vec![
            format!("kcat -b {} -t {topic} -C -o beginning -c 3 -f '%k %p/%o\\n'", part("broker")),
            format!("curl http://{}/subjects", part("registry")),
            format!("curl http://{}/connectors/{}/status", part("connect"), connector_name(&self.data)),
            format!(
                "AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=$(cat .tidemill/s3-secret-key) AWS_DEFAULT_REGION={} \\",
                self.access.access_key, self.access.region
            ),
            format!("  aws --endpoint-url http://{} s3 ls --recursive s3://{BUCKET}/{prefix}", part("s3")),
            format!("curl http://{}/api/v2/dags/lake/dagRuns", part("scheduler")),
            format!("open http://{}/ in a browser", part("console")),
        ]
    }
}

fn typed_command(arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let is_plain =
            argument.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./:=@+,".contains(letter));
        if is_plain { (*argument).to_owned() } else { format!("'{}'", argument.replace('\'', "'\\''")) }
    });
    format!("tidemill {}", quoted.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connector_is_the_examples_with_this_topic_and_these_addresses() {
        let data = Data {
            path: "orders.csv".into(),
            form: Form::Csv,
            topic: "orders".to_owned(),
            key: "id".to_owned(),
            records_about: 90_000,
        };
        let text = connector(&data, 6, "http://127.0.0.1:1", "http://127.0.0.1:2");
        let connector: Value = serde_json::from_str(&text).expect("JSON");
        let config = &connector["config"];
        assert_eq!(connector["name"], "s3-sink-orders");
        assert_eq!([&config["topics"], &config["flush.size"]], ["orders", "5000"]);
        assert_eq!(
            [&config["store.url"], &config["value.converter.schema.registry.url"]],
            ["http://127.0.0.1:1", "http://127.0.0.1:2"]
        );
    }

    #[test]
    fn a_command_is_printed_as_one_would_type_it() {
        assert_eq!(
            typed_command(&["load", "my file.csv", "kafka://local/a"]),
            "tidemill load 'my file.csv' kafka://local/a"
        );
    }
}
