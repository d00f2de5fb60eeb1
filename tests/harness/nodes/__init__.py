"""Real Kubernetes nodes for `make e2e`: pods run, in namespaces of their own, without Docker and without a registry.

`python -m tests.harness.nodes COMMAND…` builds what is missing and runs COMMAND inside fresh mount, network and process
namespaces; there `cluster` starts the control plane of tests/harness/apiserver.py and one or two nodes. A node is
Debian's containerd and runc, and a kubelet. The images are made by `images` from the interpreter that runs this.
Nothing outside can reach the cluster, and one kill removes all of it. `machine` says what a machine lacks for it.

`make test` needs none of this.
"""
