//! `tidemill check`: proves, before anything runs, that contracts, registered schemas, topics and connectors agree.
//!
//! Map: `finding` what is told, `remote` what broker and registry say, `converters` which reads what, `connector` one
//! connector file against all of it.

mod connector;
mod converters;
mod finding;
mod remote;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal,
};

use base::{ContractKind, code, problem::plain};
use contracts::Document;
use project::{ConnectorFile, ContractFile, Project};

use self::{
    finding::{Finding, Report},
    remote::Registered,
};
use crate::{
    context::{Context, Failure, S3Access},
    errors::Error,
    render,
};

#[derive(clap::Args)]
pub struct Args {}

/// What the connectors are held against: all that was asked of others, as plain data.
struct World {
    contracts: Vec<ContractFile>,
    /// Partitions by topic; `None` where the broker does not answer.
    topics: Option<BTreeMap<String, usize>>,
    /// By subject; `None` where the registry does not answer.
    registered: Option<BTreeMap<String, Registered>>,
    registry: String,
    s3: Option<S3Access>,
    /// Credentials that end for good sooner than this are told.
    expiring_ms: i64,
}

pub async fn run(_args: Args, context: &Context) -> Result<(), Failure> {
    let project = context.project()?;
    let mut report = Report::default();
    let contracts = valid(project.contracts()?, &mut report);
    let connectors = valid(project.connectors()?, &mut report);
    let world = look(context, contracts, &connectors, &mut report).await?;
    for contract in &world.contracts {
        contract_holds(contract, &world, &mut report);
    }
    for file in &connectors {
        connector::check(file, &world, &mut report);
        connector::check_bucket(file, &world, &mut report).await;
    }
    print(context, project, &report);
    match report.errors_count() {
        0 => Ok(()),
        errors_count => Err(Error::Check { errors_count }.into()),
    }
}

/// The files that can be read; what is wrong with the others is told.
fn valid<T>(files: Vec<Result<T, project::Error>>, report: &mut Report) -> Vec<T> {
    let told = |file: Result<T, project::Error>| file.map_err(|error| report.add(Finding::of(&error))).ok();
    files.into_iter().filter_map(told).collect()
}

async fn look(
    context: &Context,
    contracts: Vec<ContractFile>,
    connectors: &[ConnectorFile],
    report: &mut Report,
) -> Result<World, Failure> {
    let kafka = context.kafka(None)?;
    let (registry, asked) = (context.registry_url(None)?, context.registry(None, &[])?);
    let names = contracts.iter().map(|contract| contract.name.clone());
    let subjects = names.chain(connectors.iter().flat_map(connector::topics_named));
    let subjects: BTreeSet<String> = subjects.map(|name| format!("{name}-value")).collect();
    let (topics, registered) =
        tokio::join!(remote::topics(context.kafka_client(None)?), remote::all_registered(&asked, &subjects));
    let topics = topics.map_err(|reason| report.add(silent("the broker", &kafka, &reason))).ok();
    let registered = registered.map_err(|reason| report.add(silent("the registry", &registry, &reason))).ok();
    let expiring_ms = context.project()?.settings.milliseconds("auth.expiring_ms")?;
    Ok(World { contracts, topics, registered, registry, s3: context.s3()?, expiring_ms })
}

fn silent(part: &str, address: &str, reason: &str) -> Finding {
    let message = format!("{part} at {address} does not answer, so what depends on it was not checked");
    Finding::warning(code::TM1089, message, None, "start it: tidemill up --detach").because(reason)
}

/// It parses, and what is registered under its topic's subject is the same.
fn contract_holds(contract: &ContractFile, world: &World, report: &mut Report) {
    let kind = if contract.is_avro { ContractKind::Avro } else { ContractKind::JsonSchema };
    let path = contract.file.path.to_string();
    let document = match Document::parse(kind, &path, &contract.file.text) {
        Ok(document) => document,
        Err(error) => return report.add(Finding::of(&error)),
    };
    let subject = format!("{}-value", contract.name);
    let registered = match world.registered.as_ref().map(|registered| registered.get(&subject)) {
        Some(Some(registered)) => registered,
        Some(None) => {
            let message = format!("{path} is not registered under {subject}");
            let help = format!("register it: tidemill schema register {}", contract.name);
            let spot = Some(contract.spot("", "this contract"));
            return report.add(Finding::warning(code::TM1090, message, spot, help));
        }
        None => return report.holds(path, format!("a valid {} contract", contracts::kind_name(kind))),
    };
    let same = Document::parse(registered.kind, &subject, &registered.text)
        .is_ok_and(|other| registered.kind == kind && other.normalized() == document.normalized());
    if same {
        let place = format!("{subject} version {} (id {})", registered.version, registered.id);
        return report
            .holds(path, format!("a valid {} contract, the same as {place}", contracts::kind_name(kind)));
    }
    report.add(Finding::mistake(
        code::TM1085,
        format!("{path} is not what is registered under {subject} (version {})", registered.version),
        Some(contract.spot("", "the local contract")),
        format!(
            "see what differs (tidemill schema diff {0}), then register it: tidemill schema register {0}",
            contract.name
        ),
    ));
}

fn print(context: &Context, project: &Project, report: &Report) {
    if context.is_json() {
        let object = |finding: &Finding| {
            let mut object: serde_json::Value =
                serde_json::from_str(&render::json(finding)).unwrap_or_default();
            object["severity"] = if finding.is_warning { "warning".into() } else { "error".into() };
            object
        };
        let findings: Vec<serde_json::Value> = report.findings.iter().map(object).collect();
        let proven: Vec<serde_json::Value> =
            report.proven.iter().map(|(what, why)| serde_json::json!({ "what": what, "why": why })).collect();
        println!("{:#}", serde_json::json!({ "findings": findings, "proven": proven }));
        return;
    }
    let width = report.proven.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    for (what, why) in &report.proven {
        println!("ok  {what:width$}  {why}");
    }
    let is_terminal = std::io::stdout().is_terminal();
    for finding in &report.findings {
        println!("{}", if is_terminal { render::drawn(finding) } else { plain(finding) }.trim_end());
    }
    if report.findings.is_empty() && report.proven.is_empty() {
        println!("{} has no contracts and no connectors: there is nothing to check", project.root.display());
    }
}
