//! Against a server of HTTP: every way to page, resumed at every place, with answers that pass and answers that do not.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body as HttpBody,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base::{Ask, Body, Discovery, Fault, Lease, Position, Problem, Read, Source, problem::plain};
use serde_json::{Value, json};

use super::{Config, Error, HttpSource, Paging, client::next_of};
use crate::Settings;

/// Records of the whole, and of a page.
const RECORDS: u64 = 23;
const PAGE: u64 = 5;

#[derive(Default)]
struct Asked {
    count: AtomicUsize,
}

fn items(first: u64) -> Vec<Value> {
    (first..(first + PAGE).min(RECORDS)).map(|id| json!({ "id": id, "name": format!("item {id}") })).collect()
}

fn number(query: &HashMap<String, String>, name: &str) -> u64 {
    query.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn pages(
    State(asked): State<Arc<Asked>>,
    Path(way): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let count = asked.count.fetch_add(1, Ordering::SeqCst);
    let json = |body: Value| ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    match way.as_str() {
        "number" => json(
            json!({ "results": items(number(&query, "page").saturating_sub(1) * PAGE), "info": { "seed": "x" } }),
        ),
        "offset" => json(json!(items(number(&query, "skip")))),
        "cursor" => {
            let first =
                query.get("after").map_or(0, |after| after.trim_start_matches("c-").parse().unwrap_or(0));
            let next = (first + PAGE < RECORDS).then(|| format!("c-{}", first + PAGE));
            json(json!({ "data": { "items": items(first) }, "paging": { "cursor": next } }))
        }
        "next" => {
            let first = number(&query, "from");
            let next = (first + PAGE < RECORDS).then(|| format!("next?from={}", first + PAGE));
            json(json!({ "value": items(first), "links": { "next": next } }))
        }
        "link" => {
            let first = number(&query, "from");
            let mut answer = json(json!(items(first)));
            if first + PAGE < RECORDS {
                let link = format!(
                    "</link?from=0>; rel=\"first\", <link?from={}>; title=\"a, b\"; rel=next",
                    first + PAGE
                );
                answer.headers_mut().insert(header::LINK, link.parse().expect("a header"));
            }
            answer
        }
        // The first answers to each page are of the kind that passes.
        "flaky" => match count % 4 {
            0 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "0")], "slow down").into_response(),
            1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            2 => {
                let pieces = [Ok("[{\"id\":"), Err(std::io::Error::other("cut"))];
                HttpBody::from_stream(futures::stream::iter(pieces)).into_response()
            }
            _ => json(json!(items(number(&query, "skip")))),
        },
        "headers" => {
            let given =
                |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
            json(json!([{ "authorization": given("authorization"), "x": given("x-tenant") }]))
        }
        "away" => {
            // Another origin: the same machine by its other name.
            let port = headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok()?.rsplit(':').next())
                .unwrap_or("")
                .to_owned();
            let next = (!query.contains_key("x")).then(|| format!("http://localhost:{port}/headers"));
            json(json!({ "items": [], "next": next }))
        }
        other => odd(other),
    }
}

