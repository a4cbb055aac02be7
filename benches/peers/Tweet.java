import com.alibaba.fastjson2.JSONReader;
import com.alibaba.fastjson2.util.Fnv;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongConsumer;
import java.util.regex.Pattern;

/**
 * What the tables need of a record; everything else is passed by, not built. Used by the peers that are
 * Java programs.
 */
public record Tweet(long id, long user, String name, Long friends, List<String> hashtags) {
    private static final long ID = Fnv.hashCode64("id");
    private static final long TRUNCATED = Fnv.hashCode64("truncated");
    private static final long USER = Fnv.hashCode64("user");
    private static final long NAME = Fnv.hashCode64("name");
    private static final long LOCATION = Fnv.hashCode64("location");
    private static final long FRIENDS = Fnv.hashCode64("friends_count");
    private static final long ENTITIES = Fnv.hashCode64("entities");
    private static final long EXTENDED = Fnv.hashCode64("extended_tweet");
    private static final long HASHTAGS = Fnv.hashCode64("hashtags");
    private static final long TEXT = Fnv.hashCode64("text");
    private static final Pattern EMOJI = Pattern.compile(
        "[\\x{1F600}-\\x{1F64F}\\x{1F300}-\\x{1F5FF}\\x{1F680}-\\x{1F6FF}\\x{1F1E0}-\\x{1F1FF}"
            + "\\x{2702}-\\x{27B0}\\x{24C2}-\\x{1F251}]+");

    /** None without a location. */
    public static Tweet read(byte[] record) {
        return new Parser(JSONReader.of(record, 0, record.length, StandardCharsets.UTF_8)).read();
    }

    /** The clean-up of names as the report has it. */
    public static String clean(String name) {
        boolean isAscii = name.chars().allMatch(character -> character < 128);
        String clean = (isAscii ? name : EMOJI.matcher(name).replaceAll("")).strip();
        return clean.isEmpty() ? "No name" : clean;
    }

    /** Takes the fields in whatever order they come. */
    private static final class Parser {
        private final JSONReader json;
        private long id, user;
        private String name, location;
        private Long friends;
        private boolean isCut;
        private List<String> hashtags = new ArrayList<>(), extended;

        Parser(JSONReader json) {
            this.json = json;
        }

        Tweet read() {
            object(this::tweetField);
            List<String> tags = isCut && extended != null ? extended : hashtags;
            return location == null ? null : new Tweet(id, user, name, friends, tags);
        }

        private void tweetField(long field) {
            if (field == ID) {
                id = json.readInt64Value();
            } else if (field == TRUNCATED) {
                isCut = json.readBoolValue();
            } else if (field == USER) {
                object(this::userField);
            } else if (field == ENTITIES) {
                entities(hashtags);
            } else if (field == EXTENDED && !json.nextIfNull()) {
                extended = new ArrayList<>();
                object(inner -> {
                    if (inner == ENTITIES) {
                        entities(extended);
                    } else {
                        json.skipValue();
                    }
                });
            } else if (field != EXTENDED) {
                json.skipValue();
            }
        }

        private void userField(long field) {
            if (field == ID) {
                user = json.readInt64Value();
            } else if (field == NAME) {
                name = json.readString();
            } else if (field == LOCATION) {
                location = json.readString();
            } else if (field == FRIENDS) {
                friends = json.readInt64();
            } else {
                json.skipValue();
            }
        }

        private void entities(List<String> found) {
            object(field -> {
                if (field == HASHTAGS) {
                    json.nextIfArrayStart();
                    while (!json.nextIfArrayEnd()) {
                        object(part -> hashtagField(part, found));
                    }
                    json.nextIfComma();
                } else {
                    json.skipValue();
                }
            });
        }

        private void hashtagField(long field, List<String> found) {
            if (field == TEXT) {
                found.add(json.readString());
            } else {
                json.skipValue();
            }
        }

        /** Calls for the value of each field. */
        private void object(LongConsumer field) {
            json.nextIfObjectStart();
            while (!json.nextIfObjectEnd()) {
                field.accept(json.readFieldNameHashCode());
            }
            json.nextIfComma();
        }
    }
}
