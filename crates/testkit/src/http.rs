//! As much of HTTP as a test against a server on this machine needs; nothing of the product is in it.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// Itself, where it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// Sends it, with the body as JSON, and reads the answer to its end.
#[track_caller]
pub fn http(method: &str, url: &str, body: &str) -> Answer {
    try_http(method, url, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// The same, where the server may not be there.
pub fn try_http(method: &str, url: &str, body: &str) -> io::Result<Answer> {
    try_http_with(method, url, "", body)
}

/// With more headers, each ended by `\r\n`.
pub(crate) fn try_http_with(method: &str, url: &str, headers: &str, body: &str) -> io::Result<Answer> {
    let address = url.trim_start_matches("http://");
    let (host, path) =
        address.split_once('/').map_or((address, String::new()), |(host, path)| (host, path.to_owned()));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let bytes = read_answer(&mut stream)?;
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {text}")))?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(Answer { status, body: body.to_owned() })
}

/// To the end of the body that the head tells, or of the stream: not every server closes it.
fn read_answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 << 10]);
    loop {
        let read = stream.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..read]);
        if read == 0 || body_end(&bytes).is_some_and(|end| bytes.len() >= end) {
            return Ok(bytes);
        }
    }
}

fn body_end(bytes: &[u8]) -> Option<usize> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    Some(head_end + length?)
}
