# Static members: who closes and comes back has what it had, and the others never notice. In the protocol that is asked for.
protocol, = more
create(topic, 4)
fixed = lambda name: Member(topic, [topic], protocol, **{"group.instance.id": name})
one, two = fixed("one"), fixed("two")
shared([one, two], [2, 2])
for round in range(2):
    had, before = one.owned(), list(two.events)
    one.consumer.close()
    end = time.monotonic() + 1.5
    while time.monotonic() < end: two.poll()
    assert len(two.owned()) == 2, two.owned()
    one = fixed("one")
    shared([one, two], [2, 2])
    assert (one.owned(), two.events) == (had, before), (one.events, two.events)
ids = sorted(m.group_instance_id for m in described(topic).members)
assert ids == ["one", "two"], ids
one.consumer.close(); two.consumer.close()
print("static")
