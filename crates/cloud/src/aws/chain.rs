//! AWS's chain of sources in the order of the AWS CLI: what each of them holds, which one wins, what that one hides.
//!
//! Nothing is asked of anybody here: environment and files are looked at, and the first source that is set up wins, whether
//! or not it then works. `provide.rs` asks the winner; `auth status` prints the rest. So the two cannot disagree.
//!
//! Left out: the two files of boto 2 and of EC2's first tools, which the CLI still reads and nobody has.

use base::Secret;

use super::files::{Files, Given, Place, Section};
use crate::{Environment, Error};

/// Roles that a chain may have, one assuming the next.
const ROLES_COUNT_MAX: usize = 10;

const SESSION_KEYS: [&str; 3] = ["sso_start_url", "sso_region", "sso_registration_scopes"];

/// Who could give credentials, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    EnvironmentKeys,
    Role,
    WebIdentity,
    Sso,
    CredentialsFile,
    LoginSession,
    Process,
    ConfigFile,
    Container,
    InstanceMetadata,
}

impl Kind {
    pub const ALL: [Kind; 10] = [
        Kind::EnvironmentKeys,
        Kind::Role,
        Kind::WebIdentity,
        Kind::Sso,
        Kind::CredentialsFile,
        Kind::LoginSession,
        Kind::Process,
        Kind::ConfigFile,
        Kind::Container,
        Kind::InstanceMetadata,
    ];

    /// In the words of AWS's own pages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::EnvironmentKeys => "environment keys",
            Kind::Role => "assumed role",
            Kind::WebIdentity => "web identity",
            Kind::Sso => "SSO",
            Kind::CredentialsFile => "credentials file",
            Kind::LoginSession => "login session",
            Kind::Process => "credential process",
            Kind::ConfigFile => "config file",
            Kind::Container => "container",
            Kind::InstanceMetadata => "instance metadata",
        }
    }
}

/// Where credentials come from: all that it takes to ask for them.
#[derive(Debug, Clone)]
pub enum Source {
    Keys { access_key: String, secret_key: Secret, session_token: Option<Secret>, ends: Option<String> },
    Role(Box<Role>),
    WebIdentity { role_arn: String, session_name: Option<String>, token_file: String },
    Sso { session: Session, account: String, role: String },
    LoginSession { session: String, region: Option<String> },
    Process { command: Secret },
    Container,
    InstanceMetadata,
}

#[derive(Debug, Clone)]
pub struct Role {
    pub profile: String,
    pub arn: String,
    pub session_name: Option<String>,
    pub external_id: Option<Secret>,
    pub duration_s: Option<i32>,
    pub mfa_serial: Option<String>,
    pub from: Source,
}

/// A place to sign in to: an `[sso-session]`, or a profile that has it written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `None` where the profile itself has the address: tokens are then kept by it.
    pub name: Option<String>,
    pub start_url: String,
    pub region: String,
    pub scopes: Vec<String>,
}

/// A value that has a part in an identity, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    pub name: String,
    /// `***` where it is a secret.
    pub value: String,
    pub from: Place,
}

/// A source that is set up, and by what.
#[derive(Debug)]
pub struct Found {
    pub source: Source,
    pub details: Vec<Detail>,
}

#[derive(Debug)]
pub struct Candidate {
    pub kind: Kind,
    /// `None`: nothing sets it up. An error: it is set up, and wrongly.
    pub found: Option<Result<Found, Error>>,
}

/// What a profile's name was given by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// `None`: nobody named one, and it is `default`.
    pub from: Option<Place>,
}

/// The whole chain, looked at.
#[derive(Debug)]
pub struct Plan {
    pub profile: Profile,
    /// All kinds, in their order.
    pub candidates: Vec<Candidate>,
    pub files: Files,
    /// Of the environment or the profile.
    pub region: Option<Given>,
    missing: Option<Error>,
}

