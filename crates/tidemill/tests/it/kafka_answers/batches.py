# Batches as no client would pack them, each with the right CRC: what is answered to Produce.
import pyarrow
from kafka.record.util import calc_crc32c

now = int(time.time() * 1000)
def create_with(name, **config):
    for future in admin.create_topics([NewTopic(name, 1, config=config)]).values(): future.result(20)
create_with(topic)
create_with(topic + "-compacted", **{"cleanup.policy": "compact"})

def signed(n):
    return varint((n << 1 ^ n >> 63) & 0xffffffffffffffff)
def record(delta, time_delta=0, key=None, value=b"v" * 40, headers=b""):
    body = b"\0" + signed(time_delta) + signed(delta)
    body += signed(-1) if key is None else signed(len(key)) + key
    body += signed(len(value)) + value + (headers or signed(0))
    return signed(len(body)) + body
def batch(payload, count, attributes=0, last_delta=None, first=now, last=now):
    tail = i16(attributes) + i32(count - 1 if last_delta is None else last_delta) + i64(first) + i64(last)
    tail += i64(-1) + i16(-1) + i32(-1) + i32(count) + payload
    return i64(0) + i32(len(tail) + 9) + i32(-1) + b"\2" + struct.pack(">I", calc_crc32c(tail)) + tail
def produce(batch, to=topic):
    data = some([i32(0) + varint(len(batch) + 1) + batch + TAGS])
    answer = ask(0, 9, text(None) + i16(1) + i32(5000) + some([text(to) + data + TAGS]) + TAGS)
    take_varint(answer); take_text(answer); take_varint(answer); take(answer, ">i")
    error, _ = named(take(answer, ">h")), answer.read(24)
    indexes = []
    for _ in range(take_varint(answer) - 1):
        indexes.append(take(answer, ">i"))
        take_text(answer); answer.read(1)
    return f"{error} {indexes}" if indexes else error

codecs = {"none": (0, bytes), "gzip": (1, None), "snappy": (2, None), "lz4": (3, None), "zstd": (4, None)}
for name, (bits, pack) in codecs.items():
    pack = pack or (lambda plain, name=name: pyarrow.compress(plain, codec=name, asbytes=True))
    plain = b"".join(record(n) for n in range(10))
    say = lambda what, payload, count=10, to=topic, **more: print(f"{name}, {what}: {produce(batch(payload, count, bits, **more), to)}")
    say("as it should be", pack(plain))
    say("one record less than is packed", pack(plain), 9)
    say("one record more than is packed", pack(plain), 11)
    say("the last record cut off", pack(plain[:-3]))
    say("bytes behind the last record", pack(plain + b"\0\0\0"))
    say("a size below zero", pack(signed(-5) + plain))
    say("an offset that jumps", pack(record(0) + record(5)), 2)
    say("a count of headers below zero", pack(record(0, headers=signed(-1))), 1)
    say("a count of offsets that is not the records'", pack(plain), last_delta=12)
    say("no key for a compacted topic", pack(plain), to=topic + "-compacted")
    say("two hours ahead of the clock", pack(record(0) + record(1, 7200000) + record(2)), 3)
    say("two of three without a key", pack(record(0) + record(1, key=b"k") + record(2)), 3, to=topic + "-compacted")
    say("no record", pack(b""), 0, last_delta=0)
    if bits:
        say("not packed at all", b"\xff" * 60)
        say("the packing cut off", pack(plain)[:-9])

# The latest time of a batch is what its records say, whatever its header does.
produce(batch(record(0, 50), 1, first=now, last=now + 1000))
answer = ask(2, 7, i32(-1) + i8(0) + some([text(topic) + some([i32(0) + i32(-1) + i64(-3) + TAGS]) + TAGS]) + TAGS)
take(answer, ">i"); take_varint(answer); take_text(answer); take_varint(answer); take(answer, ">i")
print(f"latest time: {named(take(answer, '>h'))} {take(answer, '>q') - now}")
