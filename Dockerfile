# One image for the code location, the webserver, the daemon and the migrations; docker-compose.yml has their commands.

FROM python:3.11-slim-bookworm AS build
COPY requirements.lock pyproject.toml /build/
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r /build/requirements.lock
# The lock is one for all; what only a developer or a laptop needs is taken out again, and pip checks what is left.
COPY config /build/config
ARG EXTRAS=scale
RUN /venv/bin/python /build/config/image_packages.py /build/pyproject.toml $EXTRAS \
    | xargs /venv/bin/pip uninstall --quiet --yes \
    && /venv/bin/pip check

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin warehouse \
    && install -d -o warehouse -g warehouse /var/lib/dagster /var/lib/dagster/storage
COPY --from=build /venv /venv
COPY pyproject.toml dagster.yaml workspace.yaml /app/
COPY config /app/config
COPY sql /app/sql
COPY warehouse_pipelines /app/warehouse_pipelines
WORKDIR /app
RUN /venv/bin/python -m compileall -q warehouse_pipelines \
    && /venv/bin/python -c "from pathlib import Path; from warehouse_pipelines.local.bootstrap import put_project; \
put_project(Path('/app'), Path('/venv/bin/python'))"
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DAGSTER_HOME=/var/lib/dagster
USER warehouse
ENTRYPOINT ["python", "-m", "warehouse_pipelines.local.dagster_home"]
