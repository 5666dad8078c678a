//! What can keep the broker from starting or running. What goes wrong with a request is an error code in its answer.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use base::{Code, Problem, code};

use crate::log::LogError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the broker cannot listen on {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("the broker cannot {action} {}", path.display())]
    Disk { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} cannot be understood: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("the state of the groups in {log} cannot be read: {reason}")]
    GroupsUnreadable { log: Arc<str>, reason: String },
    #[error("the state of the transactions in {log} cannot be read: {reason}")]
    TransactionsUnreadable { log: Arc<str>, reason: String },
    #[error("the advertised address {advertised:?} is not host:port")]
    Advertised { advertised: String },
    #[error("the broker's listeners do not fit together: {reason}")]
    Listeners { reason: String },
    #[error("the broker cannot use {} for TLS: {reason}", path.display())]
    Tls { path: PathBuf, reason: String },
    #[error("the TLS files have changed, and the broker goes on with those before: it cannot use {}: {reason}", path.display())]
    TlsKept { path: PathBuf, reason: String },
    #[error("the broker cannot let clients authenticate: {reason}")]
    Sasl { reason: String },
    #[error("the rule {rule:?} of broker.ssl_principal_mapping_rules cannot be used: {reason}")]
    PrincipalRule { rule: String, reason: String },
    #[error("the keys that sign tokens cannot be had from {address}: {reason}")]
    Keys { address: String, reason: String },
    #[error("{user:?} is no principal that the broker could give all rights")]
    SuperUser { user: String },
    #[error("a connection from {address} is refused: there are {count} already")]
    TooManyConnections { address: IpAddr, count: u32, setting: &'static str },
    #[error(
        "this process may open {allowed} files: at most {connections} connections and {segments} log segments will be open"
    )]
    FewFiles { allowed: u64, connections: u32, segments: u32 },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Bind { .. } => code::TM0301,
            Error::Disk { .. } => code::TM0302,
            Error::Unreadable { .. } => code::TM0303,
            Error::GroupsUnreadable { .. } => code::TM0304,
            Error::TransactionsUnreadable { .. } => code::TM0240,
            Error::Advertised { .. } => code::TM0305,
            Error::Listeners { .. } => code::TM1060,
            Error::Tls { .. } => code::TM1061,
            Error::Sasl { .. } => code::TM1062,
            Error::SuperUser { .. } => code::TM1063,
            Error::Keys { .. } => code::TM1510,
            Error::PrincipalRule { .. } => code::TM1511,
            Error::TlsKept { .. } => code::TM1512,
            Error::TooManyConnections { .. } => code::TM0226,
            Error::FewFiles { .. } => code::TM0227,
            Error::Log(error) => error.code(),
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Bind { .. } => "free the port, or set broker.listen (or its entry in broker.listeners) to another one".to_owned(),
            Error::Disk { path, .. } => {
                format!("see that {} can be written and that the disk has room", path.display())
            }
            Error::Unreadable { path, .. } => {
                format!(
                    "put back {} from a copy, or move the data folder away to start empty",
                    path.display()
                )
            }
            Error::GroupsUnreadable { log, .. } => {
                let topic = log.rsplit_once('-').map_or(&**log, |(topic, _)| topic);
                format!("move the folders of {topic} away: topics stay, what groups have committed or acknowledged is lost")
            }
            Error::TransactionsUnreadable { .. } => {
                "move the folders of __transaction_state away: topics stay, transactions that were open are aborted by nobody"
                    .to_owned()
            }
            Error::Advertised { .. } => {
                "set broker.advertised to host:port, such as 127.0.0.1:9092".to_owned()
            }
            Error::Listeners { .. } => {
                "write broker.listeners as SASL_SSL://0.0.0.0:9093, or NAME://… with NAME:SASL_SSL in broker.listener_protocols; TLS needs broker.ssl_certificate_chain and broker.ssl_key"
                    .to_owned()
            }
            Error::Tls { .. } => {
                "give a PEM file: certificates in broker.ssl_certificate_chain and broker.ssl_truststore, their key, not encrypted, in broker.ssl_key"
                    .to_owned()
            }
            Error::Sasl { .. } => {
                "set broker.sasl_mechanisms to some of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER; the last needs broker.oauth_jwks, or broker.oauth_unsecured: true"
                    .to_owned()
            }
            Error::TlsKept { .. } => {
                "put a good file there, and its pair: they are looked at again when the next client comes".to_owned()
            }
            Error::PrincipalRule { .. } => {
                "write each rule as RULE:pattern/replacement/ with L, U or nothing behind it, or DEFAULT, and commas between them".to_owned()
            }
            Error::Keys { address, .. } => {
                format!("see that `curl {address}` gives JSON with \"keys\"; it is the address that broker.oauth_jwks names")
            }
            Error::SuperUser { .. } => {
                "write broker.super_users as User:admin;User:CN=kafka,O=Example".to_owned()
            }
            Error::TooManyConnections { setting, .. } => {
                format!("see which clients never close what they open, or raise {setting}")
            }
            Error::FewFiles { .. } => {
                "raise the limit of open files (ulimit -n), or lower broker.connections_count_max and broker.open_files_count_max"
                    .to_owned()
            }
            Error::Log(error) => error.help(),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::problem::plain;

    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let path = || PathBuf::from("data/topics.json");
        let all = [
            Error::Bind { listen: ([127, 0, 0, 1], 9092).into(), source: io::ErrorKind::AddrInUse.into() },
            Error::Disk { action: "write", path: path(), source: denied() },
            Error::Unreadable { path: path(), reason: "expected value at line 1 column 1".to_owned() },
            Error::GroupsUnreadable {
                log: "__consumer_offsets-7".into(),
                reason: "a batch's CRC is wrong".to_owned(),
            },
            Error::TransactionsUnreadable {
                log: "__transaction_state-3".into(),
                reason: "the record at offset 12 is not understood".to_owned(),
            },
            Error::Advertised { advertised: "kafka".to_owned() },
            Error::Listeners { reason: "two listeners are named PLAINTEXT".to_owned() },
            Error::Tls { path: PathBuf::from("tls/key.pem"), reason: "no items found".to_owned() },
            Error::Sasl { reason: "there is no SASL mechanism GSSAPI".to_owned() },
            Error::SuperUser { user: "admin".to_owned() },
            Error::TlsKept {
                path: PathBuf::from("tls/server.key"),
                reason: "keys may not be consistent: KeyMismatch".to_owned(),
            },
            Error::PrincipalRule {
                rule: "RULE:^CN=(.*?/$1/".to_owned(),
                reason: "unclosed group".to_owned(),
            },
            Error::Keys {
                address: "https://id.example.org/jwks".to_owned(),
                reason: "it answers 404 Not Found".to_owned(),
            },
            Error::TooManyConnections {
                address: [192, 0, 2, 7].into(),
                count: 4_096,
                setting: "broker.connections_count_max",
            },
            Error::FewFiles { allowed: 1_024, connections: 448, segments: 448 },
            Error::Log(LogError::Locked { path: "data".into() }),
        ];
        let text: Vec<String> = all.iter().map(|error| plain(error)).collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
