// A day's work with kafkajs: it prints what it saw, and ends where anything is not as it must be.
const fs = require('fs')
const zlib = require('zlib')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32')
const snappy = require('snappyjs')
const { AssignerProtocol, CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')

// What kafkajs leaves to its users. It speaks snappy in the framing of the Java client.
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async encoder => {
    const block = snappy.compress(encoder.buffer)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(block.length)
    return Buffer.concat([XERIAL, length, block])
  },
  decompress: async buffer => {
    if (!buffer.subarray(0, 8).equals(XERIAL.subarray(0, 8))) return snappy.uncompress(buffer)
    const blocks = []
    for (let at = 16; at < buffer.length; ) {
      const length = buffer.readUInt32BE(at)
      blocks.push(snappy.uncompress(buffer.subarray(at + 4, at + 4 + length)))
      at += 4 + length
    }
    return Buffer.concat(blocks)
  },
})
// Kafka wants blocks that stand for themselves, and lz4js makes others: one block is written here.
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }) => {
    const block = Buffer.alloc(lz4.compressBound(buffer.length))
    const length = lz4.compressBlock(buffer, block, 0, buffer.length, new Uint32Array(1 << 16))
    const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0])
    head[6] = (xxh32.hash(0, head, 4, 2) >> 8) & 0xff
    const size = Buffer.alloc(4)
    size.writeUInt32LE(length || (buffer.length | 0x80000000) >>> 0)
    return Buffer.concat([head, size, length ? block.subarray(0, length) : buffer, Buffer.alloc(4)])
  },
  decompress: async buffer => Buffer.from(lz4.decompress(buffer)),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
  decompress: async buffer => zlib.zstdDecompressSync(buffer),
})

const [bootstrap, name, ca, username, password] = process.argv.slice(2)
const secured = ca ? { ssl: { ca: [fs.readFileSync(ca)] }, sasl: { mechanism: 'scram-sha-512', username, password } } : {}
process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, ...secured })
const admin = kafka.admin({ retry: { retries: 1 } })
const START = Date.now() - 600_000 // well within the retention of an hour: what is older may be gone at any time
const print = (...words) => console.log(words.join(' '))
const moment = () => new Promise(done => setTimeout(done, 20))
const until = async is => { while (!(await is())) await moment() }
const failure = async promise => promise.then(() => 'none', error => (error.groups?.[0].error ?? (error.errors ?? [error.cause ?? error])[0]).type ?? error.name)
const TOPIC = { type: ConfigResourceTypes.TOPIC, name }

async function config(key) {
  const told = await admin.describeConfigs({ includeSynonyms: true, resources: [{ ...TOPIC, configNames: [key] }] })
  const entry = told.resources[0].configEntries[0]
  return `${entry.configValue} ${entry.configSource}`
}

// The setting when it is no longer that: Kafka's brokers hear of a change after it was answered.
async function another(key, than) {
  let told
  await until(async () => !(told = await config(key)).startsWith(than))
  return told
}

async function topics() {
  const topic = { topic: name, numPartitions: 3, configEntries: [{ name: 'retention.ms', value: '3600000' }] }
  print('made:', await admin.createTopics({ topics: [topic] }), await admin.createTopics({ topics: [topic] }))
  print('retention.ms:', await config('retention.ms'), '; max.message.bytes:', await config('max.message.bytes'))
  await admin.alterConfigs({ resources: [{ ...TOPIC, configEntries: [{ name: 'cleanup.policy', value: 'compact,delete' }] }] })
  print('put:', await another('cleanup.policy', 'delete'), '; not kept:', await another('retention.ms', '3600000'))
  await admin.alterConfigs({ resources: [{ ...TOPIC, configEntries: [{ name: 'cleanup.policy', value: 'delete' }] }] })
  await admin.createPartitions({ topicPartitions: [{ topic: name, count: 4 }] })
  let told
  await until(async () => (told = await admin.fetchTopicMetadata({ topics: [name] })).topics[0].partitions.length == 4)
  const listed = await admin.listTopics()
  print('partitions:', told.topics[0].partitions.length, '; listed:', listed.includes(name), '; not there:', await failure(admin.fetchTopicMetadata({ topics: [name + '-none'] })))
}

async function send(messages, settings = {}, compression = CompressionTypes.None, topic = name) {
  const producer = kafka.producer({ allowAutoTopicCreation: false, ...settings })
  await producer.connect()
  const placed = await producer.send({ topic, messages, compression, acks: -1 })
  await producer.disconnect()
  return placed
}

// Every record from the start, by a group of its own.
async function read(topic, count, settings = {}) {
  const consumer = kafka.consumer({ groupId: `${topic}-read-${Math.random()}`, maxWaitTimeInMs: 100, ...settings })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const found = []
  consumer.run({ eachMessage: async ({ partition, message }) => { found.push({ partition, ...message }) } })
  await until(() => found.length >= count)
  await consumer.disconnect()
  return found
}

