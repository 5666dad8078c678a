# A day's work with aiokafka: it prints what it saw, and ends where anything is not as it must be.
import asyncio, logging, ssl, sys, time
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import ProducerFenced, for_code

logging.disable()
bootstrap, name, *secured = sys.argv[1:]
basic = {"bootstrap_servers": bootstrap}
if secured:
    ca, user, password = secured
    basic |= {"security_protocol": "SASL_SSL", "ssl_context": ssl.create_default_context(cafile=ca),
              "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": user, "sasl_plain_password": password}
START = int(time.time() * 1000) - 600_000  # well within the retention of an hour: what is older may be gone at any time
PARTITIONS = [TopicPartition(name, number) for number in range(4)]
error = lambda code: for_code(code).__name__ if code else "ok"

async def topics(admin):
    topic = NewTopic(name, 3, 1, topic_configs={"retention.ms": "3600000"})
    codes = [(await admin.create_topics([topic])).topic_errors[0][1] for _ in range(2)]
    print("made:", *map(error, codes))
    async def config(key):
        told = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name, {key: ""})])
        _, _, _, _, entries = told[0].resources[0][:5]
        return next((entry[1], entry[3]) for entry in entries if entry[0] == key)
    async def another(key, than):  # Kafka's brokers hear of a change after it was answered
        while (told := await config(key))[0] == than: pass
        return told
    print("retention.ms:", *await config("retention.ms"), "; max.message.bytes:", *await config("max.message.bytes"))
    altered = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "compact,delete"})])
    print("put:", error(altered[0].resources[0][0]), *await another("cleanup.policy", "delete"), "; not kept:", *await another("retention.ms", "3600000"))
    wrong = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "soon"})])
    print("not a number:", error(wrong[0].resources[0][0]))
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "delete"})])
    await admin.create_partitions({name: NewPartitions(4)})
    while len((told := (await admin.describe_topics([name]))[0])["partitions"]) < 4: pass
    print("partitions:", len(told["partitions"]), "; listed:", name in await admin.list_topics())

async def codecs():
    sent = {}
    for n, codec in enumerate([None, "gzip", "snappy", "lz4", "zstd"]):
        async with AIOKafkaProducer(**basic, compression_type=codec, linger_ms=5, enable_idempotence=bool(n % 2), acks="all") as producer:
            for i in range(40):
                record = (b"%d" % i, f"{codec} ".encode() * 20 + b"%d" % i, START + n * 1000 + i,
                          (("codec", str(codec).encode()), ("none", b"")))
                key, value, at, headers = record
                future = await producer.send(name, value, key, partition=i % 4, timestamp_ms=at, headers=list(headers))
                sent[future] = record
            await producer.flush()
    acknowledged = {(done.partition, done.offset): record for done, record in [(f.result(), r) for f, r in sent.items()]}
    found = {}
    async with AIOKafkaConsumer(name, **basic, auto_offset_reset="earliest") as consumer:
        while len(found) < 200:
            record = await consumer.getone()
            found[record.partition, record.offset] = (record.key, record.value, record.timestamp, record.headers)
    print("codecs:", len(acknowledged), "sent;", len(found), "read;", sum(found[p] != acknowledged[p] for p in found), "wrong")

# Reads, doubles, and commits with the offsets; every third transaction is given up and done again.
async def transactions(admin):
    target, group = name + "-doubled", name + "-exactly"
    await admin.create_topics([NewTopic(target, 1, 1)])
    settings = basic | {"transactional_id": name}
    producer = AIOKafkaProducer(**settings)
    await producer.start()
    consumer = AIOKafkaConsumer(name, **basic, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
                                isolation_level="read_committed", max_poll_records=40)
    await consumer.start()
    done = rounds = 0
    while done < 200:
        batches = await consumer.getmany(timeout_ms=2000)
        if not batches: continue
        await producer.begin_transaction()
        for records in batches.values():
            for record in records: await producer.send(target, record.value)
        await producer.send_offsets_to_transaction({p: records[-1].offset + 1 for p, records in batches.items()}, group)
        rounds += 1
        if rounds % 3 == 2:
            await producer.abort_transaction()
            for partition, records in batches.items(): consumer.seek(partition, records[0].offset)
        else:
            await producer.commit_transaction()
            done += sum(map(len, batches.values()))
    committed = 0
    while committed != 200:  # Kafka's coordinator hears of a transaction's end after it was answered
        committed = sum([await consumer.committed(partition) or 0 for partition in PARTITIONS])
    await consumer.stop()
    await producer.begin_transaction()
    await producer.send_and_wait(target, b"never")
    second = AIOKafkaProducer(**settings)
    await second.start()
    try:
        await producer.commit_transaction()
        fenced = "not"
    except ProducerFenced: fenced = "fenced"
    await second.stop()
    try: await producer.stop()
    except ProducerFenced: pass
    async with AIOKafkaConsumer(target, **basic, auto_offset_reset="earliest", isolation_level="read_committed") as reader:
        values = [(await reader.getone()).value for _ in range(200)]
        rest = [r for records in (await reader.getmany(timeout_ms=300)).values() for r in records]
    print("exactly once:", done, "doubled;", len(set(values)), "different;", len(rest), "more; committed:", committed, "; first producer:", fenced)

