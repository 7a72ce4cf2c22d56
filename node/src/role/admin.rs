use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rebuilder_actors::protocol::PublicKey;
use rebuilder_transport::Identity;
use rebuilder_transport::key_file::{self, Access};

use super::error::RoleError;

/// The coordinator's private key, in its data directory.
const COORDINATOR_KEY: &str = "coordinator.key";
/// Its public half, for ctl to pin.
const COORDINATOR_PUBLIC: &str = "coordinator.pub";
/// The private key that ctl finds; readable by the service's group.
const ADMIN_KEY: &str = "ctl.key";

/// Keys of a coordinator, made at its first start.
pub(super) struct Keys {
    pub(super) own: Identity,
    pub(super) admin: PublicKey,
}

impl Keys {
    pub(super) fn load_or_create(data_dir: &Path) -> Result<Self, RoleError> {
        let own = key_file::load_or_create(&data_dir.join(COORDINATOR_KEY), Access::Owner)?;
        let admin = key_file::load_or_create(&data_dir.join(ADMIN_KEY), Access::Group)?;
        write_public(&data_dir.join(COORDINATOR_PUBLIC), &own.public_key())?;
        Ok(Self { own, admin: admin.public_key() })
    }
}

/// Writes the public key anew where it is not there as it should be.
fn write_public(path: &Path, key: &PublicKey) -> Result<(), RoleError> {
    let text = format!("{key}\n");
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let new = path.with_extension("pub.new");
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o644).open(&new);
    let mut file = opened.map_err(RoleError::io("create", &new))?;
    file.write_all(text.as_bytes()).map_err(RoleError::io("write", &new))?;
    file.sync_all().map_err(RoleError::io("sync", &new))?;
    fs::rename(&new, path).map_err(RoleError::io("rename", &new))
}
