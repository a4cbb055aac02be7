//! What an account may do on a broker with access control: what `docs/operating.md` lists is
//! enough, and what it calls optional can be missing.

use crate::common::broker::{Broker, Listener};
use crate::common::{Running, Server, Sql, program};
use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TOPIC: &str = "tweets";
const SOON: Duration = Duration::from_secs(30);

/// A broker that asks the account `reader` for its rights, and lets everybody do all on the first
/// listener.
fn broker() -> Broker {
    let ways = [("inner", "PLAINTEXT"), ("login", "SASL_PLAINTEXT")];
    let listeners = ways.map(|(name, protocol)| Listener { name, protocol, advertised: None });
    let settings = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
        super.users=User:ANONYMOUS\n\
        listener.name.login.sasl.enabled.mechanisms=PLAIN\n\
        listener.name.login.plain.sasl.jaas.config=\
        org.apache.kafka.common.security.plain.PlainLoginModule required user_reader=\"hush\";\n";
    let mut broker = Broker::new(tempfile::tempdir().unwrap(), &listeners, settings, &[]);
    broker.start();
    broker
}

fn allow(broker: &Broker, rights: &[&str]) {
    let who = ["--add", "--allow-principal", "User:reader"];
    broker.tool("org.apache.kafka.tools.AclCommand", &[&who[..], rights].concat());
}

fn client(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address(0));
    config
}

/// A command of the account `reader`.
fn reader(broker: &Broker, database: &str, name: &str, more: &[&str]) -> Command {
    let address = broker.address(1);
    let place = [name, "--brokers", &address, "--topic", TOPIC];
    let mut command = program(&[&place[..], more].concat(), database);
    let login = "security.protocol=sasl_plaintext\nsasl.mechanism=PLAIN\n\
        sasl.username=reader\nsasl.password=hush";
    command.env("TWEETFLOW_KAFKA", login);
    command
}

fn done(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not in {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn without_a_right_on_the_group_only_the_lag_is_missing() {
    let (broker, database) = (broker(), Server::MariaDb.fresh_database("rights"));
    let produce = ["--synthetic", "--limit", "200", "--partitions", "1"];
    let at = ["produce", "--brokers", &broker.address(0), "--topic", TOPIC];
    done(program(&[&at[..], &produce].concat(), &database));
    let producer: BaseProducer = client(&broker).create().unwrap();
    producer.send(BaseRecord::<(), str>::to(TOPIC).payload("no tweet")).unwrap();
    producer.flush(SOON).unwrap();
    let output = reader(&broker, &database, "run", &["--until-end"]).output().unwrap();
    let refusal = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{refusal}");
    assert!(refusal.contains("needs READ and DESCRIBE on it"), "{refusal}");

    allow(&broker, &["--topic", TOPIC, "--operation", "Read"]);
    let log = broker.path("said");
    let stderr = std::fs::File::create(&log).unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    let mut command = reader(&broker, &database, "run", &[]);
    let mut child = Running::start(command.stderr(stderr).stdout(Stdio::null()));
    let mut sql = Sql::connect(&database);
    until("201 records are counted", SOON, || sql.records_counted() == 201);
    until("the reason is logged", SOON, || said().contains("the right READ on that group"));

    // A dead letter is tried again,
    done(program(&["dead-letters", "retry", "--all"], &database));
    let marked = "SELECT COUNT(*) FROM dead_letters WHERE retry = 1";
    until("the dead letter is tried again", SOON, || sql.rows::<u64>(marked) == [0]);
    // partitions that are added are read,
    let admin: AdminClient<DefaultClientContext> = client(&broker).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let partitions = [NewPartitions::new(TOPIC, 3)];
    runtime.block_on(admin.create_partitions(&partitions, &AdminOptions::new())).unwrap();
    let later_producer: BaseProducer = client(&broker).create().unwrap();
    later_producer.send(BaseRecord::<(), str>::to(TOPIC).partition(2).payload("no tweet")).unwrap();
    later_producer.flush(SOON).unwrap();
    until("a new partition is read", SOON, || sql.records_counted() == 202);
    // and the tables can be checked.
    let text = done(reader(&broker, &database, "verify", &[]));
    assert!(text.contains("equal differences=0"), "{text}");
    assert_eq!(said().matches("the right READ on that group").count(), 1, "{}", said());

    allow(&broker, &["--group", "tweetflow", "--operation", "Read"]);
    until("the offsets are stored", Duration::from_secs(90), || said().contains("works again"));
    child.signal(Signal::SIGTERM);
    assert!(child.0.wait().unwrap().success(), "{}", said());
}
