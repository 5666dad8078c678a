//! confluent-kafka (librdkafka) and kafka-python (Python alone): users, ACLs, and what is refused.

use testkit::run_python;

use super::secured;
use crate::shared::name;

const CONFLUENT: &str = r#"
import sys
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import *
plaintext, sasl_ssl, ca, user, topic = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": plaintext})
info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
made = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, info, b"secret of " + user.encode())])
assert made[user].result() is None
told = admin.describe_user_scram_credentials([user])[user].result()
print([(each.mechanism.name, each.iterations) for each in told.scram_credential_infos])
admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()

def secured(**more):
    return {"bootstrap.servers": sasl_ssl, "security.protocol": "SASL_SSL", "ssl.ca.location": ca,
            "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": user, "sasl.password": "secret of " + user, **more}

def send(value):
    outcome = []
    producer = Producer(secured())
    producer.produce(topic, value, on_delivery=lambda error, record: outcome.append(error and error.name()))
    producer.flush(10)
    return outcome

def bind(operation, kind=ResourceType.TOPIC, name=topic, permission=AclPermissionType.ALLOW):
    return AclBinding(kind, name, ResourcePatternType.LITERAL, "User:" + user, "*", operation, permission)

def add(*acls):
    for made in admin.create_acls(list(acls)).values():
        made.result()

print(send("refused"))
add(bind(AclOperation.WRITE))
print(send("taken"))
consumer = Consumer(secured(**{"group.id": user, "auto.offset.reset": "earliest"}))
consumer.subscribe([topic])
print(consumer.poll(10).error().name())
add(bind(AclOperation.READ), bind(AclOperation.READ, ResourceType.GROUP, user))
consumer.close()
consumer = Consumer(secured(**{"group.id": user, "auto.offset.reset": "earliest"}))
consumer.subscribe([topic])
record = consumer.poll(20)
print(record.error(), record.value())
add(bind(AclOperation.WRITE, permission=AclPermissionType.DENY))
print(send("refused again"))
every = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, "User:" + user, None, AclOperation.ANY, AclPermissionType.ANY)
found = admin.describe_acls(every).result()
print(sorted((acl.restype.name, acl.operation.name, acl.permission_type.name) for acl in found))
print(len(admin.delete_acls([every])[every].result()), len(admin.describe_acls(every).result()))
cluster = AdminClient(secured())
try:
    cluster.create_acls([bind(AclOperation.ALL)])[bind(AclOperation.ALL)].result()
except KafkaException as error:
    print(error.args[0].name())
"#;

#[test]
fn confluent_kafka_makes_users_and_acls_and_lives_by_them() {
    let secured = secured();
    let Some(python) = testkit::python() else { return };
    let (user, topic) = (name("confluent-user"), name("secured"));
    let args = [&*secured.plaintext, &secured.sasl_ssl, &secured.file("ca.pem"), &user, &topic];
    let expected = "[('SCRAM_SHA_512', 8192)]\n\
        ['TOPIC_AUTHORIZATION_FAILED']\n\
        [None]\n\
        GROUP_AUTHORIZATION_FAILED\n\
        None b'taken'\n\
        ['TOPIC_AUTHORIZATION_FAILED']\n\
        [('GROUP', 'READ', 'ALLOW'), ('TOPIC', 'READ', 'ALLOW'), ('TOPIC', 'WRITE', 'ALLOW'), ('TOPIC', 'WRITE', 'DENY')]\n\
        4 0\n\
        CLUSTER_AUTHORIZATION_FAILED\n";
    assert_eq!(run_python(&python, CONFLUENT, &args), expected);
}

const KAFKA_PYTHON: &str = r#"
import base64, json, sys, time
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ACL, ACLFilter, ACLOperation, ACLPermissionType, NewTopic, ResourcePattern, ResourcePatternFilter, ResourceType
from kafka.errors import KafkaError
plaintext, sasl_ssl, sasl_plaintext, ca, topic = sys.argv[1:]
admin = KafkaAdminClient(bootstrap_servers=plaintext)
admin.create_topics([NewTopic(topic, 1, 1)])
part = lambda fields: base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")

