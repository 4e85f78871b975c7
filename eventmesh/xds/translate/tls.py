"""Transport sockets into how TLS is spoken, with open references to secrets (Envoy's transport_sockets.tls.v3)."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.base.frozen import frozen
from eventmesh.model.tls import ClientTls, MatchKind, NameKind, NameMatch, ServerTls, TlsCertificate, TlsVersion
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.sources import RAW_BUFFER, read_config_source, read_data

DOWNSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
UPSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"

_VERSIONS = {"TLSv1_2": TlsVersion.TLS12, "TLSv1_3": TlsVersion.TLS13}
_NAME_KINDS = {"DNS": NameKind.DNS, "URI": NameKind.URI}


@frozen
class Validation:
    """Who is believed: whom these authorities (PEM; empty: anybody) sign, under one of these names (none: any)."""

    ca: str = ""
    names: tuple[NameMatch, ...] = ()


@frozen
class Secret:
    """What a resource `tls.v3.Secret` holds: one of the two."""

    certificate: TlsCertificate | None = None
    validation: Validation | None = None


Secrets = Mapping[str, Secret]


@frozen
class TlsTerms:
    """What listeners and clusters say alike (`CommonTlsContext`)."""

    certificates: tuple[TlsCertificate, ...] = ()
    certificate_secrets: tuple[str, ...] = ()
    validation: Validation = Validation()
    validation_secret: str = ""
    alpn: tuple[str, ...] = ()
    min_version: TlsVersion = TlsVersion.TLS12
    max_version: TlsVersion = TlsVersion.TLS13
    served: frozenset[str] = frozenset()
    """Secrets that a server brings (`sds_config`); what the bootstrap has under their names counts until then."""

    @property
    def secrets(self) -> frozenset[str]:
        """Return the names of the secrets without which nothing can be spoken."""
        return frozenset((*self.certificate_secrets, self.validation_secret)) - {""}

    def shown(self, secrets: Secrets) -> tuple[TlsCertificate, ...] | None:
        """Return all certificates; None while one that is named is not there."""
        named = [secrets[name].certificate if name in secrets else None for name in self.certificate_secrets]
        there = tuple(certificate for certificate in named if certificate is not None)
        return (*self.certificates, *there) if len(there) == len(named) else None

    def believed(self, secrets: Secrets) -> Validation | None:
        """Return who is believed; None while that is named and not there. Names given here count first."""
        if not self.validation_secret:
            return self.validation
        named = secrets.get(self.validation_secret, Secret()).validation
        if named is None:
            return None
        return Validation(named.ca or self.validation.ca, self.validation.names or named.names)


@frozen
class ServerTlsResource:
    """A `DownstreamTlsContext`."""

    terms: TlsTerms
    require_client_certificate: bool = False
    permissive: bool = False

    def resolve(self, secrets: Secrets) -> ServerTls | None:
        """Return how TLS is spoken; None while a secret is missing."""
        certificates, validation = self.terms.shown(secrets), self.terms.believed(secrets)
        if certificates is None or validation is None:
            return None
        return ServerTls(
            certificates=certificates,
            alpn=self.terms.alpn,
            client_ca=validation.ca,
            require_client_certificate=self.require_client_certificate,
            client_names=validation.names,
            permissive=self.permissive,
            min_version=self.terms.min_version,
            max_version=self.terms.max_version,
        )


@frozen
class ClientTlsResource:
    """An `UpstreamTlsContext`."""

    terms: TlsTerms
    sni: str = ""

    def resolve(self, secrets: Secrets) -> ClientTls | None:
        """Return how TLS is spoken; None while a secret is missing."""
        certificates, validation = self.terms.shown(secrets), self.terms.believed(secrets)
        if certificates is None or validation is None:
            return None
        return ClientTls(
            sni=self.sni,
            ca=validation.ca,
            names=validation.names,
            certificate=certificates[0] if certificates else None,
            alpn=self.terms.alpn,
            min_version=self.terms.min_version,
            max_version=self.terms.max_version,
        )


def read_server_tls(owner: Message, *, permissive: bool = False) -> ServerTlsResource | None:
    """Return what the `transport_socket` of a filter chain says; None: clear text. Raises ConfigError."""
    context = _context(owner, DOWNSTREAM_TLS)
    if context is None:
        return None
    common = _common(context)
    terms = _terms(common)
    if not terms.certificates and not terms.certificate_secrets:
        raise common.error("tls_certificates", "missing; a listener needs at least one, here or as an SDS secret")
    required = context.flag("require_client_certificate")
    if required and not terms.validation_secret and not terms.validation.ca:
        raise common.error("validation_context.trusted_ca", "missing; require_client_certificate needs it")
    return ServerTlsResource(terms, required, permissive)


def read_client_tls(owner: Message, warnings: list[str]) -> ClientTlsResource | None:
    """Return what the `transport_socket` of a cluster says; None: clear text. Raises ConfigError."""
    context = _context(owner, UPSTREAM_TLS)
    if context is None:
        return None
    common = _common(context)
    terms = _terms(common)
    if len(terms.certificates) + len(terms.certificate_secrets) > 1:
        raise common.error("tls_certificates", "has more than one; a client shows one certificate")
    if not terms.validation_secret and not terms.validation.ca:
        warnings.append(f"{common.where('validation_context')}: no trusted_ca, so any certificate is believed")
    return ClientTlsResource(terms, context.text("sni"))


def read_secret(message: Message) -> Secret:
    """Return a `tls.v3.Secret`. Raises ConfigError."""
    certificate, validation = message.child("tls_certificate"), message.child("validation_context")
    if certificate is not None:
        return Secret(certificate=_certificate(certificate))
    if validation is not None:
        return Secret(validation=_validation(validation))
    raise message.error("", "holds nothing; give tls_certificate or validation_context")


def _context(owner: Message, wanted: str) -> Message | None:
    socket = owner.child("transport_socket")
    config = socket.child("typed_config") if socket else None
    if config is None or config.schema.name == RAW_BUFFER:
        return None
    if config.schema.name != wanted:
        raise owner.error(
            "transport_socket.typed_config", f"{config.schema.name} is not supported; {wanted} and {RAW_BUFFER} are"
        )
    return config


def _common(context: Message) -> Message:
    common = context.child("common_tls_context")
    if common is None:
        raise context.error("common_tls_context", "missing")
    return common


def _terms(common: Message) -> TlsTerms:
    validation, validation_secret = _validation_of(common)
    oldest, newest = _versions(common.child("tls_params"))
    return TlsTerms(
        certificates=tuple(_certificate(item) for item in common.children("tls_certificates")),
        certificate_secrets=tuple(map(_secret_name, common.children("tls_certificate_sds_secret_configs"))),
        validation=validation,
        validation_secret=validation_secret,
        alpn=common.texts("alpn_protocols"),
        min_version=oldest,
        max_version=newest,
        served=frozenset(filter(None, map(_served_name, _secret_configs(common)))),
    )


def _secret_configs(common: Message) -> tuple[Message, ...]:
    combined = common.child("combined_validation_context") or common
    validation = combined.child("validation_context_sds_secret_config")
    certificates = tuple(common.children("tls_certificate_sds_secret_configs"))
    return certificates if validation is None else (*certificates, validation)


def _served_name(config: Message) -> str:
    return config.text("name") if config.has("sds_config") else ""


def _validation_of(common: Message) -> tuple[Validation, str]:
    combined = common.child("combined_validation_context")
    own = (combined or common).child("default_validation_context" if combined else "validation_context")
    named = (combined or common).child("validation_context_sds_secret_config")
    return (_validation(own) if own else Validation()), (_secret_name(named) if named else "")


def _secret_name(config: Message) -> str:
    name = config.text("name")
    if not name:
        raise config.error("name", "missing")
    if config.has("sds_config"):
        read_config_source(config, "sds_config")
    return name


def _certificate(message: Message) -> TlsCertificate:
    return TlsCertificate(read_data(message, "certificate_chain"), read_data(message, "private_key"))


def _validation(message: Message) -> Validation:
    names = tuple(_name_match(item) for item in message.children("match_typed_subject_alt_names"))
    ca = read_data(message, "trusted_ca") if message.has("trusted_ca") else ""
    return Validation(ca, names)


def _name_match(message: Message) -> NameMatch:
    kind = _NAME_KINDS.get(message.text("san_type"))
    if kind is None:
        raise message.error("san_type", f"{message.text('san_type')!r} is not supported; use DNS or URI")
    matcher = message.child("matcher")
    if matcher is not None and matcher.flag("ignore_case"):
        raise matcher.error("ignore_case", "is not supported here; names are compared as certificates want it")
    for how in MatchKind:
        if matcher is not None and matcher.has(how.value):
            return NameMatch(kind, how, matcher.text(how.value))
    raise message.error("matcher", f"missing; give {', '.join(how.value for how in MatchKind)}")


def _versions(params: Message | None) -> tuple[TlsVersion, TlsVersion]:
    found = []
    for name, default in (
        ("tls_minimum_protocol_version", TlsVersion.TLS12),
        ("tls_maximum_protocol_version", TlsVersion.TLS13),
    ):
        word = params.text(name, "TLS_AUTO") if params else "TLS_AUTO"
        if params and word not in ("TLS_AUTO", *_VERSIONS):
            raise params.error(name, f"{word} is not supported; use {', '.join(_VERSIONS)}")
        found.append(_VERSIONS.get(word, default))
    return found[0], found[1]
