use std::sync::Arc;

use rebuilder_actors::protocol;

use super::capabilities::Capabilities;
use super::job::Means;
use super::personality::Personality;
use super::settings::Settings;
use super::wall::Wall;

/// What runs commands where they can see and reach nothing that they do not need, on this machine:
/// made once, when a role starts, and given to whatever runs something. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    capabilities: Capabilities,
}

impl Sandbox {
    /// On this machine, whose kernel is asked for what it has.
    pub fn detect(settings: Settings) -> Self {
        let capabilities = Capabilities::detect(&settings);
        Self::with(settings, capabilities)
    }

    /// On a machine with these capabilities. What is not among them is not used, whatever the
    /// kernel has; what is among them and the kernel lacks lets no command run.
    pub fn with(settings: Settings, capabilities: Capabilities) -> Self {
        Self { inner: Arc::new(Inner { settings, capabilities }) }
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// What it has to work with.
    pub fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    /// What holds a command in that runs with its own loopback, with `wall` and with `personality`,
    /// for the report. Everything that is named here is there, or the command does not run.
    pub fn evidence(&self, wall: Wall, personality: Personality) -> protocol::Sandbox {
        self.inner.capabilities.evidence(wall, personality)
    }

    /// What a monitor needs to know of it.
    pub(super) fn means(&self) -> Means {
        let Capabilities { groups, kernel, .. } = self.capabilities();
        Means { id_base: self.root_id(), layout: groups.clone(), kernel: *kernel }
    }
}
