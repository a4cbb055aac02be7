import static org.apache.spark.sql.functions.call_udf;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.from_json;
import static org.apache.spark.sql.functions.when;

import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.streaming.DataStreamReader;
import org.apache.spark.sql.streaming.Trigger;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * The job of the peer "spark-append", as the report that tweetflow replaces has it: nothing is held, a row is
 * appended for each tweet and for each use of a hashtag, and a dashboard counts them. Spark's own JSON
 * functions and JDBC writer. It ends at the end of the topic as seen at the start. The
 * line it prints has the time of the first batch.
 */
public final class SparkAppend {
    // The fields that the tables need: what the schema does not name is not built.
    private static final StructType TWEET = StructType.fromDDL("""
        truncated BOOLEAN,
        user STRUCT<name: STRING, location: STRING, friends_count: BIGINT>,
        entities STRUCT<hashtags: ARRAY<STRUCT<text: STRING>>>,
        extended_tweet STRUCT<entities: STRUCT<hashtags: ARRAY<STRUCT<text: STRING>>>>
        """);
    private static final AtomicLong FIRST = new AtomicLong();

    private SparkAppend() {}

    /** Settings come in a file: "source." those of the topic, "job." and "writer." its own, the others Spark's. */
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        try (Reader file = Files.newBufferedReader(Path.of(arguments[0]))) {
            settings.load(file);
        }
        SparkConf configuration = new SparkConf();
        settings.forEach((name, value) -> configuration.set((String) name, (String) value));
        try (SparkSession spark = SparkSession.builder().config(configuration).getOrCreate()) {
            spark.udf().register("clean", (UDF1<String, String>) Tweet::clean, DataTypes.StringType);
            DataStreamReader source = spark.readStream().format("kafka");
            for (String name : settings.stringPropertyNames()) {
                if (name.startsWith("source.")) {
                    source = source.option(name.substring("source.".length()), settings.getProperty(name));
                }
            }
            source.load().writeStream().trigger(Trigger.AvailableNow())
                .foreachBatch((VoidFunction2<Dataset<Row>, Long>) (batch, number) -> append(batch, settings))
                .start().awaitTermination();
        }
        System.out.printf("{\"first_record\": %d.%03d}%n", FIRST.get() / 1000, FIRST.get() % 1000);
    }

    private static void append(Dataset<Row> records, Properties settings) {
        FIRST.compareAndSet(0, System.currentTimeMillis());
        Column cut = col("truncated").and(col("extended_tweet").isNotNull());
        Column tags = when(cut, col("extended_tweet.entities.hashtags")).otherwise(col("entities.hashtags"));
        Dataset<Row> parsed = records
            .select(from_json(col("value").cast("string"), TWEET).as("tweet")).select("tweet.*")
            .select(col("user.location").as("location"), call_udf("clean", col("user.name")).as("username"),
                col("user.friends_count").as("nb_friends"), tags.getField("text").as("tags"));
        // Otherwise Spark parses for each table, and for each filter once more: it moves a filter before the rest.
        Dataset<Row> kept = settings.getProperty("job.parse").equals("once") ? parsed.persist() : parsed;
        Dataset<Row> tweets = kept.where(col("location").isNotNull());
        write(tweets.select("username", "nb_friends"), "users", settings);
        write(tweets.select(explode(col("tags")).as("hashtag")), "hashtags", settings);
        kept.unpersist();
    }

    private static void write(Dataset<Row> rows, String table, Properties settings) {
        Properties writer = new Properties();
        for (String name : List.of("driver", "batchsize")) {
            writer.setProperty(name, settings.getProperty("writer." + name));
        }
        rows.write().mode("append").jdbc(settings.getProperty("writer.url"), table, writer);
    }
}
