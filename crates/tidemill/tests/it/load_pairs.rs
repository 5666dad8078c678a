//! Sources and options of `load` and `convert` in pairs that no other test has: columns all the way, what is shown of a conversion,
//! watched folders of Parquet and with a mapping, dead letters of sheets and of Avro, old and open books, objects of Google's and
//! addresses with TLS.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;
use testkit::{Child, World, poll, tied_to_us};

use crate::{
    load_writing::{last_event, rows},
    shared::{name, world},
    snapshot,
};

const CSV: &str = "id,day,amount,text\n1,31/01/2013,\"$1,234.50\",a\n2,01/02/2013,$0.10,\n3,NA,$-7.00,c\n";

fn told(world: &World, args: &[&str]) -> Value {
    last_event(&world.ok(&[args, &["--output", "json"]].concat()))
}

fn shown(world: &World, args: &[&str]) -> String {
    world.run(args).shown().replace(&*world.folder().to_string_lossy(), "[FOLDER]")
}

fn text(rows: &[Value]) -> String {
    rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

/// What a generator makes is the same whatever way it takes; columns are cut by slices.
#[test]
fn generated_columns_hold_what_the_text_says() {
    let world = world();
    let source = "generate:finance.transactions?count=60000&seed=3";
    for out in ["a.jsonl", "a.parquet", "a.csv", "a.avro"] {
        assert_eq!(told(&world, &["load", source, out])["records_count"], 60_000, "{out}");
    }
    assert_eq!(told(&world, &["load", source, "few.parquet", "--limit", "7"])["records_count"], 7);
    let cut = ["load", source, "parts/", "--target-format", "parquet", "--file-rows", "25000"];
    assert_eq!(told(&world, &cut)["files_count"], 3);
    world.ok(&["load", source, "mapped.parquet", "--rename", "id=number", "--limit", "2"]);
    let Some(json) = rows(&world.path("a.jsonl")) else { return };
    for out in ["a.parquet", "a.avro"] {
        assert!(rows(&world.path(out)).unwrap() == json, "{out}");
    }
    assert_eq!(rows(&world.path("a.csv")).unwrap().len(), json.len());
    assert_eq!(rows(&world.path("few.parquet")).unwrap(), json[..7]);
    let parts: Vec<Value> = (0..3)
        .flat_map(|part| rows(&world.path(&format!("parts/part-0000{part}.parquet"))).unwrap())
        .collect();
    assert!(parts == json);
    assert_eq!(rows(&world.path("mapped.parquet")).unwrap()[1]["number"], json[1]["id"]);
}

/// Parquet to everything and JSON Lines to everything, there and back.
#[test]
fn what_goes_through_columns_comes_back_the_same() {
    let world = world();
    let line = |number: i64| match number % 3 {
        0 => format!(r#"{{"id":{number},"tags":["a",null],"in":{{"x":1.5}},"text":"é \"{number}\""}}"#),
        1 => format!(r#"{{"text":null,"id":{number},"in":{{"y":{number}}}}}"#),
        _ => format!(r#"{{"id":{number},"flag":true}}"#),
    };
    world.write("in.jsonl", (0..20_000).map(line).collect::<Vec<_>>().join("\n"));
    world.ok(&["convert", "in.jsonl", "in.parquet"]);
    let Some(expected) = rows(&world.path("in.parquet")) else { return };
    assert_eq!(expected.len(), 20_000);
    assert_eq!(expected[3]["text"], "é \"3\"");
    for source in ["in.jsonl", "in.parquet"] {
        for out in ["out.parquet", "out.avro", "out.jsonl", "out.json.gz"] {
            assert_eq!(told(&world, &["convert", source, out])["records_count"], 20_000);
            world.ok(&["convert", out, "back.parquet"]);
            assert!(rows(&world.path("back.parquet")).unwrap() == expected, "{source} by {out}");
        }
        world.ok(&["convert", source, "out.csv"]);
        let csv = fs::read_to_string(world.path("out.csv")).unwrap();
        let first: Vec<&str> = csv.lines().take(4).collect();
        let nested = r#"0,"[""a"",null]","{""x"":1.5,""y"":null}","é ""0""","#;
        assert_eq!(
            first,
            ["id,tags,in,text,flag", nested, "1,,\"{\"\"x\"\":null,\"\"y\"\":1}\",,", "2,,,,true"]
        );
    }
    assert_eq!(told(&world, &["convert", "in.parquet", "few.jsonl", "--limit", "5"])["records_count"], 5);
    // Of all files together, the first ones.
    let both = ["convert", "in.parquet", "few.jsonl", "both.jsonl", "--limit", "7"];
    assert_eq!(told(&world, &both)["records_count"], 7);
    let few = std::fs::read_to_string(world.path("both.jsonl")).unwrap();
    assert!(few.starts_with(&std::fs::read_to_string(world.path("few.jsonl")).unwrap()), "{few}");
}

#[test]
fn a_conversion_types_shows_and_says_what_it_sees() {
    let world = world();
    world.write("in.csv", CSV);
    world.write("in.jsonl", "{\"id\":1,\"when\":\"2013-01-31\"}\n{\"id\":2,\"when\":null}\n");
    let typed = ["--types", "amount=money,day=date", "--date-format", "%d/%m/%Y"];
    let mut told = Vec::new();
    for out in ["a.parquet", "a.jsonl", "a.csv", "a.avro"] {
        world.ok(&[&["convert", "in.csv", out][..], &typed].concat());
        let Some(rows) = rows(&world.path(out)) else { return };
        told.push(format!("{out}\n{}", text(&rows)));
    }
    world.ok(&["convert", "in.jsonl", "b.parquet", "--types", "when=date,id=text"]);
    told.push(format!("b.parquet\n{}", text(&rows(&world.path("b.parquet")).unwrap())));
    for args in [
        &["convert", "in.csv", "c.parquet", "--preview", "2"][..],
        &["convert", "in.csv", "c.jsonl", "--preview", "1", "--output", "json"],
        &["convert", "a.parquet", "c.csv", "--preview", "1"],
        &["convert", "generate:finance.transactions?count=3", "c.parquet", "--preview", "1"],
        &["convert", "in.csv", "c.parquet", "--infer", "--types", "amount=money"],
        &["convert", "in.jsonl", "c.parquet", "--infer"],
    ] {
        told.push(format!("$ {}\n{}", args.join(" "), shown(&world, args)));
    }
    assert!(!world.path("c.parquet").exists() && !world.path("c.csv").exists());
    snapshot!(&world, "conversions that are looked at", told.join("\n\n"));
}

fn watching(world: &World, args: &[&str]) -> Child {
    let log = fs::File::create(world.path("load.log")).unwrap();
    let mut command = world.command(args);
    command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
    tied_to_us(command).unwrap()
}

#[test]
fn a_watched_folder_takes_parquet_and_a_mapping() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let world = world();
    fs::create_dir(world.path("inbox")).unwrap();
    let collection = name("inbox");
    let target = format!("mongodb://{}/load_pairs/{collection}?replicaSet=tests", server.address);
    world.write("a.csv", "id,amount,left\n1,$1.50,x\n2,$2.50,y\n");
    world.write("b.jsonl", "{\"id\":3,\"amount\":\"$3.50\"}\n{\"id\":4,\"amount\":4}\n");
    world.ok(&["convert", "b.jsonl", "b.parquet"]);
    let mut load = watching(
        &world,
        &[
            "load",
            "--watch",
            "inbox",
            &target,
            "--key",
            "id",
            "--columns",
            "id,amount",
            "--rename",
            "amount=paid",
            "--types",
            "paid=money",
        ],
    );
    let script = "import sys, pymongo\n\
        found = pymongo.MongoClient(sys.argv[1]).load_pairs[sys.argv[2]].find()\n\
        print(sorted((one['id'], str(one['paid']), sorted(one)) for one in found))";
    let found = || testkit::run_python(&python, script, &[&server.uri(""), &collection]).trim().to_owned();
    // Whole files are moved in, as whoever brings them does.
    fs::rename(world.path("a.csv"), world.path("inbox/a.csv")).unwrap();
    fs::rename(world.path("b.parquet"), world.path("inbox/b.parquet")).unwrap();
    let one = |id: u32, paid: &str| format!("({id}, '{paid}', ['_id', 'id', 'paid'])");
    let expected =
        format!("[{}]", [one(1, "1.50"), one(2, "2.50"), one(3, "3.50"), one(4, "4.00")].join(", "));
    poll::until("the files", 30_000, || (found() == expected).then_some(()));
    load.interrupt();
    let status = poll::until("the load ends", 10_000, || load.ended());
    assert_eq!(status.code(), Some(0), "{}", fs::read_to_string(world.path("load.log")).unwrap());
}

/// Changes what lies in a folder of dead letters, as an editor would.
fn edit(world: &World, folder: &str, from: &str, to: &str) {
    for file in fs::read_dir(world.path(&format!(".tidemill/dead-letters/{folder}"))).unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(file.path(), text.replace(from, to)).unwrap();
    }
}

const CONTRACT: &str = r#"{"title":"Person","type":"object","required":["id"],
    "properties":{"id":{"type":"integer"},"name":{"type":["string","null"],"maxLength":10},
    "amount":{"type":["number","null"]},"day":{"type":["string","null"]},"active":{"type":["boolean","null"]}}}"#;

/// A record is refused, mended by hand and sent again, whatever it came from.
#[test]
fn letters_of_sheets_and_of_avro_are_mended_and_sent_again() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let world = world();
    world.write("contracts/person.json", CONTRACT);
    book(&world, "people.xls");
    world.write(
        "people.jsonl",
        "{\"id\":1,\"name\":\"caf\\u00e9, \\\"one\\\"\"}\n{\"id\":2,\"name\":\"two\"}\n",
    );
    world.ok(&["convert", "people.jsonl", "people.avro"]);
    let mut told = Vec::new();
    for source in ["people.xls", "people.avro"] {
        let collection = name("letters");
        let target = format!("mongodb://{}/load_pairs/{collection}?replicaSet=tests", server.address);
        let load =
            ["load", source, &target, "--contract", "person", "--key", "id", "--on-error", "dead-letter"];
        let ended = self::told(&world, &load);
        let count = if source == "people.xls" { 2 } else { 1 };
        assert_eq!(
            (&ended["records_count"], &ended["rejected_count"]),
            (&count.into(), &1.into()),
            "{ended}"
        );
        let run = |args: &[&str]| shown(&world, &[&["dead-letters"], args].concat());
        told.push(run(&["list"]));
        told.push(run(&["show", &collection]));
        told.push(run(&["retry", &collection]));
        edit(&world, &collection, "one", "1");
        told.push(run(&["retry", &collection]));
        told.push(run(&["list"]));
        let script = "import sys, pymongo\n\
            found = pymongo.MongoClient(sys.argv[1]).load_pairs[sys.argv[2]].find()\n\
            print(sorted((one['id'], one['name']) for one in found))";
        told.push(testkit::run_python(&python, script, &[&server.uri(""), &collection]));
        let last = told.len();
        for text in &mut told[last - 6..] {
            *text = text.replace(&collection, "COLLECTION").replace(&server.address, "SERVER");
        }
    }
    snapshot!(&world, "letters of sheets and of Avro", told.join("\n"));
}

