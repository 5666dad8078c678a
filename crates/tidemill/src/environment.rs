//! The environment: starts the parts in the order of their dependence, hands each addresses and never another part,
//! stops them in reverse.
//!
//! `up` and every test call `start`; an external address is the same string as that of a part of ours.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use base::{Clock, Handle, SystemClock};
use futures::future::select_all;
use indexmap::IndexMap;
use project::{Project, Running, RunningPart};

use crate::{context::Failure, embedded, errors::Error, ports};

/// Every part there is, each after those that it may depend on.
pub const PARTS: [&str; 8] =
    ["s3", "dynamodb", "broker", "registry", "rest", "connect", "scheduler", "console"];
/// What every part still to be stopped keeps of the time for all of them.
const STOP_SHARE_MS: u64 = 300;

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Plan {
    listen: BTreeMap<&'static str, SocketAddr>,
    external: BTreeMap<&'static str, String>,
}

impl Plan {
    /// From the settings; `only` names some of the parts, empty: all that the settings name.
    pub fn new(project: &Project, only: &[String], free_ports: bool) -> Result<Plan, Failure> {
        let settings = &project.settings;
        let wanted = if only.is_empty() { settings.list("environment.parts") } else { only.to_vec() };
        if let Some(name) = wanted.iter().find(|name| !PARTS.contains(&name.as_str())) {
            return Err(Error::PartUnknown { name: name.clone() }.into());
        }
        let mut plan = Plan { listen: BTreeMap::new(), external: BTreeMap::new() };
        for part in PARTS {
            if let Some(address) = settings.optional_text(&format!("{part}.external")) {
                plan.external.insert(part, address.to_owned());
            } else if wanted.iter().any(|name| name == part)
                && (part != "scheduler" || has_dags(project, only))
            {
                plan.listen.insert(part, settings.address(&format!("{part}.listen"))?);
            }
        }
        for part in ["registry", "rest", "connect"] {
            if plan.listen.contains_key(part) && !plan.has("broker") {
                return Err(Error::PartMissing { part, needs: "broker" }.into());
            }
        }
        plan.pick_ports(free_ports)?;
        for (part, listen) in &plan.listen {
            ports::check_free(part, *listen)?;
        }
        Ok(plan)
    }

    fn has(&self, part: &str) -> bool {
        self.listen.contains_key(part) || self.external.contains_key(part)
    }

    /// Port 0 becomes a real one before anything starts, so that parts can be told of each other; with `free_ports` one
    /// that is in use does too. A free one that the settings name is kept: addresses stay the same between two lives.
    fn pick_ports(&mut self, free_ports: bool) -> Result<(), Failure> {
        let spare = ports::free(self.listen.len()).map_err(|source| Error::Runtime { source })?;
        for ((part, listen), spare) in self.listen.iter_mut().zip(spare) {
            if listen.port() == 0 || (free_ports && ports::check_free(part, *listen).is_err()) {
                listen.set_port(spare.port());
            }
        }
        Ok(())
    }

    /// Where the embedded S3 will answer, where it is started.
    pub fn own_s3(&self) -> Option<String> {
        self.listen.get("s3").map(SocketAddr::to_string)
    }

    /// Where a part answers or will answer.
    fn address(&self, part: &str) -> Option<String> {
        let ours = self.listen.get(part).map(SocketAddr::to_string);
        ours.or_else(|| self.external.get(part).cloned())
    }
}

/// The parts that run, and the addresses of all.
#[derive(Debug)]
pub struct Environment {
    /// In the order in which they were started.
    handles: Vec<Handle>,
    pub parts: IndexMap<String, RunningPart>,
}

/// Starts what the plan names; what fails drops, and so stops, the parts before it.
pub async fn start(project: &Project, plan: &Plan) -> Result<Environment, Failure> {
    let state = project.state_folder()?;
    let mut environment = Environment { handles: Vec::new(), parts: IndexMap::new() };
    let (s3, dynamodb, broker) = tokio::join!(
        start_s3(project, plan),
        start_dynamodb(project, plan),
        start_broker(project, plan, &state)
    );
    environment.add("s3", plan, s3?);
    environment.add("dynamodb", plan, dynamodb?);
    environment.add("broker", plan, broker?);
    let kafka = environment.address("broker");
    let (registry, rest, connect) = tokio::join!(
        start_registry(project, plan, kafka.as_deref()),
        start_rest(project, plan, kafka.as_deref()),
        start_connect(project, plan, kafka.as_deref())
    );
    environment.add("registry", plan, registry?);
    environment.add("rest", plan, rest?);
    environment.add("connect", plan, connect?);
    environment.add("scheduler", plan, start_scheduler(project, plan).await?);
    let console = start_console(project, plan, &environment.parts).await;
    environment.add("console", plan, console?);
    Ok(environment)
}

