# Dora-bench for the CPU; for CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
       make git libgl1 libegl1 libx11-6 libusb-1.0-0 libudev1 libidn2-0 libgomp1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/dora-bench

# The dependencies first: a change of the code then does not install them again.
COPY requirements.lock requirements-torch.txt ./
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock \
    && .venv/bin/pip install --no-cache-dir -r requirements-torch.txt --extra-index-url "$TORCH_INDEX"

COPY . .
RUN .venv/bin/pip install --no-cache-dir --no-deps -e . \
    && touch .venv/.ready \
    && useradd --uid 1000 --create-home dora \
    && chown dora:dora . \
    && .venv/bin/dora-prep --version

ENV PATH=/opt/dora-bench/.venv/bin:$PATH
USER 1000

# `docker run IMAGE make demo` writes /opt/dora-bench/demo; a mount with -w is where results stay.
CMD ["dora-prep", "doctor"]