/// See `load_pairs/make_books.py`.
fn book(world: &World, name: &str) {
    let bytes: &[u8] = match name {
        "people.xls" => include_bytes!("load_pairs/people.xls"),
        "people.xlsb" => include_bytes!("load_pairs/people.xlsb"),
        _ => include_bytes!("load_pairs/people.ods"),
    };
    world.write(name, bytes);
}

#[test]
fn books_of_every_kind_are_read() {
    let world = world();
    let mut told = Vec::new();
    for name in ["people.xls", "people.xlsb", "people.ods"] {
        book(&world, name);
        world.ok(&["convert", name, "out.parquet"]);
        let Some(rows) = rows(&world.path("out.parquet")) else { return };
        told.push(text(&rows));
    }
    assert_eq!(told[0], told[1], "xls, xlsb");
    assert_eq!(told[0], told[2], "xls, ods");
    told.push(shown(&world, &["convert", "people.xls", "out.jsonl", "--sheet", "others"]));
    world.ok(&["convert", "people.xls", "other.jsonl", "--sheet", "other", "--no-header"]);
    told.push(fs::read_to_string(world.path("other.jsonl")).unwrap());
    snapshot!(&world, "books", told[2..].join("\n"));
}

#[test]
fn objects_of_google_cloud_storage_are_sources() {
    let Some(gcs) = testkit::fake_gcs() else { return };
    let (mut world, bucket) = (world(), name("sources"));
    gcs.create_bucket(&bucket);
    world.set("STORAGE_EMULATOR_HOST", &gcs.endpoint);
    world.write("in.csv", "id,text\n1,a\n2,b\n3,c\n");
    for out in ["day/1.csv", "day/2.jsonl.gz", "all.parquet"] {
        world.ok(&["load", "in.csv", &format!("gs://{bucket}/{out}")]);
    }
    for (source, out, count) in [
        ("day/", "a.jsonl", 6),
        ("day/*.csv", "b.jsonl", 3),
        ("all.parquet", "c.csv", 3),
        ("all.parquet", "d.parquet", 3),
    ] {
        let source = format!("gs://{bucket}/{source}");
        assert_eq!(told(&world, &["load", &source, out])["records_count"], count, "{source}");
    }
    assert_eq!(fs::read_to_string(world.path("c.csv")).unwrap(), "id,text\n1,a\n2,b\n3,c\n");
    let text = shown(&world, &["load", &format!("gs://{bucket}/none.csv"), "e.jsonl"]);
    snapshot!(&world, "no object", text.replace(&bucket, "BUCKET"));
}

