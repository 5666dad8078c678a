//! `tidemill load` and how its sources are read: every option of reading against the real binary; what reaches mongod, DynamoDB and
//! a topic has real types.

use std::{fs, path::Path};

use testkit::{Mongod, World};

use crate::{shared::world, snapshot};

const TRANSACTIONS: &str = "id,date,amount,chip,merchant,rate\n\
    1,2010-01-01 00:01:00,$-77.00,Swipe,59935,\"1,5\"\n\
    2,2010-01-01 00:02:00,\"$1,234.56\",Chip,67570,\"2,25\"\n\
    3,2010-01-02 00:02:00,$0.10,NA,27092,\n";

fn target(server: &Mongod, collection: &str) -> String {
    format!("mongodb://{}/load_reading/{collection}?replicaSet=tests", server.address)
}

/// A target that nothing is sent to: what is shown needs none.
const NOWHERE: &str = "mongodb://127.0.0.1:1/nowhere/things";

fn shown(world: &World, args: &[&str]) -> String {
    let mut words = vec!["load"];
    words.extend(args);
    world.run(&words).shown().replace(&*world.folder().to_string_lossy(), "[FOLDER]")
}

/// Extended JSON of all documents, by their id, as pymongo reads them.
fn documents(server: &Mongod, collection: &str) -> Option<String> {
    let python = testkit::venv_python("dlt")?;
    let script = "import sys, bson.json_util, pymongo\n\
        found = pymongo.MongoClient(sys.argv[1])['load_reading'][sys.argv[2]].find().sort('_id')\n\
        for document in found: print(bson.json_util.dumps(document))\n";
    Some(testkit::run_python(&python, script, &[&server.uri(""), collection]))
}

#[test]
fn a_preview_shows_records_as_the_target_gets_them() {
    let world = world();
    world.write("data/transactions.csv", TRANSACTIONS);
    let file = "data/transactions.csv";
    let types = "--types=amount=money,date=timestamp,rate=decimal";
    let said = shown(&world, &[file, NOWHERE, types, "--decimal-mark", ",", "--preview", "2"]);
    snapshot!(&world, "preview of money with the wrong mark", said);
    let mut text = shown(&world, &[file, NOWHERE, "--types", "amount=money,date=timestamp", "--preview"]);
    let more = ["--columns", "amount,id", "--rename", "amount=paid", "--types", "paid=money", "--key", "id"];
    let mut words = vec![file, NOWHERE, "--preview", "1"];
    words.extend(more);
    text += &shown(&world, &words);
    let topic = "kafka://127.0.0.1:1/things";
    text += &shown(&world, &[file, topic, "--types", "amount=money,date=timestamp", "--preview", "1"]);
    text += &shown(&world, &[file, topic, "--serializer", "string", "--preview", "1", "--output", "json"]);
    snapshot!(&world, "previews", text);
}

/// With all that goes beside the value; a delete has none.
#[test]
fn a_preview_shows_what_a_topics_record_has_besides() {
    let world = world();
    world.write(
        "orders.jsonl",
        "{\"id\":1,\"region\":\"eu\",\"at\":1700000000001}\n{\"id\":2,\"region\":null,\"at\":null}\n",
    );
    let words = [
        "orders.jsonl",
        "kafka://127.0.0.1:1/things",
        "--key",
        "id",
        "--timestamp-field",
        "at",
        "--tombstones",
    ];
    let words =
        [&words[..], &["--headers", "from=$region", "--headers", "by=load", "--preview", "3"]].concat();
    let mut text = shown(&world, &words);
    text += &shown(&world, &[&words[..], &["--partition", "3"]].concat());
    text += &shown(&world, &[&words[..], &["--partitioner", "{{ id % 2 }}", "--output", "json"]].concat());
    let keys =
        ["orders.jsonl", "kafka://127.0.0.1:1/things", "--key", "{{ region }}-{{ id }}", "--preview", "1"];
    text += &shown(&world, &keys);
    snapshot!(&world, "previews for topics", text);
}

