//! The cryptography of TLS, from which a simulation may take all but the randomness.

use rustls::crypto::CryptoProvider;

/// ring's suites, TLS 1.3 only. A simulation replaces `secure_random` and `kx_groups` (ring's
/// key exchange draws from the system by itself).
pub fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    // Another crate may have switched TLS 1.2 on in rustls.
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    provider
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_tls13_suites_are_offered() {
        let suites = super::provider().cipher_suites;
        assert_eq!(suites.len(), 3);
        assert!(suites.iter().all(|suite| suite.version() == &rustls::version::TLS13));
    }
}