async fn start_s3(project: &Project, plan: &Plan) -> Result<Option<Handle>, Failure> {
    let Some(listen) = plan.listen.get("s3") else { return Ok(None) };
    let settings = &project.settings;
    let mut options = stores::s3::Options::at(
        project.state_path("s3"),
        *listen,
        settings.text("s3.access_key"),
        project.s3_secret_key()?,
    );
    options.region = settings.text("s3.region").to_owned();
    options.buckets = settings.list("s3.buckets");
    started(stores::s3::Service::start(options).await)
}

async fn start_dynamodb(project: &Project, plan: &Plan) -> Result<Option<Handle>, Failure> {
    let Some(listen) = plan.listen.get("dynamodb") else { return Ok(None) };
    let options = stores::dynamodb::Options::at(project.state_path("dynamodb"), *listen);
    started(stores::dynamodb::Service::start(options).await)
}

async fn start_broker(
    project: &Project,
    plan: &Plan,
    state: &std::path::Path,
) -> Result<Option<Handle>, Failure> {
    let Some(listen) = plan.listen.get("broker") else { return Ok(None) };
    started(broker::Service::start(embedded::broker_options(project, *listen, state)?).await)
}

async fn start_registry(
    project: &Project,
    plan: &Plan,
    kafka: Option<&str>,
) -> Result<Option<Handle>, Failure> {
    let (Some(listen), Some(kafka)) = (plan.listen.get("registry"), kafka) else { return Ok(None) };
    let options = registry::Options {
        kafka_properties: project.settings.properties("broker.properties"),
        topic: project.settings.text("registry.topic").to_owned(),
        group: project.settings.text("registry.group").to_owned(),
        advertised: Some(project.settings.text("registry.advertised").to_owned())
            .filter(|address| !address.is_empty())
            .map(|address| console::url(&address)),
        ..registry::Options::at(*listen, kafka)
    };
    started(registry::Service::start(options).await)
}

async fn start_rest(project: &Project, plan: &Plan, kafka: Option<&str>) -> Result<Option<Handle>, Failure> {
    let (Some(listen), Some(kafka)) = (plan.listen.get("rest"), kafka) else { return Ok(None) };
    let settings = &project.settings;
    let bytes = |key: &str| settings.bytes(key).map(|it| usize::try_from(it).unwrap_or(0).max(1));
    let count = |key: &str| settings.count(key).map(|it| usize::try_from(it).unwrap_or(0).max(1));
    let milliseconds = |key: &str| settings.milliseconds(key).map(|it| u64::try_from(it).unwrap_or(0));
    let options = rest::Options {
        listen: *listen,
        kafka: kafka.to_owned(),
        kafka_properties: settings.properties("broker.properties"),
        registry: plan.address("registry").map(|address| console::url(&address)),
        advertised: settings.optional_text("rest.advertised").map(console::url),
        request_bytes_max: bytes("rest.request_bytes_max")?,
        request_records_max: count("rest.request_records_max")?,
        request_memory_bytes_max: bytes("rest.request_memory_bytes_max")?,
        producer_buffer_bytes_max: bytes("rest.producer_buffer_bytes_max")?,
        consumer_instances_max: count("rest.consumer_instances_max")?,
        consumer_instance_timeout_ms: milliseconds("rest.consumer_instance_timeout_ms")?,
        consumer_request_timeout_ms: milliseconds("rest.consumer_request_timeout_ms")?,
        consumer_request_bytes_max: bytes("rest.consumer_request_bytes_max")?,
        consumer_buffer_bytes_max: bytes("rest.consumer_buffer_bytes_max")?,
    };
    started(rest::Service::start(options).await)
}

async fn start_connect(
    project: &Project,
    plan: &Plan,
    kafka: Option<&str>,
) -> Result<Option<Handle>, Failure> {
    let (Some(listen), Some(kafka)) = (plan.listen.get("connect"), kafka) else { return Ok(None) };
    let settings = &project.settings;
    let text = |key: &str| settings.text(key).to_owned();
    // The worker beside our S3 needs no keys of the user's for it.
    let own_store = match plan.listen.get("s3") {
        Some(listen) => Some(connect::OwnStore {
            endpoint: format!("http://{listen}"),
            access_key: text("s3.access_key"),
            secret_key: project.s3_secret_key()?,
        }),
        None => None,
    };
    let options = connect::Options {
        kafka_properties: settings.properties("broker.properties"),
        registry: plan.address("registry").map(|address| console::url(&address)),
        group_id: text("connect.group_id"),
        config_topic: text("connect.config_topic"),
        offset_topic: text("connect.offset_topic"),
        status_topic: text("connect.status_topic"),
        memory_bytes_max: u64::try_from(settings.bytes("connect.memory_bytes_max")?).unwrap_or(u64::MAX),
        own_store,
        ..connect::Options::at(*listen, kafka)
    };
    started(connect::Service::start(options).await)
}

/// A project without a DAG folder has nothing to schedule, unless the part is asked for by name.
fn has_dags(project: &Project, only: &[String]) -> bool {
    !only.is_empty() || project.root.join(project.settings.text("scheduler.dags_folder")).is_dir()
}

