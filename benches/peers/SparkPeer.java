import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.sum;

import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.api.java.function.ForeachPartitionFunction;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.DataStreamReader;
import org.apache.spark.sql.streaming.Trigger;
import org.apache.spark.sql.types.StructType;

/**
 * The job of the peer "spark": one streaming query for both tables, so that the topic is read once. A
 * tweet becomes rows that have either a hashtag or a user; Spark holds their sums and newest, and hands
 * over what changed by a batch. It ends at the end of the topic as seen at the start. The line it prints
 * has the time of the first record.
 */
public final class SparkPeer {
    private static final StructType FACT = StructType.fromDDL(
        "tag STRING, user BIGINT, uses BIGINT NOT NULL, tweet BIGINT, name STRING, friends BIGINT");
    private static final AtomicLong FIRST = new AtomicLong();

    // Spark serializes what it runs, and runs it in this process.
    private static Upserts hashtags, users;

    private SparkPeer() {}

    /** Settings come in a file: "source." those of the topic, "peer." the job's, the others Spark's. */
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        try (Reader file = Files.newBufferedReader(Path.of(arguments[0]))) {
            settings.load(file);
        }
        hashtags = Upserts.hashtags(settings.getProperty("peer.database"));
        users = Upserts.users(settings.getProperty("peer.database"));
        SparkConf configuration = new SparkConf();
        settings.forEach((name, value) -> configuration.set((String) name, (String) value));
        try (SparkSession spark = SparkSession.builder().config(configuration).getOrCreate()) {
            DataStreamReader source = spark.readStream().format("kafka");
            for (String name : settings.stringPropertyNames()) {
                if (name.startsWith("source.")) {
                    source = source.option(name.substring("source.".length()), settings.getProperty(name));
                }
            }
            Dataset<Row> facts = source.load().select("value").as(Encoders.BINARY())
                .flatMap((FlatMapFunction<byte[], Row>) SparkPeer::facts, Encoders.row(FACT));
            Dataset<Row> newest = facts.groupBy("tag", "user")
                .agg(sum("uses"), max(struct(col("tweet"), col("friends"), col("name"))));
            newest.writeStream().outputMode("update").trigger(Trigger.AvailableNow())
                .foreachBatch((VoidFunction2<Dataset<Row>, Long>) (batch, number) ->
                    batch.foreachPartition((ForeachPartitionFunction<Row>) SparkPeer::write))
                .start().awaitTermination();
        }
        System.out.printf("{\"first_record\": %d.%03d}%n", FIRST.get() / 1000, FIRST.get() % 1000);
    }

    private static Iterator<Row> facts(byte[] record) {
        FIRST.compareAndSet(0, System.currentTimeMillis());
        List<Row> facts = new ArrayList<>();
        Tweet tweet = Tweet.read(record);
        if (tweet != null) {
            tweet.hashtags().forEach(tag -> facts.add(RowFactory.create(tag, null, 1L, null, null, null)));
            facts.add(RowFactory.create(null, tweet.user(), 0L, tweet.id(), tweet.name(), tweet.friends()));
        }
        return facts.iterator();
    }

    private static void write(Iterator<Row> changed) throws SQLException {
        List<Object[]> tags = new ArrayList<>(), people = new ArrayList<>();
        changed.forEachRemaining(row -> {
            if (row.isNullAt(1)) {
                tags.add(new Object[] {row.getString(0), row.getLong(2)});
            } else {
                Row newest = row.getStruct(3);
                people.add(new Object[] {row.getLong(1), Tweet.clean(newest.getString(2)), newest.get(1)});
            }
        });
        hashtags.write(tags);
        users.write(people);
    }
}
