//! What breaks within a load and mends itself, as a load tells of it: connections that are lost in the middle of an answer, and a server
//! that is busy.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::World;

use crate::shared::{beside, name, world};

const RECORDS: usize = 2_000;
/// A command at a terminal of 100 columns, which Python's `pty` plays.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
seen = b""
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        piece = b""
    if not piece:
        break
    seen += piece
print(seen.decode(), flush=True)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// `/lines.jsonl` breaks off in the middle unless a range is asked for; `/pages` is busy at the first time.
fn breaking() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let was_busy = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let was_busy = was_busy.clone();
            thread::spawn(move || answer(stream, &was_busy));
        }
    });
    address
}

fn answer(mut stream: TcpStream, was_busy: &AtomicBool) -> Option<()> {
    let (mut head, mut piece) = (String::new(), [0; 4_096]);
    while !head.contains("\r\n\r\n") {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        head += &String::from_utf8_lossy(&piece[..count]);
    }
    if head.starts_with("GET /pages") {
        let status = if was_busy.swap(true, Ordering::SeqCst) { "200 OK" } else { "503 Busy" };
        let body = "[{\"n\":1},{\"n\":2}]";
        let said = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        return stream.write_all(said.as_bytes()).ok();
    }
    let body: String = (0..RECORDS).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    let range = head.to_ascii_lowercase();
    let range =
        range.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next()?.parse::<usize>().ok());
    let (start, end, status) = match range {
        Some(start) => (start, body.len(), "206 Partial Content"),
        None => (0, body.len() / 2, "200 OK"),
    };
    let mut said = format!(
        "HTTP/1.1 {status}\r\nETag: \"one\"\r\nAccept-Ranges: bytes\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len() - start
    );
    if range.is_some() {
        said += &format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
    }
    stream.write_all(format!("{said}\r\n{}", &body[start..end]).as_bytes()).ok()
}

fn records_count(world: &World, file: &str) -> usize {
    fs::read_to_string(world.path(file)).unwrap().lines().count()
}

#[test]
fn a_lost_connection_is_a_line_of_its_own() {
    let (world, address) = (world(), breaking());
    let lines = format!("{address}/lines.jsonl");
    let ran = world.run(&["load", &lines, "lines.jsonl"]).expect_code(0);
    assert_eq!(records_count(&world, "lines.jsonl"), RECORDS, "{}", ran.shown());
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("again")).collect();
    let wanted = format!("warning: {lines}: asks for what is behind byte 10445 again in 200 ms: ");
    assert!(!told.is_empty() && told.iter().all(|line| line.starts_with(&wanted)), "{}", ran.shown());
    assert!(!ran.stderr.contains("WARN"), "{}", ran.shown());
    let ran =
        world.run(&["load", &format!("{address}/pages"), "pages.jsonl", "--page", "none"]).expect_code(0);
    assert_eq!(records_count(&world, "pages.jsonl"), 2, "{}", ran.shown());
    let busy = ran.stderr.lines().find(|line| line.contains("asks again in")).expect("it says so");
    assert!(busy.starts_with("warning: asks again in") && busy.contains("503"), "{}", ran.shown());
}

#[test]
fn where_events_are_wanted_it_is_one() {
    let (world, address) = (world(), breaking());
    let ran = world.run(&["load", &format!("{address}/lines.jsonl"), "lines.jsonl", "--output", "json"]);
    let ran = ran.expect_code(0);
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let warning = events.iter().find(|event| event["event"] == "warning").expect("there is one");
    assert!(
        warning["message"].as_str().unwrap().contains("asks for what is behind byte 10445 again"),
        "{warning}"
    );
    assert_eq!(warning["wait_ms"], 200);
    assert_eq!(events.last().unwrap()["records_count"], RECORDS, "{}", ran.shown());
    assert_eq!(ran.stderr, "");
}

#[test]
fn at_a_terminal_it_stands_above_the_bar() {
    if testkit::python().is_none() {
        return;
    }
    let (world, address) = (world(), breaking());
    let lines = format!("{address}/lines.jsonl");
    let ours = world.command(&["load", &lines, "lines.jsonl"]);
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL]).arg(ours.get_program()).args(ours.get_args()).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    command.current_dir(world.folder());
    let said = testkit::ran(&mut command, 60).expect_success();
    assert_eq!(records_count(&world, "lines.jsonl"), RECORDS, "{said}");
    // A line begins where the bar was taken away.
    let told = format!("warning: {lines}: asks for what is behind byte 10445 again in 200 ms: ");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(&told)).collect();
    assert!(!lines.is_empty(), "{said}");
    for line in lines {
        let before = line.split(&told).next().unwrap().rsplit(['\r', 'K']).next().unwrap();
        assert_eq!(before, "", "{said:?}");
    }
}

/// Passes connections on to an S3, and is away for some seconds as soon as somebody asks for the second object.
fn away_for_a_while(s3: &str) -> String {
    let behind = s3.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let back_at: Arc<OnceLock<Instant>> = Arc::default();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (back_at, behind) = (back_at.clone(), behind.clone());
            thread::spawn(move || pass(client, &behind, &back_at));
        }
    });
    address
}

fn pass(mut client: TcpStream, behind: &str, back_at: &OnceLock<Instant>) -> Option<()> {
    let is_away = || back_at.get().is_some_and(|back_at| Instant::now() < *back_at);
    let mut server = TcpStream::connect(behind).ok()?;
    let (mut answers, mut to_client) = (server.try_clone().ok()?, client.try_clone().ok()?);
    thread::spawn(move || std::io::copy(&mut answers, &mut to_client));
    let mut piece = [0; 64 << 10];
    loop {
        let count = client.read(&mut piece).ok()?;
        if String::from_utf8_lossy(&piece[..count]).contains("part-00001") {
            back_at.get_or_init(|| Instant::now() + AWAY);
        }
        if count == 0 || is_away() {
            // Both directions: the thread of the answers has its own handles.
            server.shutdown(Shutdown::Both).ok();
            return client.shutdown(Shutdown::Both).ok();
        }
        server.write_all(&piece[..count]).ok()?;
    }
}

/// For longer than the store's own client tries again.
const AWAY: Duration = Duration::from_secs(8);

#[test]
fn a_store_that_is_away_for_a_while_ends_no_load() {
    let (world, parts) = beside();
    let prefix = name("away");
    let lines: String = (0..60).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    world.write("in.jsonl", lines);
    let s3 = format!("s3.external={}", parts.s3());
    let from = format!("s3://lake/{prefix}/");
    world.ok(&["load", "in.jsonl", &from, "--file-rows", "20", "--set", &s3]);
    let away = format!("s3.external={}", away_for_a_while(&parts.s3()));
    let ran = world.run(&["load", &from, "out.jsonl", "--set", &away]).expect_code(0);
    assert_eq!(records_count(&world, "out.jsonl"), 60, "{}", ran.shown());
    let told = ran.stderr.lines().filter(|line| line.contains("part-00001.jsonl: asks for what is behind"));
    let told: Vec<&str> = told.collect();
    assert!(!told.is_empty() && told.iter().all(|line| line.starts_with("warning: ")), "{}", ran.shown());
}
