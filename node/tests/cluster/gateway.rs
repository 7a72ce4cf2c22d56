//! What a coordinator tells over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

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
    answers_are_as_the_peers_clients_read_them(&http);
    let cookie = std::fs::read_to_string(harness.join("c/auth-cookie")).unwrap();
    orders_need_the_cookie_and_a_filter(&http, cookie.trim());
    coordinator.stop();
    assert!(TcpStream::connect(&http).is_err(), "it is closed with its node");
}

/// The body of an answer with this status.
fn body(http: &str, path: &str, status: &str) -> String {
    let answer = get(http, path);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() }
}

/// What chunks hold: their lengths are in hexadecimal, and the last one has none.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.push_str(&rest[..length]);
        body = &rest[length + 2..];
    }
    panic!("no last chunk: {body}");
}

fn json(http: &str, path: &str) -> Value {
    let text = body(http, path, "200");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// Asked after three packages were reproduced by one worker.
fn answers_are_as_the_peers_clients_read_them(http: &str) {
    let packages = json(http, "/api/v1/packages/binary?limit=2&sort=name");
    assert_eq!(packages["total"], 3, "{packages:#}");
    let records = packages["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    let after = format!("/api/v1/packages/binary?sort=name&after={}", records[1]["id"]);
    let rest = json(http, &after);
    assert_eq!(rest["records"].as_array().unwrap().len(), 1, "{rest:#}");
    let one = &records[0];
    assert_eq!((&one["status"], &one["seen_in_last_sync"]), (&"GOOD".into(), &true.into()));
    assert!(!one["last_seen"].as_str().unwrap().ends_with('Z'));
    let text = |field: &str| one[field].as_str().unwrap();
    let named = format!(
        "/api/v1/packages/binary?name={}&version={}&architecture={}",
        text("name"),
        text("version"),
        text("architecture")
    );
    assert_eq!(json(http, &named)["records"][0], *one);
    assert_eq!(json(http, &format!("/api/v1/packages/binary/{}", one["id"])), *one);
    let sources = json(http, "/api/v1/packages/source?direction=Descending&sort=name");
    assert_eq!(sources["records"][2]["status"], "GOOD");

    let (build, artifact) = (&one["build_id"], &one["artifact_id"]);
    let rebuild = json(http, &format!("/api/v1/builds/{build}"));
    assert_eq!((&rebuild["status"], &rebuild["id"]), (&"GOOD".into(), build));
    assert_eq!(json(http, "/api/v1/builds?direction=Descending&limit=1")["total"], 3);
    let log = body(http, &format!("/api/v1/builds/{build}/log"), "200");
    assert!(!log.is_empty());
    assert_eq!(body(http, &format!("/api/v0/builds/{build}/log"), "200"), log);
    let artifacts = format!("/api/v1/builds/{build}/artifacts");
    assert_eq!(json(http, &artifacts)[0]["id"], *artifact);
    let link = json(http, &format!("{artifacts}/{artifact}/attestation"));
    assert_eq!(link["signatures"].as_array().unwrap().len(), 2, "worker and coordinator: {link}");
    assert_eq!(json(http, &format!("/api/v0/builds/{build}/attestation")), link);
    assert_eq!(body(http, &format!("{artifacts}/{artifact}/diffoscope"), "404"), "");
    assert_eq!(body(http, "/api/v0/builds/0/log", "404"), "Not found\n");
    assert!(body(http, "/api/v1/builds/abc", "404").contains("abc"));
    let refused = body(http, "/api/v1/packages/binary?sort=colour", "400");
    assert!(refused.contains("colour") && refused.contains("architecture"), "{refused}");

    let list = json(http, "/api/v0/pkgs/list?status=GOOD");
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!((&list[0]["build_id"], &list[0]["has_attestation"]), (build, &true.into()));
    assert_eq!(json(http, "/api/v0/pkgs/list?status=BAD"), Value::Array(Vec::new()));
    let dashboard = json(http, "/api/v1/dashboard");
    assert_eq!(
        (&dashboard["rebuilds"]["good"], &dashboard["jobs"]["running"]),
        (&3.into(), &0.into())
    );
    assert!(json(http, "/api/v0/dashboard")["suites"].is_object());
    let workers = json(http, "/api/v1/workers");
    assert_eq!((&workers["total"], &workers["records"][0]["is_online"]), (&1.into(), &true.into()));
    assert_eq!(json(http, "/api/v1/queue")["total"], 0);
    let distribution = text("distribution");
    assert_eq!(json(http, "/api/v1/meta/distributions"), serde_json::json!([distribution]));
    let releases = json(http, &format!("/api/v1/meta/distributions/{distribution}/releases"));
    assert_eq!(releases[0], one["release"]);
    let keys = json(http, "/api/v1/meta/public-keys");
    assert!(keys["current"][0].as_str().unwrap().contains("BEGIN PUBLIC KEY-----\r\n"));
}

fn orders_need_the_cookie_and_a_filter(http: &str, cookie: &str) {
    let order = |head: &str, cookie: &str, body: &str| {
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let request = format!(
            "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-auth-cookie: {cookie}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let push = "POST /api/v1/queue";
    assert!(order(push, "wrong", r#"{"name":"p00"}"#).starts_with("HTTP/1.1 403"));
    for all in ["{}", r#"{"distribution":null}"#, r#"{"priority":3}"#, r#"{"nmae":"p00"}"#] {
        let refused = order(push, cookie, all);
        assert!(refused.starts_with("HTTP/1.1 400"), "{all}: {refused}");
    }
    for (request, affected) in [
        (r#"{"name":"p00"}"#, 1),
        (r#"{"name":"none"}"#, 0),
        (r#"{"status":"FAIL"}"#, 0),
        (r#"{"name":"p01","status":"BAD"}"#, 0),
    ] {
        let answer = order(push, cookie, request);
        let expected = format!("\r\n\r\n{{\"affected\":{affected}}}");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&expected), "{answer}");
    }
    let deleted = |path: &str| order(&format!("DELETE /api/v1/queue{path}"), cookie, "");
    assert!(deleted("?name=p00").starts_with("HTTP/1.1 204"));
    assert!(deleted("").starts_with("HTTP/1.1 400"), "not everything");
    assert!(deleted("/999").starts_with("HTTP/1.1 404"));
    assert!(order("POST /api/v0/queue/list", "", r#"{"limit":5}"#).contains(r#","queue":["#));
    assert!(order("POST /api/v0/queue/push", "", "{}").starts_with("HTTP/1.1 501"));
}
