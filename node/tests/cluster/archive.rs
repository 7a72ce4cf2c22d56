use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::tools::{require, run};

/// Packages `p00` … of version 1.0 for amd64, indexed and signed by a key made here, each with a
/// file in the place of its `.buildinfo`.
pub struct Archive {
    folder: PathBuf,
}

/// Packages that there are.
pub const PACKAGES: usize = 48;

/// The archive of this test process; never written again.
pub static ARCHIVE: LazyLock<Archive> = LazyLock::new(Archive::new);

impl Archive {
    fn new() -> Self {
        require();
        // A static is never dropped: what processes that are gone left is removed by the next one.
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster-archives");
        std::fs::create_dir_all(&all).unwrap();
        for left in std::fs::read_dir(&all).unwrap().map(Result::unwrap) {
            if !Path::new("/proc").join(left.file_name()).exists() {
                let _ = std::fs::remove_dir_all(left.path());
            }
        }
        let folder = all.join(std::process::id().to_string());
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        run(&folder, &["sh", "-ec", MAKE, "sh", &PACKAGES.to_string()]);
        Self { folder }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The archive's base.
    pub fn base(&self) -> &Path {
        &self.folder
    }

    /// The keyring that its index is signed with.
    pub fn keyring(&self) -> PathBuf {
        self.join("test.gpg")
    }

    /// Where `.buildinfo` files are.
    pub fn buildinfos(&self) -> String {
        format!("{}/{{file}}", self.join("buildinfos").display())
    }

    /// The published file of a package.
    pub fn published(&self, name: &str) -> PathBuf {
        self.join("pool/main").join(file(name))
    }
}

/// File name of a package's artifact.
pub fn file(name: &str) -> String {
    format!("{name}_1.0_amd64.deb")
}

/// File name of a package's build input.
pub fn input(name: &str) -> String {
    format!("{name}_1.0_amd64.buildinfo")
}

const MAKE: &str = "\
mkdir -p pool/main buildinfos dists/test/main/binary-amd64 tree/DEBIAN
n=0
while [ $n -lt $1 ]; do
    name=$(printf p%02d $n)
    printf 'Package: %s\\nVersion: 1.0\\nArchitecture: amd64\\nMaintainer: T <t@example.org>\\n\
Description: x\\n' $name >tree/DEBIAN/control
    echo $name >tree/content
    dpkg-deb --root-owner-group -Znone -b tree pool/main/${name}_1.0_amd64.deb >/dev/null
    echo \"Source: $name\" >buildinfos/${name}_1.0_amd64.buildinfo
    n=$((n + 1))
done
apt-ftparchive --arch amd64 packages pool/main >dists/test/main/binary-amd64/Packages
cd dists/test
apt-ftparchive -o APT::FTPArchive::Release::Suite=test -o APT::FTPArchive::Release::Codename=test \
    release . >../Release
mv ../Release .
cd ../..
mkdir -m 700 gnupg
gpg --homedir gnupg --batch --quiet --passphrase '' --quick-gen-key 'T <t@example.org>' ed25519 \
    sign never
gpg --homedir gnupg --batch --export >test.gpg
gpg --homedir gnupg --batch --clearsign -o dists/test/InRelease dists/test/Release
";
