//! HttpOperator and HttpSensor: a request to the endpoint of a connection.

use serde_json::Value;

use crate::{
    dag::Arg,
    executor::{Attempt, Done, Failure, as_text},
    template::{Connection, Lookup},
};

const CONNECTION_DEFAULT: &str = "http_default";
/// Larger answers would be too large an XCom.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

pub fn run(attempt: &mut Attempt) -> Result<Done, Failure> {
    let (status, text) = request(attempt, "POST")?;
    if status >= 400 {
        attempt.say("error", &text);
        return Err(Failure::new(format!("HTTP error: {status}")));
    }
    if attempt.flag("log_response", false) {
        attempt.say("info", &text);
    }
    Ok(Done::Success(Value::from(text)))
}

pub fn poke(attempt: &mut Attempt) -> Result<bool, Failure> {
    let allowed = super::sensors::texts(attempt, "response_error_codes_allowlist")
        .unwrap_or_else(|| vec!["404".to_owned()]);
    let (status, _text) = request(attempt, "GET")?;
    if status < 400 {
        return Ok(true);
    }
    if allowed.contains(&status.to_string()) {
        return Ok(false);
    }
    Err(Failure::new(format!("HTTP error: {status}")))
}

fn request(attempt: &mut Attempt, method_default: &str) -> Result<(u16, String), Failure> {
    let id = attempt.text("http_conn_id").unwrap_or_else(|| CONNECTION_DEFAULT.to_owned());
    let connection = attempt
        .lookup
        .connection(&id)
        .ok_or_else(|| Failure::new(format!("The conn_id `{id}` isn't defined")))?;
    let url = url(&connection, &attempt.text("endpoint").unwrap_or_default());
    let method = attempt.text("method").unwrap_or_else(|| method_default.to_owned()).to_uppercase();
    attempt.say("info", &format!("Calling {method} {url}"));
    let parsed = reqwest::Method::from_bytes(method.as_bytes())
        .map_err(|error| Failure::for_good(error.to_string()))?;
    let mut request = attempt.shared.http.request(parsed, &url);
    if let (Some(login), false) = (&connection.login, url.contains('@')) {
        request = request.basic_auth(login, connection.password.as_ref().map(|it| it.reveal()));
    }
    for (name, value) in pairs(attempt.arg("headers")) {
        request = request.header(name, value);
    }
    let data = attempt.arg("data").or(attempt.arg("request_params"));
    request = match data {
        None | Some(Arg::Null) => request,
        Some(Arg::Map(_)) if method == "GET" => request.query(&pairs(data)),
        Some(Arg::Map(_)) => {
            let body =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs(data)).finish();
            request.header("content-type", "application/x-www-form-urlencoded").body(body)
        }
        Some(other) => request.body(as_text(other).unwrap_or_default()),
    };
    let cancel = attempt.cancel.clone();
    attempt.runtime.block_on(async {
        tokio::select! {
            answered = answer(request) => answered,
            () = cancel.stopped() => Err(Failure::new("ended")),
        }
    })
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, String), Failure> {
    let failed = |error: reqwest::Error| Failure::new(error.to_string());
    let mut response = request.send().await.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::new(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), String::from_utf8_lossy(&bytes).into_owned()))
}

fn pairs(arg: Option<&Arg>) -> Vec<(String, String)> {
    match arg {
        Some(Arg::Map(entries)) => {
            entries.iter().map(|(name, value)| (name.clone(), as_text(value).unwrap_or_default())).collect()
        }
        _none => Vec::new(),
    }
}

/// As Airflow's HttpHook puts it together.
fn url(connection: &Connection, endpoint: &str) -> String {
    let host = connection.host.clone().unwrap_or_default();
    let mut base = if host.contains("://") {
        host
    } else {
        format!("{}://{host}", connection.schema.as_deref().unwrap_or("http"))
    };
    if let Some(port) = connection.port {
        base += &format!(":{port}");
    }
    if endpoint.is_empty() || base.ends_with('/') || endpoint.starts_with('/') {
        base + endpoint
    } else {
        format!("{base}/{endpoint}")
    }
}
