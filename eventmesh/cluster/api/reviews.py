"""Reviews: questions that are answered in the reply and never stored. In local mode everybody may do everything."""

from __future__ import annotations

from eventmesh.cluster.api import errors
from eventmesh.cluster.api.identity import Authenticator, Identity
from eventmesh.kube.account_tokens import TokenRefusedError
from eventmesh.kube.api import Object


def answer(kind: str, review: Object, user: Identity, authenticator: Authenticator) -> Object:
    """Return `review`, asked by `user`, with the status that answers it.

    Raises ApiError 400 for a TokenReview without a token.
    """
    match kind:
        case "SelfSubjectReview":
            status: Object = {"userInfo": user.user_info}
        case "SelfSubjectRulesReview":
            status = {
                "incomplete": False,
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            }
        case "TokenReview":
            status = _token_status(review.get("spec") or {}, authenticator)
        case _:
            status = {"allowed": True, "reason": "the local cluster does not enforce RBAC: everybody may do everything"}
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
