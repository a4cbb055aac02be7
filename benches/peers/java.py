"""What the peers that are Java programs share: the address of the database, and the command."""

from urllib.parse import urlsplit

# What Flink's and Spark's own scripts open to them.
OPENED = (
    "java.io", "java.lang", "java.lang.invoke", "java.lang.reflect", "java.net", "java.nio", "java.text",
    "java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic",
    "java.util.concurrent.locks", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs", "sun.security.action",
    "sun.util.calendar",
)  # fmt: skip


def address(database, options="permitMysqlScheme"):
    """The database's, as MariaDB's and MySQL's drivers take it."""
    server = urlsplit(database)
    account = f"user={server.username}&password={server.password}"
    return f"jdbc:mysql://{server.hostname}:{server.port}{server.path}?{account}&{options}"


def command(peer, main, settings, work, *options):
    """The command up to its arguments. Classes and jars of a peer are where `run` put them."""
    path = [work / "classes" / peer, *(work / "jars" / peer).glob("*.jar")]
    java = ["java", f"-Xmx{settings['heap']}", f"-Xms{settings['heap']}"]
    java += [f"-XX:+Use{settings['collector']}GC", *options]
    java += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    return [*java, "-cp", ":".join(map(str, path)), main]
