// A day's work with @confluentinc/kafka-javascript: it prints what it saw, and ends where anything is not as it must be.
const { KafkaJS } = require('@confluentinc/kafka-javascript')

const [bootstrap, name, ca, user, password] = process.argv.slice(2)
const secured = ca ? {
  'security.protocol': 'sasl_ssl', 'ssl.ca.location': ca, 'sasl.mechanism': 'SCRAM-SHA-512', 'sasl.username': user, 'sasl.password': password,
} : {}
const silent = { debug() {}, info() {}, warn() {}, error() {}, namespace() { return silent }, setLogLevel() {} }
const kafka = new KafkaJS.Kafka({ 'bootstrap.servers': bootstrap, ...secured, kafkaJS: { logger: silent } })
const admin = kafka.admin({ kafkaJS: { logger: silent } })
const START = Date.now() - 600_000 // well within the retention of an hour: what is older may be gone at any time
const print = (...words) => console.log(words.join(' '))
const until = async is => { while (!(await is())) await new Promise(done => setTimeout(done, 20)) }
const failure = async promise => promise.then(() => 'none', error => (error.groups?.[0]?.error ?? error.errors?.[0] ?? error).type ?? error.message)

async function topics() {
  const topic = { topic: name, numPartitions: 4, configEntries: [{ name: 'retention.ms', value: '3600000' }] }
  print('made:', await admin.createTopics({ topics: [topic] }), await admin.createTopics({ topics: [topic] }))
  const wrong = { topic: name + '-wrong', configEntries: [{ name: 'retention.mss', value: '1' }] }
  const [told] = await admin.fetchTopicMetadata({ topics: [name] })
  print('unknown setting:', await failure(admin.createTopics({ topics: [wrong] })), '; partitions:', told.partitions.length,
    '; listed:', (await admin.listTopics()).includes(name))
}

async function send(messages, settings = {}, topic = name) {
  const producer = kafka.producer({ 'linger.ms': 1, acks: -1, ...settings, kafkaJS: { logger: silent } })
  await producer.connect()
  const placed = await producer.send({ topic, messages: structuredClone(messages) }) // it changes what it is given
  await producer.disconnect()
  return placed
}

// A consumer that hands over what it reads until it is disconnected.
async function reader(topics, found, settings = {}) {
  const consumer = kafka.consumer({
    'group.id': `${name}-read-${Math.random()}`, 'auto.offset.reset': 'earliest', 'fetch.wait.max.ms': 100, ...settings, kafkaJS: { logger: silent },
  })
  await consumer.connect()
  await consumer.subscribe({ topics })
  consumer.run({ eachMessage: async ({ partition, message }) => { found.push({ partition, ...message }) } })
  return consumer
}

async function read(topics, count, settings = {}) {
  const found = []
  const consumer = await reader(topics, found, settings)
  await until(() => found.length >= count)
  await consumer.disconnect()
  return found
}

async function codecs() {
  const sent = new Map()
  for (const [n, codec] of ['none', 'gzip', 'snappy', 'lz4', 'zstd'].entries()) {
    const messages = [...Array(40).keys()].map(i => ({
      partition: i % 4, key: `${i}`, value: `${codec} `.repeat(20) + i, timestamp: `${START + n * 1000 + i}`, headers: { codec, two: ['a', 'b'] },
    }))
    const placed = await send(messages, { 'compression.codec': codec, 'enable.idempotence': n % 2 == 0 })
    for (const { partition, baseOffset } of placed) {
      messages.filter(message => message.partition == partition).forEach((message, i) => sent.set(`${partition} ${Number(baseOffset) + i}`, message))
    }
  }
  const found = await read([name], 200)
  const same = message => {
    const was = sent.get(`${message.partition} ${message.offset}`)
    return `${message.key}` == was.key && `${message.value}` == was.value && message.timestamp == was.timestamp &&
      `${message.headers.codec}` == was.headers.codec && message.headers.two.join() == 'a,b'
  }
  print('codecs:', sent.size, 'sent;', found.length, 'read;', found.filter(message => !same(message)).length, 'wrong')
}

async function transactions() {
  const target = name + '-committed', group = name + '-exactly'
  await admin.createTopics({ topics: [{ topic: target, numPartitions: 1 }] })
  const consumer = await reader([name], [], { 'group.id': group, 'enable.auto.commit': false })
  const settings = { 'transactional.id': name, kafkaJS: { logger: silent } }
  await until(() => consumer.assignment().length == 4) // a generation that still changes is refused
  const producer = kafka.producer(settings)
  await producer.connect()
  for (let round = 0; round < 4; round++) {
    const transaction = await producer.transaction()
    await transaction.send({ topic: target, messages: [...Array(10).keys()].map(i => ({ value: `${round * 10 + i}` })) })
    await transaction.sendOffsets({ consumer, topics: [{ topic: name, partitions: [{ partition: 2, offset: `${round + 1}` }] }] })
    await (round % 2 ? transaction.commit() : transaction.abort())
  }
  await producer.transaction()
  await producer.send({ topic: target, messages: [{ value: 'never' }] })
  const second = kafka.producer(settings)
  await second.connect()
  const locked = await failure(producer.commit())
  await second.disconnect()
  await producer.disconnect()
  await consumer.disconnect()
  const values = (await read([target], 20, { 'isolation.level': 'read_committed' })).map(message => `${message.value}`)
  const all = (await read([target], 41, { 'isolation.level': 'read_uncommitted' })).length
  const offsets = await admin.fetchOffsets({ groupId: group, topics: [name] })
  print('transactions:', values[0], 'to', values[19], 'of', all, '; committed:', offsets[0].partitions.find(each => each.partition == 2).offset, '; the first producer:', locked)
}

