"""The embedded API on a TLS port: who is let in, where a path leads, and how every failure is told."""

from __future__ import annotations

import socket
from pathlib import Path

from aiohttp import web

from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.certificates import Credentials, load_or_make
from eventmesh.cluster.api.discovery import Discovery
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.health import Health
from eventmesh.cluster.api.identity import Identity, holder_of
from eventmesh.cluster.api.negotiation import MAX_BODY_BYTES, Form, reply_form
from eventmesh.cluster.api.openapi import OpenApi
from eventmesh.cluster.api.openapi_v2 import PROTOBUF_V2, encode_swagger, swagger
from eventmesh.cluster.api.paths import parse_path
from eventmesh.cluster.api.podhost import PodHost
from eventmesh.cluster.api.rbac.attributes import attributes_of
from eventmesh.cluster.api.rbac.impersonation import acting_for
from eventmesh.cluster.api.replies import error_reply, json_reply
from eventmesh.cluster.api.rest import Call, RestVerbs
from eventmesh.cluster.api.version import GIT_VERSION, KUBERNETES_VERSION
from eventmesh.cluster.store.history import StorageError
from eventmesh.kube.account_tokens import TokenRefusedError
from eventmesh.kube.api import ApiError, Object

_log = log.get("cluster.api")

STOP_TIMEOUT_S = 0.2
"""Watches never end by themselves; a stop waits this long for the replies under way."""
MAX_HEADER_BYTES = 16_384
_HEALTH = ("/healthz", "/livez", "/readyz")
_KEYS = "/openid/v1/jwks"
_OPENID = ("/.well-known/openid-configuration", _KEYS)
_OPEN = (*_HEALTH, "/version")
"""Paths that need no token, as `_OPENID` do: the keys are public ones, for whoever is shown a token."""
_ROOTS = ("/api", "/api/v1", "/apis", *_HEALTH, *_OPENID, "/openapi/v2", "/openapi/v3", "/version")


