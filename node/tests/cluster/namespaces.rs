use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::tools::run;

/// Network namespaces around a bridge, one for each node; gone with this value. The machine's own
/// network is not touched.
pub struct Namespaces {
    prefix: String,
    nodes: Vec<String>,
}

impl Namespaces {
    /// The first node has the address `10.77.0.1`, and so on.
    pub fn new(nodes: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("rb{}n{number}", std::process::id());
        let nodes: Vec<String> = nodes.iter().map(|node| (*node).to_owned()).collect();
        // Made first, so that a half-made network is removed too.
        let made = Self { prefix, nodes };
        let hub = made.name(HUB);
        ip(&["netns", "add", &hub]);
        ip(&["-n", &hub, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &hub, "link", "set", "br0", "up"]);
        for (at, node) in made.nodes.iter().enumerate() {
            let name = made.name(node);
            let address = format!("{}/24", address(at));
            ip(&["netns", "add", &name]);
            let peer = ["peer", "name", "eth0", "netns", name.as_str()];
            ip(&[&["-n", &hub, "link", "add", node, "type", "veth"], peer.as_slice()].concat());
            ip(&["-n", &hub, "link", "set", node, "master", "br0", "up"]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
            ip(&["-n", &name, "address", "add", &address, "dev", "eth0"]);
            ip(&["-n", &name, "link", "set", "eth0", "up"]);
        }
        made
    }

    /// What to put before a command so that it runs on `node`. It executes the command: the process
    /// that is started is the command itself.
    pub fn on(&self, node: &str) -> Vec<String> {
        vec!["nsenter".into(), format!("--net=/run/netns/{}", self.name(node))]
    }

    /// Nothing gets to `node` or from it any more.
    pub fn cut(&self, node: &str) {
        ip(&["-n", &self.name(HUB), "link", "set", node, "down"]);
    }

    /// The opposite of [`Self::cut`].
    pub fn mend(&self, node: &str) {
        ip(&["-n", &self.name(HUB), "link", "set", node, "up"]);
    }

    fn name(&self, node: &str) -> String {
        format!("{}{node}", self.prefix)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for node in self.nodes.iter().map(String::as_str).chain([HUB]) {
            let name = self.name(node);
            if Path::new("/run/netns").join(&name).exists() {
                let ended = std::process::Command::new("ip").args(["netns", "del", &name]).status();
                if !ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
                    eprintln!("network namespace {name} is left behind: {ended:?}");
                }
            }
        }
    }
}

/// Address of the node with this number, from 0 on.
pub fn address(at: usize) -> String {
    format!("10.77.0.{}", at + 1)
}

const HUB: &str = "hub";

fn ip(args: &[&str]) {
    run(Path::new("/"), &[&["ip"], args].concat());
}
