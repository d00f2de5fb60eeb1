"""A real Kubernetes API for the tests and for `make demo-cluster`, without Docker.

`binaries` builds etcd, Kubernetes' servers, kubectl, helm and promtool from their Go modules, once; `apiserver` runs
the servers; `helm` drives helm; `fixtures` hands them to pytest. Nothing here is part of the product.
"""
