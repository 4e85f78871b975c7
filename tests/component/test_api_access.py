"""Who may do what at the API's port: roles and bindings enforced, acting for others, what may be granted."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.rbac.policy import MAX_PARTS
from tests.component.browser import MAPS, Answer, Browser

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES = f"{RBAC}/namespaces/default/roles"
BINDINGS = f"{RBAC}/namespaces/default/rolebindings"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
PODS = "/api/v1/namespaces/default/pods"
READ = ["get", "list", "watch"]


def rule(*resources: str, verbs: list[str] = READ, group: str = "", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": verbs, **more}


def user(name: str) -> dict[str, str]:
    return {"kind": "User", "name": name}


class Cluster:
    """The API, asked as the administrator, who may act as anybody."""

    def __init__(self, http: Browser) -> None:
        self.http = http

    async def make(self, path: str, name: str, status: int = 201, **body: Any) -> Answer:
        answer = await self.http("POST", path, {"metadata": {"name": name}, **body})
        assert answer.status == status, answer.text
        return answer

    async def role(self, name: str, *rules: Any, cluster: bool = False, **more: Any) -> Answer:
        return await self.make(f"{RBAC}/clusterroles" if cluster else ROLES, name, rules=list(rules), **more)

    async def bind(self, name: str, *subjects: Any, kind: str = "Role", cluster: bool = False) -> Answer:
        path = f"{RBAC}/clusterrolebindings" if cluster else BINDINGS
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        return await self.make(path, name, roleRef=reference, subjects=list(subjects))

    async def as_user(self, who: str, method: str, path: str, body: Any = None, **more: str) -> Answer:
        return await self.http(method, path, body, Impersonate_User=who, **more)


@pytest.fixture
def cluster(http: Browser) -> Cluster:
    return Cluster(http)


# -- who may


REFUSALS: tuple[tuple[str, str, str, Any], ...] = (
    (
        "GET",
        PODS,
        'pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "default"',
        {"kind": "pods"},
    ),
    (
        "GET",
        "/apis/serving.knative.dev/v1/services",
        'services.serving.knative.dev is forbidden: User "ann" cannot list resource "services" in API group '
        '"serving.knative.dev" at the cluster scope',
        {"group": "serving.knative.dev", "kind": "services"},
    ),
    (
        "DELETE",
        f"{PODS}/cart",
        'pods "cart" is forbidden: User "ann" cannot delete resource "pods" in API group "" in the namespace "default"',
        {"name": "cart", "kind": "pods"},
    ),
    (
        "GET",
        f"{PODS}/cart/log",
        'pods "cart" is forbidden: User "ann" cannot get resource "pods/log" in API group "" in the namespace '
        '"default"',
        {"name": "cart", "kind": "pods"},
    ),
    ("GET", "/metrics", 'forbidden: User "ann" cannot get path "/metrics"', None),
    (
        "GET",
        "/apis/example.com/v1/widgets",
        'widgets.example.com is forbidden: User "ann" cannot list resource "widgets" in API group "example.com" '
        "at the cluster scope",
        {"group": "example.com", "kind": "widgets"},
    ),
)


async def test_who_holds_no_role_is_told_in_the_words_of_kubernetes(cluster: Cluster) -> None:
    for method, path, message, details in REFUSALS:
        answer = await cluster.as_user("ann", method, path)
        told = answer.json
        assert (answer.status, told["reason"], told["message"]) == (403, "Forbidden", message)
        assert told.get("details") == details


async def test_whoever_is_known_may_discover(cluster: Cluster) -> None:
    for path in ("/api", "/apis", "/apis/apps/v1", "/openapi/v3", "/version"):
        assert (await cluster.as_user("ann", "GET", path)).status == 200


async def test_a_role_is_held_from_the_moment_it_is_bound_until_it_is_not(cluster: Cluster) -> None:
    await cluster.bind("reader", user("ann"))
    missing = await cluster.as_user("ann", "GET", PODS)
    assert missing.json["message"].endswith(': RBAC: role.rbac.authorization.k8s.io "reader" not found')
    await cluster.role("reader", rule("pods"))
    assert (await cluster.as_user("ann", "GET", PODS)).status == 200
    assert (await cluster.as_user("ann", "GET", "/api/v1/pods")).status == 403
    assert (await cluster.as_user("bob", "GET", PODS)).status == 403
    media = "application/merge-patch+json"
    assert (await cluster.http("PATCH", f"{ROLES}/reader", {"rules": []}, media=media)).status == 200
    assert (await cluster.as_user("ann", "GET", PODS)).status == 403
    again = {"rules": [rule("pods")]}
    assert (await cluster.http("PATCH", f"{ROLES}/reader", again, media=media)).status == 200
    assert (await cluster.as_user("ann", "GET", PODS)).status == 200
    assert (await cluster.http("DELETE", f"{BINDINGS}/reader")).status == 200
    assert (await cluster.as_user("ann", "GET", PODS)).status == 403


async def test_a_cluster_role_counts_where_it_is_bound(cluster: Cluster) -> None:
    await cluster.role("reader", rule("configmaps"), cluster=True)
    await cluster.bind("reader", {"kind": "Group", "name": "devs"}, kind="ClusterRole")
    assert (await cluster.as_user("ann", "GET", MAPS, Impersonate_Group="devs")).status == 200
    elsewhere = "/api/v1/namespaces/kube-public/configmaps"
    assert (await cluster.as_user("ann", "GET", elsewhere, Impersonate_Group="devs")).status == 403
    await cluster.bind("reader", {"kind": "Group", "name": "devs"}, kind="ClusterRole", cluster=True)
    assert (await cluster.as_user("ann", "GET", elsewhere, Impersonate_Group="devs")).status == 200


async def test_an_account_has_what_is_bound_to_it_and_to_its_groups(cluster: Cluster) -> None:
    robot, other = ("system:serviceaccount:default:robot", "system:serviceaccount:kube-public:robot")
    await cluster.role("reader", rule("configmaps"), rule("secrets"))
    await cluster.bind("reader", {"kind": "ServiceAccount", "name": "robot"})
    assert (await cluster.as_user(robot, "GET", MAPS)).status == 200
    assert (await cluster.as_user(other, "GET", MAPS)).status == 403
    await cluster.role("lister", rule("pods"), cluster=True)
    group = {"kind": "Group", "name": "system:serviceaccounts:kube-public"}
    await cluster.bind("lister", group, kind="ClusterRole", cluster=True)
    assert (await cluster.as_user(other, "GET", PODS)).status == 200
    assert (await cluster.as_user(robot, "GET", PODS)).status == 403


async def test_who_applies_what_is_not_there_must_be_allowed_to_make_it(cluster: Cluster) -> None:
    await cluster.role("patcher", rule("configmaps", verbs=["patch"]))
    await cluster.bind("patcher", user("ann"))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    where = (f"{MAPS}/a?fieldManager=ann", body)
    media = "application/apply-patch+yaml"
    refused = await cluster.http("PATCH", *where, media=media, Impersonate_User="ann")
    assert refused.status == 403 and 'cannot create resource "configmaps"' in refused.json["message"]
    await cluster.make(MAPS, "a")
    assert (await cluster.http("PATCH", *where, media=media, Impersonate_User="ann")).status == 200


# -- acting for others


async def test_acting_for_others_is_a_right_of_its_own(cluster: Cluster) -> None:
    await cluster.make("/api/v1/namespaces/default/serviceaccounts", "robot")
    made = await cluster.http("POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", {"spec": {}})
    bearer = {"Authorization": f"Bearer {made.json['status']['token']}"}
    who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    refused = await cluster.as_user("ann", "POST", who, {}, **bearer)
    assert refused.json["message"] == (
        'users "ann" is forbidden: User "system:serviceaccount:default:robot" cannot impersonate resource "users" in '
        'API group "" at the cluster scope'
    )
    stands_in = rule("users", "groups", verbs=["impersonate"], resourceNames=["ann", "devs"])
    await cluster.role("stand-in", stands_in, cluster=True)
    account = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
    await cluster.bind("stand-in", account, kind="ClusterRole", cluster=True)
    allowed = await cluster.as_user("ann", "POST", who, {}, **bearer, Impersonate_Group="devs")
    assert allowed.json["status"]["userInfo"] == {"username": "ann", "groups": ["devs", "system:authenticated"]}
    masters = await cluster.as_user("ann", "POST", who, {}, **bearer, Impersonate_Group="system:masters")
    assert masters.status == 403 and 'groups "system:masters" is forbidden' in masters.json["message"]
    more = {"Impersonate_Extra_reason": "test"}
    extra = await cluster.as_user("ann", "POST", who, {}, **bearer, **more)
    assert 'impersonate resource "userextras/reason" in API group "authentication.k8s.io"' in extra.json["message"]


async def test_an_account_that_is_acted_for_is_in_its_groups(cluster: Cluster) -> None:
    who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await cluster.as_user("system:serviceaccount:default:robot", "POST", who, {}, Impersonate_Uid="7")
    groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    told = {"username": "system:serviceaccount:default:robot", "groups": groups, "uid": "7"}
    assert answer.json["status"]["userInfo"] == told


async def test_a_group_without_a_user_is_refused(cluster: Cluster) -> None:
    answer = await cluster.http("GET", MAPS, Impersonate_Group="devs")
    assert answer.status == 400 and "Impersonate-Group without impersonating a user" in answer.json["message"]


# -- questions


async def may(cluster: Cluster, who: str, **attributes: str) -> Any:
    review = {"spec": {"resourceAttributes": attributes}}
    answer = await cluster.as_user(who, "POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", review)
    return answer.json["status"]


async def test_reviews_say_what_a_request_would_be_told(cluster: Cluster) -> None:
    await cluster.role("reader", rule("pods"))
    await cluster.bind("reader", user("ann"))
    reason = 'RBAC: allowed by RoleBinding "reader/default" of Role "reader" to User "ann"'
    assert await may(cluster, "ann", verb="list", resource="pods", namespace="default") == {
        "allowed": True,
        "reason": reason,
    }
    assert await may(cluster, "ann", verb="list", resource="pods") == {"allowed": False}
    spec = {"user": "ann", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    asked = await cluster.http("POST", f"{AUTHORIZATION}/subjectaccessreviews", {"spec": spec})
    assert asked.json["status"] == {"allowed": True, "reason": reason}
    local = f"{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews"
    assert (await cluster.http("POST", local, {"spec": spec})).json["status"]["allowed"] is True
    assert (await cluster.as_user("ann", "POST", local, {"spec": spec})).status == 403


async def test_rules_are_listed(cluster: Cluster) -> None:
    await cluster.role("reader", rule("pods", resourceNames=["cart"]))
    await cluster.bind("reader", user("ann"))
    path = f"{AUTHORIZATION}/selfsubjectrulesreviews"
    status = (await cluster.as_user("ann", "POST", path, {"spec": {"namespace": "default"}})).json["status"]
    own = {"verbs": READ, "apiGroups": [""], "resources": ["pods"], "resourceNames": ["cart"]}
    assert own in status["resourceRules"] and status["incomplete"] is False
    assert any("/api/*" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])
    assert (await cluster.as_user("ann", "POST", path, {"spec": {}})).status == 400


SENSELESS: tuple[tuple[str, Any, str], ...] = (
    ("selfsubjectaccessreviews", {}, "spec.resourceAttributes: Invalid value: null: exactly one of"),
    (
        "selfsubjectaccessreviews",
        {"resourceAttributes": {}, "nonResourceAttributes": {}},
        "spec.nonResourceAttributes: Invalid value: {}: cannot be specified in combination",
    ),
    ("subjectaccessreviews", {"resourceAttributes": {}}, "spec.user: Invalid value"),
    ("selfsubjectaccessreviews", {"resourceAttributes": 7}, "spec.resourceAttributes: Invalid value"),
    (
        "namespaces/default/localsubjectaccessreviews",
        {"user": "ann", "resourceAttributes": {"namespace": "shop"}},
        "spec.resourceAttributes.namespace: Invalid value",
    ),
)


async def test_a_question_that_makes_no_sense_is_refused_by_field(cluster: Cluster) -> None:
    for kind, spec, named in SENSELESS:
        answer = await cluster.http("POST", f"{AUTHORIZATION}/{kind}", {"spec": spec})
        assert (answer.status, named in answer.json["message"]) == (422, True), answer.text


# -- what may be granted


@pytest.fixture
async def admin(cluster: Cluster) -> str:
    """Return a user who may write roles and read pods in the default namespace, and no more."""
    writes = rule("roles", "rolebindings", verbs=["*"], group="rbac.authorization.k8s.io")
    await cluster.role("keeper", {**writes, "verbs": ["get", "create", "update", "patch"]}, rule("pods"))
    await cluster.bind("keeper", user("kim"))
    return "kim"


async def test_nobody_gives_a_role_more_than_they_have(cluster: Cluster, admin: str) -> None:
    body = {"metadata": {"name": "r"}, "rules": [rule("pods", verbs=["get", "delete"]), rule("secrets", verbs=["get"])]}
    refused = await cluster.as_user(admin, "POST", ROLES, body)
    assert (refused.status, refused.json["message"]) == (
        403,
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "kim" (groups=["system:authenticated"]) is attempting '
        "to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
    )
    less = {**body, "rules": [rule("pods", verbs=["get"])]}
    assert (await cluster.as_user(admin, "POST", ROLES, less)).status == 201
    assert (await cluster.as_user(admin, "PUT", f"{ROLES}/r", body)).status == 403
    await cluster.role("escalator", rule("roles", verbs=["escalate"], group="rbac.authorization.k8s.io"))
    await cluster.bind("escalator", user(admin))
    assert (await cluster.as_user(admin, "PUT", f"{ROLES}/r", body)).status == 200


async def test_nobody_adds_to_others_by_the_label_of_a_role_that_has_more(cluster: Cluster, admin: str) -> None:
    await cluster.role("secretive", rule("secrets", verbs=["get"]))
    media = "application/merge-patch+json"

    async def patch(**metadata: Any) -> Answer:
        body = {"metadata": metadata}
        return await cluster.http("PATCH", f"{ROLES}/secretive", body, media=media, Impersonate_User=admin)

    assert (await patch(labels={"rbac.authorization.k8s.io/aggregate-to-edit": "true"})).status == 403
    assert (await patch(finalizers=["example.com/hold"])).status == 200
    assert (await patch(finalizers=None)).status == 200


async def test_nobody_binds_a_role_that_has_more_than_they_have(cluster: Cluster, admin: str) -> None:
    def binding(kind: str, name: str) -> Any:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        return {"metadata": {"name": "b"}, "roleRef": reference, "subjects": [user("bob")]}

    refused = await cluster.as_user(admin, "POST", BINDINGS, binding("ClusterRole", "cluster-admin"))
    assert refused.status == 403
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in refused.json["message"]
    assert (await cluster.as_user(admin, "POST", BINDINGS, binding("Role", "none"))).status == 404
    binds = rule("clusterroles", verbs=["bind"], group="rbac.authorization.k8s.io", resourceNames=["cluster-admin"])
    await cluster.role("binder", binds)
    await cluster.bind("binder", user(admin))
    assert (await cluster.as_user(admin, "POST", BINDINGS, binding("ClusterRole", "cluster-admin"))).status == 201
    assert (await cluster.as_user("bob", "DELETE", MAPS)).status == 200


async def test_an_aggregation_rule_is_for_who_may_everything(cluster: Cluster) -> None:
    writes = rule("clusterroles", verbs=["create", "get"], group="rbac.authorization.k8s.io")
    await cluster.role("keeper", writes, cluster=True)
    await cluster.bind("keeper", user("kim"), kind="ClusterRole", cluster=True)
    body = {"metadata": {"name": "a"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    refused = await cluster.as_user("kim", "POST", f"{RBAC}/clusterroles", body)
    assert refused.status == 403
    assert refused.json["message"].endswith("must have cluster-admin privileges to use the aggregationRule")


async def test_a_role_of_too_many_rights_is_not_taken_apart(cluster: Cluster, admin: str) -> None:
    names = [f"n{number}" for number in range(200)]
    huge = rule(*names, verbs=names, resourceNames=names)
    assert len(names) ** 3 > MAX_PARTS
    answer = await cluster.as_user(admin, "POST", ROLES, {"metadata": {"name": "r"}, "rules": [huge]})
    assert answer.status == 403 and f"more than {MAX_PARTS}" in answer.json["message"]


POWERLESS: tuple[tuple[str, Any, str], ...] = (
    (ROLES, {"rules": [{"apiGroups": [""], "resources": ["pods"]}]}, "rules[0].verbs: Required value"),
    (ROLES, {"rules": [{"verbs": ["get"], "resources": ["pods"]}]}, "rules[0].apiGroups: Required value"),
    (ROLES, {"rules": [{"verbs": ["get"], "apiGroups": [""]}]}, "rules[0].resources: Required value"),
    (ROLES, {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/a"]}]}, "namespaced rules cannot apply to"),
    (
        f"{RBAC}/clusterroles",
        {"rules": [{**rule("pods"), "nonResourceURLs": ["/a"]}]},
        "rules cannot apply to both regular resources and non-resource URLs",
    ),
    (
        f"{RBAC}/clusterroles",
        {"aggregationRule": {"clusterRoleSelectors": []}},
        "aggregationRule.clusterRoleSelectors: Required value",
    ),
    (BINDINGS, {"roleRef": {"kind": "Role"}}, "roleRef.name: Required value"),
    (BINDINGS, {"roleRef": {"kind": "Rolle", "name": "a"}}, 'supported values: "Role", "ClusterRole"'),
    (BINDINGS, {"roleRef": {"kind": "Role", "name": "a", "apiGroup": "x"}}, "roleRef.apiGroup: Unsupported value"),
    (f"{RBAC}/clusterrolebindings", {"roleRef": {"kind": "Role", "name": "a"}}, "roleRef.kind: Unsupported value"),
    (
        BINDINGS,
        {"roleRef": {"kind": "Role", "name": "a"}, "subjects": [{"kind": "Person", "name": "p"}]},
        'subjects[0].kind: Unsupported value: "Person"',
    ),
    (
        BINDINGS,
        {"roleRef": {"kind": "Role", "name": "a"}, "subjects": [{"kind": "User"}]},
        "subjects[0].name: Required value",
    ),
    (
        f"{RBAC}/clusterrolebindings",
        {"roleRef": {"kind": "ClusterRole", "name": "a"}, "subjects": [{"kind": "ServiceAccount", "name": "p"}]},
        "subjects[0].namespace: Required value",
    ),
)


async def test_what_can_allow_nothing_is_refused_by_field(cluster: Cluster) -> None:
    for path, body, named in POWERLESS:
        answer = await cluster.make(path, "wrong", status=422, **body)
        assert named in answer.json["message"]


async def test_the_role_of_a_binding_stays(cluster: Cluster) -> None:
    await cluster.bind("reader", user("ann"))
    reference = {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer"}}
    media = "application/merge-patch+json"
    answer = await cluster.http("PATCH", f"{BINDINGS}/reader", reference, media=media)
    assert answer.status == 422 and "cannot change roleRef" in answer.json["message"]
