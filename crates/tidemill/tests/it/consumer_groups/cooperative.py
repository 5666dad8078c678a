# Cooperative rebalancing in the classic protocol: a newcomer is given what others give up, and they keep the rest.
create(topic, 6)
members = []
for size in ([6], [3, 3], [2, 2, 2]):
    members.append(Member(topic, [topic], "classic", **{"partition.assignment.strategy": "cooperative-sticky"}))
    shared(members, size)
one = members[0]
assert one.events[0] == ("assign", list(range(6))), one.events
revoked = [partitions for what, partitions in one.events if what == "revoke" and partitions]
assert [len(partitions) for partitions in revoked] == [3, 1], one.events
given = [partitions for what, partitions in one.events[1:] if what == "assign" and partitions]
assert not given, one.events
members.pop().consumer.close()
shared(members, [3, 3])
for member in members: member.consumer.close()
print("cooperative")
