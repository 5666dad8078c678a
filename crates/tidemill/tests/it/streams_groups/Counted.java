// A word count with Kafka Streams whose group is the broker's to lead (group.protocol=streams, KIP-1071), with exactly_once_v2.
// Counted BOOTSTRAP NAME FOLDER [work]: a day of two instances, or two that work until the input ends. Prints what they saw.

import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.*;

public class Counted {
    static final String[] WORDS = {"tide", "mill", "wheel", "river", "sluice", "grain", "stone"};
    static String bootstrap, name, folder;
    static int fed = 0;

    static Properties with(Object... pairs) {
        var all = new Properties();
        all.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) all.put(pairs[i], pairs[i + 1]);
        return all;
    }

    static KafkaStreams instance(String id, int port) {
        var builder = new StreamsBuilder();
        builder.stream(name + "-lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> List.of(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()).withName("words"))
            .count(Materialized.as("counts"))
            .toStream().to(name + "-counts", Produced.with(Serdes.String(), Serdes.Long()));
        var streams = new KafkaStreams(builder.build(), with("application.id", name, "client.id", id, "group.protocol", "streams",
            "processing.guarantee", "exactly_once_v2", "application.server", "localhost:" + port, "state.dir", folder + "/" + id,
            "commit.interval.ms", "100", "num.stream.threads", "1", "replication.factor", "1", "statestore.cache.max.bytes", "0",
            "consumer.auto.offset.reset", "earliest", "consumer.max.poll.records", "20"));
        streams.setUncaughtExceptionHandler(error -> StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.REPLACE_THREAD);
        streams.start();
        return streams;
    }

    static Map<String, Long> counted() {
        var counts = new TreeMap<String, Long>();
        try (var reader = new KafkaConsumer<>(with("isolation.level", "read_committed"), new StringDeserializer(), new LongDeserializer())) {
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

    static void feed(int count) throws Exception {
        try (var producer = new KafkaProducer<>(with("linger.ms", "5", "delivery.timeout.ms", "120000"), new StringSerializer(), new StringSerializer())) {
            for (int n = fed; n < fed + count; n++) producer.send(new ProducerRecord<>(name + "-lines", "" + n, WORDS[n % 7] + " " + WORDS[n % 3] + " all"));
            producer.flush();
        }
        fed += count;
    }

    static Map<String, Long> expected() {
        var expected = new TreeMap<String, Long>();
        for (int n = 0; n < fed; n++) for (var word : List.of(WORDS[n % 7], WORDS[n % 3], "all")) expected.merge(word, 1L, Long::sum);
        return expected;
    }

    static void await(String what, Callable<Boolean> is) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!is.call()) {
            if (System.nanoTime() > end) throw new IllegalStateException(what + " did not come");
            Thread.sleep(50);
        }
    }

    static long sum(Map<String, Long> counts) { return counts.values().stream().mapToLong(count -> count).sum(); }

    static void awaitAll() throws Exception {
        await("all of it", () -> sum(counted()) >= sum(expected()));
        var counts = counted();
        System.out.println("counted: " + (counts.equals(expected()) ? "each word once" : counts + " and not " + expected()));
    }

    static long tasks(KafkaStreams streams, boolean active) {
        return streams.metadataForLocalThreads().stream().mapToLong(t -> (active ? t.activeTasks() : t.standbyTasks()).size()).sum();
    }

    static void leave(KafkaStreams streams) {
        streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP).withTimeout(Duration.ofSeconds(20)));
    }

    static void day(Admin admin) throws Exception {
        var one = instance("one", 8001);
        feed(200);
        await("the first instance at work", () -> tasks(one, true) == 8);
        awaitAll();
        var two = instance("two", 8002);
        await("two instances at work", () -> tasks(one, true) == 4 && tasks(two, true) == 4);
        System.out.println("shared: 4 tasks each");
        feed(200);
        awaitAll();
        var group = admin.describeStreamsGroups(List.of(name)).all().get().get(name);
        System.out.println("group: " + group.groupState() + ", " + group.members().size() + " members");
        for (var part : group.subtopologies()) {
            var inner = Stream.concat(part.repartitionSourceTopics().keySet().stream(), part.stateChangelogTopics().keySet().stream());
            System.out.println("subtopology " + part.subtopologyId() + ": " + part.sourceTopics().stream().map(t -> t.substring(name.length())).toList()
                + " " + inner.map(t -> t.substring(name.length())).toList());
        }
        var listed = admin.listGroups(ListGroupsOptions.forStreamsGroups()).all().get().stream().filter(g -> g.groupId().equals(name)).toList();
        System.out.println("listed: " + listed.get(0).type().get() + ", " + listed.get(0).protocol());
        var resource = new ConfigResource(ConfigResource.Type.GROUP, name);
        var standbys = new AlterConfigOp(new ConfigEntry("streams.num.standby.replicas", "1"), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(standbys))).all().get();
        await("standbys", () -> tasks(one, false) + tasks(two, false) == 4);
        System.out.println("standbys: 4");
        await("each to be found", () -> one.metadataForAllStreamsClients().size() == 2
            && one.metadataForAllStreamsClients().stream().mapToInt(m -> m.standbyTopicPartitions().size()).sum() > 0);
        System.out.println("found at: " + new TreeSet<>(one.metadataForAllStreamsClients().stream().map(m -> m.port()).toList()));
        leave(two);
        await("one at work", () -> tasks(one, true) == 8);
        feed(200);
        awaitAll();
        leave(one);
        var offsets = admin.listStreamsGroupOffsets(Map.of(name, new ListStreamsGroupOffsetsSpec())).partitionsToOffsetAndMetadata(name).get();
        var committed = offsets.entrySet().stream().filter(e -> e.getKey().topic().equals(name + "-lines")).mapToLong(e -> e.getValue().offset()).sum();
        System.out.println("committed: " + committed);
        System.out.println("then: " + admin.describeStreamsGroups(List.of(name)).all().get().get(name).groupState());
        admin.deleteStreamsGroups(List.of(name)).all().get();
        System.out.println("deleted: " + admin.listGroups(ListGroupsOptions.forStreamsGroups()).all().get().stream().noneMatch(g -> g.groupId().equals(name)));
    }

    static void work() throws Exception {
        var streams = instance("one", 8001);
        var other = instance("two", 8002);
        feed(50);
        await("work", () -> sum(counted()) >= sum(expected()));
        System.out.println("at work");
        var ended = new CountDownLatch(1);
        var reader = new Thread(() -> {
            try { while (System.in.read() != -1) { } } catch (java.io.IOException e) { }
            ended.countDown();
        });
        reader.setDaemon(true);
        reader.start();
        do feed(20); while (!ended.await(100, TimeUnit.MILLISECONDS));
        awaitAll();
        leave(other);
        leave(streams);
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0]; name = args[1]; folder = args[2];
        try (var admin = Admin.create(with())) {
            admin.createTopics(List.of(new NewTopic(name + "-lines", 4, (short) 1), new NewTopic(name + "-counts", 2, (short) 1))).all().get();
            if (args.length > 3) work(); else day(admin);
        }
    }
}
