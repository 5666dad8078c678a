# What the scripts beside this one share: it is put before them.
import sys, time
from confluent_kafka import Consumer, ConsumerGroupType, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

bootstrap, topic, *more = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": bootstrap})

def create(name, partitions):
    for future in admin.create_topics([NewTopic(name, partitions)]).values(): future.result(20)
    # Apache Kafka's broker hears of it a moment after its controller has made it.
    while admin.list_topics(name, timeout=20).topics[name].error: time.sleep(0.05)

class Member:
    """A consumer that remembers what it was given and what was taken from it."""
    def __init__(self, group, topics, protocol="consumer", **settings):
        self.events = []
        fast = {} if protocol == "consumer" else {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "group.protocol": protocol,
                                  "auto.offset.reset": "earliest", **fast, **settings})
        event = lambda what: lambda _, partitions: self.events.append((what, sorted(p.partition for p in partitions)))
        self.consumer.subscribe(topics, on_assign=event("assign"), on_revoke=event("revoke"), on_lost=event("lost"))
        self.seen = []

    def poll(self):
        message = self.consumer.poll(0.05)
        if message is None: return
        assert message.error() is None, message.error()
        self.seen.append((message.topic(), message.partition(), message.offset()))

    def owned(self):
        return sorted((p.topic, p.partition) for p in self.consumer.assignment())

    def numbers(self):
        return [number for _, number in self.owned()]

def until(what, members, ask, seconds=40):
    end = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < end, (what, [m.owned() for m in members], [m.events for m in members])
        for member in members: member.poll()

def shared(members, sizes):
    """Each has its number of partitions, and no two have the same."""
    until(sizes, members, lambda: [len(m.owned()) for m in members] == sizes)
    owned = [p for m in members for p in m.owned()]
    assert len(owned) == len(set(owned)), owned

def commit(members):
    for member in members:
        try: member.consumer.commit(asynchronous=False)
        except KafkaException as error:
            assert error.args[0].code() == KafkaError._NO_OFFSET, error  # it has read nothing since the last time

def described(group):
    return next(iter(admin.describe_consumer_groups([group]).values())).result(20)
