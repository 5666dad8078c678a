# What a topic can be set to: names, kinds, defaults and where those come from; and what becomes of batches by `compression.type`.
def settings(name, kind=2, synonyms=True):
    answer = ask(32, 4, some([i8(kind) + text(name) + some(None) + TAGS]) + i8(synonyms) + i8(0) + TAGS)
    take(answer, ">i"); take_varint(answer)
    assert take(answer, ">h") == 0
    take_text(answer); answer.read(1); take_text(answer)
    for _ in range(take_varint(answer) - 1):
        name, value = take_text(answer), take_text(answer)
        read_only, source, secret = answer.read(1)[0], take(answer, ">b"), answer.read(1)[0]
        synonyms = []
        for _ in range(take_varint(answer) - 1):
            synonyms.append(f"{take_text(answer)}={take_text(answer)} of {take(answer, '>b')}"); answer.read(1)
        kind, _, _ = take(answer, ">b"), take_text(answer), answer.read(1)
        yield name, f"{value!r} kind {kind} source {source} {synonyms}" + " read-only" * read_only + " secret" * secret

def create_with(name, **config):
    try: list(admin.create_topics([NewTopic(name, 1, config={k.replace("_", "."): v for k, v in config.items()})]).values())[0].result(20)
    except KafkaException as error: return error.args[0].name()

create(topic, 1)
for name, said in settings(topic): print(f"{name}: {said}")

REFUSED = ["compression.type=brotli", "compression.gzip.level=0", "compression.gzip.level=10", "compression.lz4.level=18",
           "compression.zstd.level=23", "leader.replication.throttled.replicas=one", "local.retention.ms=-3", "message.format.version=2.0"]
TAKEN = ["compression.gzip.level=-1", "compression.zstd.level=-131072", "leader.replication.throttled.replicas=*",
         "follower.replication.throttled.replicas=0:1,1:1", "remote.log.copy.disable=true"]
for n, said in enumerate(REFUSED + TAKEN):
    print(f"set {said}: {create_with(f'{topic}-{n}', **dict([said.split('=')]))}")

# What a list of changes may hold.
def altered(kind, name, *steps, key=44, version=1):
    one = lambda name, operation, value: text(name) + (i8(operation) if key == 44 else b"") + text(value) + TAGS
    answer = ask(key, version, some([i8(kind) + text(name) + some([one(*step) for step in steps]) + TAGS]) + i8(0) + TAGS)
    take(answer, ">i"); take_varint(answer)
    return named(take(answer, ">h"))
SET, DELETE, APPEND = 0, 1, 2
for said, steps in {
    "nothing": [("retention.ms", SET, None)],
    "one name twice": [("retention.ms", SET, "1"), ("retention.ms", SET, "2")],
    "a name and nothing": [("retention.ms", SET, "1"), ("segment.ms", SET, None)],
    "a name nobody knows": [("retention.msec", SET, "1")],
    "no steps": [],
}.items():
    print(f"{said}, for the topic: {altered(2, topic, *steps)}, in the place of all {altered(2, topic, *steps, key=33, version=2)}")
print("taken back what was not set:", altered(2, topic, ("retention.ms", DELETE, None)))
print("appended to no list:", altered(2, topic, ("retention.ms", APPEND, "1")))
def made(*configs):
    """What is said to a new topic with these, which is only checked."""
    wanted = text(topic + "-made") + i32(1) + i16(1) + some([]) + some([text(name) + text(value) + TAGS for name, value in configs]) + TAGS
    answer = ask(19, 7, some([wanted]) + i32(5000) + i8(1) + TAGS)
    take(answer, ">i"); take_varint(answer); take_text(answer); answer.read(16)
    return named(take(answer, ">h"))
print("a new topic with nothing:", made(("retention.ms", None)))
print("a new topic with one name twice:", made(("retention.ms", "1"), ("retention.ms", "2")))
print("nothing, for a group:", altered(32, topic, ("consumer.session.timeout.ms", SET, None)))
print("one name twice, for a group:", altered(32, topic, *[("consumer.session.timeout.ms", SET, "50000")] * 2))
for kind in (3, 7, 2):
    print(f"kind {kind}, which is not there: {altered(kind, 'nowhere', ('retention.ms', SET, '1'))}, {altered(kind, 'nowhere', ('retention.ms', SET, '1'), key=33, version=2)}")

lying = {}  # the first batch of each topic
def codecs(name):
    """The codec of each batch that lies there, and how many records it says it has."""
    answer = ask(1, 12, i32(-1) + i32(500) + i32(1) + i32(1 << 20) + i8(0) + i32(0) + i32(-1)
                 + some([text(name) + some([i32(0) + i32(-1) + i64(0) + i32(-1) + i64(-1) + i32(1 << 20) + TAGS]) + TAGS]) + some([]) + text("") + TAGS)
    take(answer, ">i"); assert take(answer, ">h") == 0; take(answer, ">i"); take_varint(answer); take_text(answer); take_varint(answer)
    take(answer, ">i"); assert take(answer, ">h") == 0; answer.read(24); take_varint(answer); take(answer, ">i")
    records, found = BytesIO(answer.read(take_varint(answer) - 1)), []
    while prefix := records.read(12):
        rest = records.read(struct.unpack(">i", prefix[8:])[0])
        lying.setdefault(name, prefix + rest)
        found.append((struct.unpack(">h", rest[9:11])[0], struct.unpack(">i", rest[45:49])[0]))
    return found

