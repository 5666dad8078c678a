# What the coordinator answers to requests as no client would send them, by its own bytes: each step, and the error that came.
create(topic, 4)
TRY_AGAIN = (14, 15, 16)  # the coordinator is not there yet

def beat(member, epoch, instance=None, timeout=-1, topics=None, regex=None, assignor=None, owned=None, group=topic):
    owned = None if owned is None else [bytes(16) + some([i32(n) for n in owned]) + TAGS] if owned else []
    body = text(group) + text(member) + i32(epoch) + text(instance) + text(None) + i32(timeout)
    body += some(topics and [text(t) for t in topics]) + text(regex) + text(assignor) + some(owned) + TAGS
    while True:
        answer = ask(68, 1, body)
        take(answer, ">i")
        code = take(answer, ">h")
        if code not in TRY_AGAIN: break
        time.sleep(0.1)
    take_text(answer); take_text(answer)
    return named(code), take(answer, ">i")

def join(member, **more):
    return beat(member, 0, **{"timeout": 60000, "topics": [topic], "owned": [], **more})

def settle(member, epoch, **more):
    """Heartbeats until two are answered with the same epoch, 1.5 s apart: Kafka makes its targets at its own pace."""
    while True:
        time.sleep(1.5)
        said, now = beat(member, epoch, owned=[], **more)
        assert said == "ok", said
        if now == epoch: return now
        epoch = now

def commit_by(member, epoch, version=9, partition=0):
    place = i32(partition) + i64(5) + i32(-1) + text("") + TAGS
    answer = ask(8, version, text(topic) + i32(epoch) + text(member) + text(None) +
                 some([text(topic) + some([place]) + TAGS]) + TAGS)
    take(answer, ">i"); take_varint(answer); take_text(answer); take_varint(answer); take(answer, ">i")
    return named(take(answer, ">h"))

def fetch(member, epoch):
    answer = ask(9, 9, some([text(topic) + text(member) + i32(epoch) + some(None) + TAGS]) + i8(0) + TAGS)
    take(answer, ">i"); take_varint(answer); take_text(answer)
    for _ in range(take_varint(answer) - 1):
        take_text(answer)
        for _ in range(take_varint(answer) - 1):
            answer.read(4 + 8 + 4); take_text(answer); answer.read(2 + 1)
        answer.read(1)
    return named(take(answer, ">h"))

def classic(key, version, body):
    answer = ask(key, version, body)
    take(answer, ">i")
    return named(take(answer, ">h"))

def join_classic(kind, protocol, metadata):
    protocols = some([text(protocol) + varint(len(metadata) + 1) + metadata + TAGS])
    return classic(11, 9, text(topic) + i32(10000) + i32(10000) + text("") + text(None) + text(kind) + protocols + text(None) + TAGS)

say = lambda what, answer: print(f"{what}: {answer[0] if isinstance(answer, tuple) else answer}")
Consumer({"bootstrap.servers": bootstrap, "group.id": topic}).committed([TopicPartition(topic, 0)], timeout=30)  # wakes the coordinator
say("a join that names no time-out", join("a", timeout=-1))
say("a join that owns something", join("a", owned=[1]))
say("a join without a subscription", join("a", topics=None))
say("a join without an id", join(""))
say("a join with an empty instance", join("a", instance=""))
say("an epoch of -3", beat("a", -3))
say("a static leave without an instance", beat("a", -2))
say("an assignor that is none", join("a", assignor="sticky"))
say("a pattern that is none", join("a", topics=None, regex="(", group=topic + "-pattern"))
say("a heartbeat to no group", beat("a", 5))
say("a leave from no group", beat("a", -1))
said, epoch = join("a")
say("a join", said)
epoch = settle("a", epoch)
say("a stranger's heartbeat", beat("b", epoch))
say("a stranger's leave", beat("b", -1))
say("an epoch that is not yet", beat("a", epoch + 5))
say("a commit", commit_by("a", epoch))
say("a commit for later", commit_by("a", epoch + 1))
say("a commit as it was before member epochs", commit_by("a", epoch, version=8))
say("a commit of a stranger", commit_by("b", epoch))
say("a commit of nobody, while there are members", commit_by("", -1))
say("a fetch", fetch("a", epoch))
say("a fetch for later", fetch("a", epoch + 1))
say("a fetch of a stranger", fetch("b", epoch))
say("a fetch of nobody", fetch(None, -1))
said, fixed = join("s1", instance="i")
say("a static join", said)
fixed = settle("s1", fixed, instance="i")
say("a join of an instance that is there", join("s2", instance="i"))
say("a heartbeat of another with its instance", beat("s2", fixed, instance="i"))
say("an instance that is none", beat("s1", fixed, instance="j"))
say("a static leave", beat("s1", -2, instance="i"))
say("a join of an instance that left", join("s2", instance="i"))
say("a heartbeat of who was there before", beat("s1", fixed, instance="i"))
epoch = settle("a", beat("a", epoch, owned=[])[1])
say("an epoch that is over", beat("a", epoch - 1))
say("a classic join of another type", join_classic("connect", "range", b"\0\0\0\0\0\0\xff\xff\xff\xff"))
say("a classic join without protocols", classic(11, 9, text(topic) + i32(10000) + i32(10000) + text("") + text(None) + text("consumer") + some([]) + text(None) + TAGS))
say("a classic join without an id", join_classic("consumer", "range", b"\0\0\0\0\0\0\xff\xff\xff\xff"))
say("a classic heartbeat", classic(12, 4, text(topic) + i32(epoch) + text("a") + text(None) + TAGS))
say("a classic sync", classic(14, 5, text(topic) + i32(epoch) + text("a") + text(None) + text("consumer") + text("range") + some([]) + TAGS))
describe = lambda key, version, group: ask(key, version, some([text(group)]) + i8(0) + TAGS)
def described_as(key, version, group):
    answer = describe(key, version, group)
    take(answer, ">i"); take_varint(answer)
    return named(take(answer, ">h"))
say("described as classic", described_as(15, 6, topic))
say("described as classic, as before", described_as(15, 5, topic))
say("described", described_as(69, 1, topic))
say("no group described", described_as(69, 1, topic + "-none"))
def deleted():
    answer = ask(42, 2, some([text(topic)]) + TAGS)
    take(answer, ">i"); take_varint(answer); take_text(answer)
    return named(take(answer, ">h"))
say("deleted with members", deleted())
for member, instance in (("a", None), ("s2", "i")): say("a leave", beat(member, -1, instance=instance))
say("a commit of nobody", commit_by("", -1))
say("deleted", deleted())
say("deleted once more", deleted())
