/// One hostile package and how its rebuild has to end.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Also the name of its package: lower case, digits and dashes.
    pub name: &'static str,
    pub place: Place,
    /// Shell, run by `sh` with the arguments `--`; what it does depends on the place.
    pub script: String,
    /// How it may end: a status of `pkgs ls` (`reproduced`, `differs`, `missing`, `build-failed`)
    /// or a fault of ours (`fault`, whichever it is, or `fault:WORDS` with words of the log).
    pub ends: &'static [&'static str],
    /// Part of every run of the gate.
    pub quick: bool,
}

/// Where the script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// While the package is built, as the builder. The package is made after it.
    Build,
    /// After the package was made, as the builder, in the folder of the outputs; `$DEB` is the
    /// name of the package's file.
    Output,
    /// As `postinst` of a build-dependency.
    Dependency,
    /// As `postinst` of a package of the base root.
    Base,
    /// On this machine, in an empty folder, before anything is published: it makes the source
    /// package's tree, to which `debian/` is added.
    Source,
}

impl Trial {
    pub fn new(
        name: &'static str,
        place: Place,
        script: &str,
        ends: &'static [&'static str],
    ) -> Self {
        Self { name, place, script: script.to_owned(), ends, quick: false }
    }

    /// Has it in every run of the gate.
    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }
}
