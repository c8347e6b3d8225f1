# Deflector with TensorFlow.js on CUDA. Built by `node scripts/build-image.mjs tfjs-cuda`, on a CPU image with Node.js 22 or
# older: tfjs-node 4.22 calls what later versions removed. The TensorFlow that its installer brings, 2.9, is made for CUDA 11.2,
# which knows GPUs up to Ampere; here its binding runs on TensorFlow 2.18, made for CUDA 12 and cuDNN 9.

# The CPU image of this version, by digest.
ARG APP_IMAGE
# Debian with the same Node.js, by digest.
ARG NODE_IMAGE
# NVIDIA's CUDA 12 runtime with cuDNN 9, by digest.
ARG CUDA_IMAGE

FROM ${APP_IMAGE} AS app

FROM ${NODE_IMAGE} AS tensorflow
# Debian keeps one version of a package: the digest of the base is what pins them.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential maven python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY package.json ./
COPY scripts/provide-tensorflow.mjs scripts/
COPY scripts/lib scripts/lib
COPY scripts/tensorflow scripts/tensorflow
# Packages from npm, libtensorflow from Maven Central, headers from PyPI, each pinned by its digest; the binding is compiled.
# That the library has code for Hopper GPUs is what the image is for.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    XDG_CACHE_HOME=/cache npm_config_nodedir=/usr/local node scripts/provide-tensorflow.mjs 2.18-gpu \
 && mv /cache/deflector/tensorflow-2.18-gpu-* /tensorflow \
 && grep --quiet --text sm_90 /tensorflow/node_modules/@tensorflow/tfjs-node-gpu/deps/lib/libtensorflow_cc.so.2
COPY infra/containers/collect-licences.mjs /build/
WORKDIR /tensorflow
# What the project's tests alone need goes; the rest is listed, with its terms.
RUN rm -r node_modules/@tensorflow/tfjs-node node_modules/nsfwjs package-lock.json \
 && npm pkg delete dependencies.@tensorflow/tfjs-node dependencies.nsfwjs \
 && npm pkg set version=1.0.0 dependencies.@tensorflow/tfjs-node-gpu=4.22.0 \
 && npm sbom --sbom-format=cyclonedx --sbom-type=application > sbom.cdx.json \
 && node /build/collect-licences.mjs node_modules licences

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
