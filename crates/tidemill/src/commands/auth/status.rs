//! Both clouds' sources looked at, and the winner asked who it is and until when.

use base::{Clock, SystemClock};
use cloud::{
    Environment,
    aws::{
        self, Plan,
        chain::{Candidate, Kind, Source},
    },
    gcp,
};

use super::{Cloud, failure, identity};
use crate::context::{Context, Failure};

/// One cloud's answer.
#[derive(Debug, Default)]
pub struct Side {
    pub cloud: &'static str,
    /// Profile, region, project: what decides, and where it was given.
    pub decides: Vec<Value>,
    pub rows: Vec<Row>,
    /// Who it is, where the winner was asked and answered.
    pub who: Vec<(&'static str, String)>,
    pub ends: Ends,
    /// Whether they are renewed then without anybody's help.
    pub renews: bool,
    pub warnings: Vec<String>,
    /// What went wrong with the winner, as its own lines say it.
    pub error: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    #[default]
    Unknown,
    Never,
    At {
        ms: i64,
        left_ms: i64,
    },
}

#[derive(Debug)]
pub struct Row {
    pub source: &'static str,
    pub state: State,
    pub values: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Wins,
    /// Set up, and not asked, since another comes before.
    Hidden,
    Absent,
    /// Set up wrongly; where it comes first, nobody after it is asked.
    Broken,
    /// Not set up by anybody: whether it is there only its answer would tell.
    Unasked,
}

#[derive(Debug, Clone)]
pub struct Value {
    pub name: String,
    pub value: String,
    pub from: String,
}

#[derive(Debug)]
pub struct Report {
    pub sides: Vec<Side>,
    /// The first that went wrong; that a cloud is not used is no failure.
    pub failure: Option<Failure>,
}

pub async fn look(
    cloud: Option<Cloud>,
    profile: Option<String>,
    is_offline: bool,
    context: &Context,
) -> Result<Report, Failure> {
    let expiring_ms = context.project()?.settings.milliseconds("auth.expiring_ms")?;
    let mut report = Report { sides: Vec::new(), failure: None };
    if cloud != Some(Cloud::Gcp) {
        let asked = aws(profile, is_offline, expiring_ms).await;
        report.add(asked, cloud.is_some());
    }
    if cloud != Some(Cloud::Aws) {
        let asked = google(is_offline).await;
        report.add(asked, cloud.is_some());
    }
    Ok(report)
}

impl Report {
    fn add(&mut self, (mut side, error): (Side, Option<cloud::Error>), is_wanted: bool) {
        if let Some(error) = error {
            let is_nobody = matches!(
                error,
                cloud::Error::NoCredentials { .. } | cloud::Error::NoGoogleCredentials { .. }
            );
            side.error = Some(error.to_string());
            if (is_wanted || !is_nobody) && self.failure.is_none() {
                self.failure = Some(failure(error));
            }
        }
        self.sides.push(side);
    }
}

async fn aws(profile: Option<String>, is_offline: bool, expiring_ms: i64) -> (Side, Option<cloud::Error>) {
    let environment = Environment::of_process();
    let plan = Plan::of(&environment, profile.as_deref());
    let mut side = Side { cloud: "AWS", ..Side::default() };
    let from = plan.profile.from.as_ref().map_or_else(|| "nobody named one".to_owned(), ToString::to_string);
    side.decides.push(Value { name: "profile".to_owned(), value: plan.profile.name.clone(), from });
    side.decides.extend(plan.region.as_ref().map(|region| Value {
        name: "region".to_owned(),
        value: region.text().to_owned(),
        from: region.from.to_string(),
    }));
    let winner = plan.winner();
    let rows = plan.candidates.iter().enumerate();
    side.rows = rows.map(|(place, candidate)| row(candidate, winner == Some(place))).collect();
    side.warnings.extend(hiding(&plan));
    side.warnings.extend(two_names(&environment));
    for candidate in &plan.candidates {
        if let Some(Ok(found)) = &candidate.found
            && let (Kind::Sso | Kind::Role, Some(row)) =
                (candidate.kind, side.rows.iter_mut().find(|row| row.source == candidate.kind.name()))
        {
            row.values.extend(sign_in(&environment, &found.source));
        }
    }
    if let Some(error) = plan.into_source().err() {
        return (side, Some(error));
    }
    if is_offline {
        return (side, None);
    }
    let identity = identity(profile).await;
    match identity.summary().await {
        Ok(summary) => {
            side.ends = ends(summary.ends_ms);
            side.renews = summary.over_ms.is_none();
            side.warnings.extend(summary.over_ms.and_then(|over_ms| soon(over_ms, expiring_ms)));
        }
        Err(error) => return (side, Some(error)),
    }
    match identity.caller().await {
        Ok(caller) => {
            side.who.push(("who", caller.arn.clone()));
            side.who.push(("account", caller.account));
            // arn:aws:sts::123456789012:assumed-role/ROLE/SESSION
            if let Some(role) =
                caller.arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next())
            {
                side.who.push(("role", role.to_owned()));
            }
            (side, None)
        }
        Err(error) => (side, Some(error)),
    }
}

