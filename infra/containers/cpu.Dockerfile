# Deflector on CPUs: every command but the benchmarks, every stage. Built by `node scripts/build-image.mjs cpu`.

# Debian with Node.js, named by digest: docs/kubernetes.md says how to find it.
ARG NODE_IMAGE

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# A registry of your own, with its password, comes in as a secret and stays in no layer.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci
COPY tsconfig.json ./
COPY scripts/build.mjs scripts/
COPY src src
COPY pipelines pipelines
COPY workers workers
RUN node scripts/build.mjs

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --omit=dev
# What the image is made of, and under which terms. What is not installed must not be asked for; the compiler is, since a
# package could use it.
RUN npm pkg delete devDependencies \
 && rm -r node_modules/typescript node_modules/@typescript \
 && npm sbom --omit=dev --sbom-format=cyclonedx --sbom-type=application > sbom.cdx.json
COPY infra/containers/collect-licences.mjs infra/containers/
RUN node infra/containers/collect-licences.mjs node_modules licences
# Packages bring libraries for other systems, which are most of their size.
COPY infra/containers/keep-own-platform.mjs infra/containers/
RUN node infra/containers/keep-own-platform.mjs node_modules

FROM ${NODE_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Deflector" \
      org.opencontainers.image.description="Defends image classifiers against adversarial images" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=packages /app/licences licences
COPY --from=packages /app/sbom.cdx.json ./
COPY package.json LICENSE NOTICE CHANGELOG.md ./
COPY models models
COPY samples samples
COPY src/report/page src/report/page
COPY --from=build /app/dist dist
COPY infra/containers/check-health.mjs infra/containers/
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/deflector
# Everything but /tmp may be read-only.
WORKDIR /tmp
ENV NODE_ENV=production \
    HOME=/tmp
USER 10001:10001
HEALTHCHECK --interval=20s --timeout=10s --start-period=60s --retries=6 \
  CMD ["node", "/app/infra/containers/check-health.mjs"]
ENTRYPOINT ["deflector"]
CMD ["--help"]
