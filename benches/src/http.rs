//! One HTTP/1.1 request over and over, on so many connections that each wait for their answer.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::percentile;

/// What is asked, and by how many.
#[derive(clap::Args)]
pub struct Args {
    /// host:port
    #[arg(long)]
    address: String,
    #[arg(long)]
    path: String,
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    seconds: u64,
}

/// Answers a second, and percentiles in microseconds.
pub fn run(args: &Args) -> Result<serde_json::Value> {
    let start = Instant::now();
    let mut latencies_us = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.connections).map(|_| scope.spawn(|| ask(args))).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().unwrap_or_else(|_| bail!("a connection's thread panicked"))?);
        }
        anyhow::Ok(all)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    latencies_us.sort_unstable();
    ensure!(!latencies_us.is_empty(), "no answer");
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&latencies_us, share));
    let requests = latencies_us.len();
    Ok(serde_json::json!({"requests": requests, "seconds": seconds, "p50_us": p50, "p99_us": p99}))
}

fn ask(args: &Args) -> Result<Vec<u32>> {
    let stream = TcpStream::connect(&args.address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", args.path, args.address);
    let (start, mut latencies_us) = (Instant::now(), Vec::new());
    let (mut line, mut body) = (String::new(), Vec::new());
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let asked = Instant::now();
        (&stream).write_all(request.as_bytes())?;
        let mut length = None;
        line.clear();
        answers.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200 "), "not 200: {line}");
        loop {
            line.clear();
            answers.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse().context("content-length")?);
            }
        }
        body.resize(length.context("no content-length")?, 0);
        answers.read_exact(&mut body)?;
        latencies_us.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies_us)
}