try:
    from kafka.sasl.oauth import AbstractTokenProvider
except ImportError:
    from kafka.net.sasl.oauth import AbstractTokenProvider

class Unsigned(AbstractTokenProvider):
    def token(self):
        return part({"alg": "none"}) + "." + part({"sub": "alice", "exp": int(time.time()) + 300}) + "."

tls = {"bootstrap_servers": sasl_ssl, "security_protocol": "SASL_SSL", "ssl_cafile": ca}
bare = {"bootstrap_servers": sasl_plaintext, "security_protocol": "SASL_PLAINTEXT"}
password = {"sasl_plain_username": "alice", "sasl_plain_password": "wonder"}
ways = {
    "PLAIN": {**bare, **password, "sasl_mechanism": "PLAIN"},
    "SCRAM-SHA-256": {**tls, **password, "sasl_mechanism": "SCRAM-SHA-256"},
    "SCRAM-SHA-512": {**tls, **password, "sasl_mechanism": "SCRAM-SHA-512"},
    "OAUTHBEARER": {**bare, "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": Unsigned()},
}
def send(way):
    producer = KafkaProducer(**way, acks="all", enable_idempotence=False)
    try:
        return producer.send(topic, b"x").get(20).offset
    except KafkaError as error:
        return type(error).__name__
    finally:
        producer.close(5)

print(send(ways["PLAIN"]))
admin.create_acls([ACL("User:alice", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, ResourcePattern(ResourceType.TOPIC, topic))])
print({name: send(way) for name, way in ways.items()})
consumer = KafkaConsumer(topic, **ways["SCRAM-SHA-256"], auto_offset_reset="earliest", consumer_timeout_ms=20000)
print([next(consumer).value for _ in range(4)])
consumer.close()
"#;

#[test]
fn kafka_python_proves_who_it_is_in_every_way() {
    let secured = secured();
    let Some(python) = testkit::python() else { return };
    let args = [
        &*secured.plaintext,
        &secured.sasl_ssl,
        &secured.sasl_plaintext,
        &secured.file("ca.pem"),
        &name("python-secured"),
    ];
    let expected = "TopicAuthorizationFailedError\n\
        {'PLAIN': 0, 'SCRAM-SHA-256': 1, 'SCRAM-SHA-512': 2, 'OAUTHBEARER': 3}\n\
        [b'x', b'x', b'x', b'x']\n";
    assert_eq!(run_python(&python, KAFKA_PYTHON, &args), expected);
}

const PATTERN: &str = r#"
import sys
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import *
plaintext, sasl_plaintext, name = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": plaintext})
topics = [f"{name}-{part}" for part in "ab"]
for made in admin.create_topics([NewTopic(topic, 1) for topic in topics]).values(): made.result(20)
producer = Producer({"bootstrap.servers": plaintext})
for topic in topics: producer.produce(topic, topic)
producer.flush(20)
read = lambda kind, resource: AclBinding(kind, resource, ResourcePatternType.LITERAL, "User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW)
for made in admin.create_acls([read(ResourceType.TOPIC, topics[0]), read(ResourceType.GROUP, name)]).values(): made.result()
consumer = Consumer({"bootstrap.servers": sasl_plaintext, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
                     "sasl.username": "alice", "sasl.password": "wonder", "group.id": name, "group.protocol": "consumer",
                     "auto.offset.reset": "earliest"})
consumer.subscribe([f"^{name}-.*"])
record = consumer.poll(20)
assert record.error() is None, record.error()
print(record.topic() == topics[0], [place.topic == topics[0] for place in consumer.assignment()])
consumer.close()
"#;

/// A regular expression is looked up by the broker, which shows a member no more than it may describe.
#[test]
fn a_regular_expression_matches_what_its_member_may_describe() {
    let secured = secured();
    let Some(python) = testkit::python() else { return };
    let args = [&*secured.plaintext, &secured.sasl_plaintext, &name("pattern")];
    assert_eq!(run_python(&python, PATTERN, &args), "True [True]\n");
}
