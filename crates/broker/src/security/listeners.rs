//! Where the broker listens, what is spoken there, and where clients who come in there are told to come back.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use kafka_protocol::protocol::StrBytes;
use tokio::net::TcpListener;

use super::{
    options::{ClientAuth, Protocol, TlsOptions},
    tls::Endpoint,
};
use crate::{broker::host_and_port, errors::Error, options::Options};

/// More listeners are refused: each has a socket and a task.
const LISTENERS_COUNT_MAX: usize = 16;

impl Protocol {
    pub const ALL: [Protocol; 4] =
        [Protocol::Plaintext, Protocol::Ssl, Protocol::SaslPlaintext, Protocol::SaslSsl];

    /// Kafka's name.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Plaintext => "PLAINTEXT",
            Protocol::Ssl => "SSL",
            Protocol::SaslPlaintext => "SASL_PLAINTEXT",
            Protocol::SaslSsl => "SASL_SSL",
        }
    }

    pub fn named(word: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.word().eq_ignore_ascii_case(word))
    }

    pub fn has_tls(self) -> bool {
        matches!(self, Protocol::Ssl | Protocol::SaslSsl)
    }

    pub fn has_sasl(self) -> bool {
        matches!(self, Protocol::SaslPlaintext | Protocol::SaslSsl)
    }
}

/// One listener that is bound.
pub struct Listener {
    pub name: String,
    pub protocol: Protocol,
    /// The one in use, with a real port.
    pub address: SocketAddr,
    /// Where clients are told to come.
    pub host: StrBytes,
    pub port: i32,
    pub tls: Option<Arc<Endpoint>>,
}

/// What the settings say of one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: String,
    protocol: Protocol,
    listen: SocketAddr,
    advertised: Option<String>,
}

/// Binds them all: the first is that of `listen`.
pub async fn bind(options: &Options) -> Result<Vec<(TcpListener, Arc<Listener>)>, Error> {
    let wanted = wanted(options)?;
    let tls = Endpoints::for_these(&wanted, &options.security.tls)?;
    let mut bound = Vec::with_capacity(wanted.len());
    for Wanted { name, protocol, listen, advertised } in wanted {
        let failed = |source| Error::Bind { listen, source };
        let socket = TcpListener::bind(listen).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let advertised = advertised.unwrap_or_else(|| reachable(address).to_string());
        let (host, mut port) = host_and_port(&advertised)?;
        if port == 0 {
            port = i32::from(address.port());
        }
        let tls = tls.of(protocol);
        bound.push((socket, Arc::new(Listener { name, protocol, address, host, port, tls })));
    }
    Ok(bound)
}

/// TLS as each protocol has it: as in Kafka, who authenticates by SASL shows no certificate.
#[derive(Default)]
struct Endpoints {
    ssl: Option<Arc<Endpoint>>,
    sasl_ssl: Option<Arc<Endpoint>>,
}

impl Endpoints {
    fn for_these(wanted: &[Wanted], options: &TlsOptions) -> Result<Endpoints, Error> {
        let endpoint = |protocol, client_auth| match wanted.iter().any(|each| each.protocol == protocol) {
            true => Endpoint::open(options, client_auth).map(|endpoint| Some(Arc::new(endpoint))),
            false => Ok(None),
        };
        Ok(Endpoints {
            ssl: endpoint(Protocol::Ssl, options.client_auth)?,
            sasl_ssl: endpoint(Protocol::SaslSsl, ClientAuth::None)?,
        })
    }

    fn of(&self, protocol: Protocol) -> Option<Arc<Endpoint>> {
        match protocol {
            Protocol::Plaintext | Protocol::SaslPlaintext => None,
            Protocol::Ssl => self.ssl.clone(),
            Protocol::SaslSsl => self.sasl_ssl.clone(),
        }
    }
}

