//! How much of the broker's time a request takes: that in which it is worked on, not that in which it waits.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Limit;
use crate::{
    api::{Caller, Pending, Step},
    broker::Broker,
};

/// The request, with its time put to the caller's account and the connection muted where that is too much.
pub fn timed(broker: Arc<Broker>, caller: Caller, mut pending: Pending) -> Pending {
    Box::pin(async move {
        let mut took = Duration::ZERO;
        let step = poll_fn(|context| {
            let begun = Instant::now();
            let polled = pending.as_mut().poll(context);
            took += begun.elapsed();
            polled
        });
        let step = step.await?;
        let percent = took.as_secs_f64() * 100.0;
        let principal = caller.peer.principal();
        let throttle_ms = broker.quotas.record(Limit::Time, &principal, &caller.client_id, percent);
        Ok(match step {
            Step::Answer(Some(mut frame)) => {
                frame.throttle_ms = frame.throttle_ms.max(throttle_ms);
                Step::Answer(Some(frame))
            }
            Step::Queued(rest) => Step::Queued(timed(broker, caller, rest)),
            step @ (Step::Answer(None) | Step::Farewell(_)) => step,
        })
    })
}
