//! What real archives have, and apt reads.

use super::bare_test::{Bare, stanza};

#[tokio::test]
async fn one_version_as_two_files_is_two_artifacts() {
    let stanzas = [
        stanza("twice", "pool/twice_1_amd64.deb"),
        stanza("twice", "pool/b/twice_1_amd64.deb"),
        stanza("twice", "pool/twice_1_vendor.deb"),
        // The same once more is the same.
        stanza("twice", "pool/twice_1_amd64.deb"),
        stanza("once", "pool/once_1_amd64.deb"),
    ];
    let files = ["once 1 once_1_amd64.deb", "twice 1 twice_1_amd64.deb"];
    let expected = [files[0], files[1], files[1], "twice 1 twice_1_vendor.deb"];
    assert_eq!(Bare::new(stanzas.join("\n")).followed().await, expected);
}
