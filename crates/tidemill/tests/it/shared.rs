//! One environment for all tests that only want to talk to one, and names that no two tests share.

use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use testkit::{Parts, World};

pub const TIDEMILL: &str = env!("CARGO_BIN_EXE_tidemill");

/// A project in a folder of its own, not up yet.
pub fn world() -> World {
    World::new(TIDEMILL)
}

static SHARED: OnceLock<(World, Parts)> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// The environment that all tests of this run share; started at the first call.
pub fn shared() -> (&'static World, &'static Parts) {
    let _starting = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (world, parts) = SHARED.get_or_init(|| {
        let mut world = World::for_the_run(TIDEMILL, "world");
        let parts = world.up();
        (world, parts)
    });
    (world, parts)
}

/// A project of its own that uses the environment that all tests share.
pub fn beside() -> (World, &'static Parts) {
    let (_, parts) = shared();
    let mut world = world();
    world.set("TIDEMILL_BROKER_EXTERNAL", &parts.kafka());
    world.set("TIDEMILL_REGISTRY_EXTERNAL", &parts.registry());
    (world, parts)
}

/// A name for a topic, a group or a connector: `kcat-3`.
pub fn name(start: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    format!("{start}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// What differs between two runs and two machines, by what stands for it.
pub fn filters(world: &World) -> Vec<(String, &'static str)> {
    let folder = world.folder().to_string_lossy().into_owned();
    [
        // A load that takes longer than an extent, on a busy machine, has more than one commit.
        (r"(?m)^[\d,]+ commits: p50 .*\n", ""),
        (folder.as_str(), "[FOLDER]"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
        (r"localhost:\d+", "localhost:[PORT]"),
        (r"port \d{2,5}", "port [PORT]"),
        (r"\bpid \d+", "pid [PID]"),
        (r"process \d+", "process [PID]"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?", "[TIME]"),
        (r"\d{8}T\d{6}-[0-9a-f]{4}", "[LOAD]"),
        (r"\b\d+(\.\d+)? ?(ms|s|µs)\b", "[DURATION]"),
        (r"\b\d+(\.\d+)? ?(MiB|MB|KiB|GiB)\b", "[SIZE]"),
        (r"\[SIZE\]/s", "[RATE]"),
        (r"\b[\d.,]+k? records/s", "[RATE]"),
    ]
    .into_iter()
    .map(|(pattern, stand_in)| (pattern.to_owned(), stand_in))
    .collect()
}

/// Runs the snapshot with the filters of this world.
#[macro_export]
macro_rules! snapshot {
    ($world:expr, $name:expr, $text:expr) => {{
        let mut settings = insta::Settings::clone_current();
        for (pattern, stand_in) in $crate::shared::filters($world) {
            settings.add_filter(&pattern, stand_in);
        }
        settings.set_prepend_module_to_snapshot(true);
        settings.set_omit_expression(true);
        let name = String::from($name).replace(' ', "_");
        settings.bind(|| insta::assert_snapshot!(name, $text));
    }};
}
