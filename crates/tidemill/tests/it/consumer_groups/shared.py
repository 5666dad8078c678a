# Members come and go, topics grow and come: the broker shares them out, and the admin client sees it.
create(topic, 4)
one, two = Member(topic, [topic]), Member(topic, [topic])
shared([one, two], [2, 2])
group = described(topic)
assert (group.state.name, group.type, group.partition_assignor) == ("STABLE", ConsumerGroupType.CONSUMER, "uniform"), vars(group)
assert sorted(p.partition for m in group.members for p in m.assignment.topic_partitions) == [0, 1, 2, 3]
listed = admin.list_consumer_groups(types={ConsumerGroupType.CONSUMER}).result(20).valid
assert topic in [g.group_id for g in listed] and all(g.type == ConsumerGroupType.CONSUMER for g in listed)
listed = admin.list_consumer_groups(types={ConsumerGroupType.CLASSIC}).result(20).valid
assert topic not in [g.group_id for g in listed]
for future in admin.create_partitions([NewPartitions(topic, 6)]).values(): future.result(20)
shared([one, two], [3, 3])

producer = Producer({"bootstrap.servers": bootstrap})
for n in range(600): producer.produce(topic, str(n), partition=n % 6)
assert producer.flush(20) == 0
until("all read", [one, two], lambda: len(one.seen) + len(two.seen) == 600)
assert len(set(one.seen + two.seen)) == 600
commit([one, two])
committed = one.consumer.committed([TopicPartition(topic, n) for n in range(6)], timeout=20)
assert [p.offset for p in committed] == [100] * 6, committed

# By a pattern, and with the other assignor.
other = topic + "-other"
matching = Member(other, ["^" + topic + "(-ot.*)?$"], **{"group.remote.assignor": "range"})
shared([matching], [6])
create(other, 2)
shared([matching], [8])
assert described(other).partition_assignor == "range"
refused = Member(other, [topic], **{"group.remote.assignor": "strange"}).consumer
end = time.monotonic() + 20
while time.monotonic() < end:
    message = refused.poll(0.1)
    if message is not None and message.error(): break
assert "assignor" in message.error().str(), message.error()
refused.close()
matching.consumer.close()

two.consumer.close()
shared([one], [6])
one.consumer.close()
assert described(topic).state.name == "EMPTY"
for future in admin.delete_consumer_groups([topic, other]).values(): future.result(20)
print("shared")
