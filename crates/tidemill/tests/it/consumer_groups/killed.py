# Consumers at work while the broker is killed again and again: each line on stdin is a chance, the end of it is the end.
import threading
members, partitions = int(more[0]), 6
create(topic, partitions)
stopping, acknowledged, lock = threading.Event(), set(), threading.Lock()
spans, consumed = [], set()  # (partition, member, from, until); values

def produce():
    producer, number = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5}), 0
    def done(error, message):
        if error is None: acknowledged.add(message.value())
    while not stopping.is_set():
        producer.produce(topic, str(number), partition=number % partitions, on_delivery=done)
        number += 1
        producer.poll(0.002)
    assert producer.flush(60) == 0

def consume(number, ends):
    held = {}
    def give(_, given):
        for p in given: held[p.partition] = time.monotonic()
    def take(_, taken):
        with lock:
            for p in taken: spans.append((p.partition, number, held.pop(p.partition), time.monotonic()))
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "group.protocol": "consumer",
                         "auto.offset.reset": "earliest", "auto.commit.interval.ms": 200,
                         "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200})
    consumer.subscribe([topic], on_assign=give, on_revoke=take, on_lost=take)
    while not ends():
        message = consumer.poll(0.05)
        if message is not None and message.error() is None: consumed.add(message.value())
    consumer.close()

threads = [threading.Thread(target=produce)]
everything = lambda: stopping.is_set() and not threads[0].is_alive() and acknowledged <= consumed
start = time.monotonic()
for number in range(members):
    threads.append(threading.Thread(target=consume, args=(number, everything)))
# One comes and goes all the while, so that partitions move.
def wander():
    number = members
    while not stopping.is_set():
        end = time.monotonic() + 3
        consume(number, lambda: time.monotonic() > end)
        number += 1
threads.append(threading.Thread(target=wander))
for thread in threads: thread.start()
print("at work", flush=True)
sys.stdin.read()
stopping.set()
for thread in threads:
    thread.join(90)
    assert not thread.is_alive(), ("lost", len(acknowledged - consumed), sorted(acknowledged - consumed)[:10])
assert len(acknowledged) > 100, len(acknowledged)
spans.sort(key=lambda span: (span[0], span[2]))
for one, other in zip(spans, spans[1:]):
    assert one[0] != other[0] or one[3] <= other[2], ("owned by two", one, other)
moved = len({(partition, member) for partition, member, _, _ in spans})
assert moved > partitions, spans
print("none lost", flush=True)