class Given(ConsumerRebalanceListener):
    def __init__(self): self.all = []
    async def on_partitions_revoked(self, revoked): pass
    async def on_partitions_assigned(self, assigned): self.all.append(len(assigned))

async def member(group, **more):
    consumer = AIOKafkaConsumer(**basic, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
                                heartbeat_interval_ms=200, session_timeout_ms=6000, metadata_max_age_ms=1000, **more)
    given = Given()
    consumer.subscribe([name], listener=given)
    await consumer.start()
    return consumer, given

async def groups(admin):
    group, seen = name + "-group", {}
    async def poll(members):
        for consumer, _ in members:
            for partition, records in (await consumer.getmany(timeout_ms=50)).items():
                for record in records: seen[partition.partition, record.offset] = record.value
    members = [await member(group), await member(group, partition_assignment_strategy=[__import__("aiokafka").coordinator.assignors.roundrobin.RoundRobinPartitionAssignor])]
    while [len(consumer.assignment()) for consumer, _ in members] != [2, 2] or len(seen) < 200: await poll(members)
    for consumer, _ in members: await consumer.commit()
    told = (await admin.describe_consumer_groups([group]))[0].groups[0]
    await members[1][0].stop()
    while len(members[0][0].assignment()) != 4: await poll(members[:1])
    print("group:", told[2], told[4], len(told[5]), "members;", len(seen), "read; then", members[0][1].all[-1])
    await members[0][0].stop()
    async with AIOKafkaProducer(**basic) as producer:
        after = await producer.send_and_wait(name, b"resumed", partition=3)
    back, _ = await member(group)
    record = await back.getone()
    await back.commit({TopicPartition(name, 3): (record.offset + 1, "here")})
    offsets = await admin.list_consumer_group_offsets(group)
    print("resumed with", record.value, record.offset == after.offset, "; committed:", offsets[TopicPartition(name, 3)])
    print("listed:", (group, "consumer") in [each[:2] for each in await admin.list_consumer_groups()])
    await back.stop()
    # Of the sticky assignor, and static: the member comes back to what it had, without a rebalance.
    sticky = dict(partition_assignment_strategy=[StickyPartitionAssignor])
    first, _ = await member(group + "-static", group_instance_id="one", **sticky)
    second, given = await member(group + "-static", group_instance_id="two", **sticky)
    while len(first.assignment()) != 2 or len(second.assignment()) != 2: await asyncio.gather(first.getmany(timeout_ms=50), second.getmany(timeout_ms=50))
    had = first.assignment()
    await first.stop()
    first, _ = await member(group + "-static", group_instance_id="one", **sticky)
    print("static: the same again", first.assignment() == had, "; rebalances of the other:", given.all[-1])
    await first.stop(); await second.stop()

async def patterns(admin):
    for part in "ab":
        await admin.create_topics([NewTopic(f"{name}.part.{part}", 1, 1)])
        async with AIOKafkaProducer(**basic) as producer: await producer.send_and_wait(f"{name}.part.{part}", part.encode())
    consumer = AIOKafkaConsumer(**basic, group_id=name + "-regex", auto_offset_reset="earliest")
    consumer.subscribe(pattern="^" + name + r"\.part\..*$")
    await consumer.start()
    print("regex:", sorted([(await consumer.getone()).value for _ in range(2)]))
    await consumer.stop()

async def places(admin):
    one = PARTITIONS[1]
    async with AIOKafkaConsumer(**basic, auto_offset_reset="earliest") as consumer:
        consumer.assign([one])
        found = (await consumer.offsets_for_times({one: START + 2000}))[one]
        print("by time:", found.offset, found.timestamp - START, "; after all:", (await consumer.offsets_for_times({one: 1 << 42}))[one])
        consumer.seek(one, 33)
        record = await consumer.getone()
        deleted = await admin.delete_records({one: RecordsToDelete(20)})
        consumer.seek(one, 5)
        again = await consumer.getone()
        ends = (await consumer.beginning_offsets([one]))[one], (await consumer.end_offsets([one]))[one]
        print("at 33:", record.offset, record.value[-3:], "; deleted up to", deleted[one], "; a read at 5 is reset to", again.offset, "of", *ends)

async def main():
    admin = AIOKafkaAdminClient(**basic)
    await admin.start()
    await topics(admin)
    await codecs()
    await transactions(admin)
    await groups(admin)
    await patterns(admin)
    await places(admin)
    codes = [(await admin.delete_topics([name])).topic_error_codes[0][1] for _ in range(2)]
    print("deleted:", *map(error, codes))
    await admin.close()

asyncio.run(asyncio.wait_for(main(), 90))
