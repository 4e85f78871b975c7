"""HTTP filters whose configuration is sent by name (ECDS), apart from the listener in whose chain they stand.

Source: envoy.config.core.v3.ExtensionConfigSource. When what is sent goes live is for `client.extensions` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from eventmesh.base.frozen import frozen
from eventmesh.model.access import AccessStep, Rbac, RuleAction, Rules
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import TYPE_URL_PREFIX
from eventmesh.xds.translate.filters import FILTERS, FilterConfig, make_filters, read_filter
from eventmesh.xds.translate.sources import read_config_source

if TYPE_CHECKING:
    from collections.abc import Set

    from eventmesh.model.policy import Filters


@frozen
class Extension:
    """What a `core.TypedExtensionConfig` says of a filter."""

    kind: str
    """The type of its configuration, as in FILTERS."""
    config: FilterConfig | None
    """None: it does nothing by itself."""

    def filters(self) -> Filters | None:
        """Return what it does where it stands alone."""
        return make_filters((self.config,) if self.config is not None else ())


ABSENT: Final = Extension("", None)
"""The server says that there is no configuration of this name."""


@frozen
class DiscoveredFilter:
    """A filter in the chain of a listener, to be configured by what is sent under its name."""

    name: str
    kinds: frozenset[str]
    """Types of configuration that it may be sent."""
    default: Extension | None
    is_awaited: bool
    """Its listener waits for the first configuration; else the default will do until then."""
    fetch_timeout_s: float
    """Longest such wait; 0 = for ever."""

    def is_settled_by(self, sent: Extension | None) -> bool:
        """Tell whether nothing better than `sent`, what has been sent under its name, is to be waited for."""
        if sent is None or not self.is_awaited:
            return not self.is_awaited
        # A server may send the listener first: that it has no such configuration yet is no reason to refuse everybody.
        return sent.kind in self.kinds or (sent is ABSENT and self.default is not None)

    def configured(self, sent: Extension | None) -> FilterConfig | None:
        """Return what it does: as `sent` says, else as its default does. Without either nobody may go on."""
        extension = sent if sent is not None and sent.kind in self.kinds else self.default
        if extension is not None:
            return extension.config
        # No route can replace this step, as it could replace the filter: the name is not the filter's.
        return AccessStep(f"{self.name} is not configured", Rbac(Rules(RuleAction.ALLOW)))


@dataclass(frozen=True)
class FilterChain:
    """The filters of a listener before its router, in order."""

    of: tuple[FilterConfig | DiscoveredFilter, ...]

    @cached_property
    def discovered(self) -> tuple[DiscoveredFilter, ...]:
        """Those whose configuration is sent by name."""
        return tuple(one for one in self.of if isinstance(one, DiscoveredFilter))

    def filters(self, extensions: Mapping[str, Extension]) -> Filters | None:
        """Return what they do when this has been sent."""
        found = (
            one.configured(extensions.get(one.name)) if isinstance(one, DiscoveredFilter) else one for one in self.of
        )
        return make_filters(config for config in found if config is not None)


def read_discovered(item: Message, source: Message) -> DiscoveredFilter | None:
    """Return the HTTP filter `item`, whose `config_discovery` is `source`; None for one that may be left out.

    Raises ConfigError with the path of what is wrong.
    """
    name = item.text("name")
    if not name:
        raise item.error("name", "missing: the configuration is asked for by it")
    kinds = frozenset(url.removeprefix(TYPE_URL_PREFIX) for url in source.texts("type_urls"))
    if not kinds:
        raise source.error("type_urls", "missing; Envoy too wants to know which types may be sent")
    unknown = sorted(kinds.difference(FILTERS))
    if unknown and item.flag("is_optional"):
        return None
    if unknown:
        raise source.error("type_urls", f"{unknown[0]} is not supported; {', '.join(FILTERS)} are")
    default = source.child("default_config")
    at_once = source.flag("apply_default_config_without_warming")
    if at_once and default is None:
        raise source.error("default_config", "missing; apply_default_config_without_warming needs one")
    return DiscoveredFilter(
        name=name,
        kinds=kinds,
        default=_extension(name, source, "default_config", default, kinds) if default is not None else None,
        is_awaited=not at_once,
        fetch_timeout_s=read_config_source(source, "config_source"),
    )


def read_extension(message: Message, kinds: Set[str]) -> Extension:
    """Return a `core.TypedExtensionConfig`, which must be of one of `kinds`. Raises ConfigError."""
    config = message.child("typed_config")
    if config is None:
        raise message.error("typed_config", "missing")
    return _extension(message.text("name"), message, "typed_config", config, kinds)


def _extension(name: str, owner: Message, field: str, config: Message, kinds: Set[str]) -> Extension:
    kind = config.schema.name
    if kind not in kinds:
        raise owner.error(field, f"is a {kind}; the listener that names it accepts {', '.join(sorted(kinds))}")
    return Extension(kind, read_filter(name, config))
