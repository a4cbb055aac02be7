import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Collection;
import java.util.Iterator;

/**
 * Writes rows into one table, all that are given in one transaction, many by one statement. Owns a
 * connection, which several threads use in turn: two that write to one table at a time would wait for
 * each other there. Used by the peers that are Java programs.
 */
public final class Upserts implements AutoCloseable {
    private static final int ROWS = 5000;

    private final Connection connection;
    private final Statement statement;
    private final String head, tail;

    private Upserts(String url, String head, String tail) throws SQLException {
        connection = DriverManager.getConnection(url);
        connection.setAutoCommit(false);
        statement = connection.createStatement();
        this.head = head;
        this.tail = tail;
    }

    /** Rows of hashtag and uses. */
    public static Upserts hashtags(String url) throws SQLException {
        return new Upserts(url, "INSERT INTO hashtags (hashtag, uses) VALUES ",
            " ON DUPLICATE KEY UPDATE uses = VALUES(uses)");
    }

    /** Rows of user, name and friends. */
    public static Upserts users(String url) throws SQLException {
        return new Upserts(url, "INSERT INTO users (user_id, username, nb_friends) VALUES ",
            " ON DUPLICATE KEY UPDATE username = VALUES(username), nb_friends = VALUES(nb_friends)");
    }

    public synchronized void write(Collection<Object[]> rows) throws SQLException {
        Iterator<Object[]> left = rows.iterator();
        while (left.hasNext()) {
            StringBuilder sql = new StringBuilder(head);
            for (int count = 0; count < ROWS && left.hasNext(); count++) {
                Object[] row = left.next();
                for (int column = 0; column < row.length; column++) {
                    append(sql.append(column > 0 ? "," : count > 0 ? "),(" : "("), row[column]);
                }
            }
            statement.execute(sql.append(")").append(tail).toString());
        }
        connection.commit();
    }

    /** A number, a text or null. */
    private static void append(StringBuilder sql, Object value) {
        if (value instanceof String text) {
            sql.append('\'').append(text.replace("\\", "\\\\").replace("'", "''")).append('\'');
        } else {
            sql.append(value);
        }
    }

    @Override
    public synchronized void close() throws SQLException {
        connection.close();
    }
}
