//! Free ports of the loopback address, for programs that cannot be told port 0 and for lives that follow each other at one address.
//!
//! Not those that the system hands out to whoever asks for port 0 (from 32,768 on, on Linux): between two lives another test would
//! have taken one.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

/// The first of them, and how many there are.
const FIRST: u32 = 15_000;
const COUNT: u32 = 17_000;

/// How many this process has looked at.
static TRIED: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    free_ports(1)[0]
}

/// Several at once, none twice in this process.
pub fn free_ports(count: usize) -> Vec<u16> {
    // Processes of tests begin at places of their own.
    let start = std::process::id().wrapping_mul(997);
    let next = || start.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..COUNT).map(|_| next() as u16).filter(free).take(count).collect()
}
