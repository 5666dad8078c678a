//! What the page shows, asked of every part at once: health, topics, connectors with their lag, subjects.

use std::{collections::BTreeMap, sync::Arc, time::Duration, time::Instant};

use base::problem::root;
use rdkafka::consumer::BaseConsumer;
use serde::Serialize;
use serde_json::Value;
use tokio::{sync::Mutex, task::JoinSet};

use crate::{
    Options, Part, kafka,
    kafka::Ends,
    probe::{client, probe, url},
};

/// So long a snapshot serves everyone who asks: many open pages cost no more than one.
const FRESH: Duration = Duration::from_millis(900);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECTORS_COUNT_MAX: usize = 200;
const SUBJECTS_COUNT_MAX: usize = 500;

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Snapshot {
    pub parts: Vec<PartState>,
    pub topics: Vec<Topic>,
    pub connectors: Vec<Connector>,
    pub subjects: Vec<String>,
    /// What could not be asked, and why.
    pub troubles: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct PartState {
    pub name: String,
    pub address: String,
    pub external: bool,
    /// `running` or `silent`.
    pub state: &'static str,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Topic {
    pub name: String,
    pub partitions_count: i32,
    pub records_count: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Connector {
    pub name: String,
    pub state: String,
    /// `(id, state)`.
    pub tasks: Vec<(i64, String)>,
    /// Records that are in its topics and not yet in its store; `None` where that is not known.
    pub lag: Option<i64>,
    pub trace: Option<String>,
}

/// Asks, and keeps the answer for a moment.
pub(crate) struct Watch {
    options: Options,
    consumer: Mutex<Option<Arc<BaseConsumer>>>,
    last: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

impl Watch {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, consumer: Mutex::new(None), last: Mutex::new(None) }
    }

    pub(crate) async fn snapshot(&self) -> Arc<Snapshot> {
        // Held over the asking on purpose: who comes meanwhile waits for the same answer.
        let mut last = self.last.lock().await;
        if let Some((asked, snapshot)) = &*last
            && asked.elapsed() < FRESH
        {
            return snapshot.clone();
        }
        let snapshot = Arc::new(self.ask().await);
        *last = Some((Instant::now(), snapshot.clone()));
        snapshot
    }

    async fn ask(&self) -> Snapshot {
        let mut troubles = Vec::new();
        let (parts, topics, connectors, subjects) =
            tokio::join!(self.parts(), self.topics(), self.connectors(), self.subjects());
        let mut take = |what: &str, reason: String| troubles.push(format!("{what}: {reason}"));
        let (topics, ends) = topics.unwrap_or_else(|reason| {
            take("topics", reason);
            Default::default()
        });
        let (mut connectors, offsets) = connectors.unwrap_or_else(|reason| {
            take("connectors", reason);
            Default::default()
        });
        let subjects = subjects.unwrap_or_else(|reason| {
            take("subjects", reason);
            Vec::new()
        });
        for connector in &mut connectors {
            connector.lag = offsets.get(&connector.name).and_then(|offsets| lag(offsets, &ends));
        }
        Snapshot { parts, topics, connectors, subjects, troubles }
    }

    async fn parts(&self) -> Vec<PartState> {
        let mut asked = JoinSet::new();
        for (row, part) in self.options.parts.iter().cloned().enumerate() {
            asked.spawn(async move { (row, state(part).await) });
        }
        let mut states: Vec<(usize, PartState)> = asked.join_all().await;
        states.sort_by_key(|(row, _)| *row);
        states.into_iter().map(|(_, state)| state).collect()
    }

    async fn topics(&self) -> Result<(Vec<Topic>, Ends), String> {
        let Some(bootstrap) = self.options.address("broker") else { return Ok(Default::default()) };
        let consumer = {
            let mut slot = self.consumer.lock().await;
            match &*slot {
                Some(consumer) => consumer.clone(),
                None => {
                    let made = Arc::new(kafka::consumer(bootstrap, &self.options.kafka_properties)?);
                    *slot = Some(made.clone());
                    made
                }
            }
        };
        let asked = tokio::task::spawn_blocking(move || kafka::topics(&consumer)).await;
        asked.map_err(|error| error.to_string())?
    }

    async fn connectors(&self) -> Result<(Vec<Connector>, BTreeMap<String, Value>), String> {
        let Some(address) = self.options.address("connect") else { return Ok(Default::default()) };
        let base = url(address);
        let all = get(&format!("{base}/connectors?expand=status")).await?;
        let connectors: Vec<Connector> = all
            .as_object()
            .into_iter()
            .flatten()
            .take(CONNECTORS_COUNT_MAX)
            .map(|(name, entry)| connector(name, &entry["status"]))
            .collect();
        let mut asked = JoinSet::new();
        for connector in &connectors {
            let (name, base) = (connector.name.clone(), base.clone());
            asked.spawn(async move {
                let path = format!("{base}/connectors/{}/offsets", cloud::http::segment(&name));
                (name, get(&path).await.unwrap_or_default())
            });
        }
        Ok((connectors, asked.join_all().await.into_iter().collect()))
    }

    async fn subjects(&self) -> Result<Vec<String>, String> {
        let Some(address) = self.options.address("registry") else { return Ok(Vec::new()) };
        let answer = get(&format!("{}/subjects", url(address))).await?;
        let names =
            answer.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned));
        let mut names: Vec<String> = names.take(SUBJECTS_COUNT_MAX).collect();
        names.sort();
        Ok(names)
    }
}

