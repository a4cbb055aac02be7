import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/**
 * Runs a file of SQL statements in a Flink of its own, configured by FLINK_CONF_DIR, and waits for
 * each. Stands in for Flink's SQL client, of which the Python package has only a part.
 */
public final class RunSql {
    private RunSql() {}

    public static void main(String[] arguments) throws Exception {
        Configuration configuration = GlobalConfiguration.loadConfiguration();
        TableEnvironment tables = TableEnvironment.create(
            EnvironmentSettings.newInstance().withConfiguration(configuration).build());
        for (String statement : Files.readString(Path.of(arguments[0])).split(";\\s*(\\n\\s*\\n|$)")) {
            tables.executeSql(statement).await();
        }
    }
}
