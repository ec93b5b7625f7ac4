# The core of the suite: no training, no GPU. `docker build -t smemnas .`, then `docker run --rm -v "$PWD:/work" smemnas list`.
# Runs are written into the mounted folder; tables that are fetched stay in the volume below /data.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY smemnas smemnas
COPY bench bench
COPY methods methods
COPY spaces spaces
COPY surrogates surrogates
COPY cli.py ./
RUN python -m venv /opt/smemnas && /opt/smemnas/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /opt/smemnas /opt/smemnas
ENV PATH=/opt/smemnas/bin:$PATH SMEMNAS_DATA=/data MPLCONFIGDIR=/tmp
RUN useradd --create-home --uid 1000 searcher && mkdir /data /work && chown searcher /data /work
USER 1000
WORKDIR /work
VOLUME /data
ENTRYPOINT ["smemnas"]
CMD ["--help"]
