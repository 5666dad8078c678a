//! One connector file held against the broker, the registry, the contracts and its bucket.

use base::{Clock, ContractKind, SystemClock, code};
use cloud::store::{Credentials, S3Config};
use project::ConnectorFile;

use super::{
    World,
    converters::{Converter, class_for},
    finding::{Finding, Report},
};

pub(super) fn check(connector: &ConnectorFile, world: &World, report: &mut Report) {
    let before = report.errors_count();
    configuration(connector, report);
    let topics = topics(connector, world, report);
    for topic in &topics {
        converter(connector, topic, world, report);
    }
    registry_address(connector, world, report);
    wall_clock(connector, report);
    if report.errors_count() == before {
        let path = connector.file.path.to_string();
        report.holds(path, format!("settings, topics and converters of {} agree", connector.name));
    }
}

fn configuration(connector: &ConnectorFile, report: &mut Report) {
    let mut config = connector.config.clone();
    config.insert("name".to_owned(), connector.name.clone());
    for (key, message) in connect::check_config(&config) {
        let spot = Some(connector.spot(&key, "here"));
        let help = format!(
            "correct {key}; Kafka Connect's reference names its values, `tidemill connect plugins` those taken here"
        );
        report.add(Finding::mistake(code::TM1081, message, spot, help));
    }
}

