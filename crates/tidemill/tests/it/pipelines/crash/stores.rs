//! The same between real stores: documents of mongod into the tables of an S3, ours and one that nobody here wrote, where large
//! files travel in parts, and merged into another database and a table of DynamoDB. What is there in the end, boto3 and pymongo say.

use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock};

use serde_json::json;
use testkit::{ACCESS_KEY, Mongod, SECRET_KEY, Seeded, World, crash_points, run_python};

use super::{killed_until_done, last_load};
use crate::shared::{shared, world};

/// From where to where. The source is mongod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Small files into our own S3.
    Objects,
    /// Files of more than one part into SeaweedFS.
    Parts,
    /// Documents that are merged into another database by their key.
    Documents,
    /// The same into a table of our own DynamoDB.
    Items,
}

const WAYS: [Way; 4] = [Way::Objects, Way::Parts, Way::Documents, Way::Items];

struct Stores {
    mongod: &'static Mongod,
    own_s3: String,
    own_dynamodb: String,
    seaweedfs: String,
    boto3: PathBuf,
    pymongo: PathBuf,
}

/// Datasets by their way, the undisturbed one first: what a test compares in the end.
struct Datasets {
    stores: &'static Stores,
    names: BTreeMap<Way, Vec<String>>,
}

/// A project whose first load is done, and whose second one finds more.
struct Case {
    world: World,
    first: Option<String>,
}

impl Stores {
    /// Filled, and with an undisturbed dataset for each way; `None` where one of them is absent.
    fn all() -> Option<&'static Stores> {
        static STORES: OnceLock<Option<Stores>> = OnceLock::new();
        STORES.get_or_init(Stores::fill).as_ref()
    }

    fn fill() -> Option<Stores> {
        let stores = Stores {
            mongod: testkit::mongod()?,
            own_s3: shared().1.s3(),
            own_dynamodb: shared().1.dynamodb(),
            seaweedfs: testkit::seaweedfs()?.endpoint.clone(),
            boto3: testkit::python()?,
            pymongo: testkit::venv_python("dlt")?,
        };
        run_python(&stores.pymongo, include_str!("fill.py"), &[&stores.mongod.uri("")]);
        let create = "import sys, boto3\nboto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', \
            aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3]).create_bucket(Bucket='lake')";
        run_python(&stores.boto3, create, &[&stores.seaweedfs, ACCESS_KEY, SECRET_KEY]);
        for way in WAYS {
            let case = stores.case(way, &dataset(way, UNDISTURBED));
            case.world.ok(&["run", "lake"]);
        }
        Some(stores)
    }

    fn endpoint(&self, way: Way) -> &str {
        if way == Way::Parts { &self.seaweedfs } else { &self.own_s3 }
    }

    fn pipeline(&self, way: Way, database: &str, dataset: &str) -> String {
        let source = format!("source: {{ url: '{}' }}\n", self.mongod.uri(database));
        let planes = "planes: { cursor: at, primary_key: n";
        let airports = "airports: { write_disposition: replace }";
        let manuals = "manuals: { cursor: at, primary_key: n }";
        // With and without the load in the names of files: what is left half written has to be found either way.
        let layout = if way == Way::Parts {
            "{table_name}/{file_id}.{ext}"
        } else {
            "{table_name}/{load_id}.{file_id}.{ext}"
        };
        let lake = format!(
            "{source}target: {{ url: s3://lake/crash, dataset: {dataset}, compression: none, file_records_max: 300, \
             layout: '{layout}' }}\nstreams:\n"
        );
        match way {
            Way::Objects => format!("{lake}  {planes} }}\n  {airports}\n"),
            Way::Parts => format!("{lake}  {planes} }}\n  {airports}\n  {manuals}\n"),
            Way::Documents => format!(
                "{source}target: {{ url: '{}', file_records_max: 300 }}\nstreams:\n  {planes}, write_disposition: merge }}\n",
                self.mongod.uri(dataset)
            ),
            Way::Items => format!(
                "{source}target: {{ connection: items, file_records_max: 300, settings: {{ create: true, key: n }} }}\nstreams:\n  \
                 {dataset}: {{ collection: planes, cursor: at, primary_key: n, write_disposition: merge }}\n"
            ),
        }
    }

    /// Its first load is done.
    fn case(&self, way: Way, dataset: &str) -> Case {
        let mut world = world();
        world.set("TIDEMILL_S3_EXTERNAL", self.endpoint(way));
        let items = json!({ "conn_type": "aws", "login": "any", "password": "any",
            "extra": { "region_name": "us-east-1", "endpoint_url": self.own_dynamodb } });
        world.set("AIRFLOW_CONN_ITEMS", &items.to_string());
        world.write("pipelines/lake.yaml", self.pipeline(way, "crash_before", dataset));
        world.ok(&["run", "lake"]);
        let first = last_load(&world);
        world.write("pipelines/lake.yaml", self.pipeline(way, "crash_after", dataset));
        Case { world, first }
    }
}

