# A proxy that reaches its broker by SASL_SSL: what its user may do, and ACLs made, found and deleted over HTTP.
import sys
import requests

rest, topic = sys.argv[1:]
base = requests.get(rest + "/v3/clusters").json()["data"][0]["metadata"]["self"]
acl = {"resource_type": "TOPIC", "resource_name": topic, "pattern_type": "LITERAL", "principal": "User:bob", "host": "*",
       "operation": "READ", "permission": "ALLOW"}
made = requests.post(base + "/acls", json=acl)
assert made.status_code == 201, made.text
found = requests.get(made.headers["Location"]).json()["data"]
assert [{name: one[name] for name in acl} for one in found] == [acl], found
both = [dict(acl, operation="WRITE"), dict(acl, resource_type="GROUP", resource_name="g-", pattern_type="PREFIXED")]
assert requests.post(base + "/acls:batch", json={"data": both}).status_code == 201
mine = requests.get(base + "/acls?principal=User:bob").json()["data"]
print([(one["resource_type"], one["pattern_type"], one["operation"]) for one in mine])
assert requests.get(mine[0]["metadata"]["self"]).json()["data"] == mine[:1]
everything = "?resource_type=ANY&pattern_type=ANY&operation=ANY&permission=ANY&principal=User:bob"
assert len(requests.delete(base + "/acls" + everything).json()["data"]) == 3
assert requests.get(base + "/acls?principal=User:bob").json()["data"] == []
line = requests.post(base + "/topics/%s/records" % topic, json={"value": {"type": "STRING", "data": "x"}}).json()
print(line["error_code"], line["offset"])
operations = requests.get(base + "/topics/%s?include_authorized_operations=true" % topic).json()["authorized_operations"]
print(operations)
