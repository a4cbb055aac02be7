//! A broker that asks for TLS, for certificates and for passwords: the real one, each way in, with
//! the right key and with a wrong one.

use crate::common::broker::{Broker, Listener};
use crate::common::{Server, Sql, assert_ended, program};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::Path;

const TOPIC: &str = "tweets";

/// Writes into `home` a certificate authority, a certificate of the broker and one of a client.
fn certify(home: &Path) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority");
    let authority_key = KeyPair::generate().unwrap();
    let own = authority.self_signed(&authority_key).unwrap();
    std::fs::write(home.join("ca.pem"), own.pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    for name in ["broker", "client"] {
        let key = KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut certificate = CertificateParams::new(names).unwrap();
        certificate.distinguished_name.push(DnType::CommonName, name);
        let certificate = certificate.signed_by(&key, &issuer).unwrap();
        let file = |what: &str| home.join(format!("{name}.{what}"));
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        std::fs::write(file("both"), key.serialize_pem() + &certificate.pem()).unwrap();
    }
}

/// One broker with four ways in: without anything, TLS, TLS with a certificate of the client, TLS
/// with a password.
fn broker() -> Broker {
    let ways =
        [("inner", "PLAINTEXT"), ("oneway", "SSL"), ("mutual", "SSL"), ("login", "SASL_SSL")];
    let listeners = ways.map(|(name, protocol)| Listener { name, protocol, advertised: None });
    let module = "org.apache.kafka.common.security";
    let settings = format!(
        "ssl.keystore.type=PEM\n\
         ssl.keystore.location=@HOME@broker.both\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location=@HOME@ca.pem\n\
         listener.name.mutual.ssl.client.auth=required\n\
         listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n\
         listener.name.login.plain.sasl.jaas.config={module}.plain.PlainLoginModule required \
         user_reader=\"hush\";\n\
         listener.name.login.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule \
         required;\n"
    );
    let users = ["--add-scram", "SCRAM-SHA-512=[name=reader,password=hush]"];
    let home = tempfile::tempdir().unwrap();
    certify(home.path());
    let mut broker = Broker::new(home, &listeners, &settings, &users);
    broker.start();
    broker
}

/// A command through one way in: its exit code, and all output.
fn call(
    broker: &Broker,
    (way, settings): (usize, &str),
    database: &str,
    arguments: &[&str],
) -> (Option<i32>, String) {
    let address = broker.address(way);
    let place = ["--brokers", &address, "--topic", TOPIC];
    let (command, more) = arguments.split_first().unwrap();
    let mut command = program(&[&[*command], &place[..], more].concat(), database);
    // Passwords are not for the process list.
    let output = command.env("TWEETFLOW_KAFKA", settings).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn every_way_in_with_the_right_key_and_with_a_wrong_one() {
    let (broker, database) = (broker(), Server::MariaDb.fresh_database("secure"));
    let ca = format!("ssl.ca.location={}", broker.path("ca.pem"));
    let tls = format!("security.protocol=ssl\n{ca}");
    let pair = format!(
        "ssl.certificate.location={}\nssl.key.location={}",
        broker.path("client.pem"),
        broker.path("client.key")
    );
    let login = |mechanism: &str, password: &str| {
        format!(
            "security.protocol=sasl_ssl\n{ca}\nsasl.mechanism={mechanism}\n\
             sasl.username=reader\nsasl.password={password}"
        )
    };
    let produce = ["produce", "--synthetic", "--limit", "500", "--partitions", "2"];
    assert_ended(call(&broker, (2, &format!("{tls}\n{pair}")), &database, &produce), 0, &[]);

    let right = [
        ("oneway_", 1, tls.clone()),
        ("mutual_", 2, format!("{tls}\n{pair}")),
        ("plain_", 3, login("PLAIN", "hush")),
        ("scram_", 3, login("SCRAM-SHA-512", "hush")),
    ];
    for (prefix, way, settings) in &right {
        let run = ["run", "--until-end", "--table-prefix", prefix];
        let (code, said) = call(&broker, (*way, settings), &database, &run);
        assert!(code == Some(0) && said.contains("records=500"), "{prefix}: {said}");
        let verify = ["verify", "--table-prefix", prefix];
        assert_ended(call(&broker, (*way, settings), &database, &verify), 0, &["records=500"]);
    }

    let wrong = [
        (1, "security.protocol=ssl".to_owned(), "SSL handshake failed"),
        (2, tls.clone(), "SSL"),
        (3, login("PLAIN", "loud"), "SASL authentication error"),
        (3, login("SCRAM-SHA-512", "loud"), "SASL authentication error"),
        (1, "security.protocol=plaintext".to_owned(), ""),
    ];
    // What is promised: the address, and the reason in the client's words, which are built in.
    // Those of the broker and of its Java, which follow, are not.
    let check = |(way, settings, reason): &(usize, String, &str)| {
        let run = ["run", "--until-end", "--table-prefix", "wrong_"];
        let (code, said) = call(&broker, (*way, settings), &database, &run);
        assert_eq!(code, Some(1), "{way} {reason}: {said}");
        let promised =
            format!("no Kafka broker answers at {}; is it running", broker.address(*way));
        assert!(said.contains(&promised) && said.contains(reason), "{way} {settings}: {said}");
        assert!(!said.contains("loud"), "the password is in {said}");
    };
    // Side by side: each gives up after ten seconds.
    std::thread::scope(|scope| {
        for case in &wrong {
            scope.spawn(|| check(case));
        }
    });
    let mut sql = Sql::connect(&database);
    assert!(!sql.has_table("wrong_users"), "nothing was made for a topic that cannot be read");
}
