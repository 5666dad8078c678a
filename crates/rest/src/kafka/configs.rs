//! Configurations of topics and brokers: described with where each value comes from, and altered one by one.

use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    create_topics_request::CreatableTopic,
    describe_configs_request::DescribeConfigsResource,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
};

use super::{CHANGE_TIMEOUT_MS, Kafka, Whom, text, topic_name, topics::outcome};
use crate::Error;

/// Whose configuration it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    Topic(String),
    Broker(i32),
    /// What holds for every broker that says nothing else.
    AllBrokers,
}

pub(crate) struct Config {
    pub name: String,
    pub value: Option<String>,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    pub source: &'static str,
    pub synonyms: Vec<Synonym>,
}

pub(crate) struct Synonym {
    pub name: String,
    pub value: Option<String>,
    pub source: &'static str,
}

/// One change.
pub(crate) struct Change {
    pub name: String,
    /// None takes the setting back.
    pub value: Option<String>,
}

impl Config {
    pub fn is_default(&self) -> bool {
        self.source == "DEFAULT_CONFIG"
    }
}

impl Owner {
    fn kind(&self) -> i8 {
        match self {
            Owner::Topic(_) => 2,
            Owner::Broker(_) | Owner::AllBrokers => 4,
        }
    }

    fn name(&self) -> String {
        match self {
            Owner::Topic(name) => name.clone(),
            Owner::Broker(id) => id.to_string(),
            Owner::AllBrokers => String::new(),
        }
    }

    /// A broker's own settings are only known to itself.
    fn asked(&self) -> Whom<'static> {
        match self {
            Owner::Broker(id) => Whom::Broker(*id),
            Owner::Topic(_) | Owner::AllBrokers => Whom::Any,
        }
    }
}

/// As Java's enum calls what Kafka numbers.
fn source(number: i8) -> &'static str {
    match number {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        _ => "UNKNOWN",
    }
}

impl Kafka {
    /// All of the settings, sorted by name; or those of these names.
    pub async fn configs(&self, owner: &Owner, names: Option<&[&str]>) -> Result<Vec<Config>, Error> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(owner.kind())
            .with_resource_name(text(&owner.name()))
            .with_configuration_keys(names.map(|names| names.iter().map(|name| text(name)).collect()));
        let request =
            DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
        let mut answer = self.ask(owner.asked(), 1..=4, &request).await?;
        let found = answer.results.pop();
        outcome(found.as_ref().map(|found| (found.error_code, found.error_message.as_deref())))?;
        let configs = found.into_iter().flat_map(|found| found.configs).map(|config| Config {
            name: config.name.to_string(),
            value: config.value.map(|value| value.to_string()),
            is_read_only: config.read_only,
            is_sensitive: config.is_sensitive,
            source: source(config.config_source),
            synonyms: config
                .synonyms
                .into_iter()
                .map(|synonym| Synonym {
                    name: synonym.name.to_string(),
                    value: synonym.value.map(|value| value.to_string()),
                    source: source(synonym.source),
                })
                .collect(),
        });
        let mut configs: Vec<Config> = configs.collect();
        configs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(configs)
    }

    /// What a new topic would have: brokers tell it when they are asked to make one, and not to.
    pub async fn default_configs(&self) -> Result<Vec<Config>, Error> {
        let topic = CreatableTopic::default()
            .with_name(topic_name(&format!("defaults-{}", uuid::Uuid::new_v4())))
            .with_num_partitions(-1)
            .with_replication_factor(-1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(CHANGE_TIMEOUT_MS)
            .with_validate_only(true);
        let mut answer = self.ask(Whom::Any, 5..=7, &request).await?;
        let made = answer.topics.pop();
        outcome(made.as_ref().map(|made| (made.error_code, made.error_message.as_deref())))?;
        let configs = made.and_then(|made| made.configs).unwrap_or_default().into_iter();
        let configs = configs.map(|config| Config {
            name: config.name.to_string(),
            value: config.value.map(|value| value.to_string()),
            is_read_only: config.read_only,
            is_sensitive: config.is_sensitive,
            source: source(config.config_source),
            synonyms: Vec::new(),
        });
        let mut configs: Vec<Config> = configs.collect();
        configs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(configs)
    }

    pub async fn alter_configs(
        &self,
        owner: &Owner,
        changes: &[Change],
        validate_only: bool,
    ) -> Result<(), Error> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let configs = changes.iter().map(|change| {
            AlterableConfig::default()
                .with_name(text(&change.name))
                .with_config_operation(if change.value.is_some() { SET } else { DELETE })
                .with_value(change.value.as_deref().map(text))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(owner.kind())
            .with_resource_name(text(&owner.name()))
            .with_configs(configs.collect());
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(validate_only);
        let answer = self.ask(owner.asked(), 0..=1, &request).await?;
        outcome(answer.responses.first().map(|found| (found.error_code, found.error_message.as_deref())))
    }
}