async function codecs() {
  const sent = new Map()
  for (const [n, codec] of Object.keys(CompressionTypes).entries()) {
    const messages = [...Array(40).keys()].map(i => ({
      partition: i % 4, key: `${i}`, value: `${codec} `.repeat(20) + i, timestamp: `${START + n * 1000 + i}`, headers: { codec, two: ['a', 'b'] },
    }))
    const placed = await send(messages, { idempotent: n % 2 == 0 }, CompressionTypes[codec])
    for (const { partition, baseOffset } of placed) {
      messages.filter(message => message.partition == partition).forEach((message, i) => sent.set(`${partition} ${Number(baseOffset) + i}`, message))
    }
  }
  const found = await read(name, 200)
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
  const producer = kafka.producer({ transactionalId: name, maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  for (let round = 0; round < 4; round++) {
    const transaction = await producer.transaction()
    await transaction.send({ topic: target, messages: [...Array(10).keys()].map(i => ({ value: `${round * 10 + i}` })) })
    await transaction.sendOffsets({ consumerGroupId: group, topics: [{ topic: name, partitions: [{ partition: 2, offset: `${round + 1}` }] }] })
    await (round % 2 ? transaction.commit() : transaction.abort())
  }
  const left = await producer.transaction()
  await left.send({ topic: target, messages: [{ value: 'never' }] })
  const second = kafka.producer({ transactionalId: name, maxInFlightRequests: 1, idempotent: true })
  await second.connect()
  await (await second.transaction()).abort()
  const locked = await failure(left.commit())
  await producer.disconnect()
  await second.disconnect()
  const values = (await read(target, 20)).map(message => `${message.value}`)
  const all = (await read(target, 41, { readUncommitted: true })).length
  const offsets = await admin.fetchOffsets({ groupId: group, topics: [name] })
  print('transactions:', values[0], 'to', values[19], 'of', all, '; committed:', offsets[0].partitions.find(each => each.partition == 2).offset, '; the first producer:', locked)
}

async function member(group, seen, settings = {}) {
  const consumer = kafka.consumer({ groupId: group, heartbeatInterval: 200, sessionTimeout: 6000, rebalanceTimeout: 6000, maxWaitTimeInMs: 100, ...settings })
  const state = { consumer, assigned: [] }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => { state.assigned = payload.memberAssignment[name] ?? [] })
  await consumer.connect()
  await consumer.subscribe({ topics: [name], fromBeginning: true })
  await consumer.run({ autoCommit: true, autoCommitThreshold: 1, eachMessage: async ({ partition, message }) => { seen.set(`${partition} ${message.offset}`, `${message.value}`) } })
  return state
}

async function groups() {
  const group = name + '-group', seen = new Map()
  const first = await member(group, seen)
  const second = await member(group, seen)
  await until(() => first.assigned.length == 2 && second.assigned.length == 2 && seen.size == 200)
  const told = (await admin.describeGroups([group])).groups[0]
  const sizes = told.members.map(each => Object.values(AssignerProtocol.MemberAssignment.decode(each.memberAssignment).assignment)[0].length)
  await second.consumer.disconnect()
  await until(() => first.assigned.length == 4)
  await first.consumer.disconnect()
  print('group:', told.state, told.protocol, sizes.join(), '; read', seen.size)
  await send([{ partition: 3, value: 'resumed' }])
  const rest = new Map()
  const third = await member(group, rest)
  await until(() => rest.size > 0)
  const listed = (await admin.listGroups()).groups.find(each => each.groupId == group)
  print('resumed with', [...rest.values()].join(), '; listed as', listed.protocolType, '; busy:', await failure(admin.deleteGroups([group])))
  await third.consumer.disconnect()
}

async function patterns() {
  const topics = ['a', 'b'].map(part => `${name}.part.${part}`)
  await admin.createTopics({ topics: topics.map(topic => ({ topic })) })
  for (const topic of topics) await send([{ value: topic.slice(-1) }], {}, CompressionTypes.None, topic)
  const consumer = kafka.consumer({ groupId: name + '-regex', maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [new RegExp(`^${name}\\.part\\..*`)], fromBeginning: true })
  const values = []
  consumer.run({ eachMessage: async ({ message }) => { values.push(`${message.value}`) } })
  await until(() => values.length == 2)
  await consumer.disconnect()
  print('regex:', values.sort().join())
}

async function places() {
  const at = async timestamp => (await admin.fetchTopicOffsetsByTimestamp(name, timestamp)).find(each => each.partition == 1).offset
  await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 1, offset: '20' }] })
  const ends = (await admin.fetchTopicOffsets(name)).find(each => each.partition == 1)
  const consumer = kafka.consumer({ groupId: name + '-seek', maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [name], fromBeginning: true })
  const found = []
  consumer.run({ eachMessage: async ({ partition, message }) => { if (partition == 1) found.push(message.offset) } })
  consumer.seek({ topic: name, partition: 1, offset: '33' })
  await until(() => found.includes('49'))
  print('by time:', await at(START + 2000), '; starts at', ends.low, 'of', ends.high, '; at 33:', found.includes('33'), found.at(-1))
  await consumer.disconnect()
}

async function endings() {
  const groupId = name + '-group'
  await admin.setOffsets({ groupId, topic: name, partitions: [{ partition: 1, offset: '21' }] })
  const told = async () => (await admin.fetchOffsets({ groupId, topics: [name] }))[0].partitions.find(each => each.partition == 1).offset
  print('offsets: set to', await told(), '; group deleted:', (await admin.deleteGroups([groupId]))[0].errorCode, 'then', await failure(admin.deleteGroups([groupId])))
  await admin.deleteTopics({ topics: [name] })
  print('topic deleted; again:', await failure(admin.deleteTopics({ topics: [name] })))
}

async function main() {
  setTimeout(() => { throw new Error('no end after 90 s') }, 90_000).unref()
  await admin.connect()
  for (const step of [topics, codecs, transactions, groups, patterns, places, endings]) await step()
  await admin.disconnect()
}

main().catch(error => { console.error(error); process.exit(1) })