class ApiServer:
    """Serves one `EmbeddedApi`. `address` is `(host, port)`; port 0 takes a free one.

    `pods` answers `pods/log`, `exec`, `attach` and `portforward`; without it they are not served.
    """

    def __init__(self, api: EmbeddedApi, address: tuple[str, int], tls_dir: Path, pods: PodHost | None = None) -> None:
        self._api = api
        self._address = address
        self.credentials: Credentials = load_or_make(tls_dir, api.clock, address[0])
        api.authenticator.admit_admin(self.credentials.token)
        self._verbs = RestVerbs(api, pods)
        self._discovery = Discovery(api.catalog)
        self._openapi = OpenApi(api.catalog)
        self._health = Health(api)
        self._encoded_swagger = (-1, b"")
        self._runner: web.AppRunner | None = None
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        """Return where clients connect; only after `start`."""
        if self._socket is None:
            raise UnavailableError("the API server is not running")
        host, port = self._socket.getsockname()[:2]
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    async def start(self) -> None:
        """Listen; raises UnavailableError naming the address when it is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=STOP_TIMEOUT_S,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        await self._runner.setup()
        self._socket = _listen(self._address)
        await web.SockSite(self._runner, self._socket, ssl_context=self.credentials.server_context()).start()

    async def stop(self) -> None:
        """Stop listening and end every watch."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            self._socket = None

    # -- one request

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            if request.path in _OPENID:
                return self._about_tokens(request)
            if request.path in _OPEN:
                return self._about_the_api(request)
            return await self._route(request, self._authenticate(request))
        except ApiError as error:
            return error_reply(error)
        except StorageError as error:
            return error_reply(errors.not_stored(error))
        except UnavailableError as error:
            return error_reply(ApiError(503, "ServiceUnavailable", str(error), {"retryAfterSeconds": 1}))
        except web.HTTPRequestEntityTooLarge:
            return error_reply(errors.too_large(f"limit is {MAX_BODY_BYTES}"))
        except ConnectionError:
            raise
        except Exception as error:
            # The edge of the server: a bug met by one request is told to its client, and the others go on.
            _log.error("request failed", method=request.method, path=request.path, exc_info=error)
            message = f"Internal error occurred: {type(error).__name__}"
            return error_reply(ApiError(500, "InternalError", message))

    def _authenticate(self, request: web.Request) -> Identity:
        """Return who asks, or whom they act for; raises ApiError 401, 403 for who may not act for them."""
        return acting_for(self._asker(request), request.headers, self._api.authorizer)

    def _asker(self, request: web.Request) -> Identity:
        """Return the bearer of the token, or without one the holder of the certificate; raises ApiError 401."""
        authorization = request.headers.get("Authorization")
        if authorization is None:
            holder = holder_of(request.get_extra_info("peercert") or {})
            if holder is None:
                raise ApiError(401, "Unauthorized", "Unauthorized")
            return holder
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise ApiError(401, "Unauthorized", "Unauthorized")
        try:
            return self._api.authenticator.identify(token.strip())[0]
        except TokenRefusedError as error:
            # As a cluster does: why is for the log of the server, not for whoever tries tokens.
            _log.info("bearer token refused", reason=error)
            raise ApiError(401, "Unauthorized", "Unauthorized") from None

    async def _route(self, request: web.Request, user: Identity) -> web.StreamResponse:
        target = parse_path(request.path)
        # Before it is looked whether there is such a kind: who may do nothing learns nothing.
        wanted = attributes_of(request.method, request.path, target, request.query)
        self._api.authorizer.require(user, wanted)
        if target is None:
            return self._about_the_api(request)
        served = self._api.catalog.find(target.group, target.version, target.plural)
        if served is None:
            return _no_such_path()
        return await self._verbs.serve(Call(request, target, served, user))

    def _about_the_api(self, request: web.Request) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        form, media = reply_form(request.headers.get("Accept", ""))
        if form is Form.TABLE:
            form = Form.OBJECT
        found: Object | None
        match parts:
            case ["healthz" | "livez" | "readyz" as page, *rest]:
                return self._health.page(page, "/".join(rest), request.query) or _no_such_path()
            case ["version"]:
                found = _version()
            case ["api"]:
                return json_reply(self._discovery.core(form), content_type=str(media))
            case ["apis"]:
                return json_reply(self._discovery.groups(form), content_type=str(media))
            case ["api", version]:
                found = self._discovery.resources("", version)
            case ["apis", group]:
                found = self._discovery.group(group)
            case ["apis", group, version]:
                found = self._discovery.resources(group, version)
            case ["openapi", "v2"]:
                return self._swagger(request.headers.get("Accept", ""))
            case ["openapi", "v3", *rest]:
                found = self._openapi.document("/".join(rest))
            case []:
                found = {"paths": list(_ROOTS)}
            case _:
                found = None
        return _no_such_path() if found is None else json_reply(found)

    def _about_tokens(self, request: web.Request) -> web.StreamResponse:
        tokens = self._api.tokens
        if request.path == _KEYS:
            return json_reply(tokens.jwks(), content_type="application/jwk-set+json")
        return json_reply(tokens.discovery(self.url))

    def _swagger(self, accept: str) -> web.Response:
        if "protobuf" not in accept:
            return json_reply(swagger(self._openapi.documents(), _version()["gitVersion"]))
        if self._encoded_swagger[0] != self._api.catalog.generation:
            document = swagger(self._openapi.documents(), _version()["gitVersion"])
            self._encoded_swagger = (self._api.catalog.generation, encode_swagger(document))
        return web.Response(body=self._encoded_swagger[1], content_type=PROTOBUF_V2)


def _no_such_path() -> web.Response:
    # Plain text, not a Status: clients tell by it that the kind, not the object, is missing.
    return web.Response(text="404 page not found\n", status=404)


def _version() -> Object:
    major, minor, _ = KUBERNETES_VERSION
    return {
        "major": major,
        "minor": minor,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "eventmesh",
    }


def _listen(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(512)
    except OSError as error:
        listener.close()
        host, port = address
        raise UnavailableError(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses it, or choose another port"
        ) from error
    listener.setblocking(False)
    return listener
