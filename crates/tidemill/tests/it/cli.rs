//! Every command's help, and what the settings say of themselves: exit code, stdout and stderr.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use crate::{shared::world, snapshot};

/// The names under `Commands:` in a help text.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or("");
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    let named =
        lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    named.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn help_of_every_command() {
    let world = world();
    let top = world.ok(&["--help"]);
    snapshot!(&world, "help", top.clone());
    let mut seen = 0;
    for command in commands(&top) {
        let mut text = String::new();
        let mut waiting = vec![vec![command.clone()]];
        while let Some(path) = waiting.pop() {
            let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
            args.push("--help");
            let help = world.ok(&args);
            for below in commands(&help) {
                waiting.push([path.clone(), vec![below]].concat());
            }
            text += &format!("$ tidemill {}\n{help}\n", args.join(" "));
            seen += 1;
        }
        snapshot!(&world, format!("help {command}"), text);
    }
    assert!(seen > 10, "{top}");
}

#[test]
fn a_wrong_command_says_the_right_one() {
    let world = world();
    snapshot!(&world, "wrong command", world.run(&["topci"]).expect_code(2).shown());
}

#[test]
fn settings_say_where_they_came_from() {
    let mut world = world();
    world.write("tidemill.yaml", "broker:\n  listen: 127.0.0.1:9192\nconnect:\n  group_id: mine\n");
    world.write(".env", "TIDEMILL_BROKER_LISTEN=127.0.0.1:9292\n");
    world.set("TIDEMILL_CONNECT_GROUP_ID", "from-the-environment");
    let explain = world.run(&["config", "explain", "connect.group_id"]);
    snapshot!(&world, "config explain", explain.shown());
    let flag = ["--set", "broker.listen=127.0.0.1:9392", "config", "explain", "broker.listen"];
    let said = world.ok(&flag);
    let order: Vec<usize> =
        ["9392", "9292", "9192", "9092"].iter().map(|port| said.find(port).unwrap()).collect();
    assert!(order.is_sorted(), "a flag wins over .env, that over the file, that over the default: {said}");
    snapshot!(&world, "config show", world.run(&["config", "show"]).shown());
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let world = world();
    world.write("tidemill.yaml", "broker:\n  lisen: 127.0.0.1:9192\n");
    snapshot!(&world, "unknown key", world.run(&["config", "show"]).expect_code(3).shown());
}

#[test]
fn a_value_that_does_not_fit_shows_its_line() {
    let world = world();
    world.write("tidemill.yaml", "broker:\n  listen: nowhere\n");
    snapshot!(&world, "wrong value", world.run(&["up", "--only", "broker"]).expect_code(3).shown());
}

#[test]
fn who_waits_for_an_answer_is_told_for_what() {
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = slow.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut client, _) = slow.accept().unwrap();
        assert!(client.read(&mut [0; 1024]).unwrap() > 0);
        testkit::poll::moment(5_500);
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").unwrap();
    });
    let said = world().run(&["schema", "list", "--url", &format!("http://me:secret@{address}")]);
    drop(TcpStream::connect(address)); // ends the wait for one that never came
    answering.join().unwrap_or_else(|_| panic!("nobody asked: {}", said.stderr));
    let told = format!("the registry at http://{address} has not answered for 5 s; it is given 60 s\n");
    assert!(said.stderr.contains(&told), "{}", said.stderr);
    assert!(!format!("{}{}", said.stdout, said.stderr).contains("secret"));
    said.expect_success();
    let said = world().run(&["schema", "list", "--url", "http://me:sec/ret@127.0.0.1:1"]);
    assert!(said.stderr.contains("***@127.0.0.1:1") && !said.stderr.contains("sec/ret"), "{}", said.stderr);
}
