//! Signing in and out: what a person is told, and a browser where there is a terminal.

use std::{
    io::IsTerminal,
    path::Path,
    process::{Command, Stdio},
};

use chrono::DateTime;
use cloud::{
    aws::{
        self, SignIn,
        sso::{Flow, Invitation},
    },
    gcp,
};
use serde_json::json;

use super::{Cloud, Login, failure};
use crate::context::{Context, Failure};

pub async fn run(login: Login, context: &Context) -> Result<(), Failure> {
    match login {
        Login::Aws { profile, sso_session, device, pkce } => {
            let sign_in = SignIn { sso_session, profile };
            let session = sign_in.session().map_err(failure)?;
            let is_device = device || (!pkce && (session.name.is_none() || !is_terminal()));
            aws(&sign_in, if is_device { Flow::Device } else { Flow::Code }, context).await
        }
        Login::Gcp { client_id_file, gcloud_client, quota_project } => {
            let options = gcp::login::Options { client_id_file, is_gclouds: gcloud_client, quota_project };
            google(&options, context).await
        }
    }
}

async fn aws(sign_in: &SignIn, flow: Flow, context: &Context) -> Result<(), Failure> {
    let signed_in = sign_in.run(flow, &|invitation| invite(invitation)).await.map_err(failure)?;
    let ends = DateTime::from_timestamp_millis(signed_in.ends_ms).unwrap_or_default();
    // What a person may be is of help to whoever writes a profile; the sign-in is good without it.
    let choices = aws::choices(&signed_in).await.unwrap_or_default();
    let session = &signed_in.session;
    if context.is_json() {
        let choices: Vec<_> = choices
            .iter()
            .map(|(account, name, role)| json!({ "account": account, "name": name, "role": role }))
            .collect();
        let object = json!({
            "sso_session": session.name,
            "start_url": session.start_url,
            "file": signed_in.file,
            "expires_at": ends.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "renews": signed_in.renews,
            "roles": choices,
        });
        println!("{object}");
        return Ok(());
    }
    let named = session.name.as_deref().unwrap_or(&session.start_url);
    let renews = if signed_in.renews { ", and is renewed from then on" } else { "" };
    println!("signed in to {named} until {}{renews}", ends.format("%Y-%m-%d %H:%M:%S UTC"));
    println!("kept in {}, where aws, boto3 and Terraform find it", signed_in.file.display());
    for (account, name, role) in &choices {
        println!("  you may be {role} in {account} ({name})");
    }
    Ok(())
}

async fn google(options: &gcp::login::Options, context: &Context) -> Result<(), Failure> {
    let invite = |url: &str| invite(&Invitation { url: url.to_owned(), code: None });
    let signed_in = gcp::login::run(options, &invite).await.map_err(failure)?;
    if context.is_json() {
        let object = json!({
            "account": signed_in.account,
            "file": signed_in.file,
            "quota_project": signed_in.quota_project,
        });
        println!("{object}");
        return Ok(());
    }
    println!(
        "signed in to Google Cloud as {}",
        signed_in.account.as_deref().unwrap_or("somebody that Google does not name")
    );
    println!("kept in {}, where Google's libraries find it", signed_in.file.display());
    match &signed_in.quota_project {
        Some(project) => println!("quota and costs are counted on {project}"),
        None => println!("no quota project: some APIs want one (--quota-project)"),
    }
    if let Some(path) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").filter(|path| !path.is_empty()) {
        eprintln!(
            "warning: GOOGLE_APPLICATION_CREDENTIALS={} wins over this sign-in: unset it",
            Path::new(&path).display()
        );
    }
    Ok(())
}

pub async fn out(cloud: Cloud, context: &Context) -> Result<(), Failure> {
    let gone = match cloud {
        Cloud::Aws => aws::sign_out().await.map_err(failure)?,
        Cloud::Gcp => gcp::login::log_out().await.map_err(failure)?.into_iter().collect(),
    };
    if context.is_json() {
        println!("{}", json!({ "removed": gone }));
        return Ok(());
    }
    gone.iter().for_each(|path| println!("removed {}", path.display()));
    println!("{}", if gone.is_empty() { "nobody was signed in" } else { "signed out" });
    Ok(())
}

fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// To stderr, so that results can be piped on.
fn invite(invitation: &Invitation) {
    let (url, code) = match &invitation.code {
        Some((whole, code)) => (whole, Some(code)),
        None => (&invitation.url, None),
    };
    match code {
        Some(code) => eprintln!("open {} and confirm the code {code}\n  or at once: {url}", invitation.url),
        None => eprintln!("open {url}"),
    }
    if is_terminal() {
        open(url);
    }
}

/// A browser that does not open is no failure: the address is there to be copied.
fn open(url: &str) {
    let program = std::env::var("BROWSER").ok().filter(|program| !program.is_empty());
    let program =
        program.unwrap_or_else(|| (if cfg!(target_os = "macos") { "open" } else { "xdg-open" }).to_owned());
    Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok();
}
