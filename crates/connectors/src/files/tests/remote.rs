//! Addresses of the web: a server that breaks off, one that knows no ranges, one whose file changes, and one that refuses.

use std::{
    io::{BufRead, BufReader, Read as _, Write},
    net::{Shutdown, TcpListener},
    sync::Mutex,
};

use super::*;

/// What a server does.
#[derive(Debug, Clone, Copy, Default)]
struct Habits {
    /// It closes the connection after so many bytes of a body.
    breaks_after: Option<usize>,
    /// Of the first answer alone.
    breaks_once: bool,
    ignores_ranges: bool,
    /// Each answer has another entity tag.
    changes: bool,
    refuses: bool,
}

/// Serves one file until the process ends; the address, and the ranges that were asked for.
fn serve(content: Vec<u8>, habits: Habits) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let told = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
            let mut range = None;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                    range = Some(value.trim().to_owned());
                }
            }
            let number = told.lock().map(|mut told| {
                told.push(range.clone().unwrap_or_default());
                told.len()
            });
            let number = number.expect("nobody panics with it");
            let (from, to) = match range
                .filter(|_| !habits.ignores_ranges)
                .as_deref()
                .and_then(|range| range.split_once('-'))
            {
                Some((from, "")) => (from.parse().expect("a number"), content.len()),
                Some((from, to)) => {
                    (from.parse().expect("a number"), to.parse::<usize>().expect("a number") + 1)
                }
                None => (0, content.len()),
            };
            let to = to.min(content.len());
            let status = match (habits.refuses, (from, to) == (0, content.len())) {
                (true, _) => "403 Forbidden",
                (_, true) => "200 OK",
                (_, false) => "206 Partial Content",
            };
            let tag = if habits.changes { number } else { 1 };
            let body = &content[from..to];
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\ncontent-range: bytes {from}-{}/{}\r\nconnection: close\r\n\
                 etag: \"{tag}\"\r\n{}\r\n",
                body.len(),
                to.max(1) - 1,
                content.len(),
                if habits.ignores_ranges { "" } else { "accept-ranges: bytes\r\n" }
            );
            stream.write_all(head.as_bytes()).ok();
            let breaks_after = habits.breaks_after.filter(|_| number == 1 || !habits.breaks_once);
            let sent = breaks_after.unwrap_or(body.len()).min(body.len());
            stream.write_all(&body[..sent]).ok();
            stream.shutdown(Shutdown::Write).ok();
            reader.read_to_end(&mut Vec::new()).ok();
        }
    });
    (format!("http://{address}/a.csv?signature=secret"), asked)
}

fn lines(count: usize) -> Vec<u8> {
    let mut text = b"id,name\n".to_vec();
    (0..count).for_each(|number| text.extend_from_slice(format!("{number},name {number}\n").as_bytes()));
    text
}

async fn fetched(url: String) -> Result<Vec<String>, String> {
    let config = Config::of(vec![Input::web(url.parse().expect("an address"))]);
    let read = tokio::task::spawn_blocking(move || {
        let handle = tokio::runtime::Handle::current();
        handle.block_on(read_from(config, Position::Start, 1 << 20))
    });
    read.await.expect("nothing panics")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_is_asked_for_from_there_on() {
    let content = lines(20_000);
    let whole = fetched(serve(content.clone(), Habits::default()).0).await.expect("reads");
    assert_eq!(whole.len(), 20_000);
    let breaks_after = Some(content.len() / 3 + 1);
    let (url, asked) = serve(content.clone(), Habits { breaks_after, ..Habits::default() });
    assert_eq!(fetched(url).await.expect("reads"), whole);
    let asked = asked.lock().expect("nobody panics with it").clone();
    let third = content.len() / 3 + 1;
    assert_eq!(asked, [String::new(), format!("{third}-"), format!("{}-", 2 * third)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_mended_is_said() {
    let content = lines(20_000);
    let breaks_after = Some(content.len() / 2);
    let mut told = Vec::new();
    for habits in [
        Habits { breaks_after, changes: true, ..Habits::default() },
        Habits { refuses: true, ..Habits::default() },
    ] {
        let (url, _) = serve(content.clone(), habits);
        let port = url.split(':').nth(2).and_then(|rest| rest.split('/').next()).expect("a port").to_owned();
        let error = fetched(url).await.expect_err("cannot be read");
        assert!(!error.contains("secret"), "{error}");
        told.push(error.replace(&port, "PORT"));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_sends_it_again() {
    let content = lines(2_000);
    let whole = fetched(serve(content.clone(), Habits::default()).0).await.expect("reads");
    let breaks_after = Some(content.len() / 2);
    let habits = Habits { ignores_ranges: true, breaks_after, breaks_once: true, ..Habits::default() };
    let (url, asked) = serve(content, habits);
    assert_eq!(fetched(url).await.expect("reads"), whole);
    assert_eq!(asked.lock().expect("nobody panics with it").len(), 2);
}
