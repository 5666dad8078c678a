# The error bodies of v2, as a client meets them: status, error_code, and the media type.
import sys
import requests

rest, topic = sys.argv[1:]
V2 = "application/vnd.kafka.v2+json"


def told(method, path, body=None, kind=V2, accept=V2):
    answer = requests.request(method, rest + path, data=body, headers={"Content-Type": kind, "Accept": accept})
    error = answer.json()
    assert set(error) == {"error_code", "message"} and error["message"], (path, error)
    return "%s %s %d %d %s" % (method, path.replace(topic, "TOPIC"), answer.status_code, error["error_code"], error["message"])


def embedded(format):
    return "application/vnd.kafka.%s.v2+json" % format


one = '{"records": [{"value": 1}]}'
print(told("GET", "/topics/none"))
print(told("GET", "/topics/%s/partitions/9" % topic))
print(told("POST", "/topics/%s/partitions/9" % topic, one, embedded("json")))
print(told("POST", "/topics/" + topic, one, "text/plain"))
print(told("GET", "/topics", accept="text/html"))
print(told("POST", "/topics/" + topic, one, embedded("avro")))
print(told("POST", "/topics/" + topic, '{"records": [{"key": 1}]}', embedded("avro")))
print(told("POST", "/topics/" + topic, '{"value_schema": "{}", "records": [{"value": 1}]}', embedded("avro")))
string = '{"value_schema": "\\"string\\"", "records": [{"value": 1}]}'
print(told("POST", "/topics/" + topic, string, embedded("avro")))
print(told("POST", "/topics/" + topic, '{"value_schema_id": 999999, "records": [{"value": 1}]}', embedded("avro")))
print(told("POST", "/topics/" + topic, '{"records": [', embedded("json")))
print(told("POST", "/topics/" + topic, '{"record": []}', embedded("json")))
group = "/consumers/" + topic
print(told("POST", group, '{"format": "xml"}'))
assert requests.post(rest + group, data='{"name": "one", "format": "json"}', headers={"Content-Type": V2}).status_code == 200
print(told("POST", group, '{"name": "one"}'))
path = group + "/instances/one"
print(told("GET", path + "/records", accept=embedded("binary")))
print(told("POST", path + "/positions/end", '{"partitions": [{"topic": "%s", "partition": 0}]}' % topic))
assert requests.post(rest + path + "/subscription", data='{"topics": ["%s"]}' % topic, headers={"Content-Type": V2}).status_code == 204
print(told("POST", path + "/assignments", '{"partitions": [{"topic": "%s", "partition": 0}]}' % topic))
assert requests.delete(rest + path).status_code == 204
print(told("GET", path + "/records", accept=embedded("json")))