/// `topics` as Connect reads it.
pub(super) fn topics_named(connector: &ConnectorFile) -> Vec<String> {
    let named = connector.get("topics").unwrap_or("").split(',').map(str::trim);
    named.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The topics that it names and that are there.
fn topics(connector: &ConnectorFile, world: &World, report: &mut Report) -> Vec<String> {
    let named = topics_named(connector);
    let Some(known) = &world.topics else { return named };
    let mut partitions_count = 0;
    let mut found = Vec::new();
    for topic in named {
        match known.get(&topic) {
            Some(count) => {
                partitions_count += count;
                found.push(topic);
            }
            None => {
                let nearest = nearest(&topic, known.keys());
                let nearest =
                    nearest.map_or_else(String::new, |name| format!(", or write {name} if that is meant"));
                report.add(Finding::mistake(
                    code::TM1082,
                    format!("the topic {topic} of {} does not exist", connector.name),
                    Some(connector.spot("topics", "no such topic")),
                    format!("make it: tidemill topic create {topic}{nearest}"),
                ));
            }
        }
    }
    let tasks_count: usize = connector.get("tasks.max").and_then(|count| count.parse().ok()).unwrap_or(1);
    if !found.is_empty() && tasks_count > partitions_count {
        let idle = tasks_count - partitions_count;
        report.add(Finding::mistake(
            code::TM1083,
            format!(
                "{tasks_count} tasks share {partitions_count} partitions: {idle} would have nothing to do"
            ),
            Some(connector.spot("tasks.max", format!("at most {partitions_count}"))),
            format!("set tasks.max to {partitions_count}, or add partitions: tidemill topic alter"),
        ));
    }
    found
}

/// The most similar name, where one is similar enough to be meant.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.85;
    let likeness = |name: &str| strsim::jaro_winkler(name, wanted);
    let close = names.map(String::as_str).filter(|name| likeness(name) >= LIKENESS_MIN);
    close.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

fn converter(connector: &ConnectorFile, topic: &str, world: &World, report: &mut Report) {
    let key = "value.converter";
    let Some(class) = connector.get(key) else { return };
    let Some(converter) = Converter::of_class(class) else { return };
    let subject = format!("{topic}-value");
    // That the registry does not answer is told once for the whole check.
    let Some(registered) = world.registered.as_ref().map(|registered| registered.get(&subject)) else {
        return;
    };
    let contract = world.contracts.iter().find(|contract| contract.name == topic);
    match (registered, contract) {
        (Some(registered), _) if !converter.reads(registered.kind) => report.add(mismatch(
            connector,
            class,
            registered.kind,
            format!("{subject} is {} (version {}, id {})", name(registered.kind), registered.version, registered.id),
        )),
        (None, Some(contract)) if !converter.reads(kind(contract.is_avro)) => report.add(mismatch(
            connector,
            class,
            kind(contract.is_avro),
            format!("the contract {} is {}", contract.file.path, name(kind(contract.is_avro))),
        )),
        (None, None) if converter.needs_registry() => report.add(
            Finding::mistake(
                code::TM1084,
                format!("nothing is registered under {subject}, so {class} cannot read {topic}"),
                Some(connector.spot(key, "needs a registered schema")),
                format!(
                    "register a contract for it (tidemill contract infer, tidemill schema register {topic}), or use \
                     org.apache.kafka.connect.json.JsonConverter for plain JSON"
                ),
            )
            .because("a producer without a schema writes records that this converter refuses"),
        ),
        (Some(_) | None, _) => {}
    }
}

fn mismatch(connector: &ConnectorFile, class: &str, kind: ContractKind, because: String) -> Finding {
    let short = class.rsplit('.').next().unwrap_or(class);
    Finding::mistake(
        code::TM1084,
        format!("{short} cannot read what is written to the topic"),
        Some(connector.spot("value.converter", format!("expected {}", class_for(kind)))),
        format!("write \"value.converter\": \"{}\"", class_for(kind)),
    )
    .because(because)
}

fn registry_address(connector: &ConnectorFile, world: &World, report: &mut Report) {
    for side in ["key", "value"] {
        let key = format!("{side}.converter.schema.registry.url");
        let class = connector.get(&format!("{side}.converter")).and_then(Converter::of_class);
        let Some(urls) = connector.get(&key).filter(|_| class.is_some_and(Converter::needs_registry)) else {
            continue;
        };
        let ours = plain_url(&world.registry);
        if !urls.is_empty()
            && !urls.contains("${")
            && !urls.split(',').any(|url| plain_url(url.trim()) == ours)
        {
            report.add(Finding::warning(
                code::TM1084,
                format!("{} asks another registry than this project's", connector.name),
                Some(connector.spot(&key, format!("the project's is {ours}"))),
                format!("write {ours}, or set registry.external if that one is meant"),
            ));
        }
    }
}

fn plain_url(url: &str) -> String {
    url.trim_end_matches('/').replace("://localhost:", "://127.0.0.1:")
}

fn wall_clock(connector: &ConnectorFile, report: &mut Report) {
    let partitioner =
        connector.get("partitioner.class").and_then(|class| class.rsplit('.').next()).unwrap_or("");
    let is_timed = ["TimeBasedPartitioner", "DailyPartitioner", "HourlyPartitioner"].contains(&partitioner);
    let extractor = connector.get("timestamp.extractor").unwrap_or("Wallclock");
    if is_timed && extractor.rsplit('.').next().is_some_and(|class| class.starts_with("Wallclock")) {
        let key = if connector.get("timestamp.extractor").is_some() {
            "timestamp.extractor"
        } else {
            "partitioner.class"
        };
        report.add(
            Finding::warning(
                code::TM1088,
                format!("{} sorts records by the wall clock", connector.name),
                Some(connector.spot(key, "the time at which a task sees a record")),
                "set timestamp.extractor to Record or RecordField for delivery exactly once",
            )
            .because("after a crash the same record can go to another folder, and so be there twice"),
        );
    }
}

/// Whether the bucket is there for the identity that the connector will have.
pub(super) async fn check_bucket(connector: &ConnectorFile, world: &World, report: &mut Report) {
    let Some(bucket) = connector.get("s3.bucket.name").filter(|name| !name.is_empty()) else { return };
    let endpoint = connector.get("store.url").filter(|url| !url.is_empty()).map(str::to_owned);
    let is_ours = match (&endpoint, &world.s3) {
        (Some(endpoint), Some(s3)) => plain_url(endpoint) == plain_url(&s3.endpoint),
        (Some(_) | None, _) => false,
    };
    let (credentials, ends) = match credentials(connector, world, is_ours, report).await {
        Some(found) => found,
        None => return,
    };
    let config = S3Config {
        bucket: bucket.to_owned(),
        region: connector.get("s3.region").map(str::to_owned),
        endpoint,
        path_style: connector.get("s3.path.style.access.enabled").is_none_or(|value| value == "true")
            && is_ours,
        credentials,
    };
    let reached = match cloud::store::s3(&config) {
        Ok(bucket) => bucket.check().await,
        Err(error) => Err(error),
    };
    match reached {
        Ok(()) => report.holds(format!("s3://{bucket}"), format!("can be reached, {ends}")),
        Err(error) => {
            let mut finding = Finding::of(&error);
            finding.spot = Some(connector.spot("s3.bucket.name", "this bucket"));
            report.add(finding);
        }
    }
}

/// Who the connector will be, and until when; `None` where there is nobody, which is told.
async fn credentials(
    connector: &ConnectorFile,
    world: &World,
    is_ours: bool,
    report: &mut Report,
) -> Option<(Credentials, String)> {
    let keys = |access_key: &str, secret_key: base::Secret| Credentials::Keys {
        access_key: access_key.to_owned(),
        secret_key,
        session_token: None,
    };
    if let (Some(access_key), Some(secret_key)) =
        (connector.get("aws.access.key.id"), connector.get("aws.secret.access.key"))
    {
        return Some((keys(access_key, base::Secret::new(secret_key)), "by the keys in its file".to_owned()));
    }
    if let (true, Some(s3)) = (is_ours, &world.s3) {
        return Some((keys(&s3.access_key, s3.secret_key.clone()), "by the project's own keys".to_owned()));
    }
    let identity = cloud::aws::Identity::load(None).await;
    let summary = match identity.summary().await {
        Ok(summary) => summary,
        Err(error) => {
            let mut finding = Finding::of(&error);
            finding.spot = Some(connector.spot("s3.credentials.provider.class", "asked here"));
            report.add(finding);
            return None;
        }
    };
    let left_ms = |ends_ms: i64| ends_ms - SystemClock.now_ms();
    if let Some(left_ms) = summary.over_ms.map(left_ms).filter(|left_ms| *left_ms < world.expiring_ms) {
        report.add(ends_soon(connector, left_ms / 60_000));
    }
    let ends = match (summary.ends_ms.map(left_ms), summary.over_ms) {
        (None, _) => "by keys that do not end".to_owned(),
        (Some(left_ms), Some(_)) => format!("by credentials that last {} minutes more", left_ms / 60_000),
        (Some(_), None) => "by credentials that renew themselves".to_owned(),
    };
    Some((Credentials::Identity(identity), ends))
}

pub(super) fn ends_soon(connector: &ConnectorFile, minutes: i64) -> Finding {
    Finding::warning(
        code::TM1087,
        format!("the AWS credentials end in {minutes} minutes"),
        Some(connector.spot("s3.credentials.provider.class", "these credentials")),
        "renew them before the run: tidemill auth login aws, or what `tidemill auth status` says that they come from",
    )
}

fn kind(is_avro: bool) -> ContractKind {
    if is_avro { ContractKind::Avro } else { ContractKind::JsonSchema }
}

fn name(kind: ContractKind) -> &'static str {
    contracts::kind_name(kind)
}