fn wanted(options: &Options) -> Result<Vec<Wanted>, Error> {
    let refuse = |reason: String| Error::Listeners { reason };
    let security = &options.security;
    let mut protocols = BTreeMap::new();
    for entry in &security.protocol_map {
        let (name, protocol) =
            entry.split_once(':').ok_or_else(|| refuse(format!("{entry:?} is not NAME:PROTOCOL")))?;
        let protocol = Protocol::named(protocol)
            .ok_or_else(|| refuse(format!("there is no security protocol {protocol}")))?;
        protocols.insert(name.to_owned(), protocol);
    }
    let mut advertised = BTreeMap::new();
    for entry in &security.advertised_listeners {
        let (name, address) = named_address(entry)?;
        advertised.insert(name, address);
    }
    let mut wanted = vec![Wanted {
        name: security.protocol.word().to_owned(),
        protocol: security.protocol,
        listen: options.listen,
        advertised: options.advertised.clone(),
    }];
    for entry in &security.listeners {
        let (name, address) = named_address(entry)?;
        let protocol = protocols.get(&name).copied().or_else(|| Protocol::named(&name));
        let protocol = protocol.ok_or_else(|| {
            refuse(format!("the listener {name} has no security protocol: no entry maps its name to one"))
        })?;
        let listen =
            listening(&address).ok_or_else(|| refuse(format!("{address} is no address to listen on")))?;
        if wanted.iter().any(|other| other.name == name) {
            return Err(refuse(format!("two listeners are named {name}")));
        }
        let advertised = advertised.remove(&name);
        wanted.push(Wanted { name, protocol, listen, advertised });
    }
    if let Some(name) = advertised.keys().next() {
        return Err(refuse(format!("an address is advertised for {name}, which is no listener")));
    }
    if wanted.len() > LISTENERS_COUNT_MAX {
        return Err(refuse(format!("{} listeners are more than {LISTENERS_COUNT_MAX}", wanted.len())));
    }
    Ok(wanted)
}

/// `NAME://host:port`.
fn named_address(entry: &str) -> Result<(String, String), Error> {
    let parts = entry.split_once("://").filter(|(name, _)| !name.is_empty());
    let (name, address) =
        parts.ok_or_else(|| Error::Listeners { reason: format!("{entry:?} is not NAME://host:port") })?;
    Ok((name.to_owned(), address.to_owned()))
}

/// As `broker.listen` is read: no host means every address, and no name server is asked.
fn listening(address: &str) -> Option<SocketAddr> {
    if let Ok(address) = address.parse() {
        return Some(address);
    }
    let (host, port) = address.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    match host {
        "localhost" => Some((Ipv4Addr::LOCALHOST, port).into()),
        "" | "*" => Some((Ipv4Addr::UNSPECIFIED, port).into()),
        _ => None,
    }
}

/// An address that this machine's clients can connect to: who listens everywhere is found on the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Options), expected: Result<&[&str], &str>) {
        let mut options = Options::at("data", ([127, 0, 0, 1], 9092).into());
        change(&mut options);
        let shown = |each: &Wanted| {
            let advertised = each.advertised.as_deref().unwrap_or("-");
            format!("{} {} {} {advertised}", each.name, each.protocol.word(), each.listen)
        };
        let found = wanted(&options);
        let found = found.map(|all| all.iter().map(shown).collect::<Vec<_>>()).map_err(|error| match error {
            Error::Listeners { reason } => reason,
            other => other.to_string(),
        });
        let expected = expected.map(|all| all.iter().map(|line| (*line).to_owned()).collect());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn listeners_are_read_as_kafka_writes_them() {
        check(|_| {}, Ok(&["PLAINTEXT PLAINTEXT 127.0.0.1:9092 -"]));
        check(
            |options| {
                options.advertised = Some("kafka:9092".to_owned());
                options.security.listeners = words(&["SASL_SSL://:9093", "OUTSIDE://localhost:9094"]);
                options.security.protocol_map = words(&["OUTSIDE:ssl"]);
                options.security.advertised_listeners = words(&["OUTSIDE://kafka.example.org:443"]);
            },
            Ok(&[
                "PLAINTEXT PLAINTEXT 127.0.0.1:9092 kafka:9092",
                "SASL_SSL SASL_SSL 0.0.0.0:9093 -",
                "OUTSIDE SSL 127.0.0.1:9094 kafka.example.org:443",
            ]),
        );
        check(
            |options| options.security.protocol = Protocol::SaslPlaintext,
            Ok(&["SASL_PLAINTEXT SASL_PLAINTEXT 127.0.0.1:9092 -"]),
        );
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        let listeners = |list: &'static [&'static str]| {
            move |options: &mut Options| options.security.listeners = words(list)
        };
        check(listeners(&["127.0.0.1:1"]), Err("\"127.0.0.1:1\" is not NAME://host:port"));
        check(listeners(&["PLAINTEXT://:1"]), Err("two listeners are named PLAINTEXT"));
        check(listeners(&["SSL://kafka:1"]), Err("kafka:1 is no address to listen on"));
        check(
            listeners(&["OUTSIDE://:1"]),
            Err("the listener OUTSIDE has no security protocol: no entry maps its name to one"),
        );
        check(
            |options| options.security.protocol_map = words(&["OUTSIDE:TLS"]),
            Err("there is no security protocol TLS"),
        );
        check(
            |options| options.security.advertised_listeners = words(&["SSL://kafka:1"]),
            Err("an address is advertised for SSL, which is no listener"),
        );
    }
}
