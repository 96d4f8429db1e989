# The server with production dependencies alone. It needs a PostgreSQL: the embedded one is left out. Large states go to the volume
# unless SNAPSHOT_STORAGE_BACKEND names a store: give it a name (-v states:/var/lib/statelens), or they go with the container.
# Outside a container's own loopback nobody reaches it unless HOST=0.0.0.0 is given, and with it AUTH_MODE.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The installation builds the explorer.
COPY src/explorer ./src/explorer
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

# Optional dependencies are the binaries of the embedded PostgreSQL.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force

FROM node:24-bookworm-slim
ENV NODE_ENV=production DATA_DIR=/var/lib/statelens
WORKDIR /app
RUN mkdir "$DATA_DIR" && chown node:node "$DATA_DIR"
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
USER node
VOLUME /var/lib/statelens
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 4000}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve"]
