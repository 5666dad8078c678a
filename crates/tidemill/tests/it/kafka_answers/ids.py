# OffsetCommit and OffsetFetch of version 10: topics by their ids.
import uuid
from confluent_kafka import TopicCollection
create(topic, 2)
known = admin.describe_topics(TopicCollection([topic]))[topic].result(20).topic_id
whole = lambda n: n & 0xffffffffffffffff
first = struct.pack(">QQ", whole(known.get_most_significant_bits()), whole(known.get_least_significant_bits()))
nobody = uuid.UUID(int=5).bytes
def wake():
    try: return Consumer({"bootstrap.servers": bootstrap, "group.id": topic}).committed([TopicPartition(topic, 0)], timeout=30)
    except KafkaException: time.sleep(0.2)
while not wake(): pass  # the coordinator is made

def commit_at(id, offset, partition=0):
    place = i32(partition) + i64(offset) + i32(-1) + text("note") + TAGS
    answer = ask(8, 10, text(topic) + i32(-1) + text("") + text(None) + some([id + some([place]) + TAGS]) + TAGS)
    take(answer, ">i"); take_varint(answer)
    assert answer.read(16) == id
    take_varint(answer); take(answer, ">i")
    return named(take(answer, ">h"))

def fetch(ids, group=topic):
    topics = None if ids is None else [id + some([i32(0), i32(1)]) + TAGS for id in ids]
    answer = ask(9, 10, some([text(group) + text(None) + i32(-1) + some(topics) + TAGS]) + i8(0) + TAGS)
    take(answer, ">i"); take_varint(answer); take_text(answer)
    said = []
    for _ in range(take_varint(answer) - 1):
        which = {first: "first", nobody: "nobody's"}.get(answer.read(16), "another")
        for _ in range(take_varint(answer) - 1):
            number, offset, epoch, note, error = take(answer, ">i"), take(answer, ">q"), take(answer, ">i"), take_text(answer), take(answer, ">h")
            answer.read(1)
            said.append(f"{which} {number} {offset} {epoch} {note!r} {named(error)}")
        answer.read(1)
    return sorted(said), named(take(answer, ">h"))

print("a commit:", commit_at(first, 3))
print("a commit for no topic:", commit_at(nobody, 3))
print("a commit for the id of zeros:", commit_at(bytes(16), 3))
print("a commit for no partition:", commit_at(first, 3, 7))
print("a fetch:", fetch([first]))
print("a fetch of no topic:", fetch([nobody, first]))
print("a fetch of all:", fetch(None))
print("a fetch of no group:", fetch([first], topic + "-none"))
for future in admin.delete_topics([topic]).values(): future.result(20)
time.sleep(1)
print("a commit after the topic's end:", commit_at(first, 4))
print("a fetch after the topic's end:", fetch([first]))
print("a fetch of all after the topic's end:", fetch(None))
