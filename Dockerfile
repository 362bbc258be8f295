# The HTTP server of predictions on CPUs, see docs/serving.md.
#
#   docker build --tag diffperc .
#   docker run --rm --publish 127.0.0.1:8000:8000 diffperc                        the small models that come with the package
#   docker run --rm --publish 127.0.0.1:8000:8000 --volume "$PWD/runs:/runs:ro" diffperc ckpt=/runs/mine

FROM python:3.11-slim AS build
# where pip finds torch without CUDA, if it is not in the usual place: the address that pytorch.org names for CPUs
ARG TORCH_INDEX=""
WORKDIR /source
# .dockerignore leaves what the wheel is made of
COPY . .
# hadolint ignore=DL3013  # the project states its versions itself
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/diffperc \
    && pip --python /opt/diffperc install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.8,<2.14" \
    && pip --python /opt/diffperc install --no-cache-dir "diffperc[serve] @ file://$(echo /wheels/*.whl)"
RUN ["/opt/diffperc/bin/python", "-c", "import torch; assert torch.version.cuda is None, 'torch has CUDA: give TORCH_INDEX'"]

FROM python:3.11-slim
RUN pip uninstall --yes --root-user-action ignore setuptools wheel pip \
    && useradd --system --create-home --uid 10001 diffperc
COPY --from=build /opt/diffperc /opt/diffperc
# nothing is downloaded
ENV PATH=/opt/diffperc/bin:$PATH HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/diffperc
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["diffperc", "serve", "host=0.0.0.0"]
