"""Bootstraps of control's clients: Envoy's form, or gRPC's."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from eventmesh.base.errors import UsageError
from eventmesh.base.frozen import frozen
from eventmesh.cli.addresses import address
from eventmesh.xds.translate.identity import DEFAULT_TRUST_DOMAIN

ROLES: Final = ("gateway", "activator", "sidecar", "envoy", "grpc")

TOKEN_FILE: Final = "/var/run/secrets/tokens/eventmesh-ca"  # noqa: S105 - a path
"""Where Knative mounts the token of a queue-proxy for the audience `eventmesh-ca`
(`queue-sidecar-token-audiences` in config-deployment)."""

ROOTS_FILE: Final = "/var/run/secrets/eventmesh/root-cert.pem"


PROVIDER: Final = "default"
"""As `xds.control.securing` names it, which is too much to load for a word."""

SERVER_LISTENER: Final = "grpc/server?xds.resource.listening_address="
"""As `xds.control.grpc_servers` names it, likewise."""

REFRESH: Final = "60s"
"""How soon gRPC notices new files; its own 600 s would be too late for certificates of ten minutes."""


@frozen
class Exchange:
    """How a client gets a certificate with its token."""

    certificates: str
    """`host:port` of control's port for it."""
    token_file: str = TOKEN_FILE
    roots_file: str = ROOTS_FILE
    trust_domain: str = DEFAULT_TRUST_DOMAIN
    strict: bool = False
    """Its inbound side takes mTLS alone, before control has said what it takes."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `eventmesh control bootstrap`."""
    parser.add_argument("--for", dest="role", choices=ROLES, required=True, help="what the client is")
    parser.add_argument("--id", default="", help="its node id, unique in the mesh (its role)")
    parser.add_argument("--ads", default="127.0.0.1:18000", metavar="HOST:PORT", help="where control is (%(default)s)")
    parser.add_argument("--admin", default="127.0.0.1:9901", metavar="HOST:PORT", help="its admin page (%(default)s)")
    parser.add_argument(
        "--namespace",
        default="",
        help="of a sidecar: it is told of that one alone (all); of gRPC: where a server is, whose policies hold for it",
    )
    parser.add_argument(
        "--labels",
        default="",
        metavar="NAME=VALUE,...",
        help="of gRPC: those of a server's pod, by which policies select it (none)",
    )
    parser.add_argument(
        "--on-demand",
        action="store_true",
        help="of envoy: it asks for a host when the first request names it, and holds no more of the mesh (it has all)",
    )
    parser.add_argument(
        "--certificates",
        metavar="HOST:PORT",
        default="",
        help="where it exchanges its token for a certificate; --ads is then the port under mTLS (it has no identity)",
    )
    parser.add_argument(
        "--certificate-dir",
        metavar="DIR",
        default="",
        help="of gRPC: where its cert.pem, key.pem and roots.pem are; --ads is then the port under mTLS (clear text)",
    )
    parser.add_argument("--token-file", default=TOKEN_FILE, metavar="FILE", help="that token (%(default)s)")
    parser.add_argument("--roots-file", default=ROOTS_FILE, metavar="FILE", help="whom to trust at first (%(default)s)")
    parser.add_argument(
        "--mtls",
        choices=("permissive", "strict"),
        default="permissive",
        help="what its inbound side takes until control says (%(default)s)",
    )
    # Control itself has the flag too; what stands behind the action counts.
    parser.add_argument(
        "--trust-domain", default=argparse.SUPPRESS, metavar="NAME", help="of SPIFFE ids (cluster.local)"
    )


def printed(args: argparse.Namespace) -> dict[str, Any]:
    """Return the bootstrap that the flags ask for. Raises UsageError."""
    exchange = None
    if args.certificates:
        address("--certificates", args.certificates)
        strict = args.mtls == "strict"
        exchange = Exchange(args.certificates, args.token_file, args.roots_file, args.trust_domain, strict)
    made = client_bootstrap(
        args.role,
        args.id or args.role,
        args.ads,
        args.admin,
        args.namespace,
        exchange,
        args.certificate_dir,
        args.labels,
    )
    if args.on_demand:
        if args.role != "envoy":
            raise UsageError(f"--on-demand: {args.role} asks for no virtual hosts; only envoy does")
        made["node"]["metadata"]["on_demand"] = True
    return made


