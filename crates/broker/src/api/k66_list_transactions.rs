//! ListTransactions (key 66), versions 0-2 (KIP-664).
//! v1 only those that have been open for longer than so many milliseconds (KIP-994); v2 only ids that match a pattern, in the
//! syntax of RE2 (KIP-1152).

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
        list_transactions_response::TransactionState,
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    groups::consumer::whole_pattern,
    security::{access::Resource, acl::Operation},
    transactions::transaction::{State, Transaction},
};

pub const HANDLER: Handler = Handler {
    key: ListTransactionsRequest::KEY,
    name: "ListTransactions",
    versions: 0..=2,
    shape: &shapes::LIST_TRANSACTIONS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "",
};

fn act(broker: &Arc<Broker>, request: &ListTransactionsRequest, caller: &Caller) -> ListTransactionsResponse {
    let is_known = |word: &&StrBytes| State::ALL.iter().any(|state| state.word() == word.as_str());
    let unknown: Vec<StrBytes> =
        request.state_filters.iter().filter(|word| !is_known(word)).cloned().collect();
    let asked = request.transactional_id_pattern.as_deref().filter(|text| !text.is_empty());
    let pattern = match asked.map(whole_pattern).transpose() {
        Ok(pattern) => pattern,
        Err(_) => {
            let error = ResponseError::InvalidRegularExpression;
            return ListTransactionsResponse::default().with_error_code(error.code());
        }
    };
    let (states, ids) = (&request.state_filters, &request.producer_id_filters);
    let now_ms = broker.steady_ms();
    let is_wanted = |known: &Transaction| {
        let lasts_ms = now_ms.saturating_sub(known.started_ms);
        (states.is_empty() || states.iter().any(|word| word.as_str() == known.state.word()))
            && (ids.is_empty() || ids.contains(&ProducerId(known.producer.id)))
            && (request.duration_filter < 0 || (known.is_open() && lasts_ms > request.duration_filter))
    };
    let may_see = |id: &str| broker.allows(caller, Operation::Describe, Resource::TransactionalId(id));
    let matches = |id: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(id));
    let all = broker.transactions.all().into_iter();
    let listed =
        all.filter(|(id, known)| is_wanted(known) && matches(id) && may_see(id)).map(|(id, known)| {
            TransactionState::default()
                .with_transactional_id(TransactionalId(StrBytes::from_string(id.to_string())))
                .with_producer_id(ProducerId(known.producer.id))
                .with_transaction_state(StrBytes::from_static_str(known.state.word()))
        });
    ListTransactionsResponse::default()
        .with_unknown_state_filters(unknown)
        .with_transaction_states(listed.collect())
}
