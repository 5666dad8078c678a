# v3 as an administrator uses it. Every address that an answer names has to lead somewhere.
import sys, time
import requests
from confluent_kafka import Consumer, Producer

rest, kafka, prefix = sys.argv[1:]
clusters = requests.get(rest + "/v3/clusters").json()
base = clusters["data"][0]["metadata"]["self"]
cluster = clusters["data"][0]["cluster_id"]
topic = prefix + "-tour"


def ask(method, path, status, body=None):
    url = path if path.startswith("http") else base + path
    answer = requests.request(method, url, json=body)
    assert answer.status_code == status, (method, url, answer.status_code, answer.text)
    return answer.json() if answer.content else None


made = ask("POST", "/topics", 201, {"topic_name": topic, "partitions_count": 2, "replication_factor": 1,
                                    "configs": [{"name": "cleanup.policy", "value": "compact"}]})
assert made["metadata"]["resource_name"] == "crn:///kafka=%s/topic=%s" % (cluster, topic), made
again = ask("POST", "/topics", 400, {"topic_name": topic})
assert again["error_code"] == 40002, again
assert ask("PATCH", "/topics/" + topic, 200, {"partitions_count": 3})["partitions_count"] == 3
config = "/topics/%s/configs/retention.ms" % topic
default = ask("GET", config, 200)
ask("PUT", config, 204, {"value": "12345"})
changed = ask("GET", config, 200)
assert (changed["value"], changed["source"], changed["is_default"]) == ("12345", "DYNAMIC_TOPIC_CONFIG", False), changed
ask("POST", "/topics/%s/configs:alter" % topic, 204, {"data": [{"name": "retention.ms", "operation": "DELETE"},
                                                               {"name": "cleanup.policy", "value": "delete"}]})
assert ask("GET", config, 200)["value"] == default["value"]
ask("DELETE", config, 204)
assert ask("GET", "/topics/none", 404) == {"error_code": 40403, "message": "This server does not host this topic-partition."}
broker = ask("GET", "/brokers", 200)["data"][0]["broker_id"]
defaults = {one["name"]: one["value"] for one in ask("GET", "/topics/none/default-configs", 200)["data"]}
assert defaults["cleanup.policy"] == "delete", defaults
held = ask("GET", "/brokers/%d/partition-replicas" % broker, 200)["data"]
assert sum(one["topic_name"] == topic for one in held) == 3
names = {one["name"] for one in ask("GET", "/brokers/%d/configs" % broker, 200)["data"]}
assert "log.retention.ms" in names or "auto.create.topics.enable" in names, sorted(names)[:20]

# A group of each protocol, with a member that reads and has committed less than there is.
lines = requests.post(base + "/topics/%s/records" % topic, data="\n".join(
    '{"partition_id": %d, "value": {"type": "STRING", "data": "v%d"}}' % (n % 3, n) for n in range(30)),
    headers={"Content-Type": "application/json"})
assert lines.text.count('"error_code":200') == 30, lines.text
for protocol in ("classic", "consumer"):
    group = "%s-%s" % (prefix, protocol)
    settings = {"bootstrap.servers": kafka, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                "client.id": "tourist", "group.protocol": protocol}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    read = 0
    while read < 30:
        record = consumer.poll(30)
        assert record is not None and record.error() is None, record and record.error()
        read += 1
        if record.offset() == 3:
            consumer.commit(record, asynchronous=False)
    shown = ask("GET", "/consumer-groups/" + group, 200)
    assert (shown["state"], shown["is_simple"]) == ("STABLE", False), shown
    consumers = ask("GET", shown["consumers"]["related"], 200)["data"]
    assert [one["client_id"] for one in consumers] == ["tourist"], consumers
    assigned = ask("GET", consumers[0]["assignments"]["related"], 200)["data"]
    assert [one["partition_id"] for one in assigned] == [0, 1, 2], assigned
    lag = ask("GET", assigned[1]["lag"]["related"], 200)
    assert (lag["current_offset"], lag["log_end_offset"], lag["lag"], lag["client_id"]) == (4, 10, 6, "tourist"), lag
    summary = ask("GET", shown["lag_summary"]["related"], 200)
    assert (summary["max_lag"], summary["total_lag"], summary["max_lag_client_id"]) == (6, 18, "tourist"), summary
    consumer.close()
    print(protocol, shown["partition_assignor"], summary["total_lag"])
    if protocol == "classic":
        assert ask("GET", "/consumer-groups/" + group, 200)["state"] == "EMPTY"
ids = {one["consumer_group_id"] for one in ask("GET", "/consumer-groups", 200)["data"]}
assert {prefix + "-classic", prefix + "-consumer"} <= ids, ids

# Everything that is named answers; what belongs to other tests may be gone meanwhile.
seen, waiting = set(), [base]
while waiting:
    url = waiting.pop()
    if url in seen or (("/topics/" in url or "/consumer-groups/" in url) and prefix not in url and "/topics/-/" not in url):
        continue
    seen.add(url)
    answer = requests.get(url)
    quiet = url.endswith("/acls") or url.endswith("/reassignment") or url.endswith("/consumers/")
    assert answer.status_code == 200 or (quiet and answer.status_code in (400, 404)), (url, answer.status_code, answer.text)
    nodes = [answer.json()]
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes += node
        elif isinstance(node, dict):
            waiting += [node[name] for name in ("self", "related") if isinstance(node.get(name), str)]
            nodes += [value for value in node.values() if isinstance(value, (dict, list))]
assert len(seen) > 50, len(seen)
ask("DELETE", "/topics/" + topic, 204)
print("addresses lead somewhere")
