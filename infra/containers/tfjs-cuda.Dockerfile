# Deflector with TensorFlow.js on CUDA. Built by `node scripts/build-image.mjs tfjs-cuda`, on a CPU image with Node.js 22 or
# older: tfjs-node 4.22 calls what later versions removed. Its TensorFlow, 2.9, is made for CUDA 11.2 and cuDNN 8, which
# know GPUs up to Ampere (compute capability 8.6); for later ones take onnx-cuda.

# The CPU image of this version, by digest.
ARG APP_IMAGE
# Debian with the same Node.js, by digest.
ARG NODE_IMAGE
# NVIDIA's CUDA 11.2 runtime with cuDNN 8, by digest.
ARG CUDA_IMAGE

FROM ${APP_IMAGE} AS app

FROM ${NODE_IMAGE} AS tensorflow
# Where its install script finds libtensorflow, for a mirror.
ARG TFJS_NODE_CDN_STORAGE
WORKDIR /tensorflow
# The only package whose install script runs: it brings the library that the image is about.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm init --yes > /dev/null \
 && npm install --save-exact --ignore-scripts=false @tensorflow/tfjs-node-gpu@4.22.0 \
 && test -e node_modules/@tensorflow/tfjs-node-gpu/deps/lib/libtensorflow.so.2 \
 && npm sbom --sbom-format=cyclonedx --sbom-type=application > sbom.cdx.json
COPY infra/containers/collect-licences.mjs ./
RUN node collect-licences.mjs node_modules licences

FROM ${CUDA_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Deflector, TensorFlow.js on CUDA" \
      org.opencontainers.image.description="Defends image classifiers against adversarial images" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
COPY --from=app /usr/local/bin/node /usr/local/bin/
COPY --from=app /app ./
COPY --from=tensorflow /tensorflow /tensorflow
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/deflector
WORKDIR /tmp
ENV NODE_ENV=production \
    HOME=/tmp \
    DEFLECTOR_TENSORFLOW=/tensorflow \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
HEALTHCHECK --interval=20s --timeout=10s --start-period=60s --retries=6 \
  CMD ["node", "/app/infra/containers/check-health.mjs"]
ENTRYPOINT ["deflector"]
CMD ["--help"]