async function groups(protocol) {
  const groupId = `${name}-${protocol}`, seen = []
  const quick = protocol == 'classic' ? { 'session.timeout.ms': 6000, 'heartbeat.interval.ms': 200 } : {}
  const settings = { 'group.id': groupId, 'group.protocol': protocol, 'auto.commit.interval.ms': 100, ...quick }
  const fixed = { ...settings, 'group.instance.id': 'fixed' }
  const first = await reader([name], seen, fixed)
  const second = await reader([name], seen, settings)
  const places = () => new Set(seen.map(message => `${message.partition} ${message.offset}`)).size
  await until(() => first.assignment().length == 2 && second.assignment().length == 2 && places() >= 200)
  const told = (await admin.describeGroups([groupId])).groups[0]
  const members = told.members.map(member => `${member.assignment.topicPartitions.length}${member.groupInstanceId ? ' ' + member.groupInstanceId : ''}`)
  const listed = (await admin.listGroups()).groups.find(group => group.groupId == groupId)
  print(protocol, 'group:', told.partitionAssignor, members.sort().join(), '; state', told.state, listed.state, '; type', told.type, listed.type)
  const had = JSON.stringify(first.assignment())
  await first.disconnect()
  const again = []
  const back = await reader([name], again, fixed)
  await until(() => back.assignment().length == 2)
  print('static', protocol, 'member has the same again:', JSON.stringify(back.assignment()) == had)
  await second.disconnect()
  await until(() => back.assignment().length == 4)
  await send([{ partition: 3, value: 'after ' + protocol }])
  await until(() => again.some(message => message.value == 'after ' + protocol))
  await back.disconnect()
  const offsets = await admin.fetchOffsets({ groupId, topics: [name] })
  const ends = await admin.fetchTopicOffsets(name)
  const sum = each => each.reduce((sum, { offset }) => sum + Number(offset), 0)
  print('resumed with', again.length, again[0].value, '; all committed:', sum(offsets[0].partitions) == sum(ends))
}

async function patterns() {
  const topics = ['a', 'b'].map(part => `${name}.part.${part}`)
  await admin.createTopics({ topics: topics.map(topic => ({ topic })) })
  for (const topic of topics) await send([{ value: topic.slice(-1) }], {}, topic)
  for (const protocol of ['classic', 'consumer']) {
    const found = await read([new RegExp(`^${name}\\.part\\..*`)], 2, { 'group.protocol': protocol })
    print('regex', protocol, 'members read', found.map(message => `${message.value}`).sort().join())
  }
}

async function places() {
  const at = async timestamp => (await admin.fetchTopicOffsetsByTimestamp(name, timestamp)).find(each => each.partition == 1).offset
  const before = await at(START + 2000)
  const [deleted] = await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 1, offset: '20' }] })
  const ends = (await admin.fetchTopicOffsets(name)).find(each => each.partition == 1)
  const found = []
  const consumer = await reader([name], found)
  // A seek is sometimes lost, with any broker, most of all before the first fetch of a partition: read all, then go back, and ask again.
  const times = offset => found.filter(message => message.partition == 1 && message.offset == offset).length
  await until(() => times('49') == 1)
  let sought = 0
  await until(() => {
    if (Date.now() - sought > 5_000) {
      consumer.seek({ topic: name, partition: 1, offset: '33' })
      sought = Date.now()
    }
    return times('49') > 1
  })
  print('by time:', before, '; deleted up to', deleted.lowWatermark, '; starts at', ends.low, 'of', ends.high, '; seek:', times('32') == 1 && times('33') > 1)
  await consumer.disconnect()
}

async function endings() {
  const groupId = name + '-exactly'
  const offsets = async () => (await admin.fetchOffsets({ groupId, topics: [name] })).length
  await admin.deleteGroups([groupId])
  print('group deleted; offsets:', await offsets(), '; again:', await failure(admin.deleteGroups([groupId])))
  await admin.deleteTopics({ topics: [name] })
  // Apache Kafka sometimes takes a second order to delete before the first is done.
  let again = 'none'
  await until(async () => (again = await failure(admin.deleteTopics({ topics: [name] }))) != 'none')
  print('topic deleted; again:', again)
}

async function main() {
  let at = ''
  setTimeout(() => { throw new Error('no end after 90 s: ' + at) }, 90_000).unref()
  await admin.connect()
  const groupsOf = ['classic', 'consumer'].map(protocol => function groupsOf() { return groups(protocol) })
  for (const step of [topics, codecs, transactions, ...groupsOf, patterns, places, endings]) {
    at = step.name
    const began = Date.now()
    await step()
    console.error(`${at}: ${Date.now() - began} ms`) // not compared: shown where a run takes too long
  }
  await admin.disconnect()
}

main().catch(error => { console.error(error); process.exit(1) })
