//! Pages of an HTTP interface as the source of a load: which addresses are meant so, and how they are read.

use std::sync::Arc;

use base::Secret;
use connectors::{
    Settings,
    http::{Config, HttpSource},
};
use project::Connection;

use super::{Args, failure::LoadError};
use crate::context::{Context, Failure};

/// How pages of `https://…` are read.
#[derive(clap::Args)]
#[command(next_help_heading = "Pages")]
pub(super) struct HttpArgs {
    /// How the next page of an https:// source is found: number:PARAMETER[:FIRST], offset:PARAMETER, cursor:PARAMETER:$.PATH, next:$.PATH,
    /// link (the Link header) or none [default: link]
    #[arg(long, value_name = "WAY")]
    page: Option<String>,
    /// A header for each request of pages; secrets belong into a connection of type http; may be given several times
    #[arg(long, value_name = "NAME: VALUE", hide_short_help = true)]
    header: Vec<String>,
    /// Read at most so many pages
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    pages: Option<u64>,
    /// Ask for pages no faster than this: 5/s, 100/min
    #[arg(long, value_name = "RATE", hide_short_help = true)]
    page_rate: Option<String>,
}

/// Headers that are none in Airflow's extra: settings of its own client.
const OTHERS: [&str; 9] = [
    "timeout",
    "allow_redirects",
    "proxies",
    "verify",
    "stream",
    "cert",
    "max_redirects",
    "trust_env",
    "check_response",
];

/// The source of pages, where an address of HTTP is one: `--page` says so, or its path has no file's ending.
pub(super) fn source(
    args: &Args,
    context: &Context,
    sources: &[String],
) -> Result<Option<Arc<HttpSource>>, Failure> {
    let Some(address) = sources.iter().find(|source| is_pages(args, source)) else { return Ok(None) };
    if let Some(other) = sources.iter().find(|source| *source != address) {
        return Err(Box::new(LoadError::NotAlone { other: other.clone() }));
    }
    let flags = &args.http;
    let mut settings = Settings::new();
    let mut set =
        |key: &str, value: Option<String>| settings.extend(value.map(|value| (key.to_owned(), value)));
    set("page", flags.page.clone());
    set("records", args.reading.records.clone());
    set("pages", flags.pages.map(|pages| pages.to_string()));
    set("rate", flags.page_rate.clone());
    set("limit", args.limit.map(|limit| limit.to_string()));
    set("headers", (!flags.header.is_empty()).then(|| flags.header.join("\n")));
    let config = match connection(context, address)? {
        Some((connection, rest)) => by_connection(&connection, rest, settings)?,
        None => {
            settings.insert("url".to_owned(), address.clone());
            read(&settings)?
        }
    };
    Ok(Some(Arc::new(HttpSource::open(config))))
}

fn read(settings: &Settings) -> Result<Config, Failure> {
    Config::read(settings).map_err(|error| Box::new(error) as Failure)
}

fn is_pages(args: &Args, source: &str) -> bool {
    let Some((scheme, rest)) = source.split_once("://") else { return false };
    if !matches!(scheme, "http" | "https") {
        return false;
    }
    let path = rest.split(['?', '#']).next().unwrap_or("");
    // Without a host it is no address at all, as every reader of addresses says.
    if path.is_empty() {
        return false;
    }
    let last = path.split_once('/').map_or("", |(_, path)| path).rsplit('/').next().unwrap_or("");
    args.http.page.is_some() || (args.format.is_none() && !last.contains('.'))
}

/// The connection that stands where the host would, and what follows it.
fn connection<'a>(context: &Context, address: &'a str) -> Result<Option<(Connection, &'a str)>, Failure> {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let connections = context.project()?.connections()?;
    if !connections.has(&rest[..end]) {
        return Ok(None);
    }
    Ok(Some((connections.get(&rest[..end])?, &rest[end..])))
}

/// As Airflow's HTTP hook reads it: the host may have the scheme in it, login and password are basic authentication, the extra's
/// entries are headers. A password without a login is a bearer token.
fn by_connection(connection: &Connection, rest: &str, mut settings: Settings) -> Result<Config, Failure> {
    let refuse = |reason: String| {
        let target = format!("http://{}", connection.id);
        Box::new(LoadError::Connection { target, reason }) as Failure
    };
    if !matches!(connection.conn_type(), "http" | "https") {
        return Err(refuse(format!("connection {} is of type {}", connection.id, connection.conn_type())));
    }
    let host = connection.host().unwrap_or("localhost").trim_end_matches('/');
    let base = match host.contains("://") {
        true => host.to_owned(),
        false => format!("{}://{host}", connection.schema().unwrap_or(connection.conn_type())),
    };
    let port = connection.port().map_or(String::new(), |port| format!(":{port}"));
    settings.insert("url".to_owned(), format!("{base}{port}{rest}"));
    let mut config = read(&settings)?;
    match (connection.login(), connection.password()) {
        (Some(login), password) => config.basic(login, password.as_ref().map_or("", Secret::reveal)),
        (None, Some(token)) => config.bearer(token.reveal()),
        (None, None) => {}
    }
    for name in connection.extra_names().iter().filter(|name| !OTHERS.contains(&name.as_str())) {
        let value = connection.extra_text(name).unwrap_or_default();
        config.add_header(&format!("{name}: {value}")).map_err(|error| Box::new(error) as Failure)?;
    }
    Ok(config)
}
