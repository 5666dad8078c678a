# Every key and its versions, and the features.
frame = i16(18) + i16(3) + i32(7) + i16(-1) + TAGS + text("tidemill") + text("1") + TAGS
stream.sendall(i32(len(frame)) + frame)
answer = b""
while len(answer) < 4 or len(answer) < 4 + struct.unpack(">i", answer[:4])[0]: answer += stream.recv(1 << 16)
answer = BytesIO(answer[8:])  # no tags in the header: the client does not know yet what is spoken
assert take(answer, ">h") == 0
for _ in range(take_varint(answer) - 1):
    key, first, last = take(answer, ">h"), take(answer, ">h"), take(answer, ">h")
    answer.read(1)
    print(f"key {key:02}: {first}-{last}")
take(answer, ">i")
for _ in range(take_varint(answer)):
    tag, size = take_varint(answer), take_varint(answer)
    tagged = BytesIO(answer.read(size))
    if tag not in (0, 2): continue
    for _ in range(take_varint(tagged) - 1):
        name, one, other = take_text(tagged), take(tagged, ">h"), take(tagged, ">h")
        tagged.read(1)
        print(f"{'supported' if tag == 0 else 'finalized'} {name}: {min(one, other)}-{max(one, other)}")