async fn start_scheduler(project: &Project, plan: &Plan) -> Result<Option<Handle>, Failure> {
    let Some(listen) = plan.listen.get("scheduler") else { return Ok(None) };
    let own_store = match plan.listen.get("s3") {
        Some(listen) => Some(scheduler::OwnStore {
            endpoint: format!("http://{listen}"),
            access_key: project.settings.text("s3.access_key").to_owned(),
            secret_key: project.s3_secret_key()?,
        }),
        None => None,
    };
    let options = scheduler::Options { own_store, ..scheduler_options(project, *listen)? };
    started(scheduler::Service::start(options).await)
}

/// What the settings say of the scheduler.
pub fn scheduler_options(project: &Project, listen: SocketAddr) -> Result<scheduler::Options, Failure> {
    let settings = &project.settings;
    let milliseconds = |key| settings.milliseconds(key).map(|it| u64::try_from(it).unwrap_or(0));
    let program = std::env::current_exe().ok();
    Ok(scheduler::Options {
        dags_folder: project.root.join(settings.text("scheduler.dags_folder")),
        state_folder: project.state_path("scheduler"),
        database_url: settings.secret("scheduler.database_url"),
        parallelism_max: usize::try_from(settings.count("scheduler.parallelism_max")?).unwrap_or(1).max(1),
        scan_interval_ms: milliseconds("scheduler.scan_interval_ms")?,
        dags_are_paused_at_creation: settings.boolean("scheduler.dags_are_paused_at_creation")?,
        kill_grace_ms: milliseconds("scheduler.kill_grace_ms")?,
        binary_folder: program.and_then(|program| program.parent().map(std::path::Path::to_path_buf)),
        python: settings.text("scheduler.python").to_owned(),
        connections: Some(std::sync::Arc::new(project::Connections::open(project)?)),
        variables: Some(std::sync::Arc::new(project::Variables::open(project)?)),
        environment: std::env::vars().collect(),
        ..scheduler::Options::at(listen, &project.root)
    })
}

async fn start_console(
    project: &Project,
    plan: &Plan,
    parts: &IndexMap<String, RunningPart>,
) -> Result<Option<Handle>, Failure> {
    let Some(listen) = plan.listen.get("console") else { return Ok(None) };
    let mut options = console::Options::at(*listen);
    options.kafka_properties = project.settings.properties("broker.properties");
    options.parts = parts.iter().map(|(name, part)| probed(name, part)).collect();
    started(console::Service::start(options).await)
}

/// A part as the console asks it.
pub fn probed(name: &str, part: &RunningPart) -> console::Part {
    console::Part { name: name.to_owned(), address: part.address.clone(), external: part.external }
}

fn started<E: base::Problem>(result: Result<Handle, E>) -> Result<Option<Handle>, Failure> {
    result.map(Some).map_err(|error| Box::new(error) as Failure)
}

impl Environment {
    fn add(&mut self, part: &'static str, plan: &Plan, handle: Option<Handle>) {
        let running = match (&handle, plan.external.get(part)) {
            (Some(handle), _) => RunningPart { address: handle.addr.to_string(), external: false },
            (None, Some(address)) => RunningPart { address: address.clone(), external: true },
            (None, None) => return,
        };
        self.parts.insert(part.to_owned(), running);
        self.handles.extend(handle);
    }

    fn address(&self, part: &str) -> Option<String> {
        self.parts.get(part).map(|part| part.address.clone())
    }

    /// What `running.json` holds.
    pub fn running(&self) -> Running {
        let mut running = Running::new(std::process::id(), SystemClock.now_ms());
        running.parts = self.parts.clone();
        running
    }

    /// Waits until a part ends by itself, which only a failure makes it do.
    pub async fn failed(&mut self) -> Error {
        if self.handles.is_empty() {
            return std::future::pending().await;
        }
        let names: Vec<&'static str> = self.handles.iter().map(|handle| handle.name).collect();
        let ends = self.handles.iter_mut().map(|handle| Box::pin(handle.ended()));
        let (ended, row, _) = select_all(ends).await;
        self.handles.remove(row); // its task is over: there is nothing left to stop
        Error::PartFailed { part: names[row], source: ended.err() }
    }

    /// In reverse order, all within `stop_ms_max`; who does not make it is cut off and logged.
    pub async fn stop(mut self, stop_ms_max: u64) {
        let deadline = Instant::now() + Duration::from_millis(stop_ms_max);
        while let Some(handle) = self.handles.pop() {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis() as u64;
            let kept = STOP_SHARE_MS * self.handles.len() as u64;
            let name = handle.name;
            if let Err(error) = handle.stop(left.saturating_sub(kept).max(STOP_SHARE_MS)).await {
                tracing::warn!(part = name, %error, "a part did not stop in order");
            }
        }
    }
}
