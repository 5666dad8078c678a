# A group goes from the classic protocol to the other and back while it works: nothing is read twice or left out.
strategy, = more
create(topic, 6)
classic = {"partition.assignment.strategy": strategy}
producer = Producer({"bootstrap.servers": bootstrap})
sent = 0
def produce():
    global sent
    for n in range(120): producer.produce(topic, str(n), partition=n % 6)
    assert producer.flush(20) == 0
    sent += 120

gone = []
def read(members):
    produce()
    until("all read", members, lambda: len(gone) + sum(len(m.seen) for m in members) >= sent)
    seen = gone + [place for m in members for place in m.seen]
    assert len(seen) == len(set(seen)) == sent, (len(seen), len(set(seen)), sent)
    commit(members)

def close(member):
    gone.extend(member.seen)
    member.consumer.close()

one, two = Member(topic, [topic], "classic", **classic), Member(topic, [topic], "classic", **classic)
shared([one, two], [3, 3]); read([one, two])
assert described(topic).type == ConsumerGroupType.CLASSIC
three = Member(topic, [topic])
shared([one, two, three], [2, 2, 2]); read([one, two, three])
assert described(topic).type == ConsumerGroupType.CONSUMER
close(one)
shared([two, three], [3, 3]); read([two, three])
four = Member(topic, [topic], "classic", **classic)
shared([two, three, four], [2, 2, 2]); read([two, three, four])
close(three)
shared([two, four], [3, 3]); read([two, four])
assert described(topic).type == ConsumerGroupType.CLASSIC
close(two)
shared([four], [6]); read([four])
close(four)
# Without members a group is of the kind of whoever comes next.
five = Member(topic, [topic])
shared([five], [6]); read([five])
assert described(topic).type == ConsumerGroupType.CONSUMER
close(five)
six = Member(topic, [topic], "classic", **classic)
shared([six], [6]); read([six])
assert described(topic).type == ConsumerGroupType.CLASSIC
close(six)
print("moved")