impl Plan {
    /// `flag` names a profile over all variables; then no variable gives credentials, as with the CLI's own `--profile`.
    pub fn of(environment: &Environment, flag: Option<&str>) -> Self {
        let files = Files::read(environment);
        let profile = profile_of(environment, flag);
        let missing = missing(&profile, &files);
        let looked = Looked { environment, files: &files, uses_variables: flag.is_none() };
        let candidates = Kind::ALL.map(|kind| Candidate { kind, found: looked.at(kind, &profile.name) });
        let region =
            ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| environment.given(name));
        let region = region.or_else(|| files.get(&profile.name, "region").cloned());
        Self { profile, candidates: candidates.into(), region, missing, files }
    }

    /// The place of the source that gives the credentials, or is to blame that there are none.
    pub fn winner(&self) -> Option<usize> {
        self.candidates.iter().position(|candidate| candidate.found.is_some())
    }

    /// The source to ask; `Ok(None)`: nothing is set up.
    pub fn into_source(self) -> Result<Option<Source>, Error> {
        if let Some(error) = self.missing {
            return Err(error);
        }
        let found = self.candidates.into_iter().find_map(|candidate| candidate.found);
        found.transpose().map(|found| found.map(|found| found.source))
    }

    /// Why nothing at all can be asked, whatever is set up: the profile that is named is nowhere.
    pub fn missing(&self) -> Option<&Error> {
        self.missing.as_ref()
    }
}

pub(super) fn profile_of(environment: &Environment, flag: Option<&str>) -> Profile {
    if let Some(name) = flag {
        return Profile { name: name.to_owned(), from: Some(Place::Flag("--profile")) };
    }
    // As the CLI 2 and the SDKs; boto3 and the CLI 1 ask them the other way round.
    let named = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter().find_map(|name| environment.given(name));
    match named {
        Some(given) => Profile { name: given.text().to_owned(), from: Some(given.from) },
        None => Profile { name: "default".to_owned(), from: None },
    }
}

fn missing(profile: &Profile, files: &Files) -> Option<Error> {
    let from = profile.from.as_ref()?;
    if files.has_profile(&profile.name) {
        return None;
    }
    let mut names: Vec<&str> = files.profiles().collect();
    names.sort_unstable();
    names.dedup();
    Some(Error::ProfileMissing {
        profile: profile.name.clone(),
        named_by: from.to_string(),
        files: format!("{} and {}", files.config_path.display(), files.credentials_path.display()),
        there: if names.is_empty() { "no profile".to_owned() } else { names.join(", ") },
    })
}

/// Environment and files, being looked at.
struct Looked<'a> {
    environment: &'a Environment,
    files: &'a Files,
    uses_variables: bool,
}

type Answer = Option<Result<Found, Error>>;

