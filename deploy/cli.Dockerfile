# The command line as an image, for pipelines: `docker run --rm -e MAXCLOUD_API_KEY … deploy …`.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
COPY requirements/cli.txt /tmp/
RUN python3 -m venv /venv \
 && /venv/bin/pip install --quiet --no-cache-dir --require-hashes -r /tmp/cli.txt \
 && /venv/bin/pip uninstall --quiet --yes pip setuptools
COPY shared/maxcloud /app/maxcloud
COPY cli/maxcloud_cli /app/maxcloud_cli
RUN /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /app

FROM ${BASE}
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 XDG_CONFIG_HOME=/tmp
USER 65532:65532
ENTRYPOINT ["/venv/bin/python", "-c", "import sys; from maxcloud_cli.main import main; sys.exit(main())"]
