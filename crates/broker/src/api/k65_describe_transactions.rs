//! DescribeTransactions (key 65), version 0 (KIP-664).

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName, TransactionalId,
        describe_transactions_response::{TopicData, TransactionState},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
    transactions::transaction::Transaction,
};

pub const HANDLER: Handler = Handler {
    key: DescribeTransactionsRequest::KEY,
    name: "DescribeTransactions",
    versions: 0..=0,
    shape: &shapes::DESCRIBE_TRANSACTIONS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "",
};

fn act(
    broker: &Arc<Broker>,
    request: DescribeTransactionsRequest,
    caller: &Caller,
) -> DescribeTransactionsResponse {
    let find = |id: &str| {
        broker.check(caller, Operation::Describe, Resource::TransactionalId(id))?;
        broker.transactions.get(id).ok_or(ResponseError::TransactionalIdNotFound)
    };
    let may_see = |topic: &str| broker.allows(caller, Operation::Describe, Resource::Topic(topic));
    let each = |id: TransactionalId| {
        let described = match find(&id) {
            Ok(transaction) => described(&transaction, may_see),
            Err(error) => TransactionState::default()
                .with_error_code(error.code())
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        };
        described.with_transactional_id(id)
    };
    let states = request.transactional_ids.into_iter().map(each).collect();
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

fn described(transaction: &Transaction, may_see: impl Fn(&str) -> bool) -> TransactionState {
    let topic = |(name, partitions): (&Arc<str>, &std::collections::BTreeSet<i32>)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(name.to_string())))
            .with_partitions(partitions.iter().copied().collect())
    };
    TransactionState::default()
        .with_transaction_state(StrBytes::from_static_str(transaction.state.word()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(if transaction.is_open() { transaction.started_ms } else { -1 })
        .with_producer_id(ProducerId(transaction.producer.id))
        .with_producer_epoch(transaction.producer.epoch)
        .with_topics(transaction.partitions.iter().filter(|(name, _)| may_see(name)).map(topic).collect())
}
