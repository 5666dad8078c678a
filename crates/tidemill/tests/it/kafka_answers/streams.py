# StreamsGroupHeartbeat and StreamsGroupDescribe: members by hand, what they are told, and what is refused in which words.
create(topic, 2)
create(topic + "-other", 3)
group = topic + "-group"
DELAYED = 5  # how long others are waited for is a setting, and not the same
epochs = {}
def wake():
    try: return Consumer({"bootstrap.servers": bootstrap, "group.id": topic}).committed([TopicPartition(topic, 0)], timeout=30)
    except KafkaException: time.sleep(0.2)
while not wake(): pass  # the coordinator is made

pairs = lambda all: some([text(key) + text(value) + TAGS for key, value in all])
info = lambda name, partitions=0, replicas=1, configs=(): text(name) + i32(partitions) + i16(replicas) + pairs(configs) + TAGS
texts = lambda all: some([text(one) for one in all])
tasks = lambda all: None if all is None else some([text(part) + some([i32(n) for n in numbers]) + TAGS for part, numbers in all])
nullable = lambda bytes: varint(0) if bytes is None else bytes

def part(id, sources=(), patterns=(), changelogs=(), sinks=(), repartitions=(), joined=()):
    shorts = lambda all: some([i16(n) for n in all])
    groups = some([shorts(one) + shorts([]) + shorts(other) + TAGS for one, other in joined])
    return text(id) + texts(sources) + texts(patterns) + some(list(changelogs)) + texts(sinks) + some(list(repartitions)) + groups + TAGS

def topology(*parts, epoch=0): return i8(1) + i32(epoch) + some(list(parts)) + TAGS

def beat(member, epoch, group=group, endpoint_epoch=-1, instance=None, rack=None, timeout_ms=-1, topology=None, active=None, standby=None,
        warmup=None, process=None, endpoint=None, tags=None, offsets=None, shuts=0, version=0):
    body = text(group) + text(member) + i32(epoch) + i32(endpoint_epoch) + text(instance) + text(rack) + i32(timeout_ms)
    body += (i8(-1) if topology is None else topology)
    body += b"".join(nullable(tasks(all)) for all in (active, standby, warmup)) + text(process)
    body += i8(-1) if endpoint is None else i8(1) + text(endpoint[0]) + struct.pack(">H", endpoint[1]) + TAGS
    body += nullable(None if tags is None else pairs(tags)) + nullable(offsets) + varint(0) + i8(shuts) + TAGS
    answer = ask(88, version, body)
    take(answer, ">i")
    error, reason, member, epoch = take(answer, ">h"), take_text(answer), take_text(answer), take(answer, ">i")
    [take(answer, ">i") for _ in range(3)]
    if error: return named(error) + " " + str(reason).replace(topic, "T")
    status = []
    for _ in range(take_varint(answer) - 1):
        code, detail = take(answer, ">b"), take_text(answer)
        answer.read(1)
        if code != DELAYED: status.append(f"{code} {detail}".replace(topic, "T"))
    given = [take_tasks(answer) for _ in range(3)]
    epochs[member] = epoch
    return epoch, status, given

def take_tasks(answer):
    count, all = take_varint(answer), []
    for _ in range(count - 1):
        part = take_text(answer)
        all.append((part, [take(answer, ">i") for _ in range(take_varint(answer) - 1)]))
        answer.read(1)
    return None if count == 0 else sorted(all)

def joining(member, parts, **more):
    told = dict(timeout_ms=60000, topology=parts and topology(*parts), active=[], standby=[], warmup=[], process=member)
    return beat(member, 0, **{**told, **more})

simple = [part("0", [topic])]
def tell(what, said): print(f"{what}: {said if isinstance(said, str) else said[1:]}")

tell("no member", joining("", simple))
tell("no group", joining("m", simple, group=""))
tell("an empty rack", joining("m", simple, rack=""))
tell("an instance", joining("m", simple, instance="i"))
tell("no time-out", joining("m", simple, timeout_ms=-1))
tell("no topology", joining("m", None))
tell("tasks at once", joining("m", simple, active=[("0", [0])]))
tell("warm-up tasks at once", joining("m", simple, warmup=[("0", [0])]))
tell("an expression", joining("m", [part("0", [topic], patterns=["a.*"])]))
tell("offsets of tasks", joining("m", simple, offsets=varint(1)))
tell("an epoch that is none", beat("m", -3))
tell("away for a while", beat("m", -2))
tell("a member of no group", beat("m", 5))
tell("leaving no group", beat("m", -1))
tell("an internal topic", joining("m", [part("0", ["__consumer_offsets"])]))
tell("a name that is none", joining("m", [part("0", ["a b"])]))
tell("a changelog with partitions", joining("m", [part("0", [topic], changelogs=[info(topic + "-log", 3)])]))
tell("a repartition topic that nobody writes", joining("m", [part("0", [topic], repartitions=[info(topic + "-rep")])]))
tell("a circle", joining("m", [part("0", sinks=["two"], repartitions=[info("one")]), part("1", sinks=["one"], repartitions=[info("two")])]))
tell("no source at all", joining("m", [part("0")]))
tell("a source that is not there", joining("m", [part("0", [topic + "-none"])], group=group + "-missing"))
unlike = [part("0", [topic, topic + "-other"], joined=[([0, 1], [])])]
tell("sources that do not match", joining("m", unlike, group=group + "-unlike"))

def stay(member, **more): return beat(member, epochs[member], **more)
def settle(member):
    time.sleep(1.2)  # tasks are shared out anew once a second
    for _ in range(5): said = stay(member)
    return said

for _ in range(100):
    joining("a", simple)
    if epochs["a"] > 0: break
tell("the tasks of one", settle("a"))
tell("another topology", joining("b", [part("0", [topic + "-other"])]))
tell("a task that is none", stay("a", active=[("0", [5])], standby=[], warmup=[]))
tell("a part that is none", stay("a", active=[("7", [0])], standby=[], warmup=[]))
tell("one kind of tasks", stay("a", active=[]))
tell("a topology later on", stay("a", topology=topology(*simple)))
tell("an epoch to come", beat("a", 99)[:24])
tell("a stranger", beat("x", 5).replace(group, "G"))
tell("shutting down", stay("a", shuts=1))
tell("leaving", beat("a", -1))
tell("leaving again", beat("a", -1).replace(group, "G"))

def describe(*groups):
    answer = ask(89, 0, texts(groups) + i8(1) + TAGS)
    take(answer, ">i")
    said = []
    for _ in range(take_varint(answer) - 1):
        error, reason, id, state = take(answer, ">h"), take_text(answer), take_text(answer), take_text(answer)
        take(answer, ">i"); take(answer, ">i")
        parts = None
        if take(answer, ">b") >= 0:
            take(answer, ">i"); parts = []
            for _ in range(take_varint(answer) - 1):
                parts.append((take_text(answer), [take_text(answer) for _ in range(take_varint(answer) - 1)], [take_text(answer) for _ in range(take_varint(answer) - 1)]))
                for _ in range(2): assert take_varint(answer) == 1
                answer.read(1)
            answer.read(1)
        assert take_varint(answer) == 1, "nobody is in it"
        operations = take(answer, ">i")
        answer.read(1)
        said.append(f"{named(error)} {reason} {state!r} {parts} {operations}".replace(topic, "T"))
    return said
print("described:", describe(group))
print("described, and unknown:", describe(group + "-none"))
committed = Consumer({"bootstrap.servers": bootstrap, "group.id": group + "-simple"})
committed.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
print("described, and another:", describe(group + "-simple"))
