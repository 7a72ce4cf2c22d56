use std::path::Path;

use super::Sandbox;
use super::ownership;
use super::spec::{SandboxError, User};

/// How many ids there are inside, from 0.
pub const IDS: u32 = 65_536;

/// The user and group id of the builder, inside.
pub(super) const BUILDER: u32 = 1000;

impl Sandbox {
    /// The host's user and group id of root inside.
    pub fn root_id(&self) -> u32 {
        self.settings().id_base
    }

    /// The host's user and group id of the builder inside.
    pub fn builder_id(&self) -> u32 {
        self.settings().id_base + BUILDER
    }

    /// Gives a folder of the host and all that is in it to a user of the sandbox. Symbolic links
    /// are not followed, and mounts neither entered nor given away.
    ///
    /// # Errors
    /// When the path is absent, the caller is not root, or somebody moves folders meanwhile.
    pub async fn chown_into(&self, path: &Path, user: User) -> Result<(), SandboxError> {
        let id = match user {
            User::Root => self.root_id(),
            User::Builder => self.builder_id(),
        };
        let action = || format!("give {} to the sandbox", path.display());
        let tree = path.to_owned();
        let given = tokio::task::spawn_blocking(move || ownership::give(&tree, id)).await;
        given
            .map_err(|error| SandboxError::new(action(), error))?
            .map_err(|error| SandboxError::new(action(), error))
    }
}
