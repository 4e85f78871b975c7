"""`eventmesh send`: put one CloudEvent into a broker or a channel, from outside the mesh, and say what became of it."""

from __future__ import annotations

import argparse
import http.client
import ssl
import sys
import uuid
from urllib.parse import urlsplit

from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import UnavailableError, UsageError
from eventmesh.cli import connection
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.http import encode_binary
from eventmesh.kube.api import Object
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import BROKER, CHANNEL, SERVICE_ACCOUNT

TIMEOUT_S = 30.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--broker", default="default", metavar="NAME", help="(default: %(default)s)")
    where.add_argument("--channel", metavar="NAME", help="send to a channel instead")
    parser.add_argument("--type", required=True, metavar="TYPE", help="type attribute, such as order.created")
    parser.add_argument("--source", default="/eventmesh/send", metavar="URI", help="(default: %(default)s)")
    parser.add_argument("--id", default="", metavar="ID", help="(default: a random one)")
    parser.add_argument("--subject", metavar="TEXT")
    parser.add_argument(
        "--data", metavar="TEXT", help="the payload, or @FILE; JSON unless --content-type says otherwise"
    )
    parser.add_argument("--content-type", default="application/json", metavar="TYPE", help="(default: %(default)s)")
    parser.add_argument("--extension", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    parser.add_argument(
        "--account",
        metavar="NAME",
        help="send as this service account of the namespace: needed where authentication-oidc is enabled",
    )
    connection.add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Send the event; return 0 when the broker accepted it. Raises InvalidEvent before anything is sent."""
    event = _event(args)
    clock = SystemClock()

    async def send(api: HttpApi) -> int:
        resource, name = (CHANNEL, args.channel) if args.channel else (BROKER, args.broker)
        what = f"{resource.kind.lower()} {name}"
        found = await api.get(resource, name, args.namespace)
        token = await _token(api, args.account, args.namespace, found, what) if args.account else ""
        began = clock.monotonic()
        address = _address(found, what)
        status, text = post(str(address["url"]), event, token, str(address.get("CACerts") or ""))
        took_ms = (clock.monotonic() - began) * 1000
        if status // 100 != 2:
            sys.stderr.write(f"eventmesh: {what} answered {status}: {text}\n")
            return 1
        accepted = f"accepted by {what} ({status} after {took_ms:.1f} ms)"
        sys.stdout.write(f"event {event.id} of type {event.type} {accepted}\n")
        return 0

    return connection.run(args, send)


async def _token(api: HttpApi, account: str, namespace: str, found: Object, what: str) -> str:
    audience = ((found.get("status") or {}).get("address") or {}).get("audience")
    if not audience:
        raise UsageError(f"--account: {what} asks nobody who they are (authentication-oidc is not enabled)")
    request = {"metadata": {"name": account}, "spec": {"audiences": [audience]}}
    answer = await api.create(SERVICE_ACCOUNT, request, namespace, subresource="token")
    return str(answer["status"]["token"])


def _event(args: argparse.Namespace) -> Event:
    attributes = {"id": args.id or str(uuid.uuid4()), "source": args.source, "type": args.type, "specversion": "1.0"}
    if args.subject is not None:
        attributes["subject"] = args.subject
    for pair in args.extension:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--extension: {pair!r} is not NAME=VALUE")
        attributes[name] = value
    data = None
    if args.data is not None:
        data = _payload(args.data)
        attributes["datacontenttype"] = args.content_type
    return Event(attributes, data)


def _payload(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode()
    try:
        with open(text[1:], "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"--data: {text[1:]} cannot be read: {error.strerror}") from error


def _address(found: Object, what: str) -> Object:
    status = found.get("status") or {}
    outside = next((one for one in status.get("addresses") or () if one.get("name") == "external"), None)
    address: Object = outside or status.get("address") or {}
    if not address.get("url"):
        raise UnavailableError(f"{what} has no address yet: `eventmesh get {what}` says why")
    return address


def post(url: str, event: Event, token: str = "", authorities: str = "") -> tuple[int, str]:
    """Send `event` to `url`, with a bearer token if there is one; return status and body.

    Under https, whoever answers must be certified by `authorities` (PEM) or by whom this machine trusts.
    Raises UnavailableError when nothing answers there, or nobody who can be believed.
    """
    parts = urlsplit(url)
    # Names below localhost are this machine by definition (RFC 6761), yet C libraries do not all know it.
    local = (parts.hostname or "").endswith(".localhost")
    host, secured = "127.0.0.1" if local else parts.hostname or "", parts.scheme == "https"
    connection_ = http.client.HTTPConnection(host, parts.port or (443 if secured else 80), timeout=TIMEOUT_S)
    headers, body = encode_binary(event)
    try:
        if secured:
            connection_.connect()
            # By hand, because the name to be proved is not always the one that is dialled.
            connection_.sock = _believing(authorities).wrap_socket(connection_.sock, server_hostname=parts.hostname)
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        connection_.request("POST", parts.path or "/", body, {**dict(headers), **shown, "Host": parts.netloc})
        answer = connection_.getresponse()
        return answer.status, answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"{url} cannot be reached: {error}") from error
    finally:
        connection_.close()


def _believing(authorities: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context
