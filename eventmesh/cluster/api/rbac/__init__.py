"""Who may do what (`rbac.authorization.k8s.io`): rules, who holds them, and what is asked of them.

By the rules of `kubernetes/plugin/pkg/auth/authorizer/rbac` and `pkg/registry/rbac`, in their words. Who
somebody is, is found out before (`identity`).
"""
