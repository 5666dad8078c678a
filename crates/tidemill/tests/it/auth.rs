//! Identities: what `auth status` says, what connectors use, and what the real AWS and Google programs make of the same files.

mod chain;
mod google;
mod renewed;
mod running;
mod sso;
mod terminal;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use testkit::{Child, Portal, World, poll, tied_to_us};

use crate::shared::world;

/// A home folder with AWS's files, and the services that they lead to.
struct Home {
    world: World,
    portal: Portal,
}

impl Home {
    /// With `text` as `~/.aws/config`; `[START]` in it is the portal's address.
    fn new(text: &str) -> Self {
        let (world, portal) = (world(), Portal::start());
        let home = Self { world, portal };
        home.world.write(".aws/config", home.filled(text));
        home
    }

    fn filled(&self, text: &str) -> String {
        let folder = self.world.folder().to_string_lossy();
        text.replace("[START]", &self.portal.endpoint).replace("[HOME]", &folder)
    }

    /// Leads a command to our services, and gives it nothing else of AWS's.
    fn led(&self, command: &mut Command) {
        let named = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
        named.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.env("HOME", self.world.folder()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(self.portal.variables());
        if let Some(moto) = testkit::moto() {
            command.env("AWS_ENDPOINT_URL_STS", &moto.endpoint);
        }
    }

    fn tidemill(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        self.led(&mut command);
        command
    }

    /// A program of others', with the same environment.
    fn other(&self, program: &std::path::Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("AWS_DEFAULT_REGION", "eu-west-1").env("AWS_PAGER", "");
        self.led(&mut command);
        command
    }

    /// Starts it, and lets it go on.
    fn start(&self, command: Command) -> Going {
        start(&self.world, command)
    }

    /// Our own sign-in with a code, which the person confirms.
    fn sign_in_by_device(&self, args: &[&str]) -> String {
        let mut all = vec!["auth", "login", "aws", "--device"];
        all.extend(args);
        let going = self.start(self.tidemill(&all));
        let code = going.said("the code", |text| word_after(text, "the code "));
        self.portal.confirm(&code, true);
        going.ended(0)
    }

    /// What there is to know of the winner, by `auth status --output json`.
    fn status(&self, command: Command) -> serde_json::Value {
        let mut command = command;
        let ran = testkit::ran(&mut command, 60);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.shown()))
    }
}

/// Starts a program that says what it says into a file of this world.
fn start(world: &World, mut command: Command) -> Going {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let log = world.path(&format!("going-{}.log", COUNT.fetch_add(1, Ordering::Relaxed)));
    let file = fs::File::create(&log).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    Going { child: tied_to_us(command).unwrap(), log }
}

/// A program that goes on while the test does something.
struct Going {
    child: Child,
    log: PathBuf,
}

impl Going {
    fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it says, as soon as it says it.
    #[track_caller]
    fn said<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        poll::until(&format!("it says {what}"), 60_000, || find(&self.text()))
    }

    /// All that it said, when it has ended with this code.
    #[track_caller]
    fn ended(mut self, code: i32) -> String {
        let status = poll::until("it ends", 60_000, || self.child.ended());
        assert_eq!(status.code(), Some(code), "{}", self.text());
        self.text()
    }
}

/// The word that follows `start`; `None` where it is not there, or may not be whole yet.
fn word_after(text: &str, start: &str) -> Option<String> {
    let rest = text.split_once(start)?.1;
    let end = rest.find(char::is_whitespace)?;
    Some(rest[..end].to_owned())
}

/// The first address on a line of its own, or after `open `, that has `part` in it.
fn address(text: &str, part: &str) -> Option<String> {
    let whole = text.get(..text.rfind('\n')?)?;
    whole.split_whitespace().find(|word| word.starts_with("http") && word.contains(part)).map(str::to_owned)
}
