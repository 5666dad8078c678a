//! Free ports of the loopback address, for programs that cannot be told port 0.

use std::net::TcpListener;

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    free_ports(1)[0]
}

/// Several at once, none twice: all are held until the last is found.
pub fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("the loopback address has a free port"))
        .collect();
    held.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}