async fn state(part: Part) -> PartState {
    let answered = probe(&part).await;
    let reason = answered.err().map(|error| match error {
        crate::Error::Silent { reason, .. } => reason,
        error @ crate::Error::Bind { .. } => error.to_string(),
    });
    let state = if reason.is_none() { "running" } else { "silent" };
    PartState { name: part.name, address: part.address, external: part.external, state, reason }
}

fn connector(name: &str, status: &Value) -> Connector {
    let text = |value: &Value| value.as_str().unwrap_or("UNASSIGNED").to_owned();
    let tasks = status["tasks"].as_array().into_iter().flatten();
    let trace =
        |value: &Value| value["trace"].as_str().map(|trace| trace.lines().next().unwrap_or("").to_owned());
    let first_trace = trace(&status["connector"]).or_else(|| tasks.clone().find_map(trace));
    Connector {
        name: name.to_owned(),
        state: text(&status["connector"]["state"]),
        tasks: tasks.map(|task| (task["id"].as_i64().unwrap_or(0), text(&task["state"]))).collect(),
        lag: None,
        trace: first_trace,
    }
}

/// Sum over the partitions that Connect's offsets API tells; a partition it does not tell has nothing committed.
pub(crate) fn lag(offsets: &Value, ends: &Ends) -> Option<i64> {
    let entries = offsets["offsets"].as_array()?;
    let mut lag = 0;
    let mut topics = std::collections::BTreeSet::new();
    let mut told = std::collections::BTreeSet::new();
    for entry in entries {
        let topic = entry["partition"]["kafka_topic"].as_str()?;
        let partition = i32::try_from(entry["partition"]["kafka_partition"].as_i64()?).ok()?;
        let committed = entry["offset"]["kafka_offset"].as_i64()?;
        let (_, next) = ends.get(&(topic.to_owned(), partition))?;
        lag += (next - committed).max(0);
        topics.insert(topic.to_owned());
        told.insert((topic.to_owned(), partition));
    }
    if told.is_empty() {
        return None;
    }
    let untold = ends.iter().filter(|(key, _)| topics.contains(&key.0) && !told.contains(*key));
    Some(lag + untold.map(|(_, (first, next))| next - first).sum::<i64>())
}

async fn get(url: &str) -> Result<Value, String> {
    let response =
        client().get(url).timeout(ANSWER_TIMEOUT).send().await.map_err(|error| root(&error).to_string())?;
    if !response.status().is_success() {
        return Err(format!("HTTP {}", response.status().as_u16()));
    }
    response.json().await.map_err(|error| root(&error).to_string())
}
