# Settings of a single group: what is taken, what is refused and with which words, what is told, and what its member is told.
group = topic + "-group"
INTERVAL, TIMEOUT = "consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"
SET, DELETE, APPEND = 0, 1, 2

def alter(*changes, name=group, validate=0):
    configs = [text(key) + i8(operation) + text(value) + TAGS for key, operation, value in changes]
    answer = ask(44, 1, some([i8(32) + text(name) + some(configs) + TAGS]) + i8(validate) + TAGS)
    take(answer, ">i"); take_varint(answer)
    code = take(answer, ">h")
    return named(code), take_text(answer)

def described():
    answer = ask(32, 4, some([i8(32) + text(group) + some([text(INTERVAL), text(TIMEOUT)]) + TAGS]) + i8(1) + i8(0) + TAGS)
    take(answer, ">i"); take_varint(answer)
    code, why, _, _ = take(answer, ">h"), take_text(answer), take(answer, ">b"), take_text(answer)
    found = {}
    for _ in range(take_varint(answer) - 1):
        name, value, readonly, source, sensitive = take_text(answer), take_text(answer), *(take(answer, ">b") for _ in range(3))
        synonyms = []
        for _ in range(take_varint(answer) - 1):
            synonyms.append((take_text(answer), take_text(answer), take(answer, ">b")))
            answer.read(1)
        kind = take(answer, ">b")
        take_text(answer); answer.read(1)
        found[name] = (value, readonly, source, sensitive, kind, synonyms)
    return named(code), why, sorted(found.items())

def told_interval(member):
    body = text(group) + text(member) + i32(0) + text(None) + text(None) + i32(60000) + some([text(topic)]) + text(None) + text(None) + some([]) + TAGS
    answer = ask(68, 1, body)
    take(answer, ">i"); take(answer, ">h"); take_text(answer); take_text(answer); take(answer, ">i")
    return take(answer, ">i")

def changed(before):  # Kafka's coordinator hears of a change after it was answered
    end = time.monotonic() + 20
    while (now := described()) == before: assert time.monotonic() < end
    return now

create(topic, 1)
for _ in range(100):  # wakes the coordinator
    try:
        Consumer({"bootstrap.servers": bootstrap, "group.id": group}).committed([TopicPartition(topic, 0)], timeout=30)
        break
    except KafkaException: time.sleep(0.1)
for what, changes in {
    "too short": [(TIMEOUT, SET, "10")], "too long": [(TIMEOUT, SET, "3600000")], "no number": [(TIMEOUT, SET, "soon")],
    "unknown": [("consumer.time", SET, "1")], "append": [(TIMEOUT, APPEND, "1")], "interval too long": [(INTERVAL, SET, "20000")],
}.items(): print(what, alter(*changes))
print("no name", alter((TIMEOUT, SET, "50000"), name=""))
before = described()
print("before", before[0], [(name, facts[2]) for name, facts in before[2]])
print("only checked", alter((TIMEOUT, SET, "50000"), validate=1), described() == before)
print("set", alter((TIMEOUT, SET, "50000"), (INTERVAL, SET, "6000")))
now = changed(before)
print("told", now[0], [(name, facts[:5], facts[5][0]) for name, facts in now[2]])
while told_interval("a") != 6000: time.sleep(0.05)
print("deleted", alter((TIMEOUT, DELETE, None), (INTERVAL, DELETE, None)), changed(now) == before)
