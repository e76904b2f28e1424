# The one image of all whence services: which of them it is, the command says (`docker run whence:local stream`).
# The sources are compiled when the image is built, not at a start (docs/decisions/0023-a-bundle-made-at-start.md).

# One version for both stages: native packages and the bundle of the workflows are made for exactly this Node. With
# glibc: Temporal's native library has no build for Alpine.
ARG NODE=20.20.2-bookworm

# The full image, whose compiler builds a native package where npm has no binary for this platform.
FROM node:${NODE} AS build
ENV NODE_ENV=production
WORKDIR /app
# First what changes seldom: a change of a source installs nothing again.
COPY package.json package-lock.json ./
RUN npm ci --omit=dev
COPY . .
# Beforehand, so that a worker starts at once, and needs to write nothing beside its sources.
RUN npm run build

FROM node:${NODE}-slim
ENV NODE_ENV=production WHENCE_DATA_DIR=/var/lib/whence
# The slim image has no certificate authorities, which TLS to Temporal, Kafka or Postgres outside needs.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /app /app
# A new volume takes over who owns the folder that it is mounted on.
RUN install -d -o node -g node "$WHENCE_DATA_DIR"
WORKDIR /app
# node: owns the data folder, and nothing else of ours. As a number, which Kubernetes can check for root.
USER 1000:1000
ENTRYPOINT ["node", "/app/cli/whence.js"]
CMD ["--help"]
