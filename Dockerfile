# vmguest-exporter in a container. deploy/container/README.md has the run line and why it needs a seccomp profile.
# BASE may be any Debian with Python 3.11 or newer. This one is the index of all machines as of October 2026, by its digest; what
# has been fixed since comes with the upgrade below. `BASE=debian:bookworm-slim deploy/container/build.sh` prints the present one.
ARG BASE=docker.io/library/debian:bookworm-slim@sha256:7c7b2c966bc9ee8cedfeef67e0e279108992c77681fa595db4a9d65c06ccc587

FROM ${BASE} AS build
# Versions are the distribution's: a pinned one would miss its security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /src
COPY deploy/container/requirements.txt ./
RUN python3 -m venv --without-pip /opt/vmguest-exporter \
 && python3 -m venv /pip \
 && /pip/bin/pip --python /opt/vmguest-exporter/bin/python install --no-cache-dir --no-deps --require-hashes \
      --requirement requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
RUN /pip/bin/pip --python /opt/vmguest-exporter/bin/python install --no-cache-dir --no-deps .
# VMware's library, which goes through the backdoor, which no seccomp profile blocks. Of the package only the library
# and its licence: the rest are daemons that belong on the machine, not in here.
WORKDIR /library
RUN apt-get update \
 && apt-get download open-vm-tools \
 && dpkg --extract open-vm-tools_*.deb package \
 && mkdir -p lib doc \
 && cp --no-dereference package/usr/lib/*/libguestlib.so.0* lib/ \
 && cp package/usr/share/doc/open-vm-tools/copyright doc/ \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*

FROM ${BASE}
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=unknown
ARG BASE
LABEL org.opencontainers.image.title="vmguest-exporter" \
      org.opencontainers.image.description="What the hypervisor does to this VMware guest, as Prometheus and OpenTelemetry metrics" \
      org.opencontainers.image.licenses="Apache-2.0 AND LGPL-2.1-only" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.vendor="vmguest-exporter" \
      org.opencontainers.image.base.name="${BASE}"
# libtirpc is the one library that VMware's needs; tini reaps what a health check or the library's process leaves behind.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get upgrade --yes \
 && apt-get install --yes --no-install-recommends python3 libtirpc3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old
COPY --from=build /library/lib/ /usr/local/lib/
COPY --from=build /library/doc/ /usr/share/doc/libguestlib0/
COPY --from=build /opt/vmguest-exporter /opt/vmguest-exporter
COPY deploy/container/health.py /opt/vmguest-exporter/
RUN ldconfig
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 10052
# Alive, not ready: a host that does not answer is no reason to start the container anew. Whatever port, TLS and login it has.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s \
  CMD ["/opt/vmguest-exporter/bin/python", "/opt/vmguest-exporter/health.py"]
ENTRYPOINT ["/usr/bin/tini", "--", "/opt/vmguest-exporter/bin/vmguest-exporter"]
