// Consumes, doubles and produces with Apache Kafka's own clients: each record once, whatever is aborted in between.

import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.*;

public class ExactlyOnce {
    static String bootstrap, source, target;

    static Map<String, Object> settings(Object... pairs) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        for (int i = 0; i < pairs.length; i += 2) all.put((String) pairs[i], pairs[i + 1]);
        return all;
    }

    static KafkaProducer<String, String> producer(Object... pairs) {
        var text = "org.apache.kafka.common.serialization.StringSerializer";
        var all = settings(pairs);
        all.putAll(Map.of("key.serializer", text, "value.serializer", text));
        return new KafkaProducer<>(all);
    }

    static KafkaConsumer<String, String> consumer(String group) {
        var text = "org.apache.kafka.common.serialization.StringDeserializer";
        return new KafkaConsumer<>(settings("group.id", group, "auto.offset.reset", "earliest",
            "enable.auto.commit", "false", "isolation.level", "read_committed", "max.poll.records", "40",
            "key.deserializer", text, "value.deserializer", text));
    }

    static KafkaProducer<String, String> transactional() {
        var producer = producer("transactional.id", target);
        producer.initTransactions();
        return producer;
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0]; source = args[1]; target = args[2];
        try (var plain = producer()) {
            for (int n = 0; n < 300; n++) plain.send(new ProducerRecord<>(source, "k" + n % 7, "" + n));
        }
        var producer = transactional();
        var reader = consumer(source);
        reader.subscribe(List.of(source));
        int done = 0, round = 0;
        while (done < 300) {
            var records = reader.poll(Duration.ofSeconds(20));
            if (records.isEmpty()) throw new IllegalStateException("nothing to read after " + done);
            producer.beginTransaction();
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            for (var record : records) {
                producer.send(new ProducerRecord<>(target, record.key(), "" + 2 * Integer.parseInt(record.value())));
                offsets.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
            }
            producer.sendOffsetsToTransaction(offsets, reader.groupMetadata());
            if (round++ % 3 == 1) {
                producer.flush();
                producer.abortTransaction();
                for (var partition : reader.assignment()) { // begin again where the last committed one ended
                    var committed = reader.committed(Set.of(partition)).get(partition);
                    reader.seek(partition, committed == null ? 0 : committed.offset());
                }
            } else {
                producer.commitTransaction();
                done += records.count();
            }
        }
        reader.close();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(target, "late", "-1")).get(20, TimeUnit.SECONDS);
        var second = transactional(); // aborts it, and locks its producer out
        try {
            producer.commitTransaction();
            throw new IllegalStateException("a fenced producer may commit");
        } catch (ProducerFencedException | InvalidProducerEpochException expected) {
            producer.close(Duration.ZERO);
        }
        second.beginTransaction();
        second.send(new ProducerRecord<>(target, "end", "-2"));
        second.commitTransaction();
        second.close();
        var found = new ArrayList<Integer>();
        try (var check = consumer(target)) {
            check.subscribe(List.of(target));
            while (found.size() < 301) {
                var records = check.poll(Duration.ofSeconds(20));
                if (records.isEmpty()) throw new IllegalStateException("only " + found.size());
                for (var record : records) found.add(Integer.parseInt(record.value()));
            }
        }
        Collections.sort(found);
        var expected = new ArrayList<>(List.of(-2));
        for (int n = 0; n < 300; n++) expected.add(2 * n);
        System.out.println(found.equals(expected) ? "once each" : "wrong: " + found);
    }
}
