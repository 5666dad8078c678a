# What can be configured (key 74), moves between folders (key 34), and ListOffsets 10 with every time that has a name.
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
create(topic, 2)
producer = Producer({"bootstrap.servers": bootstrap})
for n in range(3): producer.produce(topic, b"%d" % n, partition=0, timestamp=1000 + n)
assert producer.flush(30) == 0
setting = ConfigEntry("consumer.session.timeout.ms", "46000", incremental_operation=AlterConfigOpType.SET)
group = ConfigResource(ResourceType.GROUP, topic + "-group", incremental_configs=[setting]) if hasattr(ResourceType, "GROUP") else None
if group: admin.incremental_alter_configs([group])[group].result(20)

TYPES = {2: "topic", 4: "broker", 8: "logger", 16: "metrics", 32: "group"}
def resources(version, types):
    answer = ask(74, version, (some([i8(n) for n in types]) if version else b"") + TAGS)
    take(answer, ">i")
    error, found = named(take(answer, ">h")), {}
    for _ in range(take_varint(answer) - 1):
        name, kind = take_text(answer), take(answer, ">b") if version else 16
        answer.read(1)
        found.setdefault(TYPES[kind], set()).add(name)
    # Other tests have topics and groups of their own, and a broker's id is its own.
    ours = {kind: sorted(n for n in names if n.startswith(topic)) or len(names) for kind, names in found.items() if kind != "group" or group}
    return error, sorted((kind, str(said).replace(topic, "NAME")) for kind, said in ours.items() if kind not in ("topic", "group") or isinstance(said, list))

print("metrics:", resources(0, []))
print("topics:", resources(1, [2]))
print("brokers and loggers:", resources(1, [4, 8]))
print("all:", resources(1, []))
print("an unknown type:", resources(1, [2, 99]))

def log_dir():
    answer = ask(35, 4, some([text(topic) + some([i32(0)]) + TAGS]) + TAGS)
    take(answer, ">i"); take(answer, ">h"); take_varint(answer); take(answer, ">h")
    path = take_text(answer)
    for _ in range(take_varint(answer) - 1):
        take_text(answer)
        for _ in range(take_varint(answer) - 1): answer.read(4 + 8 + 8 + 1 + 1)
        answer.read(1)
    return path, take(answer, ">q"), take(answer, ">q")

def move(path, name, partitions):
    answer = ask(34, 2, some([text(path) + some([text(name) + some([i32(p) for p in partitions]) + TAGS]) + TAGS]) + TAGS)
    take(answer, ">i")
    said = []
    for _ in range(take_varint(answer) - 1):
        take_text(answer)
        for _ in range(take_varint(answer) - 1):
            said.append(f"{take(answer, '>i')} {named(take(answer, '>h'))}")
            answer.read(1)
        answer.read(1)
    return sorted(said)

here, total, usable = log_dir()
print("the disk's size:", total > usable > 0)
print("to where it lies:", move(here, topic, [0, 1]))
print("to no folder:", move("/no/such/folder", topic, [0]))
print("of no partition:", move(here, topic, [7]))
print("of no topic:", move(here, topic + "-none", [0]))

def offset(time, version=10):
    timeout = i32(1000) if version >= 10 else b""
    answer = ask(2, version, i32(-1) + i8(0) + some([text(topic) + some([i32(0) + i32(-1) + i64(time) + TAGS]) + TAGS]) + timeout + TAGS)
    take(answer, ">i"); take_varint(answer); take_text(answer); take_varint(answer); take(answer, ">i")
    return named(take(answer, ">h")), take(answer, ">q"), take(answer, ">q")

for time, what in [(-1, "latest"), (-2, "earliest"), (-3, "largest time"), (-4, "local earliest"), (-5, "latest in remote storage"), (1001, "by time"), (9999, "by a later time")]:
    print(f"{what}:", offset(time), offset(time, 9))
