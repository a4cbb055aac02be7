import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.Reader;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/**
 * The job of the peer "kafka-streams": tweets are grouped by hashtag and by user through topics of the
 * job's own, and counted in state stores; sinks collect the rows that changed.
 *
 * <p>Kafka Streams has no end. The job ends when as many records as there were at the start have been
 * read, and what they became has been taken from the job's own topics. The line it prints has the time
 * of the first record.
 */
public final class StreamsPeer {
    private static final byte[] ONE = {1};

    private final Properties settings;
    private final String topic, name;
    private final Upserts hashtags, users;
    /** Records that are to be read, and what became of those that were, on its way to a state store. */
    private final AtomicLong open = new AtomicLong();
    private final AtomicLong first = new AtomicLong();

    private StreamsPeer(Properties settings) throws SQLException {
        this.settings = settings;
        topic = settings.getProperty("peer.topic");
        name = settings.getProperty("application.id");
        hashtags = Upserts.hashtags(settings.getProperty("peer.database"));
        users = Upserts.users(settings.getProperty("peer.database"));
    }

    /** Settings, Kafka's and those above, come in a file. */
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        try (Reader file = Files.newBufferedReader(Path.of(arguments[0]))) {
            settings.load(file);
        }
        new StreamsPeer(settings).run();
    }

    private void run() throws Exception {
        try (Admin admin = Admin.create(settings)) {
            open.set(records(admin));
            try (KafkaStreams streams = new KafkaStreams(topology(), settings)) {
                CountDownLatch failed = new CountDownLatch(1);
                streams.setUncaughtExceptionHandler(error -> {
                    error.printStackTrace();
                    failed.countDown();
                    return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
                });
                streams.start();
                while (open.get() > 0) {
                    if (failed.await(10, TimeUnit.MILLISECONDS)) {
                        System.exit(1);
                    }
                }
                // Commits, which empties the caches, and lets the sinks write what they hold.
                streams.close(Duration.ofMinutes(1));
                streams.cleanUp();
            }
            List<String> own = new ArrayList<>(admin.listTopics().names().get());
            own.removeIf(one -> !one.startsWith(name));
            admin.deleteTopics(own).all().get();
        }
        System.out.printf("{\"first_record\": %d.%03d}%n", first.get() / 1000, first.get() % 1000);
    }

    private long records(Admin admin) throws Exception {
        long sum = 0;
        var description = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        for (TopicPartitionInfo one : description.partitions()) {
            TopicPartition partition = new TopicPartition(topic, one.partition());
            sum += offset(admin, partition, OffsetSpec.latest());
            sum -= offset(admin, partition, OffsetSpec.earliest());
        }
        return sum;
    }

    private static long offset(Admin admin, TopicPartition partition, OffsetSpec place) throws Exception {
        return admin.listOffsets(Map.of(partition, place)).partitionResult(partition).get().offset();
    }

    private Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<byte[], Tweet> tweets = builder
            .stream(topic, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .mapValues(this::read)
            .filter((key, tweet) -> tweet != null);
        tweets
            .flatMap((key, tweet) -> tweet.hashtags().stream().map(tag -> KeyValue.pair(tag, ONE)).toList())
            .groupByKey(Grouped.with(Serdes.String(), Serdes.ByteArray()))
            .aggregate(() -> 0L, this::add, Materialized.with(Serdes.String(), Serdes.Long()))
            .toStream()
            .process(() -> new Sink<>(hashtags, row -> new Object[] {row.key(), row.value()}));
        tweets
            .map((key, tweet) -> KeyValue.pair(tweet.user(), User.of(tweet)))
            .groupByKey(Grouped.with(Serdes.Long(), User.SERDE))
            .aggregate(() -> null, this::newer, Materialized.with(Serdes.Long(), User.SERDE))
            .toStream()
            .process(() -> new Sink<>(users, row -> row.value().row(row.key())));
        return builder.build(settings);
    }

    private Tweet read(byte[] record) {
        first.compareAndSet(0, System.currentTimeMillis());
        Tweet tweet = Tweet.read(record);
        open.addAndGet(tweet == null ? -1 : tweet.hashtags().size());
        return tweet;
    }

    private Long add(String tag, byte[] one, Long uses) {
        open.decrementAndGet();
        return uses + 1;
    }

    private User newer(Long id, User user, User held) {
        open.decrementAndGet();
        return held == null || user.tweet >= held.tweet ? user : held;
    }

    /** What is held of a user. */
    private record User(long tweet, Long friends, byte[] name) {
        static final Serde<User> SERDE = Serdes.serdeFrom(
            (topic, user) -> user == null ? null : user.bytes(), (topic, bytes) -> read(bytes));

        static User of(Tweet tweet) {
            return new User(tweet.id(), tweet.friends(), tweet.name().getBytes(UTF_8));
        }

        private static User read(byte[] bytes) {
            if (bytes == null) {
                return null;
            }
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            long tweet = buffer.getLong(), friends = buffer.getLong();
            byte[] name = new byte[buffer.remaining()];
            buffer.get(name);
            return new User(tweet, friends == Long.MIN_VALUE ? null : friends, name);
        }

        private byte[] bytes() {
            return ByteBuffer.allocate(16 + name.length).putLong(tweet)
                .putLong(friends == null ? Long.MIN_VALUE : friends).put(name).array();
        }

        Object[] row(long id) {
            return new Object[] {id, Tweet.clean(new String(name, UTF_8)), friends};
        }
    }

    /** Collects the newest row of each key, and writes all of them from time to time. */
    private final class Sink<K, V> extends ContextualProcessor<K, V, Void, Void> {
        private final Upserts table;
        private final Function<Record<K, V>, Object[]> row;
        private final Map<K, Object[]> rows = new HashMap<>();

        Sink(Upserts table, Function<Record<K, V>, Object[]> row) {
            this.table = table;
            this.row = row;
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            Duration interval = Duration.ofMillis(Long.parseLong(settings.getProperty("peer.sink.ms")));
            context.schedule(interval, PunctuationType.WALL_CLOCK_TIME, now -> write());
        }

        @Override
        public void process(Record<K, V> record) {
            rows.put(record.key(), row.apply(record));
        }

        @Override
        public void close() {
            write();
        }

        private void write() {
            try {
                table.write(rows.values());
            } catch (SQLException error) {
                throw new IllegalStateException(error);
            }
            rows.clear();
        }
    }
}
