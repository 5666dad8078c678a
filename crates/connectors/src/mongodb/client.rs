//! The connection that a source or a sink has: made at the first call, shared by all its splits.

use std::time::Duration;

use base::{Fault, Secret};
use mongodb::{
    Client, Collection, Database,
    bson::RawDocumentBuf,
    options::{ClientOptions, ServerAddress},
};
use tokio::sync::OnceCell;

use super::{Error, config, errors};

/// How long to look for a server that takes the call, unless the uri says another time.
const SERVER_SELECTION_MS: u64 = 5_000;
const CONNECT_MS: u64 = 5_000;
const DEFAULT_PORT: u16 = 27_017;

pub(super) struct Connection {
    uri: Secret,
    database: String,
    /// For messages.
    pub(super) hosts: String,
    client: OnceCell<Client>,
}

impl Connection {
    pub(super) fn new(uri: Secret, database: String) -> Self {
        let hosts = config::hosts(&uri);
        Self { uri, database, hosts, client: OnceCell::new() }
    }

    pub(super) async fn database(&self) -> Result<Database, Fault> {
        let client = self.client.get_or_try_init(|| self.connect()).await?;
        Ok(client.database(&self.database))
    }

    pub(super) async fn collection(&self, name: &str) -> Result<Collection<RawDocumentBuf>, Fault> {
        Ok(self.database().await?.collection(name))
    }

    pub(super) fn database_name(&self) -> &str {
        &self.database
    }

    async fn connect(&self) -> Result<Client, Fault> {
        let refuse = |error: &mongodb::error::Error| {
            let reason = errors::because(error);
            errors::first_fault(&self.hosts, error, |_| Error::Uri { reason })
        };
        let mut options = ClientOptions::parse(self.uri.reveal()).await.map_err(|error| refuse(&error))?;
        options.app_name.get_or_insert_with(|| "tidemill".to_owned());
        let waits = options.server_selection_timeout.is_some();
        options.server_selection_timeout.get_or_insert(Duration::from_millis(SERVER_SELECTION_MS));
        options.connect_timeout.get_or_insert(Duration::from_millis(CONNECT_MS));
        if options.hosts.iter().all(is_local) {
            // Compressing for the loopback device costs more than it saves.
            options.compressors = None;
        }
        if !waits {
            self.expect_anybody(&options.hosts).await?;
        }
        Client::with_options(options).map_err(|error| refuse(&error))
    }

    /// The driver would look for a server for seconds, and say nothing of it.
    async fn expect_anybody(&self, hosts: &[ServerAddress]) -> Result<(), Fault> {
        let hosts: Vec<String> = hosts.iter().filter_map(with_port).collect();
        let looked = tokio::task::spawn_blocking(move || cloud::reach::expect_anybody(&hosts)).await;
        let Ok(Err(error)) = looked else { return Ok(()) };
        let source = errors::Cause(error.to_string());
        Err(errors::fatal(Error::Unreachable { hosts: self.hosts.clone(), source }))
    }
}

/// Where it is reached; `None` for what is no matter of the network.
fn with_port(address: &ServerAddress) -> Option<String> {
    match address {
        ServerAddress::Tcp { host, port } => {
            let port = port.unwrap_or(DEFAULT_PORT);
            let is_bare = host.contains(':') && !host.starts_with('[');
            Some(if is_bare { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
        }
        _ => None,
    }
}

fn is_local(address: &ServerAddress) -> bool {
    matches!(address, ServerAddress::Tcp { host, .. } if host == "localhost" || host.starts_with("127."))
}
