//! `up`, `status`, `down`: addresses, locks, ports in use, stopping in time, and coming back after kill -9.

use std::{net::TcpListener, time::Duration};

use serde_json::Value;
use testkit::{free_ports, poll};

use crate::{flow, shared::world, snapshot};

#[test]
fn status_tells_scripts_what_runs() {
    let mut world = world();
    let parts = world.up();
    snapshot!(&world, "up", world.said());
    let status: Value = serde_json::from_str(&world.ok(&["status", "--json"])).unwrap();
    assert_eq!(status["pid"], parts.pid);
    assert!(status["memory_bytes"].as_u64().unwrap() > 1_000_000);
    for part in ["broker", "registry", "connect", "s3", "dynamodb", "console"] {
        assert_eq!(status["parts"][part]["state"], "running", "{status}");
        assert_eq!(status["parts"][part]["address"], parts.addresses[part], "{status}");
    }
    snapshot!(&world, "status", world.run(&["status"]).shown());
    let took = world.down();
    assert!(took < Duration::from_secs(5), "down took {took:?}");
    snapshot!(&world, "status of nothing", world.run(&["status"]).shown());
}

#[test]
fn a_second_up_says_who_holds_the_project() {
    let mut world = world();
    world.up();
    let second = world.run(&["up"]);
    snapshot!(&world, "a second up", second.shown());
    world.down();
}

#[test]
fn a_port_in_use_names_port_part_setting_and_holder() {
    let world = world();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let ran = world.run(&["up", "--only", "broker", "--set", &format!("broker.listen=127.0.0.1:{port}")]);
    assert_ne!(ran.code, Some(0));
    let holder = format!("(process {})", std::process::id());
    for named in [&format!("port {port}"), "broker", "broker.listen", &holder] {
        assert!(ran.stderr.contains(named), "{named}: {}", ran.stderr);
    }
}

#[test]
fn detach_returns_when_all_is_ready_and_down_ends_it() {
    let world = world();
    world.write("tidemill.yaml", "");
    world.ok(&["up", "--free-ports", "--detach"]);
    let parts = world.parts().expect("ready means that it is written down");
    testkit::http("GET", &format!("{}/subjects", parts.registry()), "").expect(200);
    testkit::http("GET", &parts.console(), "").expect(200);
    world.ok(&["down"]);
    poll::until("the process is gone", 5_000, || {
        (!std::path::Path::new(&format!("/proc/{}/exe", parts.pid)).exists()).then_some(())
    });
}

#[test]
fn ctrl_c_stops_it_in_time_and_leaves_nothing() {
    let mut world = world();
    let parts = world.up();
    let up = world.process().unwrap();
    up.interrupt();
    let ended = poll::until("up has ended after Ctrl-C", 5_000, || up.ended());
    assert!(ended.code().is_some(), "it ended by itself: {ended}");
    assert!(world.parts().is_none(), "running.json is gone");
    assert!(std::net::TcpStream::connect(parts.kafka()).is_err());
}

#[test]
fn only_some_parts() {
    let mut world = world();
    let parts = world.up_with(&["--only", "broker,registry"]);
    assert_eq!(parts.addresses.keys().map(String::as_str).collect::<Vec<_>>(), ["broker", "registry"]);
    world.down();
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let mut world = world();
    fixed_ports(&world);
    world.up();
    world.write("a.csv", "id,name\n1,one\n2,two\n3,three\n");
    world.ok(&["topic", "create", "kept", "--partitions", "2"]);
    world.ok(&["contract", "infer", "a.csv", "-o", "contracts/kept.json"]);
    world.ok(&["load", "a.csv", "kafka://local/kept", "--contract", "kept", "--key", "name"]);
    for _ in 0..3 {
        world.kill();
        let parts = world.up();
        let values = flow::values_of(&parts.kafka(), "kept");
        assert_eq!(values.iter().map(Vec::len).sum::<usize>(), 3);
        let subjects = testkit::http("GET", &format!("{}/subjects", parts.registry()), "").json();
        assert_eq!(subjects, serde_json::json!(["kept-value"]));
    }
    world.down();
}

/// The same addresses in every life, so that clients find it again.
pub fn fixed_ports(world: &testkit::World) {
    let parts = ["broker", "registry", "rest", "connect", "s3", "dynamodb", "scheduler", "console"];
    let lines = parts.iter().zip(free_ports(parts.len()));
    let text: String = lines.map(|(part, port)| format!("{part}:\n  listen: 127.0.0.1:{port}\n")).collect();
    world.write("tidemill.yaml", text);
}
