// A word count with Kafka Streams and exactly_once_v2: two instances share the work, one is thrown out in the middle of it, its work
// is done again, and every word is counted once. Prints what it saw.

import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.state.QueryableStoreTypes;

public class WordCount {
    static final int LINES = 600;
    static final String[] WORDS = {"tide", "mill", "wheel", "river", "sluice", "grain", "stone"};
    static Properties basic = new Properties();
    static String name, folder;

    static Properties with(Object... pairs) {
        var all = new Properties();
        all.putAll(basic);
        for (int i = 0; i < pairs.length; i += 2) all.put(pairs[i], pairs[i + 1]);
        return all;
    }

    static Topology topology() {
        var builder = new StreamsBuilder();
        builder.stream(name + "-lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> List.of(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
            .count(Materialized.as("counts"))
            .toStream().to(name + "-counts", Produced.with(Serdes.String(), Serdes.Long()));
        return builder.build();
    }

    /** Started; a thread that fails is replaced. */
    static KafkaStreams instance(String id) {
        var streams = new KafkaStreams(topology(), with("application.id", name, "client.id", id, "processing.guarantee", "exactly_once_v2",
            "state.dir", folder + "/" + id, "commit.interval.ms", "100", "num.stream.threads", "1", "replication.factor", "1",
            "statestore.cache.max.bytes", "0", "consumer.auto.offset.reset", "earliest", "consumer.session.timeout.ms", "6000",
            "consumer.heartbeat.interval.ms", "300", "consumer.max.poll.records", "20", "topology.optimization", "none"));
        streams.setUncaughtExceptionHandler(error -> StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.REPLACE_THREAD);
        streams.start();
        return streams;
    }

    static Map<String, Long> counted(String isolation) {
        var counts = new TreeMap<String, Long>();
        try (var reader = new KafkaConsumer<>(with("isolation.level", isolation), new StringDeserializer(), new LongDeserializer())) {
            var partitions = reader.partitionsFor(name + "-counts").stream()
                .map(p -> new org.apache.kafka.common.TopicPartition(p.topic(), p.partition())).toList();
            reader.assign(partitions);
            reader.seekToBeginning(partitions);
            var ends = reader.endOffsets(partitions);
            while (partitions.stream().anyMatch(p -> reader.position(p) < ends.get(p)))
                for (var record : reader.poll(Duration.ofMillis(100))) counts.put(record.key(), record.value());
        }
        return counts;
    }

    static void feed(int from, int to) throws Exception {
        try (var producer = new KafkaProducer<>(with("linger.ms", "5"), new StringSerializer(), new StringSerializer())) {
            for (int n = from; n < to; n++) producer.send(new ProducerRecord<>(name + "-lines", "" + n, WORDS[n % 7] + " " + WORDS[n % 3] + " all"));
        }
    }

    static void await(String what, Callable<Boolean> is) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!is.call()) {
            if (System.nanoTime() > end) throw new IllegalStateException(what + ": " + counted("read_committed"));
            Thread.sleep(50);
        }
    }

    static boolean isAll(long lines) { return counted("read_committed").getOrDefault("all", 0L) == lines; }

    public static void main(String[] args) throws Exception {
        basic.put("bootstrap.servers", args[0]);
        name = args[1]; folder = args[2];
        if (args.length > 3) {
            var module = "org.apache.kafka.common.security.scram.ScramLoginModule";
            basic.putAll(Map.of("security.protocol", "SASL_SSL", "sasl.mechanism", "SCRAM-SHA-512", "ssl.truststore.type", "PEM",
                "ssl.truststore.location", args[3],
                "sasl.jaas.config", module + " required username=\"" + args[4] + "\" password=\"" + args[5] + "\";"));
        }
        var admin = Admin.create(basic);
        admin.createTopics(List.of(new NewTopic(name + "-lines", 4, (short) 1), new NewTopic(name + "-counts", 2, (short) 1))).all().get();
        feed(0, LINES / 3);
        var one = instance("one");
        await("the first third", () -> isAll(LINES / 3));
        var two = instance("two");
        feed(LINES / 3, 2 * LINES / 3);
        await("two instances at work", () -> one.metadataForLocalThreads().stream().anyMatch(t -> !t.activeTasks().isEmpty())
            && two.metadataForLocalThreads().stream().anyMatch(t -> !t.activeTasks().isEmpty()));
        await("the second third", () -> isAll(2 * LINES / 3));
        // The group throws out every member: their transactions are fenced, and their tasks begin again from what was committed.
        feed(2 * LINES / 3, LINES);
        admin.removeMembersFromConsumerGroup(name, new RemoveMembersFromConsumerGroupOptions()).all().get();
        var expected = new TreeMap<String, Long>();
        for (int n = 0; n < LINES; n++) for (var word : List.of(WORDS[n % 7], WORDS[n % 3], "all")) expected.merge(word, 1L, Long::sum);
        // Each word is counted in a partition of its own, and one may be done before another; none may ever be counted too often.
        var sum = expected.values().stream().mapToLong(count -> count).sum();
        await("all of it", () -> counted("read_committed").values().stream().mapToLong(count -> count).sum() >= sum);
        var counts = counted("read_committed");
        var names = new TreeSet<String>();
        for (var topic : admin.listTopics().names().get()) if (topic.startsWith(name + "-counts-")) names.add(topic.substring(name.length()));
        System.out.println("counted: " + (counts.equals(expected) ? "each word once" : counts + " and not " + expected));
        System.out.println("inner topics: " + names);
        var resource = new org.apache.kafka.common.config.ConfigResource(org.apache.kafka.common.config.ConfigResource.Type.TOPIC, name + "-counts-changelog");
        System.out.println("changelog: " + admin.describeConfigs(List.of(resource)).all().get().get(resource).get(TopicConfig.CLEANUP_POLICY_CONFIG).value());
        var store = one.store(StoreQueryParameters.fromNameAndType("counts", QueryableStoreTypes.<String, Long>keyValueStore()));
        var other = two.store(StoreQueryParameters.fromNameAndType("counts", QueryableStoreTypes.<String, Long>keyValueStore()));
        var held = new TreeMap<String, Long>();
        for (var each : List.of(store, other)) try (var all = each.all()) { all.forEachRemaining(pair -> held.put(pair.key, pair.value)); }
        System.out.println("stores: " + (held.equals(expected) ? "the same" : held));
        two.close(Duration.ofSeconds(20));
        one.close(org.apache.kafka.streams.CloseOptions.groupMembershipOperation(org.apache.kafka.streams.CloseOptions.GroupMembershipOperation.LEAVE_GROUP).withTimeout(Duration.ofSeconds(20)));
        var committed = admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get().entrySet().stream()
            .filter(entry -> entry.getKey().topic().equals(name + "-lines")).mapToLong(entry -> entry.getValue().offset()).sum();
        System.out.println("committed: " + committed);
        admin.close();
    }
}
