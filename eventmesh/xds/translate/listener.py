"""Listener into Listener: one filter chain that ends in an HTTP connection manager or a proxy of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from eventmesh.model.listener import Declaration, Listener, WireProtocol
from eventmesh.model.tracing import Traffic
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.address import read_address
from eventmesh.xds.translate.resources import ListenerResource
from eventmesh.xds.translate.route import read_route_table
from eventmesh.xds.translate.sources import DEFAULT_FETCH_TIMEOUT_S, check_upgrades, read_config_source

if TYPE_CHECKING:
    from eventmesh.model.policy import Filters
    from eventmesh.model.tracing import Collector, Tracing
    from eventmesh.xds.translate.discovered_filters import DiscoveredFilter, FilterChain
    from eventmesh.xds.translate.filters import FilterConfig
    from eventmesh.xds.translate.tls import ServerTlsResource

HTTP_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
BOLT_PROXY = "eventmesh.extensions.filters.network.bolt_proxy.v3.BoltProxy"
DUBBO_PROXY = "eventmesh.extensions.filters.network.dubbo_proxy.v3.DubboProxy"
FRAMED_PROXY = "eventmesh.extensions.filters.network.framed_proxy.v3.FramedProxy"
DECLARED_INSPECTOR = "eventmesh.extensions.filters.listener.declared_inspector.v3.DeclaredInspector"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
# The engine tells HTTP/1 from HTTP/2 and TLS from clear text by itself, which is all that these are for.
INSPECTORS = (
    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
)

MAX_HEAD_KB = 8192
"""Largest max_request_headers_kb that Envoy accepts."""

_TRAFFIC = {"UNSPECIFIED": Traffic.NONE, "INBOUND": Traffic.INBOUND, "OUTBOUND": Traffic.OUTBOUND}
_CODECS = {"AUTO": WireProtocol.AUTO, "HTTP1": WireProtocol.HTTP1, "HTTP2": WireProtocol.HTTP2}


def read_listener(message: Message, warnings: list[str], collector: Collector | None = None) -> ListenerResource:
    """Return a `listener.Listener`; `collector` takes its spans if it traces and does not say where to.

    Raises ConfigError for what is unsupported, naming it by its path.
    """
    if not message.text("name"):
        raise message.error("name", "missing")
    declarations = _inspected(message)
    chain, tls = _chain(message)
    filters = chain.children("filters")
    if len(filters) != 1:
        raise chain.error("filters", f"has {len(filters)} filters; exactly one is supported")
    config = filters[0].child("typed_config")
    read = _FILTERS.get(config.schema.name) if config else None
    if config is None or read is None:
        what = config.schema.name if config else f"{filters[0].text('name')!r} without typed_config"
        raise filters[0].error("typed_config", f"{what} is not supported; {', '.join(_FILTERS)} are")
    listener = Listener(
        message.text("name"),
        read_address(message, "address", zero_port=True),
        route_table="",
        traffic=_TRAFFIC[message.text("traffic_direction", "UNSPECIFIED")],
        tracing=_tracing(config, collector),
    )
    resource = replace(read(config, listener, warnings), tls=tls)
    if not declarations:
        return resource
    if resource.listener.protocol is not WireProtocol.AUTO:
        raise message.error("listener_filters", f"{DECLARED_INSPECTOR} is for listeners of codec_type AUTO")
    return replace(resource, listener=replace(resource.listener, declarations=declarations))


def _inspected(message: Message) -> tuple[Declaration, ...]:
    """Return the protocols that `listener_filters` have told by their magic; the others say what happens anyway."""
    found = []
    for i, item in enumerate(message.children("listener_filters")):
        config = item.child("typed_config")
        if config is not None and config.schema.name == DECLARED_INSPECTOR:
            found.append(_declaration(config))
        elif config is None or config.schema.name not in INSPECTORS:
            what = config.schema.name if config else item.text("name")
            known = ", ".join((*INSPECTORS, DECLARED_INSPECTOR))
            raise message.error(f"listener_filters[{i}]", f"{what} is not supported; {known} are")
    return tuple(found)


def _tracing(config: Message, collector: Collector | None) -> Tracing | None:
    if config.schema.name != HTTP_MANAGER or not config.has("tracing"):
        return None
    # Imported where it is asked for: see `translate.cluster`.
    from eventmesh.xds.translate.tracing import read_tracing

    return read_tracing(config, collector)


def _chain(message: Message) -> tuple[Message, ServerTlsResource | None]:
    """Return the filter chain and how it speaks TLS: one chain, or one for TLS beside one for clear text."""
    chains = message.children("filter_chains")
    if len(chains) == 1:
        return chains[0], _tls(chains[0])
    by_transport = {_transport(chain): chain for chain in chains}
    if len(chains) != 2 or set(by_transport) != {"tls", "raw_buffer"}:
        problem = "one is supported, or two whose filter_chain_match.transport_protocol are tls and raw_buffer"
        raise message.error("filter_chains", f"has {len(chains)} chains; {problem}")
    secure, plain = by_transport["tls"], by_transport["raw_buffer"]
    if secure.children("filters") != plain.children("filters"):
        raise plain.error("filters", "differ from those of the chain for TLS; one port serves both alike")
    if _tls(plain) is not None:
        raise plain.error("transport_socket", "speaks TLS in the chain for clear text")
    tls = _tls(secure, permissive=True)
    if tls is None:
        raise secure.error("transport_socket", "speaks clear text in the chain for TLS")
    return secure, tls


def _tls(chain: Message, *, permissive: bool = False) -> ServerTlsResource | None:
    if not chain.has("transport_socket"):
        return None
    # Most listeners speak clear text, and a sidecar would feel the import.
    from eventmesh.xds.translate.tls import read_server_tls

    return read_server_tls(chain, permissive=permissive)


def _transport(chain: Message) -> str:
    match = chain.child("filter_chain_match")
    return match.text("transport_protocol") if match else ""


def _http(manager: Message, listener: Listener, warnings: list[str]) -> ListenerResource:
    codec = manager.text("codec_type", "AUTO")
    if codec not in _CODECS:
        raise manager.error("codec_type", f"{codec} is not supported; use {', '.join(_CODECS)}")
    if not manager.text("stat_prefix"):
        raise manager.error("stat_prefix", "missing; Envoy too refuses a connection manager without one")
    filters, chain = _http_filters(manager)
    check_upgrades(manager)
    if manager.flag("use_remote_address") and manager.flag("skip_xff_append"):
        raise manager.error("skip_xff_append", "is not supported with use_remote_address; leave one of them out")
    http2 = manager.child("http2_protocol_options")
    if http2 is not None and http2.has("connection_keepalive"):
        warnings.append(f"{http2.where('connection_keepalive')}: ignored, clients are not asked whether they live")
    common = manager.child("common_http_protocol_options")
    head_kb = manager.number("max_request_headers_kb", listener.max_head_bytes // 1024)
    if not 0 < head_kb <= MAX_HEAD_KB:
        raise manager.error("max_request_headers_kb", f"{head_kb} is out of range; accepted are 1 to {MAX_HEAD_KB}")
    resource = _with_routes(
        manager,
        replace(
            listener,
            protocol=_CODECS[codec],
            via=manager.text("via"),
            filters=filters,
            use_remote_address=manager.flag("use_remote_address"),
            access_log=_access_log(manager),
            head_timeout_s=manager.seconds("request_headers_timeout", listener.head_timeout_s),
            idle_timeout_s=common.seconds("idle_timeout", 3600.0) if common else listener.idle_timeout_s,
            max_head_bytes=head_kb * 1024,
            max_head_count=common.number("max_headers_count", 100) if common else listener.max_head_count,
        ),
        warnings,
    )
    return resource if chain is None else replace(resource, chain=chain)


def _frames(protocol: WireProtocol, proxy: Message, listener: Listener, warnings: list[str]) -> ListenerResource:
    """Read a proxy of ours for a protocol of whole frames."""
    return _with_routes(
        proxy,
        replace(
            listener,
            protocol=protocol,
            access_log=_access_log(proxy),
            idle_timeout_s=proxy.seconds("idle_timeout", listener.idle_timeout_s),
        ),
        warnings,
    )


def _framed(proxy: Message, listener: Listener, warnings: list[str]) -> ListenerResource:
    return _frames(WireProtocol.FRAMED, proxy, replace(listener, declarations=(_declaration(proxy),)), warnings)


def _declaration(proxy: Message) -> Declaration:
    """Return what `declaration` or the file of `declaration_file` says."""
    # Imported where it is asked for: see `translate.cluster`.
    from eventmesh.protocols.declaration import declared, read_declaration

    if proxy.has("declaration"):
        return declared(proxy.struct("declaration"), proxy.where("declaration"))
    if not proxy.text("declaration_file"):
        raise proxy.error("declaration", "missing; give declaration or declaration_file")
    return read_declaration(proxy.text("declaration_file"), proxy.where("declaration_file"))


_FILTERS: dict[str, Callable[[Message, Listener, list[str]], ListenerResource]] = {
    HTTP_MANAGER: _http,
    BOLT_PROXY: partial(_frames, WireProtocol.BOLT),
    DUBBO_PROXY: partial(_frames, WireProtocol.DUBBO),
    FRAMED_PROXY: _framed,
}


def _with_routes(owner: Message, listener: Listener, warnings: list[str]) -> ListenerResource:
    configuration = owner.child("route_config")
    if configuration is not None:
        table = read_route_table(configuration, warnings, default_name=listener.name)
        return ListenerResource(replace(listener, route_table=table.name), table, DEFAULT_FETCH_TIMEOUT_S)
    rds = owner.child("rds")
    if rds is None:
        raise owner.error("", "has no routes; give route_config or rds")
    name = rds.text("route_config_name")
    if not name:
        raise rds.error("route_config_name", "missing")
    return ListenerResource(replace(listener, route_table=name), None, read_config_source(rds, "config_source"))


def _is_router(item: Message) -> bool:
    config = item.child("typed_config")
    return config is not None and config.schema.name == ROUTER and not item.flag("disabled")


def _http_filters(manager: Message) -> tuple[Filters | None, FilterChain | None]:
    """Return what the filters before the router ask for, and their chain when some are configured by name.

    Raises ConfigError for a filter that there is not, unless it may be left out, and unless a router is the last.
    """
    filters = manager.children("http_filters")
    if len(filters) == 1 and _is_router(filters[0]):
        return None, None
    # Imported where it is asked for: see `translate.cluster`.
    from eventmesh.xds.translate.filters import make_filters

    found = [
        one
        for at, item in enumerate(filters)
        if not item.flag("disabled") and not _is_router(item) and (one := _http_filter(manager, at, item)) is not None
    ]
    if [at for at, item in enumerate(filters) if _is_router(item)] != [len(filters) - 1]:
        raise manager.error("http_filters", f"must end in exactly one {ROUTER}")
    if not any(item.has("config_discovery") for item in filters):
        return make_filters(cast("list[FilterConfig]", found)), None
    from eventmesh.xds.translate.discovered_filters import FilterChain

    chain = FilterChain(tuple(found))
    return chain.filters({}), chain


def _http_filter(manager: Message, at: int, item: Message) -> FilterConfig | DiscoveredFilter | None:
    """Return what one filter asks for; None for one that does nothing, or may be left out."""
    from eventmesh.xds.translate.filters import FILTERS, read_filter

    source, config = item.child("config_discovery"), item.child("typed_config")
    if source is not None:
        from eventmesh.xds.translate.discovered_filters import read_discovered

        return read_discovered(item, source)
    name = config.schema.name if config else ""
    if config is not None and name in FILTERS:
        return read_filter(item.text("name"), config)
    if item.flag("is_optional"):
        return None
    what = name or f"{item.text('name')!r} without typed_config"
    raise manager.error(
        f"http_filters[{at}]",
        f"{what} is not supported; {', '.join(FILTERS)} and {ROUTER} are. Remove it or mark it is_optional",
    )


def _access_log(owner: Message) -> str:
    logs = owner.children("access_log")
    if len(logs) > 1:
        raise owner.error("access_log[1]", "one access log a listener is supported")
    if not logs:
        return ""
    config = logs[0].child("typed_config")
    match config.schema.name if config else "":
        case "envoy.extensions.access_loggers.file.v3.FileAccessLog" if config and config.text("path"):
            return config.text("path")
        case "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog":
            return "/dev/stdout"
        case "envoy.extensions.access_loggers.stream.v3.StderrAccessLog":
            return "/dev/stderr"
    what = config.schema.name if config else f"{logs[0].text('name')!r}"
    raise logs[0].error(
        "typed_config", f"{what} is not supported; FileAccessLog (with path) and Stdout- and StderrAccessLog are"
    )
