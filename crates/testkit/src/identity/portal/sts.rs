//! AWS STS: AssumeRole by whoever has keys that hold, and AssumeRoleWithWebIdentity by whoever has the token of today.
//!
//! The Query protocol, 2011-06-15. Who signs is looked up and his signature is not: the gate before S3 looks at those.

use super::{ACCOUNT, Key, Request, Response, State, now_ms, time_text};

pub(super) fn called(request: &Request) -> &'static str {
    match request.form().get("Action").map(String::as_str) {
        Some("AssumeRole") => "AssumeRole",
        Some("AssumeRoleWithWebIdentity") => "AssumeRoleWithWebIdentity",
        _ => "Unknown",
    }
}

fn refused(code: &str) -> Response {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{code}</Message></Error></ErrorResponse>"
    );
    Response { status: 403, headers: vec![("Content-Type".into(), "text/xml".into())], body: body.into() }
}

fn granted(action: &str, role: &str, access_key: &str, key: &Key) -> Response {
    let ends = time_text(key.ends_ms);
    let (secret, token) = (&key.secret, &key.token);
    let name = role.rsplit('/').next().unwrap_or_default();
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{ends}</Expiration></Credentials>\
         <AssumedRoleUser><AssumedRoleId>AROA:tidemill</AssumedRoleId>\
         <Arn>arn:aws:sts::{ACCOUNT}:assumed-role/{name}/tidemill</Arn></AssumedRoleUser>\
         </{action}Result></{action}Response>"
    );
    Response { status: 200, headers: vec![("Content-Type".into(), "text/xml".into())], body: body.into() }
}

impl State {
    /// By keys for ever (`AKIA…`), or by those that were given out here, as long as they last. The keys begin with the role's name.
    pub(super) fn assume_role(&mut self, request: &Request) -> Response {
        let given = request.header("authorization").split("Credential=").nth(1).unwrap_or_default();
        let access_key = given.split('/').next().unwrap_or_default();
        let holds = match self.keys.get(access_key) {
            Some(key) => key.ends_ms > now_ms() && request.header("x-amz-security-token") == key.token,
            None => access_key.starts_with("AKIA"),
        };
        if !holds {
            return refused("ExpiredTokenException");
        }
        let role = request.form().remove("RoleArn").unwrap_or_default();
        let name = role.rsplit('/').next().unwrap_or_default().to_ascii_uppercase();
        let (access_key, key) = self.give_out(&format!("ASIA{name}"));
        granted("AssumeRole", &role, &access_key, &key)
    }

    pub(super) fn assume_role_with_web_identity(&mut self, request: &Request) -> Response {
        let mut form = request.form();
        if form.remove("WebIdentityToken").as_deref() != Some(self.web_token.as_str()) {
            return refused("ExpiredTokenException");
        }
        let (access_key, key) = self.give_out("ASIAWEBB");
        granted("AssumeRoleWithWebIdentity", &form.remove("RoleArn").unwrap_or_default(), &access_key, &key)
    }
}