/// A folder, served with TLS by a certificate of an authority of our own; prints its port.
const SERVER: &str = "import functools, http.server, ssl, sys\n\
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])\n\
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)\n\
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
    context.load_cert_chain(sys.argv[1] + '/tls/server.pem', sys.argv[1] + '/tls/server.key')\n\
    server.socket = context.wrap_socket(server.socket, server_side=True)\n\
    print(server.server_address[1], flush=True)\n\
    server.serve_forever()\n";

#[test]
fn addresses_of_the_web_are_sources_whose_authority_is_known() {
    let Some(python) = testkit::python() else { return };
    let mut world = world();
    fs::create_dir(world.path("tls")).unwrap();
    testkit::certificates(&world.path("tls"));
    world.write("in.csv", "id,text\n1,a\n2,b\n3,c\n");
    world.ok(&["convert", "in.csv", "in.parquet"]);
    world.ok(&["convert", "in.csv", "in.jsonl.gz"]);
    let mut command = std::process::Command::new(python);
    command.args(["-c", SERVER, &world.folder().to_string_lossy()]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null());
    let mut server = tied_to_us(command).unwrap();
    let mut port = String::new();
    BufReader::new(server.inner().stdout.take().expect("it is piped")).read_line(&mut port).unwrap();
    let url = |name: &str| format!("https://localhost:{}/{name}", port.trim());
    // What no second try mends is told at the first one, whoever it is that asks.
    world.set("TIDEMILL_S3_EXTERNAL", &format!("https://localhost:{}", port.trim()));
    let mut unknown = String::new();
    for source in [&url("in.csv"), &url("pages"), "s3://lake/in.csv"] {
        unknown += &shown(&world, &["load", source, "no.jsonl"]);
    }
    assert!(!unknown.contains("again"), "{unknown}");
    world.set("SSL_CERT_FILE", &world.path("tls/ca.pem").to_string_lossy());
    for name in ["in.csv", "in.jsonl.gz", "in.parquet"] {
        for out in ["a.parquet", "a.csv"] {
            assert_eq!(told(&world, &["load", &url(name), out])["records_count"], 3, "{name}");
        }
        assert_eq!(fs::read_to_string(world.path("a.csv")).unwrap(), "id,text\n1,a\n2,b\n3,c\n", "{name}");
    }
    let mut text = unknown + &shown(&world, &["load", &url("none.csv"), "no.jsonl"]);
    text = text.replace(port.trim(), "PORT");
    snapshot!(&world, "addresses that are refused", text);
}
