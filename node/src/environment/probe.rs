use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::sandbox::{
    self, Bind, Exit, Limits, Network, Output, Personality, Root, Sandbox, Spec, User, Wall,
};

/// Runs a command that does nothing, as every step of a rebuild is run. `lay` fills the lower layer
/// and says what of the host has to be bound on it; `folder` is made, and is the caller's to
/// remove.
///
/// # Errors
/// What was in the way, for the operator.
pub(crate) async fn probe(
    sandbox: &Sandbox,
    folder: &Path,
    lay: impl FnOnce(&Path) -> std::io::Result<Vec<Bind>>,
) -> Result<(), String> {
    let text = |error: &dyn core::fmt::Display| format!("no sandbox can be made: {error}");
    // A process that was killed may have left one.
    sandbox::remove_tree(folder).await.map_err(|e| text(&e))?;
    let lower = folder.join("lower");
    let binds = lay(&lower).map_err(|e| text(&e))?;
    sandbox.chown_into(&lower, User::Root).await.map_err(|e| text(&e))?;
    let spec = Spec {
        root: Root { lowers: vec![lower], upper: folder.join("upper"), work: folder.join("work") },
        binds,
        network: Network::Loopback,
        user: User::Builder,
        command: vec!["true".into()],
        environment: BTreeMap::new(),
        directory: "/".into(),
        limits: Limits {
            wall: PROBE_TIME,
            memory_bytes: None,
            processes: u32::MAX,
            file_bytes: None,
            disk_bytes: None,
            output_bytes_per_sec: None,
        },
        wall: Wall::default(),
        personality: Personality::Native,
    };
    let mut said = Said::default();
    let run =
        sandbox.run(&spec, &mut said, &CancellationToken::new()).await.map_err(|e| text(&e))?;
    match run.exit {
        Exit::Status(0) => Ok(()),
        exit => {
            let said = String::from_utf8_lossy(&said.0);
            Err(text(&format!("`true` ended with {exit:?}: {}", said.trim())))
        }
    }
}

/// The first words of a command.
#[derive(Default)]
struct Said(Vec<u8>);

impl Output for Said {
    fn write(&mut self, bytes: &[u8]) {
        let room = SAID_MAX.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Bytes of a command's output that are worth a line.
const SAID_MAX: usize = 300;

/// Time for a command that does nothing: more than a busy machine takes to make a sandbox.
const PROBE_TIME: Duration = Duration::from_secs(60);
