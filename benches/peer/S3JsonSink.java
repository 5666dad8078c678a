// The peer's S3 sink: a Kafka Connect sink task that does what Confluent's does for JsonFormat and DefaultPartitioner, and
// nothing else. No S3 sink could be had from Maven Central, so this one is ours, kept as lean as it can be: a leaner peer is
// a harder one. Objects have the same names and bytes as ours; offsets are committed by the framework, through preCommit.

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;

public class S3JsonSink extends SinkConnector {
    private Map<String, String> settings;

    @Override public void start(Map<String, String> settings) { this.settings = settings; }
    @Override public void stop() {}
    @Override public String version() { return "1"; }
    @Override public Class<? extends Task> taskClass() { return Writer.class; }

    @Override public List<Map<String, String>> taskConfigs(int count) {
        List<Map<String, String>> all = new ArrayList<>();
        for (int task = 0; task < count; task++) all.add(settings);
        return all;
    }

    @Override public ConfigDef config() {
        ConfigDef keys = new ConfigDef();
        for (String key : List.of("s3.bucket.name", "store.url", "topics.dir")) {
            keys.define(key, ConfigDef.Type.STRING, ConfigDef.Importance.HIGH, key);
        }
        return keys.define("flush.size", ConfigDef.Type.INT, ConfigDef.Importance.HIGH, "records of an object");
    }

    /** The object that is open for one partition. */
    static final class Open {
        final ByteArrayOutputStream bytes = new ByteArrayOutputStream(1 << 20);
        long first;
        int records;
    }

    public static class Writer extends SinkTask {
        private final ObjectMapper mapper = new ObjectMapper();
        private final Map<TopicPartition, Open> open = new HashMap<>();
        private final Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();
        private S3Client s3;
        private String bucket;
        private String folder;
        private int flushSize;

        @Override public String version() { return "1"; }

        @Override public void start(Map<String, String> settings) {
            bucket = settings.get("s3.bucket.name");
            folder = settings.get("topics.dir");
            flushSize = Integer.parseInt(settings.get("flush.size"));
            s3 = S3Client.builder().endpointOverride(URI.create(settings.get("store.url"))).forcePathStyle(true)
                .region(Region.US_EAST_1).credentialsProvider(DefaultCredentialsProvider.create())
                .httpClient(UrlConnectionHttpClient.create()).build();
        }

        @Override public void put(Collection<SinkRecord> records) {
            for (SinkRecord record : records) {
                TopicPartition place = new TopicPartition(record.topic(), record.kafkaPartition());
                Open object = open.computeIfAbsent(place, any -> new Open());
                if (object.records == 0) object.first = record.kafkaOffset();
                try {
                    object.bytes.write(mapper.writeValueAsBytes(record.value()));
                    object.bytes.write('\n');
                } catch (IOException error) {
                    throw new org.apache.kafka.connect.errors.DataException(error);
                }
                if (++object.records == flushSize) commit(place, object, record.kafkaOffset() + 1);
            }
        }

        private void commit(TopicPartition place, Open object, long next) {
            String name = String.format("%s/%s/partition=%d/%s+%d+%010d.json", folder, place.topic(),
                place.partition(), place.topic(), place.partition(), object.first);
            s3.putObject(request -> request.bucket(bucket).key(name), RequestBody.fromBytes(object.bytes.toByteArray()));
            object.bytes.reset();
            object.records = 0;
            done.put(place, new OffsetAndMetadata(next));
        }

        @Override public Map<TopicPartition, OffsetAndMetadata> preCommit(Map<TopicPartition, OffsetAndMetadata> all) {
            return new HashMap<>(done);
        }

        @Override public void close(Collection<TopicPartition> places) { places.forEach(open::remove); }
        @Override public void stop() { if (s3 != null) s3.close(); }
    }
}