/// Answers that are the same each time.
fn odd(way: &str) -> Response {
    let json = |body: Value| ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    match way {
        "endless" => json(json!([{ "id": 1 }])),
        "itself" => json(json!({ "items": [{ "id": 1 }], "next": "/itself" })),
        "denied" => StatusCode::FORBIDDEN.into_response(),
        "gone" => (StatusCode::GONE, "{\"error\": \"version 1 is no longer served\"}").into_response(),
        "down" => (StatusCode::INTERNAL_SERVER_ERROR, [(header::RETRY_AFTER, "0")]).into_response(),
        "html" => "<html><body>Welcome</body></html>".into_response(),
        "large" => json(json!([{ "text": "x".repeat(100_000) }])),
        "empty" => StatusCode::NO_CONTENT.into_response(),
        "lines" => "{\"id\":1}\n{\"id\":2}\n".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn server() -> (String, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/{way}", get(pages)).with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), asked)
}

fn ask(records_max: usize) -> Ask {
    Ask {
        bytes_max: 64 << 10,
        records_max,
        deadline: Instant::now() + Duration::from_secs(30),
        lease: Lease::free(),
    }
}

/// All records from a position on, as ids, with the position behind each batch.
async fn read(
    config: &Config,
    from: &Position,
    records_max: usize,
) -> Result<(Vec<Value>, Vec<(usize, Position)>), Fault> {
    let source = HttpSource::open(config.clone());
    let Discovery::Changed { assigned, .. } = source.discover(&ask(1)).await? else { panic!("no splits") };
    assert!(matches!(source.discover(&ask(1)).await?, Discovery::Complete));
    let mut reader = source.open(&assigned[0], from).await?;
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    loop {
        match reader.read(&ask(records_max)).await? {
            Read::Batch(batch) => {
                let Body::Raw(values) = &batch.body else { panic!("not raw") };
                all.extend(
                    values
                        .iter()
                        .flatten()
                        .map(|value| serde_json::from_slice::<Value>(value).expect("JSON")),
                );
                if let Some(marks) = &batch.envelope.marks {
                    assert!(marks.windows(2).all(|pair| pair[0] < pair[1]));
                    for (row, mark) in marks.iter().enumerate().skip(1) {
                        ends.push((all.len() - marks.len() + row, Position::Mark(*mark)));
                    }
                }
                ends.push((all.len(), batch.end));
            }
            Read::Idle => {}
            Read::End => return Ok((all, ends)),
        }
    }
}

fn ids(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["id"].as_u64().expect("an id")).collect()
}

fn config(address: &str, way: &str, page: &str) -> Config {
    let mut config = Config::new(&format!("{address}/{way}")).expect("an address");
    config.paging = Paging::parse(page).expect("a way to page");
    config.retries_count_max = 5;
    config
}

#[tokio::test]
async fn every_way_to_page_brings_all_and_goes_on_anywhere() {
    let (address, _) = server().await;
    for (way, page) in [
        ("number", "number:page"),
        ("offset", "offset:skip"),
        ("cursor", "cursor:after:$.paging.cursor"),
        ("next", "next:$.links.next"),
        ("link", "link"),
    ] {
        let mut config = config(&address, way, page);
        if way == "cursor" {
            config.records = Some(super::config::steps("records", "$.data['items'][*]").expect("a path"));
        }
        let whole: Vec<u64> = (0..RECORDS).collect();
        for records_max in [1, 3, 100] {
            let (records, ends) = read(&config, &Position::Start, records_max).await.expect("records");
            assert_eq!(ids(&records), whole, "{way}");
            for (taken, end) in ends {
                let (rest, _) = read(&config, &end, 100).await.expect("the rest");
                assert_eq!(ids(&rest), whole[taken..], "{way} from {end:?}");
            }
        }
        config.records_count_max = Some(7);
        assert_eq!(ids(&read(&config, &Position::Start, 2).await.expect("seven").0), whole[..7], "{way}");
        config.records_count_max = None;
        config.pages_wanted = Some(2);
        assert_eq!(
            ids(&read(&config, &Position::Start, 100).await.expect("two pages").0),
            whole[..10],
            "{way}"
        );
    }
}

#[tokio::test]
async fn what_passes_is_asked_again() {
    let (address, asked) = server().await;
    let started = Instant::now();
    let mut config = config(&address, "flaky", "offset:skip");
    config.pages_wanted = Some(2);
    let (records, _) = read(&config, &Position::Start, 100).await.expect("records");
    assert_eq!(ids(&records), (0..10).collect::<Vec<u64>>());
    assert_eq!(asked.count.load(Ordering::SeqCst), 8);
    // No faster than it may be: 9 requests, 20 a second.
    config.rate = Some(20.0);
    let before = Instant::now();
    config.url.set_path("/offset");
    config.pages_wanted = Some(9);
    read(&config, &Position::Start, 100).await.expect("records");
    assert!(before.elapsed() >= Duration::from_millis(5 * 50 - 10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_reader_is_back_in_time() {
    let (address, _) = server().await;
    let mut config = config(&address, "offset", "offset:skip");
    config.rate = Some(4.0);
    let source = HttpSource::open(config);
    let Ok(Discovery::Changed { assigned, .. }) = source.discover(&ask(1)).await else { panic!("no splits") };
    let mut reader = source.open(&assigned[0], &Position::Start).await.expect("opens");
    let (mut idle, mut records) = (0, 0);
    while records < 10 {
        let ask = Ask { deadline: Instant::now() + Duration::from_millis(20), ..ask(100) };
        match reader.read(&ask).await.expect("reads") {
            Read::Batch(batch) => records += batch.len(),
            Read::Idle => idle += 1,
            Read::End => panic!("no end yet"),
        }
    }
    assert!(idle > 2, "{idle}");
}

#[tokio::test]
async fn headers_go_to_their_own_server_alone() {
    let (address, _) = server().await;
    let settings: Settings = [
        ("url", format!("{address}/headers")),
        ("headers", "X-Tenant: seven\n".to_owned()),
        ("bearer", "s3cret".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let mut config = Config::read(&settings).expect("settings");
    let (records, _) = read(&config, &Position::Start, 9).await.expect("records");
    assert_eq!(records[0], json!({ "authorization": "Bearer s3cret", "x": "seven" }));
    assert!(!format!("{config:?}").contains("s3cret"));
    config.url.set_path("/away");
    config.paging = Paging::parse("next:$.next").expect("a way to page");
    let (records, _) = read(&config, &Position::Start, 9).await.expect("records");
    assert_eq!(records[0], json!({ "authorization": "", "x": "" }));
    let secret = Config::new("https://me:hunter2@example.com/items?api_key=k&page=3").expect("an address");
    assert_eq!(secret.name(), "https://me:***@example.com/items?api_key=***&page=3");
}

#[tokio::test]
async fn odd_answers() {
    let (address, _) = server().await;
    let empty = config(&address, "empty", "link");
    assert_eq!(read(&empty, &Position::Start, 9).await.expect("nothing").0, Vec::<Value>::new());
    let lines = config(&address, "lines", "none");
    assert_eq!(ids(&read(&lines, &Position::Start, 9).await.expect("lines").0), [1, 2]);
}

/// The words of what ends a load, without the port.
async fn refused(config: &Config, from: &Position, address: &str) -> String {
    let fault = read(config, from, 100).await.err().unwrap_or_else(|| panic!("{} is read", config.name()));
    let kind = match &fault {
        Fault::Transient(_) => "passes",
        Fault::Denied(_) => "denied",
        Fault::Fatal(_) | Fault::Lost(_) => "ends",
    };
    let error = fault.into_inner().downcast::<Error>().expect("one of ours");
    format!("{}\nfault: {kind}\n", plain(&*error).replace(address, "http://127.0.0.1:[PORT]"))
}

#[tokio::test]
async fn what_ends_a_load() {
    let (address, _) = server().await;
    let mut told = Vec::new();
    let mut endless = config(&address, "endless", "number:page");
    endless.pages_count_max = 20;
    let mut large = config(&address, "large", "link");
    large.page_bytes_max = 5_000;
    let mut down = config(&address, "down", "link");
    down.retries_count_max = 2;
    let mut elsewhere = config(&address, "offset", "none");
    elsewhere.records = Some(vec!["data".to_owned()]);
    for config in [
        endless,
        config(&address, "itself", "next:$.next"),
        config(&address, "denied", "link"),
        config(&address, "gone", "link"),
        down,
        config(&address, "html", "link"),
        large,
        elsewhere,
    ] {
        told.push(refused(&config, &Position::Start, &address).await);
    }
    let moved = config(&address, "offset", "offset:skip");
    told.push(refused(&moved, &Position::Token("{}".into()), &address).await);
    insta::assert_snapshot!(told.join("\n"));
    let mut absent = Config::new("http://127.0.0.1:1/x").expect("an address");
    absent.retries_count_max = 1;
    let fault = read(&absent, &Position::Start, 1).await.expect_err("nobody is there");
    assert!(
        matches!(&fault, Fault::Transient(error) if error.downcast_ref::<Error>().is_some_and(|error| error.code().id == "TM1492"))
    );
}

#[test]
fn wishes_that_nobody_grants() {
    let refused = |error: Error| plain(&error);
    let mut told = vec![
        refused(Config::new("ftp://example.com/x").expect_err("no HTTP")),
        refused(Config::new("example").expect_err("no address")),
        refused(super::config::rate("fast").expect_err("no rate")),
        refused(super::config::steps("--records", "results").expect_err("no path")),
    ];
    for page in ["pages", "number:", "cursor:after", "next", "cursor::$.x", "number:page:one"] {
        told.push(refused(Paging::parse(page).expect_err(page)));
    }
    let unknown = [("url", "https://example.com/x"), ("speed", "3")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    told.push(refused(Config::read(&unknown.into()).expect_err("no such setting")));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn links_of_headers() {
    let cases = [
        (
            "<https://a/x?page=2>; rel=\"next\", <https://a/x?page=9>; rel=\"last\"",
            Some("https://a/x?page=2"),
        ),
        ("<a>; rel=\"prev\", </b?c=1,2>; REL=\"last Next\"", Some("/b?c=1,2")),
        ("<a>; title=\"x, rel=next\"; rel=last", None),
        ("<a>; rel=nextish", None),
        ("", None),
        ("<a", None),
    ];
    for (text, expected) in cases {
        assert_eq!(next_of(text).as_deref(), expected, "{text}");
    }
}
