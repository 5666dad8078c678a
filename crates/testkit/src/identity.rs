//! What the clouds ask and answer when somebody signs in, where no emulator has it: AWS's IAM Identity Center, its sign-in service
//! and the endpoints of containers and instances; Google's OAuth and metadata services; and an S3 and a Google
//! Cloud Storage that take just the keys and tokens which those gave out, for as long as they last.
//!
//! Written from the public API models (botocore's `service-2.json` of sso, sso-oidc and signin; Google's pages).

mod gate;
mod google;
mod google_gate;
mod portal;
mod server;

pub use gate::Gate;
pub use google::Google;
pub use google_gate::GoogleGate;
pub use portal::Portal;

use base::{Clock, SystemClock};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};

/// Opens an address as a browser does that follows one redirect back to this machine; gives the page that it ends at.
#[track_caller]
pub fn browse(url: &str) -> String {
    let first = server::get(url);
    match first.location {
        Some(location) => server::get(&location).body,
        None => first.body,
    }
}

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

fn time_text(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Letters and digits that nobody had before.
fn random(length: usize) -> String {
    let mut bytes = vec![0_u8; length];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(byte % 32)])).collect()
}

/// What a challenge has to be for this verifier.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}
