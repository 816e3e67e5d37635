# docker build -t segtrain .                                  torch for CPUs
# docker build -t segtrain:cuda --build-arg TORCH=cu128 .     torch with CUDA 12.8: a CUDA driver is all that the host needs
# docker run --rm --read-only --tmpfs /tmp -v "$PWD:/work" --user "$(id -u):$(id -g)" segtrain segtrain max_steps=20
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build

ARG TORCH=cpu
ARG EXTRAS=export,geo
RUN python -m pip install --no-cache-dir uv && python -m venv /opt/segtrain
# Dependencies first: they change more seldom than the code.
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src/segtrain/version.py src/segtrain/version.py
RUN uv pip install --python /opt/segtrain --no-cache --torch-backend=${TORCH} -r pyproject.toml \
    $(echo "${EXTRAS}" | tr ',' '\n' | sed '/^$/d; s/^/--extra /')
COPY src src
COPY configs configs
RUN uv pip install --python /opt/segtrain --no-cache --no-deps .

FROM python:${PYTHON}-slim
COPY --from=build /opt/segtrain /opt/segtrain
# Everything that is written lies below /work: outputs/, and what is compiled and downloaded.
ENV PATH=/opt/segtrain/bin:$PATH \
    HOME=/work \
    XDG_CACHE_HOME=/work/.cache \
    TORCH_HOME=/work/.cache/torch \
    HF_HOME=/work/.cache/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 1000 --no-create-home --home-dir /work segtrain && install --directory --owner segtrain /work
USER segtrain
WORKDIR /work
CMD ["segtrain", "--help"]
