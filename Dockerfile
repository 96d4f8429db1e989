# The server with production dependencies alone. It needs a PostgreSQL: the embedded one is left out. Large states go to the volume
# unless SNAPSHOT_STORAGE_BACKEND names a store: give it a name (-v states:/var/lib/statelens), or they go with the container.
# Nothing else is written, so the root may be read-only (--read-only). Outside a container's own loopback nobody reaches it unless
# HOST=0.0.0.0 is given, and with it AUTH_MODE. Builds that must be the same tomorrow name a digest:
#   docker build --build-arg NODE_IMAGE=node:24-trixie-slim@sha256:… .

# One for all stages: what is built on one release runs on the same.
ARG NODE_IMAGE=node:24.21.0-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The installation builds the explorer.
COPY src/explorer ./src/explorer
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

# Optional dependencies are the binaries of the embedded PostgreSQL. Source maps and declarations serve nobody at run time.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force \
  && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM ${NODE_IMAGE}
ENV NODE_ENV=production DATA_DIR=/var/lib/statelens
WORKDIR /app
RUN mkdir "$DATA_DIR" && chown node:node "$DATA_DIR"
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
# By number: Kubernetes cannot tell of a name that it is not root.
USER 1000:1000
VOLUME /var/lib/statelens
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 4000}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve"]
