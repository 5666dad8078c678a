//! `broker`: what a broker is asked for beside plain speed: sizes, partitions, compression, transactions, cold reads, latency,
//! many groups, many partitions.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    measure::{Used, median, median_within, whole},
    parts::{self, Peer},
    report::{Line, publish},
};
use crate::run::quiet;

const ROUNDS: usize = 5;

/// Of the memory that is free, so much is left to others.
const KEPT_BYTES: usize = 1 << 30;

/// Records of so many bytes, and how many make a run of about a second.
const SIZES: &[(&str, usize, u64)] =
    &[("100 B", 100, 2_000_000), ("1 KB", 1024, 400_000), ("100 KB", 102_400, 4000)];

/// What the clients are told, librdkafka and the lean one, to produce on 6 partitions: a name, their arguments, how many records.
const WAYS: &[(&str, [&[&str]; 2], u64)] = &[
    (
        "100 B of JSON, lz4",
        [&["--events", "--property", "compression.type=lz4"], &["--codec", "lz4"]],
        1_500_000,
    ),
    (
        "100 B of JSON, zstd",
        [&["--events", "--property", "compression.type=zstd"], &["--codec", "zstd"]],
        1_500_000,
    ),
    (
        "1 KB, idempotent",
        [&["--property", "enable.idempotence=true"], &["--record-bytes", "1024", "--idempotent"]],
        400_000,
    ),
    (
        "1 KB, transactions of 10,000",
        [
            &["--property", "transactional.id=bench", "--transaction-records", "10000"],
            &["--record-bytes", "1024", "--transaction-records", "10000"],
        ],
        400_000,
    ),
];

/// The producers.
const PRODUCERS: [Producer; 2] = [
    Producer { command: "produce", client: "", times: 3, factor: 1 },
    Producer { command: "append", client: ", lean client", times: 1, factor: 2 },
];

struct Producer {
    command: &'static str,
    /// What a line says of it.
    client: &'static str,
    /// How often it is measured in a round: one run of librdkafka takes up to twice as much of a processor as the next.
    times: usize,
    /// It sends so many times as many records, as it is faster.
    factor: u64,
}

/// One broker under load.
struct Side {
    bootstrap: String,
    pid: u32,
    data: std::path::PathBuf,
}

/// A figure's rounds on both sides.
#[derive(Default)]
struct Rounds([Vec<f64>; 2]);

impl Rounds {
    fn line(self, what: String, unit: &'static str, less: bool, goal: &'static str) -> Line {
        let pairs = self.0[0].iter().zip(&self.0[1]);
        let factors = pairs.map(|(ours, theirs)| if less { theirs / ours } else { ours / theirs });
        let within = median_within(factors.collect()).filter(|[least, most]| least < most);
        let [ours, theirs] = self.0.map(median);
        Line { what, ours, theirs: Some(theirs), unit, less, goal, within }
    }
}

