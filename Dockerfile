# The page and service (ttd-jax serve), and with arguments the command itself:
#   docker build -t ttd-jax .                            CPU
#   docker build -t ttd-jax --build-arg VARIANT=cuda12 . NVIDIA GPUs: docker run --gpus all ...
#   docker run -p 8000:8000 ttd-jax
#   docker run -v "$PWD:/work" --user "$(id -u):$(id -g)" ttd-jax fuse near.png far.png -o fused.png
# For a build that can be repeated give the base by its digest: --build-arg BASE=python@sha256:...
ARG BASE=python:3.11.11-slim-bookworm

FROM ${BASE} AS build
ARG VARIANT=cpu
ARG EXTRAS=serve
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY container/constraints.txt container/
COPY ttd_jax ttd_jax
COPY convert convert
COPY examples examples
RUN python3 -m venv /opt/ttd-jax \
 && /opt/ttd-jax/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN case "${VARIANT}" in \
      cpu) extras="${EXTRAS}" ;; \
      cuda12|cuda13) extras="${EXTRAS},${VARIANT}" ;; \
      *) echo "VARIANT is cpu, cuda12 or cuda13; got ${VARIANT}" >&2; exit 1 ;; \
    esac \
 && wheel=$(echo /wheels/*.whl) \
 && /opt/ttd-jax/bin/pip install --no-cache-dir --constraint container/constraints.txt "${wheel}[${extras}]" \
 && /opt/ttd-jax/bin/python -m compileall -q /opt/ttd-jax/lib \
 && /opt/ttd-jax/bin/ttd-jax --version

FROM ${BASE}
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin fusion
COPY --from=build /opt/ttd-jax /opt/ttd-jax
ENV PATH=/opt/ttd-jax/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /work
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["ttd-jax"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
