# syntax=docker/dockerfile:1
# One image for both planes: `fanout` (the dispatcher and the CLI) and `fanout-operator`.
# scripts/install.sh puts pinned, hashed wheels into /app/lib; no compiler, no package manager's leftovers, no root.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY scripts/install.sh scripts/install.sh
COPY crds crds
COPY operator operator
COPY dispatcher dispatcher
RUN scripts/install.sh app /app

FROM python:3.11-slim-bookworm
COPY --from=build /app /app
ENV PYTHONPATH=/app/lib \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/app/lib/bin:/usr/local/bin:/usr/bin:/bin
# Numeric, so that Kubernetes can see that it is not root. Nothing below / need be writable but the data volume.
USER 65532:65532
WORKDIR /tmp
# checkov:skip=CKV_DOCKER_2: Kubernetes asks each of the image's programs by probes of its own, and never a HEALTHCHECK
# exec form: no shell in between, so SIGTERM reaches Fanout. The operator is this image with command ["fanout-operator"].
ENTRYPOINT ["fanout"]
CMD ["--help"]