pub fn run() -> Result<()> {
    touch_memory()?;
    let mut lines = partitions()?;
    let mut world = parts::world();
    let up = world.up_with(&["--only", "broker"]);
    let peer = Peer::start(false)?;
    let sides = [
        Side { bootstrap: up.kafka(), pid: up.pid, data: world.path(".tidemill/broker") },
        Side { bootstrap: peer.bootstrap.clone(), pid: peer.pids()[0], data: peer.data() },
    ];
    ensure!(sides[0].data.is_dir(), "the broker keeps its data elsewhere");
    lines.extend(groups(&sides)?);
    lines.extend(latency(&sides)?);
    let before = [Used::by(&[sides[0].pid])?, Used::by(&[sides[1].pid])?];
    for &(name, bytes, records) in SIZES {
        for partitions in [1, 6, 100] {
            lines.extend(produce_and_consume(&sides, name, bytes, records, partitions)?);
        }
    }
    for &(name, args, records) in WAYS {
        lines.extend(produce(&sides, &format!("{name}, 6 partitions"), 6, args, records)?);
    }
    lines.extend(used(&sides, before)?);
    let note = "librdkafka on both sides, acks=all, the page cache as durability on both. Medians of 5, of 15 for librdkafka and where \
                what is cold is read, sides alternating; the rate of producing is from the first record to the last acknowledgement, the client's \
                start included, that of consuming from the first record that comes to the last. What is consumed lies in even \
                partitions. Cold: the log is dropped from the page cache before. By librdkafka it is mostly the client that is measured, \
                which makes an object of each record. The lean client has its batches ready, of 128 KiB, and sends them in requests of a \
                megabyte with five in flight, and reads as librdkafka does, but only counts by the headers of batches. Client and broker \
                share the processors: with a broker that took nothing at all the client would still take its own CPU for a GB. \
                Latency: 10,000 records a second of 100 B on 6 partitions for 10 s, from the producer's call to the consumer's. \
                Groups: the client's own times (heartbeats of 3 s with the classic protocol) are in both figures. In brackets: between what \
                the median of the rounds' ratios lies, 19 times of 20 (of five rounds, the least and the most).";
    let ahead = match read_ahead_kib(&sides[0].data) {
        Some(kib) => format!(" The system reads {kib} KiB ahead from this disk (Linux's default: 128)."),
        None => String::new(),
    };
    publish("broker", "what a broker is asked for", &format!("{note}{ahead}"), &lines)
}

/// Writes the free memory once, but for `KEPT_BYTES`: a virtual machine is given a page by its host when it is touched first, and until then
/// a copy into it is a tenth as fast. Which side would pay for that is chance.
fn touch_memory() -> Result<()> {
    let said = fs::read_to_string("/proc/meminfo")?;
    let free = said.lines().find_map(|line| line.strip_prefix("MemFree:")?.trim().strip_suffix(" kB"));
    let free_bytes = free.context("no MemFree in /proc/meminfo")?.parse::<usize>()? << 10;
    let group = |name: &str| -> Option<usize> {
        fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?.trim().parse().ok()
    };
    // A container may have less than the machine.
    let allowed_bytes =
        group("max").map_or(usize::MAX, |max| max.saturating_sub(group("current").unwrap_or(max)));
    std::hint::black_box(vec![1_u8; free_bytes.min(allowed_bytes).saturating_sub(KEPT_BYTES)]);
    Ok(())
}

/// What cold reads depend on, besides the disk itself: how far the system reads ahead on the one that has this folder.
fn read_ahead_kib(folder: &Path) -> Option<u64> {
    let device = fs::metadata(folder).ok()?.dev();
    let at = format!("/sys/dev/block/{}:{}", libc::major(device), libc::minor(device));
    // A partition has none of its own, but its disk has.
    let said = ["queue", "../queue"]
        .iter()
        .find_map(|queue| fs::read_to_string(format!("{at}/{queue}/read_ahead_kb")).ok());
    said?.trim().parse().ok()
}

/// Runs our client against one side.
fn perf(side: &Side, what: &str, topic: &str, more: &[&str]) -> Result<Value> {
    parts::perf(&perf_args(side, what, topic, more))
}

fn perf_args<'a>(side: &'a Side, what: &'a str, topic: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[what, "--bootstrap", &side.bootstrap, "--topic", topic], more].concat()
}

fn figure(said: &Value, name: &str) -> Result<f64> {
    said[name].as_f64().with_context(|| format!("no {name} in {said}"))
}

fn rate(said: &Value) -> Result<f64> {
    Ok(figure(said, "records")? / figure(said, "seconds")?)
}

/// One way of reading everything there is, and its rounds.
struct Consuming {
    what: String,
    /// The client's command.
    command: &'static str,
    consumers: &'static str,
    is_cold: bool,
    /// How many times everything is read, where that is more than once.
    passes: Option<&'static str>,
    /// How often it is measured in a round: what is over soon is mostly luck once.
    times: usize,
    rounds: Rounds,
}

