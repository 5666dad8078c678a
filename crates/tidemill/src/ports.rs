//! Ports: whether one is free, who holds it, and picking free ones.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use crate::errors::Error;

/// The process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub name: String,
}

/// An error that names the holder where `listen` cannot be bound because somebody else is there. Other reasons are
/// left to the part itself, which will run into them and say so in its own words.
pub fn check_free(part: &'static str, listen: SocketAddr) -> Result<(), Error> {
    match TcpListener::bind(listen) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(Error::PortInUse { part, listen, holder: holder(listen.port()) })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Free loopback ports, all different. Another process may take one before it is bound: then binding says so.
pub fn free(count: usize) -> io::Result<Vec<SocketAddr>> {
    let bound: io::Result<Vec<TcpListener>> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    bound?.iter().map(TcpListener::local_addr).collect()
}

/// Who listens on `port`, where the system tells: Linux does, for the processes that we may look into.
fn holder(port: u16) -> Option<Holder> {
    let inodes: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening(table, port)).collect();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(handles) = fs::read_dir(entry.path().join("fd")) else { continue };
        for handle in handles.flatten() {
            let target = fs::read_link(handle.path()).unwrap_or_default();
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if inode.is_some_and(|inode| inodes.iter().any(|listening| listening == inode)) {
                return Some(Holder { pid, name: name(pid) });
            }
        }
    }
    None
}

/// Inodes of the sockets that listen on `port`, from a table such as `/proc/net/tcp`.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let text = fs::read_to_string(table).unwrap_or_default();
    let wanted = format!(":{port:04X}");
    let rows = text.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_it = columns.get(1)?.ends_with(&wanted) && *columns.get(3)? == LISTEN;
        is_it.then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
    });
    rows.collect()
}

fn name(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim().is_empty() { "a process".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_the_process_that_holds_it() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let listen = held.local_addr().expect("bound");
        let error = check_free("broker", listen).expect_err("it is held");
        let text = base::problem::plain(&error);
        let ours = format!("(process {})", std::process::id());
        assert!(text.contains(&format!("port {} for broker is in use by ", listen.port())), "{text}");
        assert!(!cfg!(target_os = "linux") || text.contains(&ours), "{text}");
        assert!(text.contains("broker.listen"), "{text}");
        drop(held);
        check_free("broker", listen).expect("it is free again");
    }

    #[test]
    fn free_ports_differ() {
        let mut ports = free(5).expect("ports");
        ports.sort();
        ports.dedup();
        assert_eq!(ports.len(), 5);
    }
}