now = int(time.time() * 1000)
sent = [(b"key %d" % n if n % 3 else None, b"value %d " % n * 9, [("h", b"%d" % n)], now + n) for n in range(200)]
def send(name, **config):
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 200, **{k.replace("_", "."): v for k, v in config.items()}})
    for key, value, headers, time in sent: producer.produce(name, value, key, headers=headers, timestamp=time)
    assert producer.flush(30) == 0
def read(name):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name, "check.crcs": True})
    consumer.assign([TopicPartition(name, 0, 0)])
    got = consumer.consume(len(sent), 30)
    consumer.close()
    return [(m.key(), m.value(), m.headers(), m.timestamp()[1]) for m in got] == sent

for kind in ["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"]:
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        name = f"{topic}-{kind}-{codec}"
        create_with(name, compression_type=kind, compression_zstd_level="9", compression_gzip_level="1", compression_lz4_level="12")
        send(name, compression_codec=codec, enable_idempotence=True)
        print(f"{codec} for {kind}: {codecs(name)} {read(name)}")

# Clients from before zstd: by versions that have no tags.
def ask_old(key, version, body):
    frame = i16(key) + i16(version) + i32(7) + i16(-1) + body
    stream.sendall(i32(len(frame)) + frame)
    length, answer = struct.unpack(">i", stream.recv(4, socket.MSG_WAITALL))[0], b""
    while len(answer) < length: answer += stream.recv(length - len(answer))
    return BytesIO(answer[4:])
old_text = lambda s: i16(len(s)) + s.encode()
def fetch_old(version, name):
    partition = i32(0) + (i32(-1) if version >= 9 else b"") + i64(0) + i64(-1) + i32(1 << 20)
    answer = ask_old(1, version, i32(-1) + i32(500) + i32(1) + i32(1 << 20) + i8(0) + i32(0) + i32(-1)
                     + i32(1) + old_text(name) + i32(1) + partition + i32(0))
    take(answer, ">i"); take(answer, ">h"); take(answer, ">i"); take(answer, ">i")
    answer.read(take(answer, ">h")); take(answer, ">i"); take(answer, ">i")
    return named(take(answer, ">h"))
def produce_old(version, name, batch):
    answer = ask_old(0, version, i16(-1) + i16(1) + i32(5000) + i32(1) + old_text(name) + i32(1) + i32(0) + i32(len(batch)) + batch)
    take(answer, ">i"); answer.read(take(answer, ">h")); take(answer, ">i"); take(answer, ">i")
    return named(take(answer, ">h"))
create_with(topic + "-old")
for name in ["zstd-none", "lz4-zstd", "producer-zstd"]:
    print(f"{name} fetched by old clients:", [fetch_old(version, f"{topic}-{name}") for version in (7, 9)])
for name in ["zstd-zstd", "lz4-lz4"]:
    print(f"{name} produced by old clients:", [produce_old(version, topic + "-old", lying[topic + "-" + name]) for version in (5, 6, 7)])

# What fits as it came and not as it would lie there is refused.
create_with(topic + "-small", compression_type="uncompressed", max_message_bytes="3000")
producer = Producer({"bootstrap.servers": bootstrap, "compression.codec": "zstd"})
producer.produce(topic + "-small", b"0" * 9000, on_delivery=lambda error, _: print(f"too large: {error.name() if error else 'ok'}"))
assert producer.flush(30) == 0

# What holds for all topics can be set while the broker runs: for the broker, or for its whole cluster.
node = str(next(iter(admin.list_topics(timeout=20).brokers)))
def holds(value):
    """What is said of the topic's setting, once it has this value."""
    end = time.monotonic() + 20
    while not (said := dict(settings(topic))["file.delete.delay.ms"]).startswith(repr(value)) and time.monotonic() < end: time.sleep(0.05)
    return said
for resource, value in [("", "61000"), (node, "62000")]:
    print(f"set for {'the broker' if resource else 'all'}:", altered(4, resource, ("log.segment.delete.delay.ms", SET, value)), holds(value))
print("set for all, described:", [(name, said) for name, said in settings("", 4) if name == "log.segment.delete.delay.ms"])
print("the same without synonyms:", [said for name, said in settings("", 4, False) if name == "log.segment.delete.delay.ms"])
print("set for the broker, described:", dict(settings(node, 4))["log.segment.delete.delay.ms"])
print("of another broker:", altered(4, "4711", ("log.segment.delete.delay.ms", SET, "1")))
for name, value in [("log.segment.delete.delay.ms", "-1"), ("compression.type", "brotli"), ("node.id", "7"), ("log.dirs", "/elsewhere")]:
    print(f"set {name}={value} for the broker: {altered(4, node, (name, SET, value))}")
print("taken back for the broker:", altered(4, node, ("log.segment.delete.delay.ms", DELETE, None)), holds("61000"))
print("taken back for all:", altered(4, "", ("log.segment.delete.delay.ms", DELETE, None)), holds("60000"))