impl Consuming {
    /// By librdkafka, which is most of what is measured, and by a client that only reads the headers of batches.
    fn all(name: &str) -> Vec<Consuming> {
        let mut all = Vec::new();
        for (command, client) in [("consume", ""), ("fetch", ", lean client")] {
            for consumers in ["1", "6"] {
                for (is_cold, how) in [(false, "hot"), (true, "cold")] {
                    let what =
                        format!("consume {how}, {name}, {consumers} of 6 partitions' consumers{client}");
                    // Once is a twentieth of a second for it, most of which is a connection's beginning.
                    let passes = (command == "fetch" && !is_cold).then_some("10");
                    all.push(Consuming {
                        what,
                        command,
                        consumers,
                        is_cold,
                        passes,
                        times: if passes.is_none() { 3 } else { 1 },
                        rounds: Rounds::default(),
                    });
                }
            }
        }
        all
    }

    /// Everything once, or so many times as it says.
    fn read(
        &mut self,
        side: &Side,
        at: usize,
        topic: &str,
        records: &str,
        giving: &mut Giving,
    ) -> Result<()> {
        if self.is_cold {
            drop_from_page_cache(&side.data)?;
        }
        let before = Used::by(&[side.pid])?;
        let mut args = vec!["--records", records, "--consumers", self.consumers];
        args.extend(self.passes.iter().flat_map(|passes| ["--passes", passes]));
        let client = whole(&mut parts::perf_command(&perf_args(side, self.command, topic, &args)))?;
        let said: Value = serde_json::from_str(&client.stdout)?;
        self.rounds.0[at].push(rate(&said)?);
        if !self.is_cold {
            let gigabytes = figure(&said, "bytes")? / 1e9;
            giving.broker.add(at, Used::by(&[side.pid])?.since(before).cpu_seconds, gigabytes);
            giving.clients[usize::from(self.command == "fetch")].add(at, client.cpu_seconds, gigabytes);
        }
        Ok(())
    }
}

/// What records that lie in memory cost those who give them and those who take them, librdkafka and the lean client.
#[derive(Default)]
struct Giving {
    broker: Spent,
    clients: [Spent; 2],
}

#[derive(Default)]
struct Spent {
    cpu_seconds: [f64; 2],
    gigabytes: [f64; 2],
}

impl Spent {
    fn add(&mut self, at: usize, cpu_seconds: f64, gigabytes: f64) {
        self.cpu_seconds[at] += cpu_seconds;
        self.gigabytes[at] += gigabytes;
    }

    fn line(&self, who: &str, name: &str, goal: &'static str) -> Line {
        let per_gigabyte = |at: usize| self.cpu_seconds[at] / self.gigabytes[at];
        Line {
            what: format!("CPU of {who} for a GB that is consumed hot, {name}"),
            ours: per_gigabyte(0),
            theirs: Some(per_gigabyte(1)),
            unit: "s",
            less: true,
            goal,
            within: None,
        }
    }
}

fn produce_and_consume(
    sides: &[Side; 2],
    name: &str,
    bytes: usize,
    records: u64,
    partitions: u32,
) -> Result<Vec<Line>> {
    let record_bytes = bytes.to_string();
    let size = ["--record-bytes", &record_bytes];
    let plural = if partitions == 1 { "" } else { "s" };
    let what = format!("{name}, {partitions} partition{plural}");
    let mut lines = produce(sides, &what, partitions, [&size, &size], records)?;
    if partitions == 6 {
        lines.extend(consume(sides, name, bytes, records)?);
    }
    Ok(lines)
}

/// By both clients, each with its arguments.
fn produce(
    sides: &[Side; 2],
    what: &str,
    partitions: u32,
    args: [&[&str]; 2],
    records: u64,
) -> Result<Vec<Line>> {
    let count = partitions.to_string();
    let mut rounds = [Rounds::default(), Rounds::default()];
    for round in 0..ROUNDS {
        for (at, side) in sides.iter().enumerate() {
            for ((producer, args), rounds) in PRODUCERS.iter().zip(args).zip(&mut rounds) {
                let Producer { command, times, factor, .. } = *producer;
                let records = (records * factor).to_string();
                for time in 0..times {
                    let topic = format!("{command}-{}-{round}-{time}", what.replace([' ', ','], ""));
                    perf(side, "create", &topic, &["--partitions", &count])?;
                    let said = perf(side, command, &topic, &[args, &["--records", &records]].concat())?;
                    rounds.0[at].push(rate(&said)?);
                    perf(side, "delete", &topic, &[])?;
                }
            }
        }
    }
    let line = |(producer, rounds): (&Producer, Rounds)| {
        rounds.line(format!("produce, {what}{}", producer.client), "records/s", false, ">= 1x")
    };
    let lines: Vec<Line> = PRODUCERS.iter().zip(rounds).map(line).collect();
    eprintln!("  produce, {what}: {:.2?}", lines.iter().filter_map(Line::factor).collect::<Vec<_>>());
    Ok(lines)
}

