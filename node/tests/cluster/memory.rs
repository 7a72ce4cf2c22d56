//! What peers cost: the coordinator's memory stays under the sum that is documented.

use core::time::Duration;

use bytes::Bytes;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request};
use rebuilder_transport::Identity;

use crate::harness::{Harness, HarnessSettings, names};
use crate::peer::Dialed;

/// As docs/protocol.md says: each of the 512 connections half a mebibyte.
const STRANGERS_KIB_MAX: u64 = 512 * 512;
const STRANGERS: u16 = 512;

/// Every stranger that there may be, each with as much under way as it may have: questions whose
/// answers it does not read, and bytes that nobody asked for.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_cost_no_more_than_is_documented() {
    let harness =
        Harness::new(HarnessSettings { packages: names(12), ..HarnessSettings::default() });
    let mut coordinator = harness.coordinator();
    let before = coordinator.memory_kib();
    let mut held = Vec::new();
    for number in 0..STRANGERS {
        let [a, b] = (number / 8).to_le_bytes();
        let mut seed = [0xa5; 32];
        seed[..2].copy_from_slice(&[a, b]);
        let source = [127, 9, 3, u8::try_from(1 + number / 32).unwrap()];
        let dialed = Dialed::from(source, &harness.address, &Identity::from_seed(seed)).await;
        let dialed = dialed.unwrap().ctl().await.unwrap();
        let mut sender = dialed.connection.open_one_way().await.unwrap();
        let chunk = Bytes::from(vec![0x55; 64 << 10]);
        let limit = Duration::from_millis(20);
        // Stops where the window is full.
        while let Ok(sent) = tokio::time::timeout(limit, sender.send(chunk.clone())).await {
            sent.unwrap();
        }
        let mut answers = Vec::new();
        for _ in 0..4 {
            let question = Request::Packages(PackageFilter::default());
            let limit = Duration::from_millis(20);
            answers.extend(tokio::time::timeout(limit, dialed.ask(&question)).await.ok());
        }
        held.push((dialed, sender, answers));
    }
    let grown = coordinator.memory_kib().saturating_sub(before);
    println!("{STRANGERS} strangers cost {grown} KiB");
    assert!(grown < STRANGERS_KIB_MAX, "{grown} KiB for {STRANGERS} strangers");
    assert!(coordinator.is_alive());
    let _honest = harness.joined_worker("w1");
    assert_eq!(harness.ctl().call(&["status"]).code, 0);
    drop(held);
}
