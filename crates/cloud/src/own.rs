//! Keys of S3 endpoints that this very process serves: whoever asks for the standard chain at such an address gets
//! these instead, so that connector files need no keys for the embedded endpoint and none are put into the environment.

use std::sync::{OnceLock, RwLock};

use base::Secret;

use crate::store::Credentials;

/// One endpoint a process is the rule; tests start a few.
const ENDPOINTS_COUNT_MAX: usize = 64;

struct Own {
    endpoint: String,
    access_key: String,
    secret_key: Secret,
}

fn all() -> &'static RwLock<Vec<Own>> {
    static ALL: OnceLock<RwLock<Vec<Own>>> = OnceLock::new();
    ALL.get_or_init(RwLock::default)
}

/// Tells that `endpoint` (`http://127.0.0.1:9000`) is served here and takes these keys.
pub fn serves(endpoint: &str, access_key: &str, secret_key: Secret) {
    let Ok(mut all) = all().write() else { return };
    let endpoint = canonical(endpoint);
    all.retain(|own| own.endpoint != endpoint);
    if all.len() == ENDPOINTS_COUNT_MAX {
        all.remove(0);
    }
    all.push(Own { endpoint, access_key: access_key.to_owned(), secret_key });
}

pub(crate) fn keys(endpoint: &str) -> Option<Credentials> {
    let all = all().read().ok()?;
    let endpoint = canonical(endpoint);
    let own = all.iter().find(|own| own.endpoint == endpoint)?;
    Some(Credentials::Keys {
        access_key: own.access_key.clone(),
        secret_key: own.secret_key.clone(),
        session_token: None,
    })
}

fn canonical(endpoint: &str) -> String {
    endpoint.trim_end_matches('/').replace("://localhost:", "://127.0.0.1:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_of_ours_has_its_keys_and_no_other_has() {
        serves("http://127.0.0.1:19000", "tidemill", Secret::new("secret"));
        assert!(matches!(keys("http://localhost:19000/"), Some(Credentials::Keys { .. })));
        assert!(keys("http://127.0.0.1:19001").is_none());
    }
}
