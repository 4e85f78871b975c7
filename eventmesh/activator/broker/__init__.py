"""The broker: ingress -> store -> filters -> delivery -> reply or dead letter.

`delivery` decides and does no I/O; `dispatcher` does what it decides; `store` keeps the promise of the 202.
"""
