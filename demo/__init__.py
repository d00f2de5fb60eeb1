"""The main job, shown: on this machine (`demo.main`) and against a Kubernetes API (`demo.cluster`).

Everything here is a stranger to Fanout: it starts the programs, posts events over HTTP and reads what the admin API
says. What it claims on the screen it has read there, or seen at its own targets.
"""
