use std::path::{Path, PathBuf};

use crate::sandbox;

/// What attempts of an earlier process left and could not be removed at this start.
pub(super) struct Leftovers(Vec<PathBuf>);

impl Leftovers {
    /// Everything that is in these folders.
    pub(super) fn find(folders: &[PathBuf]) -> Self {
        let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        let mut paths: Vec<PathBuf> = entries.flatten().flatten().map(|e| e.path()).collect();
        paths.sort_unstable();
        Self(paths)
    }

    /// Tries to remove each again: those that stay, with the reason.
    pub(super) fn still_there(&self) -> Vec<String> {
        self.0.iter().filter_map(|path| stays(path)).collect()
    }
}

fn stays(path: &Path) -> Option<String> {
    if path.symlink_metadata().is_err() {
        return None;
    }
    let error = sandbox::remove_tree_blocking(path).err()?;
    let text = error.to_string();
    let place = path.display().to_string();
    Some(if text.contains(&place) { text } else { format!("{place}: {text}") })
}
