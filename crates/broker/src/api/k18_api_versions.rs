//! ApiVersions (key 18), versions 0-4.
//! v1 throttle time; v3 flexible, client software name (KIP-511) and features (KIP-584); v4 as v3. A version that is not
//! spoken here is answered in version 0 with UNSUPPORTED_VERSION and our own range, so that the client asks again (KIP-511).
//! The response header is always version 0: the client does not know yet what we speak.

use kafka_protocol::{
    ResponseError,
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, ProduceRequest,
        api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey},
    },
    protocol::{Request, StrBytes},
};

use super::{Frame, HANDLERS, Handler, Reply, shapes, shapes::Malformed};
use crate::transactions::transaction::VERSION_2;

/// Clients that are told of features.
const FEATURES_SINCE: i16 = 3;
/// Name, lowest version, and the level that is on: consumer groups of KIP-848, share groups of KIP-932, streams groups of KIP-1071, and
/// transactions of version 2. A lowest version of 0 is not told: older clients take it for a mistake.
const FEATURES: [(&str, i16, i16); 4] = [
    ("group.version", 1, 1),
    ("share.version", 1, 1),
    ("streams.version", 1, 1),
    ("transaction.version", 1, VERSION_2),
];

pub const HANDLER: Handler = Handler {
    key: ApiVersionsRequest::KEY,
    name: "ApiVersions",
    versions: 0..=4,
    shape: &shapes::API_VERSIONS,
    pipelined: false,
    call: |_, call| call.answer(|_: ApiVersionsRequest, caller| async move { act(caller.version) }),
    notes: "any other version is answered in v0 with error 35 (KIP-511); the features group.version 1 (KIP-848), share.version 1 (KIP-932) and transaction.version 2 (KIP-890)",
};

/// Older librdkafkas compress nothing where Produce v0 is not announced. So Kafka 4 announces it, and does not take it (KAFKA-18659).
const PRODUCE_ANNOUNCED_SINCE: i16 = 0;

fn act(version: i16) -> ApiVersionsResponse {
    let each = |handler: &Handler| {
        let first = match handler.key {
            ProduceRequest::KEY => PRODUCE_ANNOUNCED_SINCE,
            _ => *handler.versions.start(),
        };
        ApiVersion::default()
            .with_api_key(handler.key)
            .with_min_version(first)
            .with_max_version(*handler.versions.end())
    };
    let response = ApiVersionsResponse::default().with_api_keys(HANDLERS.iter().map(each).collect());
    if version < FEATURES_SINCE {
        return response;
    }
    let supported = |(name, min, level): &(&'static str, i16, i16)| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version(*min)
            .with_max_version(*level)
    };
    let finalized = |(name, _, level): &(&'static str, i16, i16)| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version_level(*level)
            .with_max_version_level(*level)
    };
    response
        .with_supported_features(FEATURES.iter().map(supported).collect())
        .with_finalized_features_epoch(0)
        .with_finalized_features(FEATURES.iter().map(finalized).collect())
}

/// The answer to a version that is not spoken here.
pub fn refuse(reply: Reply) -> Result<Frame, Malformed> {
    let response = act(0).with_error_code(ResponseError::UnsupportedVersion.code());
    reply.encode_in(&response, 0)
}