const UNDISTURBED: &str = "undisturbed";

fn dataset(way: Way, name: &str) -> String {
    format!("{way:?}_{name}").to_lowercase()
}

impl Datasets {
    fn new() -> Option<Self> {
        let names = WAYS.iter().map(|way| (*way, vec![dataset(*way, UNDISTURBED)]));
        Some(Self { stores: Stores::all()?, names: names.collect() })
    }

    fn case(&mut self, way: Way, name: &str) -> Case {
        let dataset = dataset(way, name);
        let case = self.stores.case(way, &dataset);
        self.names.entry(way).or_default().push(dataset);
        case
    }

    /// They are as the undisturbed ones, and nothing is left beside them.
    #[track_caller]
    fn assert_as_if_nothing_happened(&self) {
        for (way, names) in &self.names {
            let names = names.iter().map(String::as_str);
            let uri = self.stores.mongod.uri("");
            let said = match way {
                Way::Objects | Way::Parts => {
                    let args = [self.stores.endpoint(*way), ACCESS_KEY, SECRET_KEY].into_iter().chain(names);
                    let python = &self.stores.boto3;
                    run_python(python, include_str!("lake.py"), &args.collect::<Vec<_>>())
                }
                Way::Documents => {
                    let args: Vec<&str> = [uri.as_str()].into_iter().chain(names).collect();
                    run_python(&self.stores.pymongo, include_str!("documents.py"), &args)
                }
                Way::Items => {
                    let args: Vec<&str> =
                        [self.stores.own_dynamodb.as_str()].into_iter().chain(names).collect();
                    run_python(&self.stores.boto3, include_str!("items.py"), &args)
                }
            };
            // Each plane and each airport has two seats.
            let rows_count = match way {
                Way::Objects => 3 * (1_800 + 600),
                Way::Parts => 3 * (1_800 + 600) + 60,
                Way::Documents | Way::Items => 1_800,
            };
            assert_eq!(said.trim(), rows_count.to_string(), "{way:?}");
        }
    }
}

/// Where a way passes this point.
fn ways_of(point: &str) -> Vec<Way> {
    let documents_too = ["engine.", "pipelines.begin.", "pipelines.stream."];
    let in_finish = ["after_journal", "before_local", "after_local"];
    if point.starts_with("objects.") {
        return vec![Way::Parts];
    }
    let is_of_a_run = ["engine.", "pipelines."].iter().any(|start| point.starts_with(start));
    if !is_of_a_run || point.starts_with(super::GIVE_UP) {
        return Vec::new();
    }
    let has_documents = documents_too.iter().any(|start| point.starts_with(start))
        || point.strip_prefix("pipelines.finish.").is_some_and(|step| in_finish.contains(&step));
    if has_documents { vec![Way::Objects, Way::Documents, Way::Items] } else { vec![Way::Objects] }
}

#[test]
fn dying_at_each_named_point_changes_nothing() {
    let Some(mut datasets) = Datasets::new() else { return };
    let mut never_passed = Vec::new();
    for point in crash_points() {
        for way in ways_of(&point) {
            let case = datasets.case(way, &point.replace('.', "_"));
            let mut command = case.world.command(&["run", "lake"]);
            command.env("TIDEMILL_DIE_AT", &point);
            if testkit::ran(&mut command, 60).code.is_some() {
                never_passed.push((way, point.clone()));
            }
            if last_load(&case.world) == case.first {
                case.world.ok(&["run", "lake"]);
            }
        }
    }
    assert!(never_passed.is_empty(), "never passed: {never_passed:?}");
    datasets.assert_as_if_nothing_happened();
}

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let Some(mut datasets) = Datasets::new() else { return };
    let share = if testkit::deep() { 5 } else { 1 };
    for seed in testkit::seeds(1) {
        let mut random = Seeded::new(seed);
        for (way, kills_wanted, growth_ms) in
            [(Way::Objects, 40, 40), (Way::Parts, 30, 120), (Way::Documents, 30, 40), (Way::Items, 20, 60)]
        {
            let (mut kills, mut cases) = (0, 0);
            while kills < kills_wanted * share {
                cases += 1;
                let case = datasets.case(way, &format!("seed_{seed}_{cases}"));
                kills += killed_until_done(&case.world, &case.first, &mut random, growth_ms);
            }
            eprintln!("seed {seed}: {kills} kills in {cases} cases of {way:?}");
        }
    }
    datasets.assert_as_if_nothing_happened();
}
