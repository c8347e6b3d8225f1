# Deflector with ONNX Runtime's CUDA provider. Built by `node scripts/build-image.mjs onnx-cuda`, on the CPU image.

# The CPU image of this version, by digest.
ARG APP_IMAGE
# NVIDIA's CUDA 13 runtime with cuDNN 9, by digest.
ARG CUDA_IMAGE
# Debian or Ubuntu with Python and pip, by digest.
ARG PYTHON_IMAGE

FROM ${APP_IMAGE} AS app

FROM ${PYTHON_IMAGE} AS provider
WORKDIR /provider
COPY --from=app /app/node_modules/onnxruntime-node/package.json ./
# The npm package holds no CUDA provider; the wheel of the same version does. Its CUDA must be that of the image below.
RUN version="$(python3 -c 'import json; print(json.load(open("package.json"))["version"])')" \
 && python3 -m pip download --no-deps --only-binary=:all: --python-version=3.12 --platform=manylinux_2_28_x86_64 \
      "onnxruntime-gpu==${version}" \
 && python3 -m zipfile --extract ./*.whl wheel \
 && mkdir lib \
 && mv wheel/onnxruntime/capi/libonnxruntime_providers_cuda.so wheel/onnxruntime/capi/libonnxruntime_providers_shared.so lib/ \
 && grep --quiet 'libcudart\.so\.13' lib/libonnxruntime_providers_cuda.so \
 && rm -r wheel ./*.whl

FROM ${CUDA_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Deflector, ONNX Runtime on CUDA" \
      org.opencontainers.image.description="Defends image classifiers against adversarial images" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
COPY --from=app /usr/local/bin/node /usr/local/bin/
COPY --from=app /app ./
COPY --from=provider /provider/lib node_modules/onnxruntime-node/bin/napi-v6/linux/x64
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/deflector
WORKDIR /tmp
ENV NODE_ENV=production \
    HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
HEALTHCHECK --interval=20s --timeout=10s --start-period=60s --retries=6 \
  CMD ["node", "/app/infra/containers/check-health.mjs"]
ENTRYPOINT ["deflector"]
CMD ["--help"]