impl Looked<'_> {
    fn at(&self, kind: Kind, profile: &str) -> Answer {
        match kind {
            Kind::EnvironmentKeys => self.uses_variables.then(|| self.environment_keys()).flatten(),
            Kind::Role => self.is_role(profile).then(|| self.role(profile, &mut vec![profile.to_owned()])),
            Kind::WebIdentity => self.web_identity(profile, self.uses_variables),
            Kind::Sso => self.sso(profile),
            Kind::CredentialsFile => self.keys(self.files.credentials.get(profile), profile),
            Kind::LoginSession => self.login_session(profile),
            Kind::Process => self.process(profile),
            Kind::ConfigFile => self.keys(self.files.config.get(profile), profile),
            Kind::Container => self.container(),
            Kind::InstanceMetadata => self.instance_metadata(),
        }
    }

    fn environment_keys(&self) -> Answer {
        let access_key = self.environment.given("AWS_ACCESS_KEY_ID")?;
        let Some(secret_key) = self.environment.given("AWS_SECRET_ACCESS_KEY") else {
            let what = "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not".to_owned();
            let help = "set both, or neither".to_owned();
            return Some(Err(Error::Unusable { what, spot: None, help }));
        };
        let token =
            ["AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"].into_iter().find_map(|it| self.environment.given(it));
        let ends = self.environment.given("AWS_CREDENTIAL_EXPIRATION");
        let mut details = vec![masked("access key", &access_key), hidden("secret key", &secret_key)];
        details.extend(token.iter().map(|token| hidden("session token", token)));
        details.extend(ends.iter().map(|ends| shown("expiration", ends)));
        let source = Source::Keys {
            access_key: access_key.text().to_owned(),
            secret_key: secret_key.value,
            session_token: token.map(|token| token.value),
            ends: ends.map(|ends| ends.text().to_owned()),
        };
        Some(Ok(Found { source, details }))
    }

    /// A role that is assumed with other credentials; one with a token file is a web identity's.
    fn is_role(&self, profile: &str) -> bool {
        let has = |key| self.files.get(profile, key).is_some();
        has("role_arn") && !has("web_identity_token_file")
    }

    fn role(&self, profile: &str, visited: &mut Vec<String>) -> Result<Found, Error> {
        let get = |key| self.files.get(profile, key);
        let Some(arn) = get("role_arn") else {
            return Err(self.unusable(profile, "role_arn", "has no role_arn"));
        };
        let mut details = vec![shown("role_arn", arn)];
        let mfa_serial = get("mfa_serial");
        details.extend(mfa_serial.map(|serial| shown("mfa_serial", serial)));
        let from = match (get("source_profile"), get("credential_source")) {
            (Some(_), Some(_)) => {
                let what = "has both source_profile and credential_source";
                return Err(self.unusable(profile, "credential_source", what));
            }
            (None, None) => {
                let what = "has a role_arn, and neither source_profile nor credential_source";
                return Err(self.unusable(profile, "role_arn", what));
            }
            (Some(next), None) => {
                details.push(shown("source_profile", next));
                self.source_profile(profile, next.text(), visited)?
            }
            (None, Some(named)) => {
                details.push(shown("credential_source", named));
                self.credential_source(profile, named.text())?
            }
        };
        details.extend(from.details);
        let text = |key| get(key).map(|given: &Given| given.text().to_owned());
        let role = Role {
            profile: profile.to_owned(),
            arn: arn.text().to_owned(),
            session_name: text("role_session_name"),
            external_id: get("external_id").map(|given| given.value.clone()),
            duration_s: get("duration_seconds").and_then(|given| given.text().parse().ok()),
            mfa_serial: text("mfa_serial"),
            from: from.source,
        };
        Ok(Found { source: Source::Role(Box::new(role)), details })
    }

    fn source_profile(&self, profile: &str, next: &str, visited: &mut Vec<String>) -> Result<Found, Error> {
        if !self.files.has_profile(next) {
            let what = format!("names the source_profile {next}, which is nowhere");
            return Err(self.unusable(profile, "source_profile", &what));
        }
        let has_keys = ["aws_access_key_id", "aws_secret_access_key"]
            .iter()
            .any(|key| self.files.get(next, key).is_some());
        // A profile may name itself: the keys that stand in it assume its role.
        if visited.iter().any(|name| name == next) && (next != profile || !has_keys) {
            let what = format!("goes round in a circle: {} -> {next}", visited.join(" -> "));
            return Err(self.unusable(profile, "source_profile", &what));
        }
        if visited.len() >= ROLES_COUNT_MAX {
            let what = format!("goes through more than {ROLES_COUNT_MAX} profiles");
            return Err(self.unusable(profile, "source_profile", &what));
        }
        visited.push(next.to_owned());
        if self.is_role(next) && !has_keys {
            return self.role(next, visited);
        }
        let of_profile = [
            self.web_identity(next, false),
            self.sso(next),
            self.keys(self.files.credentials.get(next), next),
            self.login_session(next),
            self.process(next),
            self.keys(self.files.config.get(next), next),
        ];
        of_profile.into_iter().flatten().next().unwrap_or_else(|| {
            let what = format!("names the source_profile {next}, which has no credentials");
            Err(self.unusable(profile, "source_profile", &what))
        })
    }

    fn credential_source(&self, profile: &str, named: &str) -> Result<Found, Error> {
        let found = match named {
            "Environment" => self.environment_keys(),
            "EcsContainer" => self.container(),
            "Ec2InstanceMetadata" => self.instance_metadata(),
            _ => {
                let what = format!(
                    "has the credential_source {named}, which is none of Environment, EcsContainer and Ec2InstanceMetadata"
                );
                return Err(self.unusable(profile, "credential_source", &what));
            }
        };
        found.unwrap_or_else(|| {
            let what = format!("takes its credentials from {named}, and there are none");
            Err(self.unusable(profile, "credential_source", &what))
        })
    }

    fn web_identity(&self, profile: &str, uses_variables: bool) -> Answer {
        let get = |variable: &'static str, key: &str| {
            let variable = if uses_variables { self.environment.given(variable) } else { None };
            variable.or_else(|| self.files.get(profile, key).cloned())
        };
        let token_file = get("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file")?;
        let Some(role_arn) = get("AWS_ROLE_ARN", "role_arn") else {
            let what = format!("{} names a token file for a web identity, and no role", token_file.from);
            let help = "set AWS_ROLE_ARN, or role_arn beside it".to_owned();
            return Some(Err(Error::Unusable { what, spot: token_file.from.spot(), help }));
        };
        let session_name = get("AWS_ROLE_SESSION_NAME", "role_session_name");
        let details = vec![shown("role_arn", &role_arn), shown("web_identity_token_file", &token_file)];
        let source = Source::WebIdentity {
            role_arn: role_arn.text().to_owned(),
            session_name: session_name.map(|given| given.text().to_owned()),
            token_file: token_file.text().to_owned(),
        };
        Some(Ok(Found { source, details }))
    }

    fn sso(&self, profile: &str) -> Answer {
        let get = |key| self.files.get(profile, key);
        let given = get("sso_account_id").or_else(|| get("sso_role_name"))?;
        let (Some(account), Some(role)) = (get("sso_account_id"), get("sso_role_name")) else {
            let what = format!("profile {profile} has only one of sso_account_id and sso_role_name");
            let help = "give it both: tidemill auth login aws lists what you may be".to_owned();
            return Some(Err(Error::Unusable { what, spot: given.from.spot(), help }));
        };
        Some(self.session(profile).map(|(session, mut details)| {
            details.extend([shown("sso_account_id", account), shown("sso_role_name", role)]);
            let (account, role) = (account.text().to_owned(), role.text().to_owned());
            Found { source: Source::Sso { session, account, role }, details }
        }))
    }

    /// Where a profile signs in: its `sso_session`, or what it has itself.
    fn session(&self, profile: &str) -> Result<(Session, Vec<Detail>), Error> {
        let get = |key| self.files.get(profile, key);
        let Some(name) = get("sso_session") else {
            return self.session_of(None, SESSION_KEYS.map(get), profile, "sso_account_id");
        };
        let Some(section) = self.files.sso_sessions.get(name.text()) else {
            let what = format!("names the sso-session {}, which is nowhere", name.text());
            return Err(self.unusable(profile, "sso_session", &what));
        };
        for (key, value) in &section.values {
            if let Some(other) = get(key)
                && other.text() != value.text()
            {
                let what = format!("has another {key} than its sso-session {}", name.text());
                return Err(self.unusable(profile, key, &what));
            }
        }
        let of_section = |key| section.values.get(key);
        let (session, mut details) =
            self.session_of(Some(name.text()), SESSION_KEYS.map(of_section), profile, "sso_session")?;
        details.insert(0, shown("sso_session", name));
        Ok((session, details))
    }

    /// `given`: `sso_start_url`, `sso_region` and `sso_registration_scopes`.
    fn session_of(
        &self,
        name: Option<&str>,
        given: [Option<&Given>; 3],
        profile: &str,
        key: &str,
    ) -> Result<(Session, Vec<Detail>), Error> {
        let [Some(start_url), Some(region), named] = given else {
            let what = "signs in by SSO and lacks sso_start_url or sso_region";
            return Err(self.unusable(profile, key, what));
        };
        let session = Session {
            name: name.map(str::to_owned),
            start_url: start_url.text().to_owned(),
            region: region.text().to_owned(),
            scopes: scopes(named),
        };
        Ok((session, vec![shown("sso_start_url", start_url), shown("sso_region", region)]))
    }

    fn keys(&self, section: Option<&Section>, profile: &str) -> Answer {
        let values = &section?.values;
        let access_key = values.get("aws_access_key_id")?;
        let Some(secret_key) = values.get("aws_secret_access_key") else {
            let what =
                format!("profile {profile} has aws_access_key_id and no aws_secret_access_key beside it");
            let help = "write both into the same file".to_owned();
            return Some(Err(Error::Unusable { what, spot: access_key.from.spot(), help }));
        };
        let token = values.get("aws_security_token").or_else(|| values.get("aws_session_token"));
        let mut details = vec![masked("access key", access_key), hidden("secret key", secret_key)];
        details.extend(token.map(|token| hidden("session token", token)));
        let source = Source::Keys {
            access_key: access_key.text().to_owned(),
            secret_key: secret_key.value.clone(),
            session_token: token.map(|token| token.value.clone()),
            ends: None,
        };
        Some(Ok(Found { source, details }))
    }

    fn login_session(&self, profile: &str) -> Answer {
        let session = self.files.get(profile, "login_session")?;
        let details = vec![shown("login_session", session)];
        let region = self.files.get(profile, "region").map(|given| given.text().to_owned());
        Some(Ok(Found {
            source: Source::LoginSession { session: session.text().to_owned(), region },
            details,
        }))
    }

    fn process(&self, profile: &str) -> Answer {
        let command = self.files.get(profile, "credential_process")?;
        // Its arguments may be secrets; its name says enough.
        let program = command.text().split_whitespace().next().unwrap_or_default();
        let value = format!("{program} …");
        let details =
            vec![Detail { name: "credential_process".to_owned(), value, from: command.from.clone() }];
        Some(Ok(Found { source: Source::Process { command: command.value.clone() }, details }))
    }

    fn container(&self) -> Answer {
        let names = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        let address = names.into_iter().find_map(|name| self.environment.given(name))?;
        Some(Ok(Found { source: Source::Container, details: vec![shown("address", &address)] }))
    }

    /// Always there to be asked, unless it is switched off: whether a machine has one only its answer tells.
    fn instance_metadata(&self) -> Answer {
        let off = self.environment.get("AWS_EC2_METADATA_DISABLED");
        if off.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let address = self.environment.given("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let details = address.iter().map(|address| shown("address", address)).collect();
        Some(Ok(Found { source: Source::InstanceMetadata, details }))
    }

    fn unusable(&self, profile: &str, key: &str, what: &str) -> Error {
        Error::Unusable {
            what: format!("profile {profile} {what}"),
            spot: self.files.get(profile, key).and_then(|given| given.from.spot()),
            help: "mend the profile there".to_owned(),
        }
    }
}