/// From 6 partitions that hold the same each. By itself the client fills one partition for 10 ms, then another: the faster it goes, the
/// less alike they are, and the more there is to read from one alone in the end.
fn consume(sides: &[Side; 2], name: &str, bytes: usize, records: u64) -> Result<Vec<Line>> {
    let (record_bytes, records) = (bytes.to_string(), records.to_string());
    let mut consuming = Consuming::all(name);
    let mut giving = Giving::default();
    for round in 0..ROUNDS {
        for (at, side) in sides.iter().enumerate() {
            let topic = format!("even-{bytes}-{round}");
            let sent = ["--records", &records, "--record-bytes", &record_bytes, "--spread", "6"];
            perf(side, "create", &topic, &["--partitions", "6"])?;
            perf(side, "produce", &topic, &sent)?;
            for how in &mut consuming {
                (0..how.times).try_for_each(|_| how.read(side, at, &topic, &records, &mut giving))?;
            }
            perf(side, "delete", &topic, &[])?;
        }
    }
    let mut lines: Vec<Line> =
        consuming.into_iter().map(|how| how.rounds.line(how.what, "records/s", false, ">= 1x")).collect();
    lines.push(giving.broker.line("the broker", name, "<= Kafka's"));
    let names = ["librdkafka", "the lean client"];
    lines.extend(names.iter().zip(&giving.clients).map(|(who, spent)| spent.line(who, name, "")));
    eprintln!("  consume, {name}: {:.2?}", lines.iter().filter_map(Line::factor).collect::<Vec<_>>());
    Ok(lines)
}

/// Writes back what is dirty and forgets it, file by file: a file whose pages are dropped is read from the disk again.
fn drop_from_page_cache(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            drop_from_page_cache(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let mut dd = Command::new("dd");
            dd.arg(format!("of={}", path.display())).args([
                "oflag=nocache",
                "conv=notrunc,fdatasync",
                "count=0",
            ]);
            quiet(&mut dd, Duration::from_secs(60))?;
        }
    }
    Ok(())
}

/// With the linger that clients have by default, with less, and with none: then each record is a request, and the broker's own time shows.
fn latency(sides: &[Side; 2]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for linger in ["5", "1", "0"] {
        let (mut p50, mut p99) = (Rounds::default(), Rounds::default());
        let property = format!("linger.ms={linger}");
        for round in 0..ROUNDS {
            for (at, side) in sides.iter().enumerate() {
                let topic = format!("latency-{linger}-{round}");
                perf(side, "create", &topic, &["--partitions", "6"])?;
                let said = perf(
                    side,
                    "latency",
                    &topic,
                    &["--rate", "10000", "--seconds", "10", "--property", &property],
                )?;
                for (rounds, name) in [(&mut p50, "p50_us"), (&mut p99, "p99_us")] {
                    rounds.0[at].push(figure(&said, name)? / 1000.0);
                }
                perf(side, "delete", &topic, &[])?;
            }
        }
        eprintln!("  latency, linger {linger}: {:.2?} {:.2?}", p50.0, p99.0);
        let what = |which| format!("latency at 10,000 records/s, linger {linger} ms, {which}");
        lines.push(p50.line(what("median"), "ms", true, ""));
        lines.push(p99.line(what("99th percentile"), "ms", true, "<= 1/2"));
    }
    Ok(lines)
}