fn row(candidate: &Candidate, wins: bool) -> Row {
    let is_metadata = candidate.kind == Kind::InstanceMetadata;
    let (state, values) = match &candidate.found {
        None => (State::Absent, Vec::new()),
        Some(Err(error)) => {
            let spot = base::Problem::spot(error).map(|spot| spot.to_string()).unwrap_or_default();
            let value = Value { name: "wrong".to_owned(), value: error.to_string(), from: spot };
            (State::Broken, vec![value])
        }
        Some(Ok(found)) => {
            let values = found.details.iter().map(|detail| Value {
                name: detail.name.clone(),
                value: detail.value.clone(),
                from: detail.from.to_string(),
            });
            let state = match (wins, is_metadata) {
                (true, _) => State::Wins,
                (false, true) => State::Unasked,
                (false, false) => State::Hidden,
            };
            (state, values.collect())
        }
    };
    Row { source: candidate.kind.name(), state, values }
}

/// Until when the sign-in lasts that a source rests on.
fn sign_in(environment: &Environment, source: &Source) -> Option<Value> {
    let session = match source {
        Source::Sso { session, .. } => session,
        Source::Role(role) => return sign_in(environment, &role.from),
        _ => return None,
    };
    let value = match aws::signed_in(environment, session) {
        None => "nobody is signed in".to_owned(),
        Some((ends_ms, renews)) => {
            let renews = if renews { ", renews itself" } else { "" };
            let left_ms = ends_ms - SystemClock.now_ms();
            let until = if left_ms > 0 { "until" } else { "ended" };
            format!("{until} {}{renews}", super::show::time(ends_ms))
        }
    };
    Some(Value { name: "sign-in".to_owned(), value, from: "~/.aws/sso/cache".to_owned() })
}

/// What is set up and does not count, where that is likely to surprise.
fn hiding(plan: &Plan) -> Option<String> {
    let winner = plan.candidates.get(plan.winner()?)?;
    let from = plan.profile.from.as_ref()?;
    let is_variable = matches!(from, cloud::aws::Place::Variable(_));
    let name = &plan.profile.name;
    match winner.kind {
        Kind::EnvironmentKeys if is_variable => Some(format!(
            "the environment keys win over {from}={name}: unset AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to be profile {name}"
        )),
        Kind::Container | Kind::InstanceMetadata => Some(format!(
            "profile {name}, which {from} names, has no credentials: the {} is asked",
            winner.kind.name()
        )),
        _ => None,
    }
}

/// The one place in which AWS's own tools are not of one opinion.
fn two_names(environment: &Environment) -> Option<String> {
    let (name, other) = (environment.get("AWS_PROFILE")?, environment.get("AWS_DEFAULT_PROFILE")?);
    (name != other).then(|| {
        format!("AWS_PROFILE={name} wins here and in aws 2; boto3 and aws 1 take AWS_DEFAULT_PROFILE={other}: unset one of them")
    })
}