#[test]
fn what_is_inferred_is_said_with_its_reason() {
    let world = world();
    world.write("data/transactions.csv", TRANSACTIONS);
    world.write("data/a.json", r#"{"5812": {"name": "Eating", "n": 1}, "1711": {"name": null, "n": 1.5}}"#);
    let mut text = shown(&world, &["data/transactions.csv", NOWHERE, "--infer"]);
    text += &shown(
        &world,
        &["data/transactions.csv", NOWHERE, "--infer", "--types", "amount=money", "--decimal-mark", ","],
    );
    text += &shown(&world, &["data/a.json", NOWHERE, "--infer", "--output", "json"]);
    snapshot!(&world, "inferred", text);
}

#[test]
fn every_option_of_reading_does_what_it_says() {
    let world = world();
    world.write("no-header.csv", "1,a\n2,b\n");
    world.write("skip.csv", "made by hand\nid,name\n# no record\n1,a\n");
    world.write("quoted.csv", "id;name\n1;'a;\nb'\n");
    world.write("escaped.csv", "id,name\n1,\"a \\\"b\\\"\"\n2,\\N\n");
    world.write("ragged.csv", "id,name,more\n1,a\n2,b,c,d\n");
    world.write("latin.csv", b"id,name\n1,caf\xe9\n");
    world.write("dates.csv", "day;when;amount\n31/01/2013;31/01/2013 10:00;1.234,5\n");
    world.write("labels.json", r#"{"target": {"10": "No", "11": "Yes"}, "other": 1}"#);
    world.write("mcc_codes.json", "{\"5812\": \"Eating Places\",\n \"1711\": \"Heating\"}\n");
    let cases: &[&[&str]] = &[
        &["no-header.csv", "--no-header"],
        &["no-header.csv", "--no-header", "--columns", "id,name"],
        &["skip.csv", "--skip-lines", "1", "--comment", "#"],
        &["quoted.csv", "--delimiter", ";", "--quote", "'"],
        &["quoted.csv", "--delimiter", ";", "--quote", "none", "--ragged", "fill"],
        &["escaped.csv", "--escape", "\\", "--null", "\\N"],
        &["ragged.csv", "--ragged", "refuse"],
        &["ragged.csv", "--ragged", "fill"],
        &["ragged.csv", "--ragged", "drop-extra"],
        &["ragged.csv", "--ragged", "allow"],
        &["latin.csv", "--encoding", "windows-1252"],
        &["dates.csv", "--delimiter", ";", "--date-format", "%d/%m/%Y", "--decimal-mark", ","],
        &["dates.csv", "--delimiter", ";", "--types", "when=timestamp", "--date-format", "%d/%m/%Y %H:%M"],
        &["labels.json", "--records", "$.target"],
        &["mcc_codes.json"],
        &["mcc_codes.json", "--types", "id=int", "--rename", "value=name"],
    ];
    let mut text = String::new();
    for case in cases {
        text += &format!("$ {}\n", case.join(" "));
        let mut words = vec![case[0], NOWHERE];
        words.extend(&case[1..]);
        words.extend(["--preview", "3"]);
        text += &shown(&world, &words);
    }
    snapshot!(&world, "options", text);
}

#[test]
fn what_cannot_be_read_is_said() {
    let world = world();
    world.write("a.csv", "id,name\n1,a\n");
    world.write("b.json", "{\"a\": 1}");
    world.write("empty/readme.txt", "nothing to load");
    world.write("latin.csv", b"id,name\n1,caf\xe9\n");
    let cases: &[&[&str]] = &[
        &["a.csv", "--types", "id=uuid"],
        &["a.csv", "--types", "id"],
        &["a.csv", "--types", "nome=int"],
        &["a.csv", "--types", "name=int"],
        &["a.csv", "--columns", "nome"],
        &["a.csv", "--rename", "id=name"],
        &["a.csv", "--no-header", "--columns", "one"],
        &["a.csv", "--encoding", "klingon"],
        &["latin.csv", "--encoding", "utf-8"],
        &["a.csv", "--quote", "ab"],
        &["a.csv", "--delimiter", "ab"],
        &["a.csv", "--date-format", "%!"],
        &["b.json", "--records", "target"],
        &["b.json", "--records", "$.target"],
        &["b.json", "--records", "$.a"],
        &["*.tsv"],
        &["empty"],
        &["[.csv"],
        &["http://"],
        &["a.csv", "--format", "parquet"],
    ];
    let mut text = String::new();
    for case in cases {
        text += &format!("$ {}\n", case.join(" "));
        let mut words = vec!["load", case[0], NOWHERE, "--preview", "3"];
        words.extend(&case[1..]);
        let ran = world.run(&words);
        text += &ran.shown().replace(&*world.folder().to_string_lossy(), "[FOLDER]");
    }
    snapshot!(&world, "cannot be read", text);
}

#[test]
fn documents_have_the_types_that_were_said() {
    let Some(server) = testkit::mongod() else { return };
    let world = world();
    world.write("data/1.csv", TRANSACTIONS);
    world.write(
        "data/2.csv",
        TRANSACTIONS.replace("\n1,", "\n11,").replace("\n2,", "\n12,").replace("\n3,", "\n13,"),
    );
    let to = target(server, "typed");
    let types = "amount=money,date=timestamp,merchant=text";
    let columns = "id,date,amount,chip,merchant";
    world.ok(&["load", "data/*.csv", &to, "--key", "id", "--types", types, "--columns", columns]);
    let Some(found) = documents(server, "typed") else { return };
    snapshot!(&world, "documents", found);
    // The folder names the same files.
    let again = ["load", "data", &to, "--key", "id", "--types", "amount=money", "--output", "json"];
    let said = world.ok(&again);
    assert!(said.contains("\"records_count\":6"), "{said}");
}

#[test]
fn a_field_of_another_type_ends_the_load_at_its_place() {
    let Some(server) = testkit::mongod() else { return };
    let world = world();
    world.write("bad.csv", "id,price\n1,$1.00\n2,a dollar\n3,$3.00\n");
    let to = target(server, "another_type");
    let stopped =
        world.run(&["load", "bad.csv", &to, "--key", "id", "--types", "price=money"]).expect_code(6);
    let text = stopped.shown();
    let lines = text.lines().filter(|line| !line.contains(" records  "));
    snapshot!(&world, "another type", lines.map(|line| line.to_owned() + "\n").collect::<String>());
}

/// Writes a Parquet file of many types with pyarrow.
fn write_typed(python: &Path, folder: &str) {
    let script = "import sys, datetime, decimal, pyarrow as pa, pyarrow.parquet as pq\n\
        table = pa.table({'id': [1, 2, 3], 'name': ['a', None, 'c'], 'price': [decimal.Decimal('1.50'), decimal.Decimal('2.25'), None],\n\
            'day': [datetime.date(2013, 1, 31), None, datetime.date(1969, 12, 31)],\n\
            'at': pa.array([datetime.datetime(2013, 1, 31, 10, 0, 0, 250000)] * 3, pa.timestamp('us', 'UTC')),\n\
            'tags': [['x', 'y'], [], None], 'place': [{'lat': 1.5, 'ok': True}] * 3})\n\
        pq.write_table(table, sys.argv[1] + '/typed.parquet', row_group_size=2)\n";
    testkit::run_python(python, script, &[folder]);
}

#[test]
fn parquet_keeps_its_types_on_the_way_to_documents_and_topics() {
    let (Some(server), Some(python)) = (testkit::mongod(), testkit::python()) else { return };
    let world = world();
    write_typed(&python, &world.folder().to_string_lossy());
    let to = target(server, "parquet");
    world.ok(&["load", "typed.parquet", &to, "--key", "id"]);
    let mut text = documents(server, "parquet").unwrap_or_default();
    text += &shown(&world, &["typed.parquet", "kafka://127.0.0.1:1/things", "--key", "id", "--preview", "2"]);
    text += &shown(
        &world,
        &["typed.parquet", NOWHERE, "--columns", "id,price", "--types", "id=text", "--preview", "1"],
    );
    text += &shown(&world, &["typed.parquet", NOWHERE, "--infer"]);
    snapshot!(&world, "parquet", text);
}

#[test]
fn standard_input_is_told_by_what_it_holds_and_typed_like_a_file() {
    let Some(server) = testkit::mongod() else { return };
    let world = world();
    let path = world.write("transactions.csv", TRANSACTIONS);
    let packed = world.path("odd");
    let packing = std::process::Command::new("gzip").arg("-kc").arg(&path).output().expect("gzip is there");
    fs::write(&packed, packing.stdout).expect("writes");
    for (file, collection) in [(&path, "stdin_plain"), (&packed, "stdin_packed")] {
        let to = target(server, collection);
        let mut command = world.command(&["load", "-", &to, "--key", "id", "--types", "amount=money"]);
        command.stdin(fs::File::open(file).expect("opens"));
        let ended = command.output().expect("the program is there");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let Some(found) = documents(server, collection) else { return };
        assert_eq!(found.lines().count(), 3, "{found}");
        assert!(found.contains(r#""amount": {"$numberDecimal": "1234.56"}"#), "{found}");
    }
}

#[test]
fn objects_of_a_bucket_are_sources() {
    let Some(python) = testkit::python() else { return };
    let Some(server) = testkit::mongod() else { return };
    let mut world = world();
    write_typed(&python, &world.folder().to_string_lossy());
    let parts = world.up_with(&["--only", "s3"]);
    let script = "import sys, boto3\n\
        s3 = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3], region_name='us-east-1')\n\
        s3.create_bucket(Bucket='incoming')\n\
        for day in ['1', '2', '3']: s3.put_object(Bucket='incoming', Key=f'sales/{day}.csv', Body=f'id,day\\n{day}1,{day}\\n{day}2,{day}\\n'.encode())\n\
        s3.put_object(Bucket='incoming', Key='sales/notes.txt', Body=b'no')\n\
        s3.upload_file(sys.argv[4] + '/typed.parquet', 'incoming', 'typed.parquet')\n";
    let folder = world.folder().to_string_lossy().into_owned();
    testkit::run_python(&python, script, &[&parts.s3(), testkit::ACCESS_KEY, testkit::SECRET_KEY, &folder]);
    for (sources, collection, count) in [
        (&["s3://incoming/sales/[12].csv"][..], "some", 4),
        (&["s3://incoming/sales/"], "folder", 6),
        (&["s3://incoming/sales/3.csv", "s3://incoming/sales/1.csv"], "named", 4),
        (&["s3://incoming/typed.parquet"], "parquet_object", 3),
    ] {
        let to = target(server, collection);
        let mut words = vec!["load"];
        words.extend(sources);
        words.extend([&*to, "--key", "id"]);
        world.ok(&words);
        let Some(found) = documents(server, collection) else { return };
        assert_eq!(found.lines().count(), count, "{collection}: {found}");
    }
    let mut text = shown(&world, &["s3://incoming/none/*.csv", NOWHERE]);
    text += &shown(&world, &["s3://incoming/none.csv", NOWHERE]);
    snapshot!(&world, "objects that are not there", text);
}
