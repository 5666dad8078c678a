//! Runs targets on mutated inputs for so long, or so many of them; says the seed, counts what failed, and keeps the first input of
//! each failure under `target/fuzz/`.
//!
//! Each target runs in a process of its own, as an input may also end the process (a stack that is used up, memory that is
//! not there). Its input lies in a file then, written before it was tried.

mod memory;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    num::NonZero,
    os::unix::fs::FileExt,
    panic,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use fuzz::{Corpus, Mutator, TARGETS, Target};

/// Slower than this, an input is a failure: a client could keep a thread busy with it.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);
/// Failures of one kind are told once.
static FAILED_AT: Mutex<Option<String>> = Mutex::new(None);
static TRIED_COUNT: AtomicU64 = AtomicU64::new(0);

/// Feed the decoders and parsers with bytes that nobody chose
#[derive(Parser)]
struct Args {
    /// Which targets: requests, frames, batches, avro, json-schema, protobuf, framing, broker, csv, json-lines, json-document, avro-file,
    /// parquet, excel; all of them if none is named
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// So many inputs, however long that takes
    #[arg(long)]
    inputs: Option<u64>,
    /// So long, or so many, for each kind of input apart: each API key, for requests and broker
    #[arg(long)]
    each_kind: bool,
    /// Only the kind that this first byte stands for
    #[arg(long, hide = true)]
    first_byte: Option<u8>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run these files alone, each once
    #[arg(long)]
    file: Vec<PathBuf>,
    /// In this process
    #[arg(long, hide = true)]
    here: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let is_named =
        |target: &&Target| args.targets.is_empty() || args.targets.iter().any(|name| name == target.name);
    let targets: Vec<&'static Target> = TARGETS.iter().filter(is_named).collect();
    let failed_count = match args.here || !args.file.is_empty() {
        true => targets.into_iter().filter(|target| run_here(target, &args)).count(),
        false => side_by_side(works(targets, &args), &args),
    };
    if failed_count > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a process runs: a target, of which the inputs may all begin with the same byte.
type Work = (&'static Target, Option<u8>);

fn works(targets: Vec<&'static Target>, args: &Args) -> Vec<Work> {
    let works_of = |target: &'static Target| -> Vec<Work> {
        if !args.each_kind || target.kind_of.is_none() {
            return vec![(target, None)];
        }
        let corpus = read_corpus(target).by_first_byte();
        corpus.into_keys().map(|first| (target, Some(first))).collect()
    };
    targets.into_iter().flat_map(works_of).collect()
}

fn read_corpus(target: &Target) -> Corpus {
    Corpus::read(&fuzz::corpus_folder().join(target.corpus)).expect("the corpus can be read")
}

/// As many at once as there are processors.
fn side_by_side(works: Vec<Work>, args: &Args) -> usize {
    let (left, failed_count) = (Mutex::new(works), AtomicUsize::new(0));
    let lane = || {
        while let Some(work) = { left.lock().expect("nobody panics with it").pop() } {
            failed_count.fetch_add(usize::from(run_apart(work, args)), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(lane);
        }
    });
    failed_count.into_inner()
}

/// As it is told: `requests of Produce`.
fn name_of((target, first): Work) -> String {
    match (target.kind_of, first) {
        (Some(kind_of), Some(first)) => format!("{} of {}", target.name, kind_of(first)),
        _ => target.name.to_owned(),
    }
}

/// Where its failures and the input in work lie, under `target/fuzz/`.
fn folder_name((target, first): Work) -> String {
    first.map_or_else(|| target.name.to_owned(), |first| format!("{}-{first}", target.name))
}

fn output_folder(work: Work) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz").join(folder_name(work))
}

fn run_apart(work: Work, args: &Args) -> bool {
    let mut command = Command::new(std::env::current_exe().expect("we are a program"));
    command.arg(work.0.name).arg("--here").arg(format!("--seed={}", args.seed));
    command.arg(format!("--seconds={}", args.seconds));
    if let Some(inputs) = args.inputs {
        command.arg(format!("--inputs={inputs}"));
    }
    if let Some(first) = work.1 {
        command.arg(format!("--first-byte={first}"));
    }
    let status = command.status().expect("we can run ourselves");
    if !matches!(status.code(), Some(0 | 1)) {
        let current = output_folder(work).join("current");
        eprintln!("{}: ended with {status}; its input is {}", name_of(work), current.display());
    }
    !status.success()
}

/// What the targets' failures are told by: the place in the source.
fn note_panics() {
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map_or_else(String::new, ToString::to_string);
        *FAILED_AT.lock().expect("nobody panics with it") = Some(format!("{place}: {panicked}"));
    }));
    fuzz::leave_contained_panics_alone();
}

