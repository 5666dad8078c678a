//! Apache Kafka's own tools, run from the jars of `.services/kafka`.

use std::{env, path::PathBuf, process::Command};

use crate::{absent, services, world};

/// A Java that can run a class of Apache Kafka's jars.
#[derive(Debug, Clone)]
pub struct Java {
    libs: PathBuf,
}

/// Java and Kafka's jars, where both are there.
pub fn java_tools() -> Option<Java> {
    Java::with(services().join("kafka/libs"))
}

impl Java {
    pub(crate) fn with(libs: PathBuf) -> Option<Java> {
        let path = env::var_os("PATH").unwrap_or_default();
        let java = env::split_paths(&path).any(|folder| folder.join("java").is_file());
        if java && libs.is_dir() { Some(Java { libs }) } else { absent("Apache Kafka (java, jars)") }
    }

    /// A command for this class, with a small heap; `kafka.Kafka` and `org.apache.kafka.tools.*`.
    pub fn class(&self, class: &str, heap_mb: u32) -> Command {
        let mut command = Command::new("java");
        command.arg(format!("-Xmx{heap_mb}m")).args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
        command.arg(format!("{}/*", self.libs.display())).arg(class);
        command
    }

    /// Runs a tool to its end.
    #[track_caller]
    pub fn tool(&self, class: &str, args: &[&str]) -> world::Ran {
        world::ran(self.class(class, 256).args(args), 90)
    }
}
