# A day's work with an old librdkafka, by its C interface: it prints what it saw, and ends where anything is not as it must be.
import ctypes as c, glob, sys
library, bootstrap, name, *secured = sys.argv[1:]
for needed in glob.glob(library + "/libz-*"): c.CDLL(needed, mode=c.RTLD_GLOBAL)
rd = c.CDLL(library + "/librdkafka.so.1")
for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_consumer_poll", "rd_kafka_topic_partition_list_new",
                 "rd_kafka_topic_partition_list_add"): getattr(rd, function).restype = c.c_void_p
for function in ("rd_kafka_err2name", "rd_kafka_version_str"): getattr(rd, function).restype = c.c_char_p

class Message(c.Structure):
    _fields_ = [("error", c.c_int), ("topic", c.c_void_p), ("partition", c.c_int32), ("value", c.c_void_p), ("length", c.c_size_t),
                ("key", c.c_void_p), ("key_length", c.c_size_t), ("offset", c.c_int64)]
class Place(c.Structure):
    _fields_ = [("topic", c.c_char_p), ("partition", c.c_int32), ("offset", c.c_int64), ("metadata", c.c_void_p), ("size", c.c_size_t),
                ("opaque", c.c_void_p), ("error", c.c_int), ("private", c.c_void_p)]
class Places(c.Structure):
    _fields_ = [("count", c.c_int), ("size", c.c_int), ("elements", c.POINTER(Place))]

def check(error): assert error == 0, rd.rd_kafka_err2name(error)

def client(kind, **settings):
    conf, said = c.c_void_p(rd.rd_kafka_conf_new()), c.create_string_buffer(512)
    settings |= {"bootstrap.servers": bootstrap, "log_level": "0"}
    if secured:
        ca, user, password = secured
        settings |= {"security.protocol": "SASL_SSL", "ssl.ca.location": ca, "sasl.mechanism": "SCRAM-SHA-512",
                     "sasl.username": user, "sasl.password": password}
    for key, value in settings.items():
        assert rd.rd_kafka_conf_set(conf, key.replace("_", ".").encode(), value.encode(), said, 512) == 0 \
            or rd.rd_kafka_conf_set(conf, key.encode(), value.encode(), said, 512) == 0, said.value
    made = c.c_void_p(rd.rd_kafka_new(kind, conf, said, 512))
    assert made, said.value
    return made

def produce(records, **settings):
    producer = client(0, linger_ms="20", **settings)
    for key, value, header in records:
        check(rd.rd_kafka_producev(producer, 1, c.c_char_p(name.encode()), 3, c.c_int32(0), 7, c.c_int(2),
                                   4, c.c_char_p(value), c.c_size_t(len(value)), 5, c.c_char_p(key), c.c_size_t(len(key)),
                                   9, c.c_char_p(b"codec"), c.c_char_p(header), c.c_ssize_t(len(header)), 0))
    check(rd.rd_kafka_flush(producer, 20000))
    rd.rd_kafka_destroy(producer)

def consumer(group):
    made = client(1, group_id=group, auto_offset_reset="earliest", session_timeout_ms="6000", enable_auto_commit="false",
                  fetch_wait_max_ms="100")
    rd.rd_kafka_poll_set_consumer(made)
    topics = c.c_void_p(rd.rd_kafka_topic_partition_list_new(1))
    rd.rd_kafka_topic_partition_list_add(topics, name.encode(), c.c_int32(-1))
    check(rd.rd_kafka_subscribe(made, topics))
    return made

def read(made, count):
    found = []
    for _ in range(600):
        if len(found) == count: return found
        pointer = rd.rd_kafka_consumer_poll(made, 100)
        if not pointer: continue
        message = Message.from_address(pointer)
        header, size = c.c_void_p(), c.c_size_t()
        if message.error == 0:
            headers = c.c_void_p()
            check(rd.rd_kafka_message_headers(c.c_void_p(pointer), c.byref(headers)))
            check(rd.rd_kafka_header_get_last(headers, b"codec", c.byref(header), c.byref(size)))
            found.append((message.offset, c.string_at(message.key, message.key_length), c.string_at(message.value, message.length),
                          c.string_at(header, size.value)))
        else: assert rd.rd_kafka_err2name(message.error) == b"_PARTITION_EOF", c.string_at(message.value, message.length)
        rd.rd_kafka_message_destroy(c.c_void_p(pointer))
    raise SystemExit(f"only {len(found)} of {count}")

sent = []
for n, codec in enumerate([b"none", b"gzip", b"snappy", b"lz4", b"zstd"]):
    records = [(b"k%d" % i, (codec + b" ") * 20 + b"%d" % i, codec) for i in range(20)]
    produce(records, compression_codec=codec.decode(), enable_idempotence="true" if n % 2 else "false")
    sent += records
member = consumer(name + "-group")
first = read(member, 60)
check(rd.rd_kafka_commit(member, None, 0))
check(rd.rd_kafka_consumer_close(member))
rd.rd_kafka_destroy(member)
member = consumer(name + "-group")
rest = read(member, 40)
print("read as sent:", [record[1:] for record in first + rest] == sent, "; offsets", first[0][0], "to", rest[-1][0], "; resumed at", rest[0][0])
low, high = c.c_int64(), c.c_int64()
check(rd.rd_kafka_query_watermark_offsets(member, name.encode(), c.c_int32(0), c.byref(low), c.byref(high), 10000))
places = c.c_void_p(rd.rd_kafka_topic_partition_list_new(1))
rd.rd_kafka_topic_partition_list_add(places, name.encode(), c.c_int32(0))
elements = Places.from_address(places.value).elements
check(rd.rd_kafka_committed(member, places, 10000))
committed, elements[0].offset = elements[0].offset, 1
check(rd.rd_kafka_offsets_for_times(member, places, 10000))
print("watermarks:", low.value, high.value, "; committed:", committed, "; by time:", elements[0].offset)
check(rd.rd_kafka_consumer_close(member))
rd.rd_kafka_destroy(member)
