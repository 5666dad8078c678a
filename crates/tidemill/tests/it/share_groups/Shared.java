// Share groups with Apache Kafka's own consumer: BOOTSTRAP TOPIC MODE. What it saw goes to stdout.

import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

public class Shared {
    static String bootstrap, topic;

    static Map<String, Object> with(Object... pairs) {
        var all = new HashMap<String, Object>(Map.of("bootstrap.servers", bootstrap));
        for (int i = 0; i < pairs.length; i += 2) all.put((String) pairs[i], pairs[i + 1]);
        return all;
    }

    static ShareConsumer<String, String> consumer(String group, Object... more) {
        var settings = with(more);
        settings.putAll(Map.of("group.id", group, "share.acknowledgement.mode", "explicit"));
        settings.putIfAbsent("max.poll.records", 10);
        var consumer = new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    /** One batch for each record. */
    static void produce(int from, int count) throws Exception {
        try (var producer = new KafkaProducer<>(with("batch.size", 1), new StringSerializer(), new StringSerializer())) {
            for (int i = from; i < from + count; i++) producer.send(new ProducerRecord<>(topic, "" + i)).get();
        }
    }

    static void begin(String group, String... settings) throws Exception {
        try (var admin = Admin.create(with())) {
            try { admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get(); }
            catch (ExecutionException e) { if (!(e.getCause() instanceof TopicExistsException)) throw e; }
            var resource = new ConfigResource(ConfigResource.Type.GROUP, group);
            var ops = new ArrayList<AlterConfigOp>();
            ops.add(new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET));
            for (int i = 0; i < settings.length; i += 2)
                ops.add(new AlterConfigOp(new ConfigEntry(settings[i], settings[i + 1]), AlterConfigOp.OpType.SET));
            admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
            while (!"earliest".equals(admin.describeConfigs(List.of(resource)).all().get().get(resource).get("share.auto.offset.reset").value()))
                Thread.sleep(50);
        }
    }

    /** Some records; fails where there are none in time. */
    static List<ConsumerRecord<String, String>> some(ShareConsumer<String, String> consumer) {
        var end = System.nanoTime() + 30_000_000_000L;
        while (System.nanoTime() < end) {
            var all = new ArrayList<ConsumerRecord<String, String>>();
            consumer.poll(Duration.ofMillis(200)).forEach(all::add);
            if (!all.isEmpty()) return all;
        }
        throw new IllegalStateException("no records");
    }

    static boolean none(ShareConsumer<String, String> consumer, int millis) {
        var end = System.nanoTime() + millis * 1_000_000L;
        while (System.nanoTime() < end)
            for (var record : consumer.poll(Duration.ofMillis(200))) { System.out.println("more: " + record.value()); return false; }
        return true;
    }

    /** Whether all of it was taken. */
    static boolean say(ShareConsumer<String, String> consumer, Collection<ConsumerRecord<String, String>> records, AcknowledgeType type) {
        for (var record : records) consumer.acknowledge(record, type);
        for (var outcome : consumer.commitSync(Duration.ofSeconds(20)).values()) if (outcome.isPresent()) return false;
        return true;
    }

    static String shown(Collection<ConsumerRecord<String, String>> records) {
        var all = new TreeSet<String>();
        for (var record : records) all.add(record.value() + "x" + record.deliveryCount().orElse((short) -1));
        return String.join(" ", all);
    }

    /** Without their counts: what Kafka's client asks for beside a poll lies with it until the lock ends, and counts. */
    static String values(Collection<ConsumerRecord<String, String>> records) {
        var all = new TreeSet<String>();
        for (var record : records) all.add(record.value());
        return String.join(" ", all);
    }

    static void day() throws Exception {
        var group = topic + "-group";
        begin(group);
        produce(0, 60);
        try (var one = consumer(group); var other = consumer(group)) {
            // Both have some of the one partition at once, and each record goes to one of them.
            List<ConsumerRecord<String, String>> ofOne = some(one), ofOther = some(other);
            var seen = new HashSet<String>();
            boolean twice = false, taken = true;
            int both = 0;
            while (true) {
                for (var record : ofOne) twice |= !seen.add(record.value());
                for (var record : ofOther) twice |= !seen.add(record.value());
                if (!ofOne.isEmpty() && !ofOther.isEmpty()) both++;
                taken &= say(one, ofOne, AcknowledgeType.ACCEPT) & say(other, ofOther, AcknowledgeType.ACCEPT);
                if (seen.size() >= 60) break;
                ofOne = new ArrayList<>(); one.poll(Duration.ofMillis(200)).forEach(ofOne::add);
                ofOther = new ArrayList<>(); other.poll(Duration.ofMillis(200)).forEach(ofOther::add);
            }
            System.out.println("shared: " + seen.size() + (twice ? " some twice" : " each once") + (both > 0 ? ", by both" : ", by one") + (taken ? "" : ", not taken"));
        }
        try (var first = consumer(group)) {
            produce(60, 1);
            var record = some(first);
            System.out.println("first: " + shown(record));
            say(first, record, AcknowledgeType.RELEASE);
            record = some(first);
            System.out.println("released: " + shown(record));
            say(first, record, AcknowledgeType.REJECT);
            System.out.println("rejected: " + none(first, 2_000));

            produce(61, 1);
            for (int i = 1; i <= 5; i++) {
                record = some(first);
                System.out.println("again: " + shown(record));
                say(first, record, AcknowledgeType.RELEASE);
            }
            System.out.println("five times are enough: " + none(first, 2_000));

            produce(62, 1);
            var held = some(first);
            try (var other = consumer(group)) {
                var later = some(other);
                System.out.println("held for too long: " + values(later) + " goes to the other");
                System.out.println("too late: " + say(first, held, AcknowledgeType.ACCEPT));
                System.out.println("in time: " + say(other, later, AcknowledgeType.ACCEPT));
            }
        }
        try (var again = consumer(group)) { System.out.println("nothing is left: " + none(again, 2_000)); }
    }

