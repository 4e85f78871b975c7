"""What may be written of Serving's kinds, and what is filled in (Serving, pkg/apis/serving/v1).

`kinds` holds the four doors (`kube.admission.Admission`); behind them `defaults` fills in and the other
modules refuse, one subject each, in Knative's own words.
"""
