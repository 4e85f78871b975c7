//! What a configuration says about TLS: the mirror of `eventmesh/model/tls.py`.

use serde::Deserialize;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Version {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// A certificate chain, the leaf first, and the leaf's private key; both PEM.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain.
    pub chain: String,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: String,
}

impl std::fmt::Debug for Certificate {
    /// The key stays out of logs.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Certificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// Which kind of subject alternative name is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameKind {
    /// A host name.
    Dns,
    /// A URI: SPIFFE identities are.
    Uri,
}

/// How a name is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchKind {
    /// Equal; a host name also when the certificate's wildcard covers it.
    Exact,
    /// Begins with.
    Prefix,
    /// Ends with.
    Suffix,
    /// Has in it.
    Contains,
}

/// One name that a peer's certificate may bear.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameMatch {
    /// Which names.
    pub kind: NameKind,
    /// Compared how.
    pub how: MatchKind,
    /// With what.
    pub text: String,
}

/// How a listener speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTerms {
    /// What it may show; the one that bears the name the client asks for, else the first.
    pub certificates: Vec<Certificate>,
    /// Application protocols, the preferred first.
    #[serde(default)]
    pub alpn: Vec<String>,
    /// Authorities that sign clients' certificates (PEM); empty: none is asked for.
    #[serde(default)]
    pub client_ca: String,
    /// A client without a certificate is turned away.
    #[serde(default)]
    pub require_client_certificate: bool,
    /// A client's certificate must bear one of these; empty: any.
    #[serde(default)]
    pub client_names: Vec<NameMatch>,
    /// Clients that do not speak TLS are served as well.
    #[serde(default)]
    pub permissive: bool,
    /// Oldest version.
    #[serde(default = "tls12")]
    pub min_version: Version,
    /// Newest version.
    #[serde(default = "tls13")]
    pub max_version: Version,
}

/// How a cluster's endpoints are spoken to under TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTerms {
    /// The name asked for; empty: none.
    #[serde(default)]
    pub sni: String,
    /// Authorities that sign the endpoints' certificates (PEM); empty: whatever is shown is believed, as in Envoy.
    #[serde(default)]
    pub ca: String,
    /// An endpoint's certificate must bear one of these; empty: any.
    #[serde(default)]
    pub names: Vec<NameMatch>,
    /// What is shown when an endpoint asks.
    #[serde(default)]
    pub certificate: Option<Certificate>,
    /// Application protocols offered.
    #[serde(default)]
    pub alpn: Vec<String>,
    /// Oldest version.
    #[serde(default = "tls12")]
    pub min_version: Version,
    /// Newest version.
    #[serde(default = "tls13")]
    pub max_version: Version,
}

impl ServerTerms {
    /// Return terms that show one certificate and ask for none.
    pub fn showing(certificate: Certificate) -> Self {
        Self {
            certificates: vec![certificate],
            alpn: Vec::new(),
            client_ca: String::new(),
            require_client_certificate: false,
            client_names: Vec::new(),
            permissive: false,
            min_version: tls12(),
            max_version: tls13(),
        }
    }
}

impl ClientTerms {
    /// Return terms that ask for `sni` and believe whatever is shown.
    pub fn asking(sni: &str) -> Self {
        Self {
            sni: sni.to_owned(),
            ca: String::new(),
            names: Vec::new(),
            certificate: None,
            alpn: Vec::new(),
            min_version: tls12(),
            max_version: tls13(),
        }
    }
}

fn tls12() -> Version {
    Version::Tls12
}
fn tls13() -> Version {
    Version::Tls13
}
