# One image for app, worker and trainer; CPU by default, and a GPU when the container is given one (the torch wheel
# carries CUDA). Runs exactly what `make setup` and `make run` run.
FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install -y --no-install-recommends make npm \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 nucleus \
 && install -d -o nucleus -g nucleus /app /data

USER nucleus
WORKDIR /app
COPY --chown=nucleus Makefile requirements.txt requirements-dev.txt constraints.txt package.json package-lock.json .npmrc ./
RUN make .venv/.runtime
COPY --chown=nucleus . .
RUN make setup

ENV NUCLEUS_DATA_DIR=/data NUCLEUS_HOST=0.0.0.0
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD [".venv/bin/python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('NUCLEUS_PORT', 7860)}/nucleus/healthz\", timeout=4)"]
# The others: .venv/bin/python -m nucleus_app worker   and   .venv/bin/python -m trainer watch
CMD ["make", "run"]