def client_bootstrap(
    role: str,
    node_id: str,
    ads: str,
    admin: str,
    namespace: str = "",
    exchange: Exchange | None = None,
    certificate_dir: str = "",
    labels: str = "",
) -> dict[str, Any]:
    """Return what a client of that role starts with: Envoy's form, or gRPC's. Raises UsageError for a bad address."""
    host, _ = address("--ads", ads)
    address("--admin", admin)
    if exchange is not None and role in ("envoy", "grpc"):
        raise UsageError(f"--certificates: {role} exchanges no token; only our own gateway, activator and sidecar do")
    if role == "grpc":
        return _of_grpc(node_id, ads, certificate_dir, namespace, _labels(labels))
    if labels:
        raise UsageError(f"--labels: {role} is told of them where it runs; only a gRPC server is not")
    if certificate_dir:
        raise UsageError(f"--certificate-dir: {role} takes its certificate by SDS or by --certificates")
    from eventmesh.cluster.bootstrap import bootstrap

    metadata = {"namespace": namespace} if namespace else {}
    made = bootstrap("gateway" if role == "envoy" else role, node_id, admin, ads, **metadata)
    # Envoy's node is 60 KiB of extension names, and it would be sent with every request.
    made["dynamic_resources"]["ads_config"]["set_node_on_first_message_only"] = True
    if not _is_ip(host):
        made["static_resources"]["clusters"][0]["type"] = "STRICT_DNS"
    return made if exchange is None else _with_token(made, role, exchange)


def _labels(words: str) -> dict[str, str]:
    found = {}
    for word in filter(None, words.split(",")):
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise UsageError(f"--labels: {word!r} is not NAME=VALUE")
        found[name] = value
    return found


def _of_grpc(node_id: str, ads: str, certificate_dir: str, namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return gRPC's form (gRFC A27, A29, A36, A65): in clear text, or with the certificates that a directory holds."""
    credentials: dict[str, Any] = {"type": "insecure"}
    node: dict[str, Any] = {"id": node_id}
    if namespace:
        node["metadata"] = {"namespace": namespace, **({"labels": dict(labels)} if labels else {})}
    elif labels:
        raise UsageError("--labels: say --namespace too, in which policies select by them")
    made: dict[str, Any] = {"node": node, "server_listener_resource_name_template": f"{SERVER_LISTENER}%s"}
    if certificate_dir:
        files = {
            "certificate_file": f"{certificate_dir}/cert.pem",
            "private_key_file": f"{certificate_dir}/key.pem",
            "ca_certificate_file": f"{certificate_dir}/roots.pem",
            "refresh_interval": REFRESH,
        }
        credentials = {"type": "tls", "config": files}
        made["certificate_providers"] = {PROVIDER: {"plugin_name": "file_watcher", "config": files}}
    server = {"server_uri": ads, "channel_creds": [credentials], "server_features": ["xds_v3"]}
    return {"xds_servers": [server], **made}


def _with_token(made: dict[str, Any], role: str, exchange: Exchange) -> dict[str, Any]:
    from eventmesh.cluster.first_certificate import TokenExchange, with_token
    from eventmesh.xds.control.objects import MtlsMode
    from eventmesh.xds.identity.spiffe import MeshParts

    where = TokenExchange(exchange.certificates, exchange.token_file, {"filename": exchange.roots_file})
    mode = MtlsMode.STRICT if exchange.strict else MtlsMode.PERMISSIVE
    control = MeshParts.of(exchange.trust_domain).control
    made = with_token(made, where, control, None if role == "gateway" else mode)
    host, _ = address("--certificates", exchange.certificates)
    if not _is_ip(host):
        made["static_resources"]["clusters"][-1]["type"] = "STRICT_DNS"
    return made


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
