use std::path::Path;

use tokio::process::Command;

use super::settings::settings;
use super::spec::{SandboxError, User};

/// How many ids there are inside, from 0.
pub const IDS: u32 = 65_536;

/// The user and group id of the builder, inside.
pub(super) const BUILDER: u32 = 1000;

/// The host's user and group id of root inside.
pub fn root_id() -> u32 {
    settings().id_base
}

/// The host's user and group id of the builder inside.
pub fn builder_id() -> u32 {
    settings().id_base + BUILDER
}

/// Gives a folder of the host and all that is in it to a user of the sandbox. Symbolic links are
/// not followed.
///
/// # Errors
/// When the path is absent, or the caller is not root.
pub async fn chown_into(path: &Path, user: User) -> Result<(), SandboxError> {
    let id = match user {
        User::Root => root_id(),
        User::Builder => builder_id(),
    };
    let mut command = Command::new("chown");
    // The host's chown walks trees of any depth without following links.
    command.args(["-hR", "--"]).arg(format!("{id}:{id}")).arg(path);
    succeed(command, || format!("give {} to the sandbox", path.display())).await
}

/// Runs one of the host's small tools to its end.
pub(super) async fn succeed(
    mut command: Command,
    action: impl Fn() -> String,
) -> Result<(), SandboxError> {
    let output = command
        .env("LC_ALL", "C")
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| SandboxError::new(action(), error))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let reason: String = printed.trim().chars().take(REASON_CHARS_MAX).collect();
    Err(SandboxError::new(action(), format!("{reason} ({})", output.status)))
}

/// A tool may complain about every file of a tree.
const REASON_CHARS_MAX: usize = 1000;
