"""Who signs for a mesh on a cluster, as the flags `--ca*` say, and the port at which workloads ask for certificates."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.base.errors import UsageError
from eventmesh.cli.addresses import address
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.lease import Election
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import SECRET
from eventmesh.kube.token_reviews import TokenReviews
from eventmesh.xds.control.certificate_server import CertificateServer
from eventmesh.xds.control.certification import Certification
from eventmesh.xds.control.event_certificates import EventCertificates
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.control.root_maps import RootMaps
from eventmesh.xds.identity.authority import Authority, GivenAuthority, OwnAuthority
from eventmesh.xds.identity.cluster_signer import ClusterSigner
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.kubernetes_authority import KubernetesAuthority
from eventmesh.xds.identity.root_secret import RootSecret
from eventmesh.xds.identity.spiffe import check_trust_domain

CHOICES = ("embedded", "given", "kubernetes")

_SIGNER: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[a-zA-Z0-9]([a-zA-Z0-9._:/-]*[a-zA-Z0-9])?")

_MAX_SIGNER_CHARS: Final = 571
"""Of `spec.signerName`, as Kubernetes has it: a domain, namespace and name with what is between them."""

_KUBERNETES_OWN: Final = "kubernetes.io/"
"""Signers that certify users, kubelets and API servers, and know no SPIFFE ids."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of identities."""
    parser.add_argument(
        "--ca",
        choices=CHOICES,
        help="who certifies workloads: roots of our own in a Secret, the authority of --ca-cert and --ca-key, or the "
        "cluster's --signer (nobody: there are no identities)",
    )
    parser.add_argument("--ca-cert", type=Path, metavar="FILE", help="its certificate, then those up to its root (PEM)")
    parser.add_argument("--ca-key", type=Path, metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--signer",
        default="",
        metavar="DOMAIN/NAME",
        help="who signs the CertificateSigningRequests of --ca kubernetes (spec.signerName)",
    )
    parser.add_argument("--ca-root", type=Path, metavar="FILE", help="the roots of --signer, to be trusted (PEM)")
    parser.add_argument("--trust-domain", default="cluster.local", metavar="NAME", help="of SPIFFE ids (%(default)s)")
    parser.add_argument(
        "--name",
        action="append",
        metavar="HOST",
        help="a further name in control's certificate (repeatable)",
    )
    parser.add_argument(
        "--secured-address", default="127.0.0.1:18002", metavar="HOST:PORT", help="ADS under mTLS (%(default)s)"
    )
    parser.add_argument(
        "--certificate-address",
        default="127.0.0.1:18003",
        metavar="HOST:PORT",
        help="where a service account's token is exchanged for a certificate (%(default)s)",
    )


@dataclass(slots=True)
class Certifying:
    """What is behind the identities of one control process."""

    identities: Identities
    _api: Api
    _clock: Clock
    _authority: Authority
    _roots: RootSecret | None = None
    _signer: ClusterSigner | None = None
    _server: CertificateServer | None = None

    @classmethod
    async def of(cls, args: argparse.Namespace, api: Api, clock: Clock, election: Election | None) -> Certifying | None:
        """Return what the flags ask for; None: no identities. Raises ConfigError and UnavailableError."""
        match args.ca:
            case None:
                return None
            case "embedded":
                roots = await RootSecret.open(api, clock, lambda: election is None or election.leading)
                own = OwnAuthority(roots, clock)
                return cls(_identities(args, own, clock), api, clock, own, roots)
            case "kubernetes":
                signer = ClusterSigner(api, clock, args.signer)
                asking = KubernetesAuthority(signer, args.ca_root, clock)
                identities = _identities(args, asking, clock)
                # Before anything is served: there is nothing else to show at the secured ports.
                await identities.prepare()
                signer.start()
                return cls(identities, api, clock, asking, _signer=signer)
            case _:
                given = GivenAuthority(args.ca_cert, args.ca_key, clock)
                return cls(_identities(args, given, clock), api, clock, given)

    def watch(self, informers: Informers) -> tuple[Controller, ...]:
        """Follow what other replicas do to the roots, before the informers start; return what writes while this replica
        leads: the roots for workloads to know, and certificates for those who take events in by https."""
        maps = RootMaps(self._api, informers, self.identities, self._clock)
        if self._roots is not None:
            self._follow(self._roots, informers)
        if not self.identities.makes_keys:
            return (maps.controller,)
        certificates = EventCertificates(self._api, informers, self.identities, self._clock)
        return maps.controller, certificates.controller

    def _follow(self, roots: RootSecret, informers: Informers) -> None:
        def changed(old: Object | None, new: Object | None) -> None:
            if roots.changed(old, new):
                self.identities.look_again()

        informers.of(SECRET).add_handler(changed)

    async def start(self, where: str, metrics: Metrics) -> int:
        """Exchange tokens for certificates at `where`, and return the port; UnavailableError when it is taken."""
        reviews = TokenReviews(self._api, self._clock)
        certification = Certification(reviews, self._authority, self.identities, metrics)
        self._server = CertificateServer(certification, self.identities)
        return await self._server.start(where)

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            await self._server.stop()
        if self._roots is not None:
            await self._roots.stop()
        if self._signer is not None:
            await self._signer.stop()


def _identities(args: argparse.Namespace, authority: Authority, clock: Clock) -> Identities:
    return Identities(authority, clock, args.trust_domain, control_names=args.name or ())


def check(args: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not go together."""
    try:
        check_trust_domain(args.trust_domain)
    except ValueError as error:
        raise UsageError(f"--trust-domain: {error}") from None
    for flag in ("secured_address", "certificate_address"):
        address(f"--{flag.replace('_', '-')}", getattr(args, flag))
    files = args.ca_cert is not None, args.ca_key is not None
    if args.ca == "given" and files != (True, True):
        raise UsageError("--ca given: name the authority's files by --ca-cert and --ca-key")
    if args.ca != "given" and any(files):
        raise UsageError("--ca-cert and --ca-key: they are those of --ca given")
    _check_signer(args)


def _check_signer(args: argparse.Namespace) -> None:
    told = bool(args.signer), args.ca_root is not None
    if args.ca != "kubernetes":
        if any(told):
            raise UsageError("--signer and --ca-root: they are those of --ca kubernetes")
        return
    if told != (True, True):
        raise UsageError("--ca kubernetes: name the signer by --signer and the file of its roots by --ca-root")
    domain = args.signer.partition("/")[0]
    if len(args.signer) > _MAX_SIGNER_CHARS or "." not in domain or _SIGNER.fullmatch(args.signer) is None:
        raise UsageError(
            f"--signer: {args.signer[:_MAX_SIGNER_CHARS]!r} is no name of a signer: example.com/name, at most "
            f"{_MAX_SIGNER_CHARS} characters"
        )
    if args.signer.startswith(_KUBERNETES_OWN):
        raise UsageError(f"--signer: {args.signer} is Kubernetes' own and certifies no workloads; name another one")