/// Where to sign in: by an sso-session's name, or as a profile does. `None`: the profile does not sign in.
pub(super) fn session_to_sign_in(
    environment: &Environment,
    session: Option<&str>,
    profile: Option<&str>,
) -> Result<Session, Error> {
    let files = Files::read(environment);
    let looked = Looked { environment, files: &files, uses_variables: profile.is_none() };
    if let Some(name) = session {
        let Some(section) = files.sso_sessions.get(name) else {
            let what = format!("there is no sso-session {name} in {}", files.config_path.display());
            let names: Vec<&str> = files.sso_sessions.keys().map(String::as_str).collect();
            let help = match names.is_empty() {
                true => "write an [sso-session NAME] with sso_start_url and sso_region into it".to_owned(),
                false => format!("name one of: {}", names.join(", ")),
            };
            return Err(Error::NothingToSignIn { what, help });
        };
        let given = SESSION_KEYS.map(|key| section.values.get(key));
        return looked.session_of(Some(name), given, name, "sso_session").map(|(session, _)| session);
    }
    let mut profile = profile_of(environment, profile);
    for _ in 0..ROLES_COUNT_MAX {
        if let Some(error) = missing(&profile, &files) {
            return Err(error);
        }
        let get = |key| files.get(&profile.name, key);
        if get("sso_session").or_else(|| get("sso_start_url")).is_some() {
            return looked.session(&profile.name).map(|(session, _)| session);
        }
        // A role that is assumed with a profile which signs in.
        let Some(next) = get("source_profile").filter(|next| next.text() != profile.name) else { break };
        profile = Profile { name: next.text().to_owned(), from: Some(next.from.clone()) };
    }
    // Nobody named a profile, and there is but one place to sign in to.
    if profile.from.is_none() && files.sso_sessions.len() == 1 {
        let only = files.sso_sessions.keys().next().cloned();
        return session_to_sign_in(environment, only.as_deref(), None);
    }
    let what = format!("profile {} does not sign in by SSO", profile.name);
    let help =
        "name a profile with sso_session, or an [sso-session]: tidemill auth login aws --sso-session NAME";
    Err(Error::NothingToSignIn { what, help: help.to_owned() })
}

fn scopes(given: Option<&Given>) -> Vec<String> {
    let all = given.map(Given::text).unwrap_or_default().split(',').map(str::trim);
    all.filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

fn shown(name: &str, given: &Given) -> Detail {
    Detail { name: name.to_owned(), value: given.text().to_owned(), from: given.from.clone() }
}

/// Its last letters tell one key from another, as in `aws configure list`.
fn masked(name: &str, given: &Given) -> Detail {
    let letters: Vec<char> = given.text().chars().collect();
    let last: String = letters.iter().skip(letters.len().saturating_sub(4).max(letters.len() / 2)).collect();
    Detail { name: name.to_owned(), value: format!("****************{last}"), from: given.from.clone() }
}

fn hidden(name: &str, given: &Given) -> Detail {
    Detail { name: name.to_owned(), value: "***".to_owned(), from: given.from.clone() }
}

#[cfg(test)]
mod tests;
