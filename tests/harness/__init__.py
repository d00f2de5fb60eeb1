"""A real Kubernetes API for the tests and for `make demo-cluster`, without Docker.

`binaries` builds etcd, kube-apiserver, kubectl and helm from their Go modules, once; `apiserver` runs the first two;
`helm` drives the last; `fixtures` hands them to pytest. Nothing here is part of the product.
"""
