use std::path::absolute;

use tokio_util::sync::CancellationToken;

use super::Sandbox;
use super::drive::{Bounds, drive};
use super::job::Job;
use super::spec::{Output, Run, SandboxError, Spec};
use super::usage::Usage;

impl Sandbox {
    /// Runs one command to its end. When this returns no process of it is left, nothing stays
    /// mounted, and everything that it printed was given to `output`. When the future is dropped,
    /// or this whole process killed, the command and all that it started are killed too.
    ///
    /// Needs root, on Linux 5.10 or later.
    ///
    /// # Errors
    /// When the sandbox cannot be made: never what the command does. A command that is not there
    /// ends with status 127 and one that cannot be executed with 126, as in a shell.
    pub async fn run(
        &self,
        spec: &Spec,
        output: &mut dyn Output,
        cancel: &CancellationToken,
    ) -> Result<Run, SandboxError> {
        let failed = |error| SandboxError::new("find the current folder", error);
        // The monitor works in `/`.
        let mut spec = spec.clone();
        let root = &mut spec.root;
        for path in root.lowers.iter_mut().chain([&mut root.upper, &mut root.work]) {
            *path = absolute(&*path).map_err(failed)?;
        }
        for bind in &mut spec.binds {
            bind.source = absolute(&bind.source).map_err(failed)?;
        }
        let job = Job::Run { spec: Box::new(spec.clone()), means: self.means() };
        let bounds = Bounds {
            wall: spec.limits.wall,
            usage: Usage::new(&spec),
            output_bytes_per_sec: spec.limits.output_bytes_per_sec,
        };
        drive(self, &job, bounds, output, cancel).await
    }
}