    /** One batch of eight: no more is taken than is wanted, and it is kept for longer than a lock's time. */
    static void renew() throws Exception {
        var group = topic + "-group";
        begin(group);
        try (var producer = new KafkaProducer<>(with("linger.ms", 500, "batch.size", 100_000), new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < 8; i++) producer.send(new ProducerRecord<>(topic, "" + i));
        }
        Object[] limit = {"max.poll.records", 3, "share.acquire.mode", "record_limit"};
        try (var one = consumer(group, limit); var other = consumer(group, limit)) {
            var held = some(one);
            System.out.println("no more than three: " + shown(held));
            for (int i = 0; i < 4; i++) {
                Thread.sleep(1_200); // four of these are longer than a lock
                if (!say(one, held, AcknowledgeType.RENEW)) System.out.println("not renewed");
                held = some(one);
            }
            for (int i = 0; i < 2; i++) {
                var rest = some(other);
                System.out.println("the other: " + values(rest));
                say(other, rest, AcknowledgeType.ACCEPT);
            }
            System.out.println("still held: " + shown(held) + ", in time: " + say(one, held, AcknowledgeType.ACCEPT));
        }
    }

    /** Takes what there is and keeps it. */
    static void hold() throws Exception {
        begin(topic + "-group");
        produce(0, 5);
        var consumer = consumer(topic + "-group");
        var held = some(consumer);
        System.out.println("held");
        System.out.flush();
        Thread.sleep(600_000);
        System.out.println(held);
    }

    static void rest() throws Exception {
        try (var consumer = consumer(topic + "-group")) {
            var seen = new TreeMap<String, String>();
            while (seen.size() < 5) {
                var records = some(consumer);
                for (var record : records) seen.put(record.value(), record.value());
                say(consumer, records, AcknowledgeType.ACCEPT);
            }
            System.out.println(String.join(" ", seen.keySet()));
        }
    }

    static final Set<String> acked = ConcurrentHashMap.newKeySet(), unsure = ConcurrentHashMap.newKeySet();
    static final Set<String> wrong = ConcurrentHashMap.newKeySet();

    /** Two members accept what comes, until all of it is done with, whatever happens to the broker; no record comes again once it was taken. */
    static void work(int count) throws Exception {
        begin(topic + "-group");
        produce(0, count);
        System.out.println("at work");
        System.out.flush();
        var ended = new CountDownLatch(1);
        var threads = new ArrayList<Thread>();
        var last = new long[]{System.nanoTime()};
        for (int i = 0; i < 2; i++) {
            var random = new Random(i);
            var thread = new Thread(() -> {
                try (var consumer = consumer(topic + "-group")) {
                    while (ended.getCount() > 0) {
                        var records = new ArrayList<ConsumerRecord<String, String>>();
                        consumer.poll(Duration.ofMillis(200)).forEach(records::add);
                        if (records.isEmpty()) continue;
                        last[0] = System.nanoTime();
                        var accepted = new ArrayList<String>();
                        for (var record : records) {
                            if (acked.contains(record.value())) wrong.add(record.value());
                            boolean accepts = random.nextInt(10) > 0 || record.deliveryCount().get() > 2;
                            consumer.acknowledge(record, accepts ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
                            if (accepts) accepted.add(record.value());
                        }
                        boolean taken;
                        try {
                            taken = consumer.commitSync(Duration.ofSeconds(20)).values().stream().noneMatch(Optional::isPresent);
                        } catch (RuntimeException e) { taken = false; }
                        (taken ? acked : unsure).addAll(accepted);
                        Thread.sleep(20);
                    }
                } catch (InterruptedException e) { }
            });
            thread.start();
            threads.add(thread);
        }
        System.in.read(); // until the test has done its worst
        var quiet = 6_000_000_000L;
        while (acked.size() < count) {
            var all = new HashSet<>(acked);
            all.addAll(unsure);
            if (all.size() >= count && System.nanoTime() - last[0] > quiet) break;
            if (System.nanoTime() - last[0] > 60_000_000_000L) { System.out.println("lost: " + (count - all.size())); break; }
            Thread.sleep(100);
        }
        ended.countDown();
        for (var thread : threads) thread.join(30_000);
        System.out.println(wrong.isEmpty() ? "none lost, none twice" : "taken, and given out again: " + wrong);
        System.exit(0);
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        topic = args[1];
        switch (args[2]) {
            case "day" -> day();
            case "renew" -> renew();
            case "hold" -> hold();
            case "rest" -> rest();
            case "work" -> work(Integer.parseInt(args[3]));
        }
    }
}
