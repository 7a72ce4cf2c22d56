use std::sync::{Arc, Mutex, PoisonError};

use rebuilder_actors::protocol::PublicKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    SignatureScheme,
};

use crate::identity::{Identity, decode_spki, encode_spki};

/// The protocol that TLS negotiates; both ends refuse any other.
const ALPN: &[u8] = b"rebuilder/1";

/// The TLS half of an endpoint: one raw ed25519 key, TLS 1.3, no resumption, no early data.
pub(crate) struct Tls {
    key: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
}

impl Tls {
    pub(crate) fn new(
        identity: &Identity,
        provider: Arc<CryptoProvider>,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Self, Error> {
        let spki = encode_spki(&identity.public_key()).to_vec();
        let key = provider.key_provider.load_private_key(identity.pkcs8())?;
        let key = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key));
        Ok(Self { key, provider, time })
    }

    pub(crate) fn server(&self) -> Result<rustls::ServerConfig, Error> {
        let verifier = Arc::new(PeerKey::new(&self.provider, None));
        let mut config =
            rustls::ServerConfig::builder_with_details(self.provider.clone(), self.time.clone())
                .with_protocol_versions(&[&TLS13])?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
                    self.key.clone(),
                )));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// For one connection: the verifier tells afterwards which key the peer proved.
    pub(crate) fn client(&self, verifier: Arc<PeerKey>) -> Result<rustls::ClientConfig, Error> {
        let mut config =
            rustls::ClientConfig::builder_with_details(self.provider.clone(), self.time.clone())
                .with_protocol_versions(&[&TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
                    self.key.clone(),
                )));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        // There are no names: the key is the identity.
        config.enable_sni = false;
        Ok(config)
    }

    pub(crate) fn verifier(&self, expected: Option<PublicKey>) -> Arc<PeerKey> {
        Arc::new(PeerKey::new(&self.provider, expected))
    }
}

/// Accepts any peer that proves an ed25519 key, or only one key.
#[derive(Debug)]
pub(crate) struct PeerKey {
    algorithms: WebPkiSupportedAlgorithms,
    /// The pinned key; `None` accepts every key.
    expected: Option<PublicKey>,
    /// The key that was proved instead of `expected`; `None` so far.
    refused: Mutex<Option<PublicKey>>,
}

impl PeerKey {
    fn new(provider: &CryptoProvider, expected: Option<PublicKey>) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        Self { algorithms, expected, refused: Mutex::new(None) }
    }

    /// The key that the peer proved and that is not the pinned one.
    pub(crate) fn refused(&self) -> Option<PublicKey> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_presented(
        presented: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let bad = || Error::InvalidCertificate(CertificateError::BadEncoding);
        decode_spki(presented).map_err(|_| bad())?;
        if others.is_empty() { Ok(()) } else { Err(bad()) }
    }

    /// The pin is checked here and not on the presented key, so that `refused` names a key that
    /// the peer really has. rustls finishes no handshake without this check.
    fn check_proved(
        &self,
        message: &[u8],
        presented: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(presented.as_ref());
        let valid = rustls::crypto::verify_tls13_signature_with_raw_key(
            message,
            &spki,
            signature,
            &self.algorithms,
        )?;
        let found = decode_spki(presented)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.expected.is_some_and(|expected| expected != found) {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(valid)
    }
}

impl ServerCertVerifier for PeerKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::check_presented(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_proved(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for PeerKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::check_presented(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_proved(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
