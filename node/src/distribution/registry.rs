use std::fs::File;
use std::io::Seek as _;

use super::debian::Debian;
#[cfg(test)]
use super::toy::Toy;
use super::{Distribution, Identity};

/// All distributions, a line each.
pub fn registry() -> &'static [&'static dyn Distribution] {
    &[
        &Debian,
        #[cfg(test)]
        &Toy,
    ]
}

/// The one of this name.
pub fn named(name: &str) -> Option<&'static dyn Distribution> {
    registry().iter().copied().find(|distribution| distribution.name() == name)
}

/// Whose record a file of this name is, with the places where it may lie; `None`: nobody's that is
/// known.
pub(crate) fn of_record(url: &str) -> Option<(&'static dyn Distribution, Vec<String>)> {
    let all = registry().iter().copied();
    all.filter_map(|distribution| Some((distribution, distribution.record_places(url)?))).next()
}

/// What a built file says of itself, whichever distribution's package it is.
pub(crate) fn identity(file: &mut File) -> Option<Identity> {
    registry().iter().find_map(|distribution| {
        file.rewind().ok()?;
        distribution.identity(file)
    })
}

/// Whether files of this extension say which package they are.
pub(crate) fn has_identity(extension: &str) -> bool {
    registry().iter().any(|distribution| distribution.package_extensions().contains(&extension))
}
