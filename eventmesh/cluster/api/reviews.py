"""Reviews: questions that are answered in the reply and never stored."""

from __future__ import annotations

from eventmesh.cluster.api import errors
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.identity import Authenticator, Identity
from eventmesh.cluster.api.rbac import reviews as rbac
from eventmesh.cluster.api.rbac.authorizer import Authorizer
from eventmesh.cluster.api.validating import violations
from eventmesh.kube.account_tokens import TokenRefusedError
from eventmesh.kube.api import Object


class Reviews:
    """Answers by who bears which token, and by who may do what."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    def answer(self, served: Served, review: Object, user: Identity, namespace: str = "") -> Object:
        """Return `review`, asked by `user` (in `namespace`, if it is of a kind that is), with its status.

        Raises ApiError: 422 for what cannot be read, 400 for a TokenReview without a token.
        """
        if served.schema is not None and (causes := violations(served.schema, review)):
            raise errors.invalid(served.resource, "", causes)
        match served.resource.kind:
            case "SelfSubjectReview":
                status: Object = {"userInfo": user.user_info}
            case "SelfSubjectRulesReview":
                status = rbac.rules(review, user, self._authorizer)
            case "TokenReview":
                status = _token_status(review.get("spec") or {}, self._authenticator)
            case _:
                status = rbac.access(served.resource, review, user, self._authorizer, namespace)
        return {**review, "status": status}


def _token_status(spec: Object, authenticator: Authenticator) -> Object:
    token, audiences = spec.get("token"), spec.get("audiences") or []
    if not isinstance(token, str) or not token:
        raise errors.bad_request("token is required for TokenReview in authentication")
    if not isinstance(audiences, list) or not all(isinstance(item, str) for item in audiences):
        raise errors.bad_request("spec.audiences must be a list of texts")
    try:
        user, matching = authenticator.identify(token, tuple(audiences))
    except TokenRefusedError as error:
        return {"authenticated": False, "user": {}, "error": f"invalid bearer token: {error}"}
    return {"authenticated": True, "user": user.user_info, "audiences": list(matching)}
