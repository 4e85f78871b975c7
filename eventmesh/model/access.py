"""Who may do what: the steps between a request and its route, protocol-neutral, in Envoy's terms."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from eventmesh.base.frozen import frozen
from eventmesh.model.tagged import Tagged

if TYPE_CHECKING:
    from eventmesh.model.authz import AuthzOverride, ExtAuthz, PythonFilter
    from eventmesh.model.jwt import Jwt, Named
    from eventmesh.model.question import Test


class RuleAction(Enum):
    """What becomes of requests that one of the policies is for."""

    ALLOW = "allow"
    """They alone may go on."""
    DENY = "deny"
    """They may not."""
    LOG = "log"
    """They may, like all others."""


@frozen
class Policy:
    """What may be done (one of `permissions` holds) by whom (one of `principals` holds)."""

    name: str
    permissions: tuple[Test, ...]
    principals: tuple[Test, ...]


@frozen
class Rules:
    """Policies under one action. Without policies ALLOW lets nobody through."""

    action: RuleAction
    policies: tuple[Policy, ...] = ()


@frozen
class Rbac(Tagged):
    """Rules by roles; who may not go on is answered 403, in gRPC 7, in other protocols as they refuse."""

    rules: Rules | None = None
    """None: nothing is enforced."""
    shadow: Rules | None = None
    """What is only counted, and noted for later steps under the namespace `envoy.filters.http.rbac`."""
    shadow_prefix: str = ""
    """Before `shadow_effective_policy_id` and `shadow_engine_result` there."""


@frozen
class Off(Tagged):
    """Of a route: the listener's step of that name is left out."""


Step: TypeAlias = "Rbac | Jwt | Named | ExtAuthz | AuthzOverride | PythonFilter | Off"


@frozen
class AccessStep:
    """One step of the chain that a request goes through before the rate limit; each may refuse it.

    A route's step takes the place of its listener's step of the same name; one that the listener lacks comes last.
    """

    name: str
    step: Step
