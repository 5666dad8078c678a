# Requests by their bytes, and what is read of the answers: put between `common.py` and the scripts that use it.
import socket, struct
from io import BytesIO

host, port = bootstrap.rsplit(":", 1)
stream = socket.create_connection((host, int(port)))
stream.settimeout(30)

def varint(n):
    out = b""
    while n >= 0x80: out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
    return out + bytes([n])
text = lambda s: varint(0) if s is None else varint(len(s.encode()) + 1) + s.encode()
some = lambda items: varint(0) if items is None else varint(len(items) + 1) + b"".join(items)
i8, i16, i32, i64 = (lambda n, f=f: struct.pack(f, n) for f in (">b", ">h", ">i", ">q"))
TAGS = b"\0"

def ask(key, version, body):
    frame = i16(key) + i16(version) + i32(7) + i16(-1) + TAGS + body
    stream.sendall(i32(len(frame)) + frame)
    answer = b""
    while len(answer) < 4 or len(answer) < 4 + struct.unpack(">i", answer[:4])[0]: answer += stream.recv(1 << 16)
    return BytesIO(answer[4 + 4 + 1:])

def take(answer, form): return struct.unpack(form, answer.read(struct.calcsize(form)))[0]
def take_varint(answer):
    shift, n = 0, 0
    while True:
        byte = answer.read(1)[0]
        n, shift = n | (byte & 0x7f) << shift, shift + 7
        if byte < 0x80: return n
def take_text(answer):
    length = take_varint(answer)
    return None if length == 0 else answer.read(length - 1).decode()

named = lambda code: KafkaError(code).name() if code else "ok"
