//! An archive with a signed index, a flat pool and `.buildinfo` files, served on the loopback.

use std::path::{Path, PathBuf};

use crate::server::Server;
use crate::tools::run;

/// The folders of an archive: `own` (with `dists/test` and `pool`), `flat` and `buildinfos`.
pub struct Archive {
    pub folder: PathBuf,
    pub server: Server,
    pub keyring: PathBuf,
    home: PathBuf,
}

impl Archive {
    /// An empty archive in `folder` with a signing key of its own.
    pub fn new(folder: &Path) -> Self {
        let root = folder.join("archive");
        for part in ["own/pool", "own/dists/test/main/source", "flat", "buildinfos"] {
            std::fs::create_dir_all(root.join(part)).unwrap();
        }
        let (home, keyring) = (folder.join("gnupg"), folder.join("test.gpg"));
        std::fs::create_dir_all(&home).unwrap();
        run(folder, &["chmod", "700", "gnupg"]);
        let script = "gpg --homedir gnupg --batch --passphrase '' --quick-gen-key \
                      'Test <test@example.org>' ed25519 sign never && \
                      gpg --homedir gnupg --export >test.gpg";
        run(folder, &["sh", "-ec", script]);
        Self { server: Server::new(root.clone()), folder: root, keyring, home }
    }

    /// Where published packages and sources are.
    pub fn pool(&self) -> PathBuf {
        self.folder.join("own/pool")
    }

    /// Indexes what is in the pool, as suite `test`, and signs the index.
    pub fn publish(&self) {
        self.index();
        let script = "cd dists/test && rm -f Release InRelease && apt-ftparchive \
             -o APT::FTPArchive::Release::Suite=test -o APT::FTPArchive::Release::Codename=test \
             -o APT::FTPArchive::Release::Components=main \
             -o APT::FTPArchive::Release::Architectures=\"$1\" release . >.r && mv .r Release && \
             gpg --homedir \"$2\" --batch --yes --clearsign -o InRelease Release";
        let command = ["sh", "-ec", script, "sh", &architecture(), self.home.to_str().unwrap()];
        run(&self.folder.join("own"), &command);
    }

    /// Indexes what is in the pool anew, without signing anything.
    pub fn index(&self) {
        let script = "binary=dists/test/main/binary-$1; mkdir -p $binary && \
                      apt-ftparchive packages pool >$binary/Packages && \
                      apt-ftparchive sources pool >dists/test/main/source/Sources";
        run(&self.folder.join("own"), &["sh", "-ec", script, "sh", &architecture()]);
    }

    /// Indexes and signs the flat pool.
    pub fn publish_flat(&self) {
        let script = "rm -f Packages Release InRelease && apt-ftparchive packages . >Packages && \
                      apt-ftparchive release . >.r && mv .r Release && \
                      gpg --homedir \"$1\" --batch --yes --clearsign -o InRelease Release";
        let command = ["sh", "-ec", script, "sh", self.home.to_str().unwrap()];
        run(&self.folder.join("flat"), &command);
    }

    /// The keys of a profile that follows it; `archives` are further items of that list.
    pub fn profile(&self, distribution: &str, archives: &str) -> String {
        let (url, keyring, native) = (self.server.url(), self.keyring.display(), architecture());
        format!(
            "distribution = \"{distribution}\"\nindex = \"debian\"\nsource = \"{url}/own\"\n\
             releases = [\"test\"]\ncomponents = [\"main\"]\narchitectures = [\"{native}\"]\n\
             environment = \"recorded\"\nbuildinfos = \"{url}/buildinfos/{{file}}\"\n\
             snapshots = []\narchives = [{archives}]\nkeyring = \"{keyring}\"\n"
        )
    }

    /// The flat pool as an item of a profile's `archives`.
    pub fn flat_item(&self) -> String {
        format!("{{ url = \"{}/flat\", suite = \"./\", components = [] }}", self.server.url())
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let home = self.home.to_str().unwrap_or_default();
        // Its agent would stay for a while; that is no failure.
        let _ = std::process::Command::new("gpgconf")
            .args(["--homedir", home, "--kill", "all"])
            .output();
    }
}

/// This machine's, in Debian's words.
pub fn architecture() -> String {
    run(Path::new("/"), &["dpkg", "--print-architecture"]).trim().to_owned()
}
