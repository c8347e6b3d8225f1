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
# What the image is made of, and under which terms. What is not installed must not be asked for; the compiler would be kept,
# since a package could use it.
RUN npm prune --omit=dev \
 && npm pkg delete devDependencies \
 && rm -r node_modules/typescript node_modules/@typescript \
 && npm sbom --omit=dev --sbom-format=cyclonedx --sbom-type=application > sbom.cdx.json
COPY infra/containers/collect-licences.mjs infra/containers/keep-own-platform.mjs infra/containers/
# Packages bring libraries for other systems, which are most of their size.
RUN node infra/containers/collect-licences.mjs node_modules licences \
 && node infra/containers/keep-own-platform.mjs node_modules

FROM ${NODE_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Deflector" \
      org.opencontainers.image.description="Defends image classifiers against adversarial images" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/licences licences
COPY --from=build /app/sbom.cdx.json ./
COPY package.json LICENSE NOTICE CHANGELOG.md ./
COPY models models
COPY samples samples
COPY src/report/page src/report/page
COPY src/gateway/page src/gateway/page
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
