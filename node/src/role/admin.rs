use std::path::Path;

use rebuilder_actors::protocol::PublicKey;
use rebuilder_transport::Identity;
use rebuilder_transport::key_file::{self, Access};

use super::error::RoleError;
use super::own_key;
use super::worker::KEY as WORKER_KEY;

/// The coordinator's private key, in its data directory; its public half beside it is for ctl to
/// pin.
pub(crate) const COORDINATOR_KEY: &str = "coordinator.key";
/// The private key that ctl finds; readable by the service's group.
const ADMIN_KEY: &str = "ctl.key";
/// All private keys that a data directory or a work directory may hold.
pub(crate) const KEYS: [(&str, Access); 3] =
    [(COORDINATOR_KEY, Access::Owner), (ADMIN_KEY, Access::Group), (WORKER_KEY, Access::Owner)];

/// The public half of the coordinator's key, of the key itself where its file is gone: the next
/// start writes it again. `None`: there is none, or it is damaged.
pub(crate) fn coordinator_public(data_dir: &Path) -> Option<PublicKey> {
    let key = data_dir.join(COORDINATOR_KEY);
    let public = key.with_extension("pub");
    if !public.exists() {
        return Some(key_file::load(&key, Access::Owner).ok()?.public_key());
    }
    std::fs::read_to_string(public).ok()?.trim_end().parse().ok()
}

/// Keys of a coordinator, made at its first start.
pub(super) struct Keys {
    pub(super) own: Identity,
    pub(super) admin: PublicKey,
}

impl Keys {
    pub(super) fn load_or_create(data_dir: &Path) -> Result<Self, RoleError> {
        let own = own_key::load_or_create(&data_dir.join(COORDINATOR_KEY), Access::Owner)?;
        let admin = own_key::load_or_create(&data_dir.join(ADMIN_KEY), Access::Group)?;
        Ok(Self { own, admin: admin.public_key() })
    }
}
