//! What is compiled of a configuration once and shared by all its connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::tls::terms::{Certificate, ClientTerms, ServerTerms, Version};
use crate::tls::verify::{covers, host_names, ClientJudge, ServerJudge};

/// Sessions that a cluster can take up again. All its endpoints answer to one name, and rustls keeps eight of a name;
/// its own default of 256 has room for 32 names, some 25 KiB a cluster, which a gateway to 3,000 functions would feel.
const MAX_SESSIONS: usize = 8;

/// The wall clock that certificates are judged by; the engine sets it, since it has no clock of its own.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// Set the time: seconds since 1970.
    pub fn set(&self, seconds: f64) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded, and never negative
        self.0.store(seconds.clamp(0.0, 1e15) as u64, Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

/// How a listener's connections speak TLS.
#[derive(Debug, Clone)]
pub struct ServerContext {
    terms: ServerTerms,
    pub(super) config: Arc<ServerConfig>,
}

impl ServerContext {
    /// Compile `terms`; the error names the field that is wrong.
    pub fn new(terms: &ServerTerms, clock: &Arc<Clock>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let certificates = Shown::new(&terms.certificates, &provider)?;
        let versions = versions(terms.min_version, terms.max_version)?;
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::<Clock>::clone(clock))
            .with_protocol_versions(&versions)
            .map_err(|error| error.to_string())?;
        let builder = if terms.client_ca.is_empty() {
            if terms.require_client_certificate || !terms.client_names.is_empty() {
                return Err("client_ca: missing; without it no client's certificate can be believed".to_owned());
            }
            builder.with_no_client_auth()
        } else {
            let roots = Arc::new(authorities(&terms.client_ca, "client_ca")?);
            let chain = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let chain = if terms.require_client_certificate { chain } else { chain.allow_unauthenticated() };
            let chain = chain.build().map_err(|error| format!("client_ca: {error}"))?;
            builder.with_client_cert_verifier(Arc::new(ClientJudge { chain, names: terms.client_names.clone() }))
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = bytes(&terms.alpn);
        Ok(Self { terms: terms.clone(), config: Arc::new(config) })
    }

    /// Return whether it was compiled of `terms`.
    pub fn is_of(&self, terms: &ServerTerms) -> bool {
        self.terms == *terms
    }

    /// Return whether clients that do not speak TLS are served as well.
    pub fn permissive(&self) -> bool {
        self.terms.permissive
    }
}

/// How connections to a cluster's endpoints speak TLS.
#[derive(Debug, Clone)]
pub struct ClientContext {
    terms: ClientTerms,
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl ClientContext {
    /// Compile `terms`; the error names the field that is wrong.
    pub fn new(terms: &ClientTerms, clock: &Arc<Clock>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let roots = if terms.ca.is_empty() { None } else { Some(authorities(&terms.ca, "ca")?) };
        let algorithms = provider.signature_verification_algorithms;
        let judge = ServerJudge { roots, names: terms.names.clone(), algorithms };
        let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::<Clock>::clone(clock))
            .with_protocol_versions(&versions(terms.min_version, terms.max_version)?)
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge));
        let mut config = match &terms.certificate {
            Some(certificate) => {
                let shown = certified(certificate, "certificate", &provider)?;
                builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = bytes(&terms.alpn);
        config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
        config.enable_sni = !terms.sni.is_empty();
        // Nobody looks at the name that stands in when none is asked for.
        let name = if terms.sni.is_empty() { "unnamed.invalid" } else { terms.sni.as_str() };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("sni: {name:?} is not a host name"))?;
        Ok(Self { terms: terms.clone(), config: Arc::new(config), name })
    }

    /// Return whether it was compiled of `terms`.
    pub fn is_of(&self, terms: &ClientTerms) -> bool {
        self.terms == *terms
    }
}

/// The certificates of a listener, each with the host names it bears.
#[derive(Debug)]
struct Shown(Vec<(Vec<String>, Arc<CertifiedKey>)>);

impl Shown {
    fn new(certificates: &[Certificate], provider: &CryptoProvider) -> Result<Self, String> {
        if certificates.is_empty() {
            return Err("certificates: at least one is needed".to_owned());
        }
        let shown = certificates.iter().enumerate().map(|(at, certificate)| {
            let key = certified(certificate, &format!("certificates[{at}]"), provider)?;
            Ok((key.cert.first().map(host_names).unwrap_or_default(), Arc::new(key)))
        });
        Ok(Self(shown.collect::<Result<_, String>>()?))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().map(str::to_ascii_lowercase);
        let bears = |host: &str, exact: bool| {
            let found = self
                .0
                .iter()
                .find(|(names, _)| names.iter().any(|name| if exact { name == host } else { covers(name, host) }));
            found.map(|(_, key)| Arc::clone(key))
        };
        let named = wanted.and_then(|host| bears(&host, true).or_else(|| bears(&host, false)));
        named.or_else(|| self.0.first().map(|(_, key)| Arc::clone(key)))
    }
}

fn certified(certificate: &Certificate, field: &str, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("{field}.chain: {error}"))?;
    if chain.is_empty() {
        return Err(format!("{field}.chain: holds no certificate; PEM is expected"));
    }
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())
        .map_err(|error| format!("{field}.key: {error}; an unencrypted PEM key is expected"))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| format!("{field}: {error}"))
}

fn authorities(pem: &str, field: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("{field}: {error}"))?;
        roots.add(certificate).map_err(|error| format!("{field}: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{field}: holds no certificate; PEM is expected"));
    }
    Ok(roots)
}

fn versions(oldest: Version, newest: Version) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    if oldest > newest {
        return Err("min_version: is newer than max_version".to_owned());
    }
    let all = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)];
    Ok(all.iter().filter(|(version, _)| (oldest..=newest).contains(version)).map(|(_, known)| *known).collect())
}

fn bytes(words: &[String]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
