//! Whether a part answers, asked in its own protocol: Kafka's ApiVersions, or HTTP.

use std::{sync::OnceLock, time::Duration};

use base::problem::root;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{Error, Part};

/// How long a part may take to answer before it counts as silent.
const ANSWER_MS_MAX: u64 = 2_000;
/// ApiVersions v0 answers with a few hundred bytes; anything above this is no Kafka.
const ANSWER_BYTES_MAX: i32 = 64 << 10;
const CORRELATION_ID: i32 = 0x7464_6d6c;

/// Asks once. `Ok` says that what listens there speaks the part's protocol.
pub async fn probe(part: &Part) -> Result<(), Error> {
    let silent =
        |reason: String| Error::Silent { part: part.name.clone(), address: part.address.clone(), reason };
    let asked = async {
        match part.name.as_str() {
            "broker" => kafka(&part.address).await,
            "registry" => http(&part.address, "/subjects", Answer::Success).await,
            "rest" | "connect" => http(&part.address, "/", Answer::Success).await,
            "scheduler" => http(&part.address, "/api/v2/version", Answer::Success).await,
            // Without a signature S3 answers 403, and some DynamoDBs refuse what is no call: that is an answer.
            "s3" | "dynamodb" => http(&part.address, "/", Answer::Any).await,
            _ => http(&part.address, "/health", Answer::Success).await,
        }
    };
    match timeout(Duration::from_millis(ANSWER_MS_MAX), asked).await {
        Ok(answered) => answered.map_err(silent),
        Err(_) => Err(silent(format!("no answer within {ANSWER_MS_MAX} ms"))),
    }
}

/// The first of the bootstrap servers that answers ApiVersions.
async fn kafka(bootstrap: &str) -> Result<(), String> {
    let mut reason = "no address".to_owned();
    for server in bootstrap.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        match api_versions(server).await {
            Ok(()) => return Ok(()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

async fn api_versions(server: &str) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(server).await?;
    // Length, key 18, version 0, correlation id, client id null.
    let mut request = Vec::with_capacity(14);
    request.extend_from_slice(&10_i32.to_be_bytes());
    request.extend_from_slice(&18_i16.to_be_bytes());
    request.extend_from_slice(&0_i16.to_be_bytes());
    request.extend_from_slice(&CORRELATION_ID.to_be_bytes());
    request.extend_from_slice(&(-1_i16).to_be_bytes());
    socket.write_all(&request).await?;
    let length = socket.read_i32().await?;
    let correlation_id = socket.read_i32().await?;
    if !(4..=ANSWER_BYTES_MAX).contains(&length) || correlation_id != CORRELATION_ID {
        return Err(std::io::Error::other("what listens there is not Kafka"));
    }
    Ok(())
}

enum Answer {
    Success,
    Any,
}

async fn http(address: &str, path: &str, wanted: Answer) -> Result<(), String> {
    let url = format!("{}{path}", url(address));
    let response = client().get(url).send().await.map_err(|error| root(&error).to_string())?;
    match wanted {
        Answer::Success if !response.status().is_success() => {
            Err(format!("HTTP {}", response.status().as_u16()))
        }
        Answer::Success | Answer::Any => Ok(()),
    }
}

/// `127.0.0.1:8081` as `http://127.0.0.1:8081`; a URL as it is, without a slash at its end.
pub fn url(address: &str) -> String {
    let address = address.trim_end_matches('/');
    if address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}

pub(crate) fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(cloud::http::client)
}