fn run_here(target: &'static Target, args: &Args) -> bool {
    note_panics();
    let work = (target, args.first_byte);
    let (folder, label) = (output_folder(work), name_of(work));
    fs::create_dir_all(&folder).expect("target/ can be written");
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    let mut largest = 0;
    let mut attempt = |input: &[u8]| {
        let (took, used, failure) = attempt(target, input);
        slowest = slowest.max(took);
        largest = largest.max(used);
        if let Some(failure) = failure {
            let count = failures.entry(failure.clone()).or_default();
            *count += 1;
            if *count == 1 {
                let name = format!("failure-{:016x}", hash(failure.as_bytes()));
                fs::write(folder.join(&name), input).ok();
                eprintln!("{label}: {failure}\n  input: target/fuzz/{}/{name}", folder_name(work));
            }
        }
    };
    for file in &args.file {
        attempt(&fs::read(file).expect("the file can be read"));
    }
    if args.file.is_empty() {
        feed(target, args, &folder, &mut attempt).expect("target/ can be written");
    }
    let count = TRIED_COUNT.load(Ordering::Relaxed);
    eprintln!(
        "{label}: {count} inputs, {} kinds of failure; at most {} KiB and {} ms for one; seed {}",
        failures.len(),
        largest >> 10,
        slowest.as_millis(),
        args.seed
    );
    !failures.is_empty()
}

fn feed(
    target: &'static Target,
    args: &Args,
    folder: &Path,
    attempt: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    let mut corpus = read_corpus(target);
    if let Some(first) = args.first_byte {
        corpus = corpus.by_first_byte().remove(&first).expect("a first byte of the corpus");
    }
    let current = File::create(folder.join("current"))?;
    watch(target);
    let mut mutator = Mutator::new(&corpus, target.words, target.input_bytes_max, args.seed);
    let (start, mut input) = (Instant::now(), Vec::new());
    let limit = Duration::from_secs(args.seconds);
    for number in 0.. {
        let ends = match args.inputs {
            Some(inputs) => number >= inputs,
            None => number % 64 == 0 && start.elapsed() >= limit,
        };
        if ends {
            break;
        }
        mutator.next_into(&mut input);
        if let (Some(first), Some(begins)) = (args.first_byte, input.first_mut()) {
            *begins = first;
        }
        current.set_len(input.len() as u64)?;
        current.write_all_at(&input, 0)?;
        attempt(&input);
    }
    Ok(())
}

fn attempt(target: &Target, input: &[u8]) -> (Duration, usize, Option<String>) {
    TRIED_COUNT.fetch_add(1, Ordering::Relaxed);
    let before = memory::begin();
    let start = Instant::now();
    let ended = panic::catch_unwind(|| (target.run)(input));
    let took = start.elapsed();
    let used = memory::peak().saturating_sub(before);
    let allowed = target.memory_bytes + target.memory_per_byte * input.len();
    // A task of a broker may have panicked, and not we.
    let panicked = FAILED_AT.lock().expect("nobody panics with it").take();
    let failure = match ended {
        Err(_) => panicked.or(Some("a panic".to_owned())),
        Ok(()) if panicked.is_some() => panicked,
        Ok(()) if used > allowed => Some("more memory than allowed".to_owned()),
        Ok(()) if took > INPUT_TIME_MAX => Some("more time than allowed".to_owned()),
        Ok(()) => None,
    };
    (took, used, failure.map(|text| kind_of(&text)))
}

/// The place alone where it is a panic: what it says differs from input to input.
fn kind_of(failure: &str) -> String {
    let (place, said) = failure.split_once(": ").unwrap_or((failure, ""));
    let line = said.lines().nth(1).unwrap_or("").chars().take(160).collect::<String>();
    if said.is_empty() {
        place.to_owned()
    } else {
        format!("{place} {}", line.split(['{', '"', '\'']).next().unwrap_or(""))
    }
}

/// Ends the process where one input takes far too long: it will not end by itself.
fn watch(target: &'static Target) {
    thread::spawn(move || {
        let mut seen = (TRIED_COUNT.load(Ordering::Relaxed), Instant::now());
        loop {
            thread::sleep(Duration::from_secs(1));
            let count = TRIED_COUNT.load(Ordering::Relaxed);
            if count != seen.0 {
                seen = (count, Instant::now());
            } else if seen.1.elapsed() > 6 * INPUT_TIME_MAX {
                eprintln!("{}: one input takes more than a minute", target.name);
                std::process::exit(2);
            }
        }
    });
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
