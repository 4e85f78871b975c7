"""A kubelet for processes: images are directories, pods are process groups in a network namespace of their own.

`agent` watches the pods of the API and drives one `pod.PodMachine` each; `launcher` is the small process that
forks them; `network` hands out addresses; `images` keeps what can be run; `logs` what it said.
"""
