//! Whether anybody is at an address at all: asked before clients that go on trying by themselves for seconds, and say little of it.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// Who takes longer may be there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Blocks. `hosts`: `HOST:PORT` each, of which one is enough.
///
/// # Errors
/// Why nobody is at any of them: their names are not known, or no connection is taken there.
pub fn expect_anybody<T: AsRef<str>>(hosts: &[T]) -> io::Result<()> {
    let mut last = None;
    for host in hosts {
        match expect_at(host.as_ref()) {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), Err)
}

fn expect_at(host: &str) -> io::Result<()> {
    let addresses = match host.to_socket_addrs() {
        Ok(addresses) => addresses,
        // Whatever is wrong with how it is written, the client says it better.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(()),
        Err(error) => return Err(told(host, &error)),
    };
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => last = Some(error),
            // So with whatever else it is.
            Ok(_) | Err(_) => return Ok(()),
        }
    }
    last.map_or(Ok(()), |error| Err(told(host, &error)))
}

/// Without the number that the system has for it.
fn told(host: &str, error: &io::Error) -> io::Error {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    io::Error::new(error.kind(), format!("{host}: {text}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn one_who_is_there_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let there = listener.local_addr().expect("an address").to_string();
        let (unknown, refused) = ("no-such-host.invalid:9092", "127.0.0.1:1");
        assert!(expect_anybody::<&str>(&[]).is_ok());
        assert!(expect_anybody(&[unknown, refused, &there]).is_ok());
        let error = expect_anybody(&[unknown, refused]).expect_err("nobody is there");
        assert_eq!(error.to_string(), "127.0.0.1:1: Connection refused");
        let error = expect_anybody(&[unknown]).expect_err("nobody is there").to_string();
        assert!(error.starts_with("no-such-host.invalid:9092: failed to lookup address"), "{error}");
    }
}
