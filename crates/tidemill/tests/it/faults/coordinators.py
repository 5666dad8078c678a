# `fill PID`: no file of the process may grow for a while. `look`: what is there in the next life.
import resource, threading
from confluent_kafka import IsolationLevel
what, *more = more

def files_grow_to(size):
    resource.prlimit(int(more[0]), resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def committed(group):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    found = consumer.committed([TopicPartition(topic, 0)], timeout=30)[0].offset
    consumer.close()
    return found

def values():
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.partition.eof": True,
                         "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    while True:
        message = consumer.poll(30)
        assert message is not None
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            return [value for value in found if len(value) < 100]
        found.append(message.value().decode())

if what == "look":
    print("offsets", committed("bytes"), committed("library"), committed("in-transaction"))
    print("records", *values())
    sys.exit()

create(topic, 1)
plain = Producer({"bootstrap.servers": bootstrap})
for _ in range(64): plain.produce(topic, "x" * 2000)
assert plain.flush(30) == 0

def commit_by_bytes(offset):
    place = i32(0) + i64(offset) + i32(-1) + text("") + TAGS
    answer = ask(8, 9, text("bytes") + i32(-1) + text("") + text(None) + some([text(topic) + some([place]) + TAGS]) + TAGS)
    take(answer, ">i"); take_varint(answer); take_text(answer); take_varint(answer); take(answer, ">i")
    return named(take(answer, ">h"))

def init():
    answer = ask(22, 4, text("by-bytes") + i32(60000) + i64(-1) + i16(-1) + TAGS)
    take(answer, ">i")
    return named(take(answer, ">h")), take(answer, ">q"), take(answer, ">h")
def add(id, epoch):
    answer = ask(24, 3, text("by-bytes") + i64(id) + i16(epoch) + some([text(topic) + some([i32(0)]) + TAGS]) + TAGS)
    take(answer, ">i"); take_varint(answer); take_text(answer); take_varint(answer); take(answer, ">i")
    return named(take(answer, ">h"))
def end(id, epoch, commit=True):
    answer = ask(26, 3, text("by-bytes") + i64(id) + i16(epoch) + i8(commit) + TAGS)
    take(answer, ">i")
    return named(take(answer, ">h"))

library = Consumer({"bootstrap.servers": bootstrap, "group.id": "library", "enable.auto.commit": False})
def commit_by_library(offset):
    library.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)

transactional = Producer({"bootstrap.servers": bootstrap, "transactional.id": "by-library", "linger.ms": 1})
transactional.init_transactions(30)
def begin(value, offset):
    transactional.begin_transaction()
    transactional.produce(topic, value, partition=0)
    transactional.flush(30)
    group = Consumer({"bootstrap.servers": bootstrap, "group.id": "in-transaction"})
    transactional.send_offsets_to_transaction([TopicPartition(topic, 0, offset)], group.consumer_group_metadata(), 30)
    group.close()

while commit_by_bytes(1) != "ok": time.sleep(0.1)  # the coordinator wakes
commit_by_library(1)
begin("before", 1)
transactional.commit_transaction(30)
said, id, epoch = init()
print("a producer by bytes:", said)
print("a transaction by bytes:", add(id, epoch), end(id, epoch))

print("-- no room at all")
begin("meanwhile", 2)
add(id, epoch)
files_grow_to(1)
print("a commit:", commit_by_bytes(2), "and what is committed:", committed("bytes"))
print("the end of a transaction:", end(id, epoch))
print("a producer:", init()[0])
outcomes = {}
def wait_for(name, call):
    def run():
        try: call(); outcomes[name] = "ok"
        except KafkaException as error: outcomes[name] = error.args[0].name()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
ending = wait_for("the library's transaction", lambda: transactional.commit_transaction(60))
ending.join(2)
print("the library's transaction waits:", ending.is_alive())
files_grow_to(resource.RLIM_INFINITY)
ending.join(60)
print("the library's transaction, with room:", outcomes.get("the library's transaction"))
def until_ok(call):
    for _ in range(100):
        said = call()
        if said == "ok": return said
        time.sleep(0.1)
    return said
print("a commit, with room:", until_ok(lambda: commit_by_bytes(3)), committed("bytes"))
print("the end of a transaction, with room:", until_ok(lambda: end(id, epoch)))
commit_by_library(3)

print("-- room for the decision, and none for its marker")
begin("decided", 4)
files_grow_to(64 << 10)  # the topic's own file is larger, those of the coordinators are not
ending = wait_for("the decided transaction", lambda: transactional.commit_transaction(60))
ending.join(2)
print("seen before there is room:", "decided" in values())
files_grow_to(resource.RLIM_INFINITY)
ending.join(60)
print("the decided transaction:", outcomes.get("the decided transaction"))
end_of_wait = time.monotonic() + 30
while "decided" not in values() and time.monotonic() < end_of_wait: pass
print("seen with room:", "decided" in values())
begin("after", 5)
transactional.commit_transaction(30)
print("offsets", committed("bytes"), committed("library"), committed("in-transaction"))
print("records", *values())
