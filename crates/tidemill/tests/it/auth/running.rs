//! Identities in an environment that runs: what is told when it starts, and credentials that end while a connector works.

use base::{Clock, SystemClock};
use serde_json::json;
use testkit::{Gate, http, poll};

use super::Home;
use crate::{flow, snapshot};

const CONFIG: &str = "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n\
    [profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Loader\nregion = us-east-1\n";
const PER_OBJECT: usize = 10;
/// Credentials that a run goes through.
const KEYS_COUNT: usize = 4;

impl Home {
    /// For every command of this world from now on: the services, the profile, and no keys.
    fn be_led(&mut self) {
        for (name, value) in self.portal.variables() {
            self.world.set(name, &value);
        }
        for (name, value) in
            [("AWS_PROFILE", "work"), ("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]
        {
            self.world.set(name, value);
        }
    }
}

/// A sign-in of four seconds, which is renewed, that gives keys of four seconds.
fn signed_in_for_four_seconds() -> Home {
    let mut home = Home::new(CONFIG);
    home.be_led();
    home.portal.tokens_last_s(4);
    home.portal.keys_last_ms(4_000);
    home.sign_in_by_device(&["--profile", "work"]);
    home.world.set("TIDEMILL_S3_BUCKETS", "lake");
    home
}

/// A sign-in of four seconds, which is renewed, gives keys of four seconds; the S3 refuses those that have ended.
#[test]
fn a_connector_rides_through_credentials_that_end() {
    let mut home = signed_in_for_four_seconds();
    let parts = home.world.up_with(&["--only", "s3,broker,registry,connect"]);
    let gate = Gate::start(&home.portal, &parts.s3());
    home.world.ok(&["topic", "create", "orders"]);
    let mut connector = flow::connector("orders", "orders", &parts, PER_OBJECT);
    connector["config"]["store.url"] = json!(gate.endpoint);
    http("POST", &format!("{}/connectors", parts.connect()), &connector.to_string()).expect(201);
    let mut sent = 0;
    poll::until("credentials have ended several times", 60_000, || {
        send(&parts.kafka(), sent, PER_OBJECT);
        sent += PER_OBJECT;
        flow::wait_for_objects(&home.world, "orders", sent / PER_OBJECT);
        (home.portal.calls("GetRoleCredentials") >= KEYS_COUNT).then_some(())
    });
    let objects = flow::objects_below(&home.world, "topics/orders");
    let values = flow::values_of(&parts.kafka(), "orders");
    flow::assert_each_record_once(&objects, "orders", &values, PER_OBJECT);
    let (passed, _, forged) = gate.counts();
    assert!(passed >= objects.len() && forged == 0, "{:?}", gate.counts());
    // Registered, signed in, and then renewed for every lookup.
    assert!(home.portal.calls("CreateToken") > KEYS_COUNT, "{}", home.portal.calls("CreateToken"));
    let status = http("GET", &format!("{}/connectors/orders/status", parts.connect()), "").json();
    assert_eq!(status["tasks"][0]["state"], "RUNNING", "{status}");
    assert!(!home.world.said().contains("ASIASSO"), "{}", home.world.said());
    home.world.down();
}

fn send(kafka: &str, first: usize, count: usize) {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let producer: BaseProducer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", kafka).create().unwrap();
    for number in first..first + count {
        let value = format!("{{\"n\":{number}}}");
        producer.send(BaseRecord::<(), str>::to("orders").payload(&value)).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(20)).unwrap();
}

#[test]
fn up_says_who_has_to_sign_in_before_anything_starts() {
    let mut home = Home::new(CONFIG);
    home.be_led();
    home.world.set("TIDEMILL_S3_EXTERNAL", "aws");
    snapshot!(
        &home.world,
        "up signed out",
        home.world.run(&["up", "--only", "broker"]).expect_code(4).shown()
    );
    home.world.set("AWS_PROFILE", "wrok");
    snapshot!(
        &home.world,
        "up as nobody",
        home.world.run(&["up", "--only", "broker"]).expect_code(3).shown()
    );
}

#[test]
fn up_warns_of_credentials_that_end_soon_and_that_nobody_renews() {
    let mut home = Home::new(CONFIG);
    let ends = chrono::DateTime::from_timestamp_millis(SystemClock.now_ms() + 10 * 60_000 + 30_000).unwrap();
    home.world.set("AWS_CREDENTIAL_EXPIRATION", &ends.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    home.world.set("TIDEMILL_S3_EXTERNAL", "aws");
    home.world.up_with(&["--only", "broker"]);
    let said = home.world.said();
    let warning = "the AWS credentials of the default profile end in 10 minutes";
    assert!(said.contains(warning), "{said}");
    home.world.down();
    home.world.set("TIDEMILL_AUTH_EXPIRING_MS", "5 min");
    home.world.up_with(&["--only", "broker"]);
    assert!(!home.world.said().contains(warning), "{}", home.world.said());
    home.world.down();
}

/// A sign-in that gives keys of four seconds: a load that takes longer is given new ones on the way, for the
/// table that it fills and for the objects that it reads.
#[test]
fn a_load_rides_through_credentials_that_end() {
    let Some(python) = testkit::python() else { return };
    let mut home = signed_in_for_four_seconds();
    let parts = home.world.up_with(&["--only", "s3,dynamodb,broker"]);
    let (tables, objects) =
        (Gate::start(&home.portal, &parts.dynamodb()), Gate::start(&home.portal, &parts.s3()));
    let connection = json!({ "conn_type": "aws", "extra": { "profile_name": "work", "region_name": "us-east-1",
        "service_config": { "dynamodb": { "endpoint_url": tables.endpoint } } } });
    home.world.set("AIRFLOW_CONN_FLEET", &connection.to_string());
    let before = home.portal.calls("GetRoleCredentials");
    let load =
        ["load", "generate:users?count=240&seed=1", "dynamodb://fleet/users", "--key", "email", "--create"];
    home.world.ok(&[&load[..], &["--rate", "20/s"]].concat());
    assert!(
        home.portal.calls("GetRoleCredentials") >= before + 3,
        "{}",
        home.portal.calls("GetRoleCredentials")
    );
    assert_eq!(tables.counts().1 + tables.counts().2, 0, "{:?}", tables.counts());
    // Twelve objects, each opened when its turn comes.
    let script = "import sys, boto3\n\
        s3 = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3], region_name='us-east-1')\n\
        for n in range(12): s3.put_object(Bucket='lake', Key=f'in/{n}.jsonl', Body=''.join(f'{{\"n\":{n}}}\\n' for _ in range(20)).encode())\n";
    testkit::run_python(&python, script, &[&parts.s3(), testkit::ACCESS_KEY, testkit::SECRET_KEY]);
    home.world.set("TIDEMILL_S3_EXTERNAL", "aws");
    home.world.set("AWS_ENDPOINT_URL_S3", &objects.endpoint);
    let before = home.portal.calls("GetRoleCredentials");
    let target = format!("kafka://{}/numbers", parts.kafka());
    let said =
        home.world.ok(&["load", "s3://lake/in/", &target, "--create", "--rate", "20/s", "--output", "json"]);
    assert!(said.contains("\"records_count\":240"), "{said}");
    assert!(
        home.portal.calls("GetRoleCredentials") >= before + 3,
        "{}",
        home.portal.calls("GetRoleCredentials")
    );
    assert_eq!(objects.counts().1 + objects.counts().2, 0, "{:?}", objects.counts());
    home.world.unset("TIDEMILL_S3_EXTERNAL");
    home.world.down();
}
