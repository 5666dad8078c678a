//! ApiVersions (key 18), versions 0-4.
//! v1 throttle time; v3 flexible, client software name (KIP-511) and features (KIP-584); v4 as v3. A version that is not
//! spoken here is answered in version 0 with UNSUPPORTED_VERSION and our own range, so that the client asks again (KIP-511).
//! The response header is always version 0: the client does not know yet what we speak.

use kafka_protocol::{
    ResponseError,
    messages::{ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion},
    protocol::Request,
};

use super::{Frame, HANDLERS, Handler, Reply, shapes, shapes::Malformed};

pub const HANDLER: Handler = Handler {
    key: ApiVersionsRequest::KEY,
    name: "ApiVersions",
    versions: 0..=4,
    shape: &shapes::API_VERSIONS,
    pipelined: false,
    call: |_, call| call.answer(|_: ApiVersionsRequest, _| async { act() }),
    notes: "any other version is answered in v0 with error 35 (KIP-511); no features",
};

fn act() -> ApiVersionsResponse {
    let each = |handler: &Handler| {
        ApiVersion::default()
            .with_api_key(handler.key)
            .with_min_version(*handler.versions.start())
            .with_max_version(*handler.versions.end())
    };
    ApiVersionsResponse::default().with_api_keys(HANDLERS.iter().map(each).collect())
}

/// The answer to a version that is not spoken here.
pub fn refuse(reply: Reply) -> Result<Frame, Malformed> {
    let response = act().with_error_code(ResponseError::UnsupportedVersion.code());
    reply.encode_in(&response, 0)
}
