//! Confluent's v3: a cluster as a tree of resources that name each other by their addresses.

mod acls;
mod clusters;
mod configs;
mod groups;
mod links;
mod partitions;
mod records;
mod splitter;
mod topics;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cloud::answers::{Refused, accepted};
use serde_json::Value as Json;

use super::{Answer, Ask, Shared, ask};
use crate::{
    Error,
    kafka::topics::{Asked, Cluster},
    service::Proxy,
};
use links::Links;

pub(super) fn router() -> Router<Arc<Proxy>> {
    Router::new()
        .route("/clusters", get(clusters::all))
        .nest("/clusters/{cluster}", of_a_cluster())
        .layer(middleware::from_fn(json_only))
}

fn of_a_cluster() -> Router<Arc<Proxy>> {
    Router::new()
        .route("/", get(clusters::one))
        .route("/brokers", get(clusters::brokers))
        .route("/brokers/{broker}", get(clusters::broker))
        .route("/brokers/{broker}/partition-replicas", get(partitions::of_broker))
        .route("/acls", get(acls::search).post(acls::create).delete(acls::delete))
        .route("/acls:batch", post(acls::create_many))
        .route("/topics", get(topics::all).post(topics::create))
        .route("/topics/{topic}", get(topics::one).patch(topics::grow).delete(topics::delete))
        .route("/topics/{topic}/records", post(records::stream))
        .route("/topics/{topic}/records:batch", post(records::batch))
        .route("/topics/{topic}/partitions", get(partitions::all))
        .route("/topics/{topic}/partitions/{partition}", get(partitions::one))
        .route("/topics/{topic}/partitions/{partition}/replicas", get(partitions::replicas))
        .route("/topics/{topic}/partitions/{partition}/replicas/{broker}", get(partitions::replica))
        .route("/topics/{topic}/partitions/{partition}/reassignment", get(partitions::reassignments))
        .merge(of_configs())
        .merge(of_groups())
}

fn of_configs() -> Router<Arc<Proxy>> {
    let one = || get(configs::one).put(configs::set).delete(configs::reset);
    Router::new()
        .route("/broker-configs", get(configs::all))
        .route("/broker-configs:alter", post(configs::alter))
        .route("/broker-configs/{name}", one())
        .route("/brokers/-/configs", get(configs::of_all_brokers))
        .route("/brokers/{broker}/configs", get(configs::all))
        .route("/brokers/{broker}/configs:alter", post(configs::alter))
        .route("/brokers/{broker}/configs/{name}", one())
        .route("/topics/-/configs", get(configs::of_all_topics))
        .route("/topics/{topic}/configs", get(configs::all))
        .route("/topics/{topic}/configs:alter", post(configs::alter))
        .route("/topics/{topic}/configs/{name}", one())
        .route("/topics/{topic}/default-configs", get(configs::defaults))
}

fn of_groups() -> Router<Arc<Proxy>> {
    Router::new()
        .route("/consumer-groups", get(groups::all))
        .route("/consumer-groups/{group}", get(groups::one))
        .route("/consumer-groups/{group}/lags", get(groups::lags))
        .route("/consumer-groups/{group}/lags/{topic}/partitions/{partition}", get(groups::lag))
        .route("/consumer-groups/{group}/lag-summary", get(groups::lag_summary))
        .route("/consumer-groups/{group}/consumers", get(groups::consumers))
        .route("/consumer-groups/{group}/consumers/{consumer}", get(groups::consumer))
        .route("/consumer-groups/{group}/consumers/{consumer}/assignments", get(groups::assignments))
        .route(
            "/consumer-groups/{group}/consumers/{consumer}/assignments/{topic}/partitions/{partition}",
            get(groups::assignment),
        )
}

/// Everything here is JSON, both ways.
async fn json_only(request: Request, next: Next) -> Response {
    let refused = {
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let given =
            text(header::CONTENT_TYPE).map(|value| value.split(';').next().unwrap_or_default().trim());
        let is_taken = given.is_none_or(|given| given.eq_ignore_ascii_case("application/json"));
        match accepted(text(header::ACCEPT), &["application/json"]) {
            None => Some(Error::Http(Refused::Accept)),
            Some(_) if !is_taken => Some(Error::Http(Refused::MediaType)),
            Some(_) => None,
        }
    };
    if let Some(error) = refused {
        return Answer(Err(error)).into_response();
    }
    next.run(request).await
}

/// The cluster with the topics asked for, and the links of a request; an error where the path names another cluster.
async fn cluster_of(proxy: &Proxy, ask: &ask::Asked, asked: Asked<'_>) -> Result<(Cluster, Links), Error> {
    let with_operations = ask.param("include_authorized_operations") == Some("true");
    let cluster = proxy.kafka.metadata_with(asked, with_operations).await?;
    let named = ask.named("cluster");
    if named != cluster.id {
        return Err(Error::NotFound { what: format!("Cluster {named}") });
    }
    let links = Links::new(&ask.base, &cluster.id);
    Ok((cluster, links))
}

/// The cluster as in `cluster_of`, with its one topic; Kafka's own error where it is not there.
async fn topic_of(
    proxy: &Proxy,
    ask: &ask::Asked,
) -> Result<(Cluster, crate::kafka::topics::Topic, Links), Error> {
    let (mut cluster, links) = cluster_of(proxy, ask, Asked::One(ask.named("topic"))).await?;
    match cluster.topics.pop() {
        Some(topic) => Ok((cluster, topic, links)),
        None => Err(Error::refused(3, None)),
    }
}

/// The items of a batch: `{"data": [ … ]}`.
fn batch_of(body: &Json) -> Result<&Vec<Json>, Error> {
    let data = ask::needed(body, "data", Json::as_array)?;
    match data.is_empty() {
        true => Err(Error::Unprocessable { reason: "data may not be empty".to_owned() }),
        false => Ok(data),
    }
}
