//! AddPartitionsToTxn (key 24), versions 0-5.
//! v2 PRODUCER_FENCED; v3 flexible; v4 several transactions at once, and only asking whether a partition is in one (KIP-890:
//! brokers ask so, clients stay with v3); v5 TRANSACTION_ABORTABLE. Clients of transactions of version 2 do not send it:
//! what they write is added when it comes.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
        add_partitions_to_txn_response::{
            AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
        },
    },
    protocol::Request,
};

use super::{Caller, Handler, k22_init_producer_id::older, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
    transactions::{
        Ask,
        transaction::{Partitions, Producer},
    },
};

pub const HANDLER: Handler = Handler {
    key: AddPartitionsToTxnRequest::KEY,
    name: "AddPartitionsToTxn",
    versions: 0..=5,
    shape: &shapes::ADD_PARTITIONS_TO_TXN,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(
    broker: Arc<Broker>,
    request: AddPartitionsToTxnRequest,
    caller: Caller,
) -> AddPartitionsToTxnResponse {
    let mut response = AddPartitionsToTxnResponse::default();
    if caller.version < 4 {
        let asked = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        return response.with_results_by_topic_v3_and_below(one(&broker, &asked, &caller).await);
    }
    for asked in request.transactions {
        let topics = one(&broker, &asked, &caller).await;
        response.results_by_transaction.push(
            AddPartitionsToTxnResult::default()
                .with_transactional_id(asked.transactional_id)
                .with_topic_results(topics),
        );
    }
    response
}

async fn one(
    broker: &Broker,
    asked: &AddPartitionsToTxnTransaction,
    caller: &Caller,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let version = caller.version;
    let id = Resource::TransactionalId(&asked.transactional_id);
    if let Err(error) = broker.check(caller, Operation::Write, id) {
        return results(asked, |_, _| Err(error));
    }
    let claim = Producer { id: asked.producer_id.0, epoch: asked.producer_epoch };
    let check = |topic: &AddPartitionsToTxnTopic, index| {
        broker.check(caller, Operation::Write, Resource::Topic(&topic.name))?;
        broker.topics.partition(&topic.name, index).map(|_| ())
    };
    if asked.verify_only {
        let known = broker.transactions.get(&asked.transactional_id);
        return results(asked, |topic, index| match &known {
            None => Err(ResponseError::InvalidProducerIdMapping),
            Some(known) => known.admits(claim, &topic.name, index).map_err(|error| match error {
                ResponseError::InvalidTxnState if version >= 5 => ResponseError::TransactionAbortable,
                error => error,
            }),
        });
    }
    let all_good =
        asked.topics.iter().all(|topic| topic.partitions.iter().all(|index| check(topic, *index).is_ok()));
    if !all_good {
        return results(asked, |topic, index| {
            check(topic, index).and(Err(ResponseError::OperationNotAttempted))
        });
    }
    let mut partitions = Partitions::new();
    for topic in &asked.topics {
        partitions.entry(topic.name.as_str().into()).or_default().extend(&topic.partitions);
    }
    let ask = Ask::Add { claim, partitions, version: 0 };
    let added = broker.transactions.ask(&asked.transactional_id, ask).await;
    results(asked, |_, _| added.map(|_| ()).map_err(|error| older(error, version, 2)))
}

fn results(
    asked: &AddPartitionsToTxnTransaction,
    verdict: impl Fn(&AddPartitionsToTxnTopic, i32) -> Result<(), ResponseError>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topic = |topic: &AddPartitionsToTxnTopic| {
        let partition = |index: &i32| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(verdict(topic, *index).map_or_else(|error| error.code(), |()| 0))
        };
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(topic.partitions.iter().map(partition).collect())
    };
    asked.topics.iter().map(topic).collect()
}
