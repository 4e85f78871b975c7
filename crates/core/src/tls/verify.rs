//! Who is believed: chains up to the given authorities, then the names in the certificate.
//!
//! Envoy's rules, which rustls does not have: without authorities whatever is shown is taken (the signature over the
//! handshake is checked all the same), and names are compared with a list of matchers instead of the server's name.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use webpki::EndEntityCert;

use crate::tls::terms::{MatchKind, NameKind, NameMatch};

impl NameMatch {
    /// Return whether `name`, out of a certificate, is one that was asked for.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (name, text) = match self.kind {
            NameKind::Dns => (name.to_ascii_lowercase(), self.text.to_ascii_lowercase()),
            NameKind::Uri => (name.to_owned(), self.text.clone()),
        };
        match self.how {
            MatchKind::Exact if self.kind == NameKind::Dns => covers(&name, &text),
            MatchKind::Exact => name == text,
            MatchKind::Prefix => name.starts_with(&text),
            MatchKind::Suffix => name.ends_with(&text),
            MatchKind::Contains => name.contains(&text),
        }
    }
}

/// Return whether a certificate's host name, perhaps `*.example.com`, covers `host` (RFC 6125 6.4.3: one label).
pub fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == host,
    }
}

/// Return the host names that a certificate bears.
pub fn host_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = EndEntityCert::try_from(certificate);
    parsed.map(|parsed| parsed.valid_dns_names().map(str::to_ascii_lowercase).collect()).unwrap_or_default()
}

/// Return the names by which rules know the holder of a certificate: its URIs (SPIFFE identities), then its host names.
pub fn principals(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = EndEntityCert::try_from(certificate);
    let names = |parsed: &EndEntityCert<'_>| {
        parsed.valid_uri_names().chain(parsed.valid_dns_names()).map(str::to_owned).collect()
    };
    parsed.as_ref().map(names).unwrap_or_default()
}

/// Return an error unless the certificate bears one of `wanted`; none wanted: any will do.
fn check_names(certificate: &CertificateDer<'_>, wanted: &[NameMatch]) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let bad = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
    let parsed = EndEntityCert::try_from(certificate).map_err(bad)?;
    let among = |kind: NameKind, name: &str| wanted.iter().any(|one| one.kind == kind && one.matches(name));
    let named = parsed.valid_dns_names().any(|name| among(NameKind::Dns, name))
        || parsed.valid_uri_names().any(|name| among(NameKind::Uri, name));
    named.then_some(()).ok_or(Error::InvalidCertificate(CertificateError::NotValidForName))
}

/// Believes servers: all of them without authorities.
#[derive(Debug)]
pub struct ServerJudge {
    pub roots: Option<RootCertStore>,
    pub names: Vec<NameMatch>,
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerJudge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, self.algorithms.all)?;
        }
        check_names(end_entity, &self.names)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Believes clients whose chain `chain` believes and whose names are wanted.
#[derive(Debug)]
pub struct ClientJudge {
    pub chain: Arc<dyn ClientCertVerifier>,
    pub names: Vec<NameMatch>,
}

impl ClientCertVerifier for ClientJudge {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        check_names(end_entity, &self.names)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
