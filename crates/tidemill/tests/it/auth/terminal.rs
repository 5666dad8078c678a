//! What is done only at a terminal: asking for an MFA code, opening a browser. Python's `pty` plays the terminal.

use std::{fs, os::unix::fs::PermissionsExt};

use testkit::browse;

use super::{Home, address};

/// Runs a command at a terminal; types the first argument when it is asked for a code.
const TERMINAL: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen, typed = b"", False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        piece = b""
    if not piece:
        break
    seen += piece
    if not typed and b"code of the MFA device" in seen and seen.endswith(b": "):
        os.write(terminal, sys.argv[1].encode() + b"\n")
        typed = True
print(seen.decode(), flush=True)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

const CONFIG: &str = "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n\
    [profile lake]\nrole_arn = arn:aws:iam::123456789012:role/Lake\nsource_profile = keys\n\
    mfa_serial = arn:aws:iam::123456789012:mfa/ada\nregion = eu-west-1\n\
    [profile keys]\naws_access_key_id = AKIAKEYS000000000001\naws_secret_access_key = secret\n";

/// Our command at a terminal, with the environment of this home.
fn at_terminal(home: &Home, typed: &str, args: &[&str]) -> std::process::Command {
    let ours = home.tidemill(args);
    let mut command = home.other("python3".as_ref(), &["-c", TERMINAL, typed]);
    command.arg(ours.get_program()).args(ours.get_args()).env("TERM", "dumb").env("NO_COLOR", "1");
    command.current_dir(home.world.folder());
    command
}

#[test]
fn a_role_that_wants_a_code_asks_for_it() {
    if testkit::moto().is_none() {
        return;
    }
    let home = Home::new(CONFIG);
    let args = ["auth", "exec", "--profile", "lake", "--", "sh", "-c", "echo key=$AWS_ACCESS_KEY_ID"];
    let said = testkit::ran(&mut at_terminal(&home, "123456", &args), 60).expect_success();
    assert!(said.contains("code of the MFA device arn:aws:iam::123456789012:mfa/ada: "), "{said}");
    assert!(said.contains("key=ASIA"), "{said}");
}

#[test]
fn a_browser_is_opened() {
    let home = Home::new(CONFIG);
    let seen = home.world.path("browsed");
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" > {}\n", seen.display());
    let browser = home.world.write("browser.sh", script);
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    // No flow is named, and no session: there is one, and a browser can come back here.
    let mut command = at_terminal(&home, "", &["auth", "login", "aws"]);
    let going = home.start({
        command.env("BROWSER", &browser);
        command
    });
    let url = testkit::poll::until("a browser is opened", 60_000, || {
        address(&fs::read_to_string(&seen).unwrap_or_default(), "/authorize")
    });
    browse(&url);
    assert!(going.ended(0).contains("signed in to corp"));
}
