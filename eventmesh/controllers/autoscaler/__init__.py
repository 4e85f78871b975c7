"""The pod autoscaler (class kpa): measures load, decides, and carries the decision out on Deployments.

`collector` and `scraper` measure, `deciders` keeps one `autoscale` decision for each revision, `podautoscaler`
and `serverlessservice` reconcile, `reports` is the port that activators report to, `app` wires them.

`horizontal` hands revisions of class hpa on to Kubernetes' own autoscaler.
"""
