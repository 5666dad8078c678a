//! Credentials for other programs: printed on request, or in the environment of a command.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use base::Secret;
use chrono::DateTime;
use cloud::gcp;
use serde_json::{Map, Value, json};

use super::{Cloud, Format, failure, identity};
use crate::{context::Failure, errors::Error};

/// Names that would win over what is handed on, or mean somebody else.
const AWS_HIDING: [&str; 3] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN"];

/// Variables in the order in which they are printed.
type Variables = Vec<(&'static str, Secret)>;

pub async fn print(cloud: Cloud, profile: Option<String>, format: Format) -> Result<(), Failure> {
    let variables = variables(cloud, profile).await?;
    match format {
        Format::Shell => variables.iter().for_each(|(name, value)| {
            println!("export {name}='{}'", value.reveal().replace('\'', "'\\''"));
        }),
        Format::Dotenv => variables.iter().for_each(|(name, value)| {
            let escaped = value.reveal().replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
            println!("{name}=\"{escaped}\"");
        }),
        Format::Json => {
            let object: Map<String, Value> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), value.reveal().into())).collect();
            println!("{:#}", Value::Object(object));
        }
        Format::CredentialProcess => {
            let of =
                |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).map(|(_, it)| it.reveal());
            let mut object = json!({ "Version": 1 });
            let names = [
                ("AccessKeyId", "AWS_ACCESS_KEY_ID"),
                ("SecretAccessKey", "AWS_SECRET_ACCESS_KEY"),
                ("SessionToken", "AWS_SESSION_TOKEN"),
                ("Expiration", "AWS_CREDENTIAL_EXPIRATION"),
            ];
            if cloud == Cloud::Gcp {
                let what = "a credential_process gives AWS credentials, and these are Google's".to_owned();
                let help = "choose another format: shell, dotenv or json".to_owned();
                return Err(failure(cloud::Error::Settings { what, help }));
            }
            for (name, variable) in names {
                if let Some(value) = of(variable) {
                    object[name] = value.into();
                }
            }
            println!("{object}");
        }
    }
    Ok(())
}

/// Our process becomes the command's: its exit code and the signals it gets are its own.
pub async fn exec(cloud: Cloud, profile: Option<String>, command: Vec<OsString>) -> Result<(), Failure> {
    let variables = variables(cloud, profile).await?;
    let mut words = command.into_iter();
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(&program);
    command.args(words);
    if cloud == Cloud::Aws {
        AWS_HIDING.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.env_remove("AWS_SESSION_TOKEN").env_remove("AWS_CREDENTIAL_EXPIRATION");
    }
    command.envs(variables.iter().map(|(name, value)| (name, value.reveal())));
    let source = command.exec();
    Err(Error::Spawn { program: program.into(), source }.into())
}

async fn variables(cloud: Cloud, profile: Option<String>) -> Result<Variables, Failure> {
    match cloud {
        Cloud::Aws => aws(profile).await,
        Cloud::Gcp => google().await,
    }
}

async fn aws(profile: Option<String>) -> Result<Variables, Failure> {
    let identity = identity(profile).await;
    let credential = identity.credential().await.map_err(failure)?;
    let summary = identity.summary().await.map_err(failure)?;
    let mut variables = vec![
        ("AWS_ACCESS_KEY_ID", Secret::new(&*credential.key_id)),
        ("AWS_SECRET_ACCESS_KEY", Secret::new(&*credential.secret_key)),
    ];
    if let Some(token) = &credential.token {
        variables.push(("AWS_SESSION_TOKEN", Secret::new(token.as_str())));
    }
    if let Some(ends) = summary.ends_ms.and_then(DateTime::from_timestamp_millis) {
        variables
            .push(("AWS_CREDENTIAL_EXPIRATION", Secret::new(ends.format("%Y-%m-%dT%H:%M:%SZ").to_string())));
    }
    if let Some(region) = identity.region() {
        variables.extend(["AWS_REGION", "AWS_DEFAULT_REGION"].map(|name| (name, Secret::new(region))));
    }
    Ok(variables)
}

/// An access token under the names that Terraform and gcloud read.
async fn google() -> Result<Variables, Failure> {
    let identity = gcp::Identity::load(&gcp::Options::default()).map_err(failure)?;
    let token = identity.token().await.map_err(failure)?;
    let mut variables =
        vec![("GOOGLE_OAUTH_ACCESS_TOKEN", token.clone()), ("CLOUDSDK_AUTH_ACCESS_TOKEN", token)];
    if let Some(project) = identity.project() {
        variables.push(("GOOGLE_CLOUD_PROJECT", Secret::new(project)));
    }
    Ok(variables)
}