/// 1,000 idle consumers in 100 groups, then groups of 50 that one member leaves, with both protocols.
fn groups(sides: &[Side; 2]) -> Result<Vec<Line>> {
    let (mut memory, mut cpu) = (Rounds::default(), Rounds::default());
    for (at, side) in sides.iter().enumerate() {
        let before = Used::by(&[side.pid])?;
        perf(side, "create", "idle", &["--partitions", "10"])?;
        let many = ["--groups", "100", "--members", "10", "--partitions", "10", "--idle-seconds", "30"];
        perf(side, "groups", "idle", &many)?;
        let used = Used::by(&[side.pid])?;
        memory.0[at].push(used.memory_mib_max);
        cpu.0[at].push(used.since(before).cpu_seconds);
    }
    let mut lines = vec![
        memory.line("1,000 consumers in 100 groups: highest memory".into(), "MiB", true, "<= Kafka's"),
        cpu.line("the same: CPU to start, idle for 30 s, and end".into(), "s", true, "<= Kafka's"),
    ];
    for (protocol, property) in
        [("classic", "group.protocol=classic"), ("consumer", "group.protocol=consumer")]
    {
        let (mut joined, mut left) = (Rounds::default(), Rounds::default());
        for round in 0..3 {
            for (at, side) in sides.iter().enumerate() {
                let topic = format!("fifty-{protocol}-{round}");
                perf(side, "create", &topic, &["--partitions", "100"])?;
                let fifty =
                    ["--groups", "1", "--members", "50", "--partitions", "100", "--property", property];
                let said = perf(side, "groups", &topic, &fifty)?;
                for (rounds, name) in [(&mut joined, "joined_seconds"), (&mut left, "left_seconds")] {
                    rounds.0[at].push(figure(&said, name)?);
                }
            }
        }
        eprintln!("  50 members, {protocol}: {:.2?} {:.2?}", joined.0, left.0);
        lines.push(joined.line(format!("50 members join, {protocol} protocol"), "s", true, "<= Kafka's"));
        lines.push(left.line(format!("one of the 50 leaves, {protocol} protocol"), "s", true, "<= Kafka's"));
    }
    Ok(lines)
}

/// 50,000 partitions of ours: how long a start takes, and what they hold idle.
fn partitions() -> Result<Vec<Line>> {
    let mut world = parts::world();
    let up = world.up_with(&["--only", "broker"]);
    let side = Side { bootstrap: up.kafka(), pid: up.pid, data: world.path(".tidemill/broker") };
    let start = Instant::now();
    perf(&side, "create", "many", &["--count", "500", "--partitions", "100"])?;
    eprintln!("  50,000 partitions made in {:.1?}", start.elapsed());
    world.down();
    let start = Instant::now();
    let up = world.up_with(&["--only", "broker"]);
    let started = start.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(5));
    let idle = Used::by(&[up.pid])?.memory_mib;
    let line = |what: &str, ours, unit, goal| Line {
        what: what.into(),
        ours,
        theirs: None,
        unit,
        less: true,
        goal,
        within: None,
    };
    Ok(vec![
        line("start with 50,000 partitions", started, "s", "< 3 s"),
        line("memory with 50,000 partitions, idle", idle, "MiB", "< 300 MB"),
    ])
}

fn used(sides: &[Side; 2], before: [Used; 2]) -> Result<[Line; 2]> {
    let [ours, theirs] = [Used::by(&[sides[0].pid])?, Used::by(&[sides[1].pid])?];
    let line = |what: &str, ours, theirs, unit, goal| Line {
        what: what.into(),
        ours,
        theirs: Some(theirs),
        unit,
        less: true,
        goal,
        within: None,
    };
    let [ours_cpu, theirs_cpu] = [ours.since(before[0]).cpu_seconds, theirs.since(before[1]).cpu_seconds];
    Ok([
        line("CPU of the broker over all records", ours_cpu, theirs_cpu, "s", "<= 1/2"),
        line("highest memory of the broker", ours.memory_mib_max, theirs.memory_mib_max, "MiB", "<= 1/10"),
    ])
}