async fn google(is_offline: bool) -> (Side, Option<cloud::Error>) {
    let environment = Environment::of_process();
    let candidates = gcp::sources::of(&environment);
    let mut side = Side { cloud: "Google Cloud", ..Side::default() };
    let winner = candidates.iter().position(|candidate| candidate.is_set);
    for (place, candidate) in candidates.iter().enumerate() {
        side.rows.push(google_row(candidate, winner == Some(place)));
    }
    if let [first, second, ..] = &candidates[..]
        && first.is_set
        && second.is_set
    {
        side.warnings
            .push(format!("GOOGLE_APPLICATION_CREDENTIALS wins over the sign-in in {}", second.place));
    }
    let identity = match gcp::Identity::load(&gcp::Options::default()) {
        Ok(identity) => identity,
        Err(error) => return (side, Some(error)),
    };
    for (name, value, variable) in [
        ("project", identity.project(), "GOOGLE_CLOUD_PROJECT"),
        ("quota project", identity.quota_project(), "GOOGLE_CLOUD_QUOTA_PROJECT"),
    ] {
        let from = if environment.get(variable).is_some() { variable } else { "the credentials file" };
        let given =
            |value: &str| Value { name: name.to_owned(), value: value.to_owned(), from: from.to_owned() };
        side.decides.extend(value.map(given));
    }
    if let Some(account) = environment.get("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT") {
        let from = "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT".to_owned();
        side.decides.push(Value { name: "acts as".to_owned(), value: account.to_owned(), from });
    }
    if is_offline {
        return (side, None);
    }
    // What ends here is an access token, which renews itself: nothing to warn of.
    match identity.introspect().await {
        Ok(told) => {
            let account = told.account.or_else(|| identity.summary().account.clone());
            side.who.extend(account.map(|account| ("who", account)));
            side.renews = true;
            side.ends = told.ends_ms.map_or(Ends::Unknown, |ends_ms| ends(Some(ends_ms)));
            (side, None)
        }
        Err(error) => (side, Some(error)),
    }
}

fn google_row(candidate: &gcp::sources::Candidate, wins: bool) -> Row {
    let value = |name: &str, value: &str| Value {
        name: name.to_owned(),
        value: value.to_owned(),
        from: candidate.place.clone(),
    };
    let is_metadata = candidate.kind == gcp::sources::Kind::MetadataServer;
    let state = match (candidate.is_set, wins) {
        (false, _) => State::Absent,
        (true, true) => State::Wins,
        (true, false) if is_metadata => State::Unasked,
        (true, false) => State::Hidden,
    };
    let source = candidate.kind.name();
    let summary = if candidate.is_set { candidate.summary() } else { None };
    match summary {
        None if is_metadata => Row { source, state, values: vec![value("address", &candidate.place)] },
        None => Row { source, state, values: Vec::new() },
        Some(Err(error)) => {
            Row { source, state: State::Broken, values: vec![value("wrong", &error.to_string())] }
        }
        Some(Ok(summary)) => {
            let mut values = vec![value("kind", summary.kind)];
            let named = summary.file.filter(|_| candidate.kind == gcp::sources::Kind::Named);
            values.extend(named.map(|file| value("file", &file.display().to_string())));
            values.extend(summary.account.map(|account| value("account", &account)));
            Row { source, state, values }
        }
    }
}

fn ends(ends_ms: Option<i64>) -> Ends {
    match ends_ms {
        None => Ends::Never,
        Some(ms) => Ends::At { ms, left_ms: ms - SystemClock.now_ms() },
    }
}

fn soon(over_ms: i64, expiring_ms: i64) -> Option<String> {
    let left_ms = over_ms - SystemClock.now_ms();
    (left_ms < expiring_ms).then(|| format!("these credentials end for good in {} minutes", left_ms / 60_000))
}
