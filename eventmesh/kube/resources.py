"""The kinds that the mesh reads or writes, under the names the code uses."""

from __future__ import annotations

from typing import Final

from eventmesh.kube.api import Resource

NAMESPACE = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
POD = Resource("", "v1", "pods", "Pod")
SERVICE = Resource("", "v1", "services", "Service")
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")
SECRET = Resource("", "v1", "secrets", "Secret")
SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")
EVENT = Resource("", "v1", "events", "Event")
SUBJECT_ACCESS_REVIEW = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
TOKEN_REVIEW = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
SIGNING_REQUEST = Resource(
    "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced=False
)
ROLE = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
CLUSTER_ROLE = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
ROLE_BINDING = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLE_BINDING = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINT_SLICE = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")
REPLICA_SET = Resource("apps", "v1", "replicasets", "ReplicaSet")
JOB = Resource("batch", "v1", "jobs", "Job")
CRON_JOB = Resource("batch", "v1", "cronjobs", "CronJob")
HORIZONTAL_POD_AUTOSCALER = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
POD_METRICS = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
NODE_METRICS = Resource("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False)
NODE = Resource("", "v1", "nodes", "Node", namespaced=False)
CRD = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)

KSERVICE = Resource("serving.knative.dev", "v1", "services", "Service")
CONFIGURATION = Resource("serving.knative.dev", "v1", "configurations", "Configuration")
REVISION = Resource("serving.knative.dev", "v1", "revisions", "Revision")
ROUTE = Resource("serving.knative.dev", "v1", "routes", "Route")
DOMAIN_MAPPING = Resource("serving.knative.dev", "v1beta1", "domainmappings", "DomainMapping")
POD_AUTOSCALER = Resource("autoscaling.internal.knative.dev", "v1alpha1", "podautoscalers", "PodAutoscaler")
KINGRESS = Resource("networking.internal.knative.dev", "v1alpha1", "ingresses", "Ingress")
DOMAIN_CLAIM = Resource(
    "networking.internal.knative.dev", "v1alpha1", "clusterdomainclaims", "ClusterDomainClaim", namespaced=False
)
SERVERLESS_SERVICE = Resource("networking.internal.knative.dev", "v1alpha1", "serverlessservices", "ServerlessService")

GATEWAY_CLASS = Resource("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass", namespaced=False)
GATEWAY = Resource("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
HTTP_ROUTE = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
GRPC_ROUTE = Resource("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute")
REFERENCE_GRANT = Resource("gateway.networking.k8s.io", "v1beta1", "referencegrants", "ReferenceGrant")

AUTHORIZATION_POLICY = Resource("eventmesh.io", "v1alpha1", "authorizationpolicies", "AuthorizationPolicy")
PEER_AUTHENTICATION = Resource("eventmesh.io", "v1alpha1", "peerauthentications", "PeerAuthentication")
TRAFFIC_POLICY = Resource("eventmesh.io", "v1alpha1", "trafficpolicies", "TrafficPolicy")
REQUEST_AUTHENTICATION = Resource("eventmesh.io", "v1alpha1", "requestauthentications", "RequestAuthentication")
PYTHON_FILTER = Resource("eventmesh.io", "v1alpha1", "pythonfilters", "PythonFilter")
SERVICE_INTERFACE = Resource("eventmesh.io", "v1alpha1", "serviceinterfaces", "ServiceInterface")
PROTOCOL_DECLARATION = Resource(
    "eventmesh.io", "v1alpha1", "protocoldeclarations", "ProtocolDeclaration", namespaced=False
)

BROKER = Resource("eventing.knative.dev", "v1", "brokers", "Broker")
TRIGGER = Resource("eventing.knative.dev", "v1", "triggers", "Trigger")
EVENT_POLICY = Resource("eventing.knative.dev", "v1alpha1", "eventpolicies", "EventPolicy")
EVENT_TYPE = Resource("eventing.knative.dev", "v1beta2", "eventtypes", "EventType")
REQUEST_REPLY = Resource("eventing.knative.dev", "v1alpha1", "requestreplies", "RequestReply")

CHANNEL = Resource("messaging.knative.dev", "v1", "channels", "Channel")
IN_MEMORY_CHANNEL = Resource("messaging.knative.dev", "v1", "inmemorychannels", "InMemoryChannel")
SUBSCRIPTION = Resource("messaging.knative.dev", "v1", "subscriptions", "Subscription")

SEQUENCE = Resource("flows.knative.dev", "v1", "sequences", "Sequence")
PARALLEL = Resource("flows.knative.dev", "v1", "parallels", "Parallel")

JOB_SINK = Resource("sinks.knative.dev", "v1alpha1", "jobsinks", "JobSink")

API_SERVER_SOURCE = Resource("sources.knative.dev", "v1", "apiserversources", "ApiServerSource")
CONTAINER_SOURCE = Resource("sources.knative.dev", "v1", "containersources", "ContainerSource")
KAFKA_SINK = Resource("eventing.knative.dev", "v1alpha1", "kafkasinks", "KafkaSink")
KAFKA_SOURCE = Resource("sources.knative.dev", "v1", "kafkasources", "KafkaSource")
KAFKA_SOURCE_V1BETA1 = Resource("sources.knative.dev", "v1beta1", "kafkasources", "KafkaSource")
OF_KAFKA = frozenset({KAFKA_SINK, KAFKA_SOURCE})
"""Kinds of eventing-kafka-broker, a part of Knative of its own: a cluster may not have their definitions."""
PING_SOURCE = Resource("sources.knative.dev", "v1", "pingsources", "PingSource")
PING_SOURCE_V1BETA2 = Resource("sources.knative.dev", "v1beta2", "pingsources", "PingSource")
SINK_BINDING = Resource("sources.knative.dev", "v1", "sinkbindings", "SinkBinding")

CLUSTER_SCOPED: Final = frozenset(
    known.group_resource for known in tuple(globals().values()) if isinstance(known, Resource) and not known.namespaced
)
"""Which of these are in no namespace: a reference to a kind does not say."""
