//! What a coordinator tells over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Harness, HarnessSettings, names};
use crate::node::Node;
use crate::tools::until_true;

const HTTP: &str = "[http]\nbind_addr = \"127.0.0.1:0\"";

/// Where it says that it listens.
fn address(node: &Node) -> String {
    node.until_said(10, 1, "HTTP at http://");
    let said = node.said();
    let behind = said.split("HTTP at http://").nth(1).unwrap();
    behind.split('/').next().unwrap().to_owned()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn figures_follow_what_the_coordinator_and_its_workers_do() {
    let harness = Harness::new(HarnessSettings {
        packages: names(3),
        tables: HTTP,
        ..HarnessSettings::default()
    });
    let coordinator = harness.coordinator();
    let http = address(&coordinator);
    assert!(get(&http, "/health").ends_with("\r\n\r\nok\n"));
    assert!(get(&http, "/ready").ends_with("\r\n\r\nready\n"));
    assert!(get(&http, "/").contains("/metrics"));
    let told = |line: &str| get(&http, "/metrics").lines().any(|said| said == line);
    for line in [
        "rebuilder_jobs{place=\"ready\"} 3",
        "rebuilder_workers{state=\"connected\"} 0",
        "rebuilder_profile_artifacts{profile=\"cluster\"} 3",
        "rebuilder_profile_sync_failed{profile=\"cluster\"} 0",
        "rebuilder_profile_unreadable_stanzas{profile=\"cluster\"} 0",
        "# EOF",
    ] {
        assert!(told(line), "{line}\n{}", get(&http, "/metrics"));
    }
    let _worker = harness.joined_worker("w1");
    until_true(10, "a worker and what it runs", || {
        told("rebuilder_workers{state=\"connected\"} 1")
            && told("rebuilder_worker_slots 2")
            && told("rebuilder_jobs{place=\"running\"} 2")
    });
    harness.go("all");
    harness.until_reproduced(60);
    // Figures may be a second old.
    until_true(10, "what was rebuilt", || told("rebuilder_artifacts{status=\"reproduced\"} 3"));
    coordinator.stop();
    assert!(TcpStream::connect(&http).is_err(), "it is closed with its node");
}
