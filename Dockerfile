# syntax=docker/dockerfile:1
# Both images; everything in them is made by images/rootfs.ts, which needs no container engine (`npm run image:rootfs`):
#   docker build --target operator --tag lcow-operator .
#   docker build --target agent --platform windows/amd64 --tag lcow-agent .

FROM --platform=$BUILDPLATFORM node:24.21.0-bookworm-slim AS build
WORKDIR /source
COPY . .
RUN npm ci --ignore-scripts
RUN node images/rootfs.ts operator /rootfs/operator
RUN node images/rootfs.ts agent /rootfs/agent

# The C and C++ libraries that Node needs, certificates, and nothing to log in with.
FROM gcr.io/distroless/cc-debian12:nonroot AS operator
COPY --from=build /rootfs/operator /
USER 65532:65532
EXPOSE 8443 8444 8080 8445
ENTRYPOINT ["/lcow-operator/node", "/lcow-operator/operator/main.js"]

# Nearly empty: a HostProcess container uses the Windows of its host.
FROM mcr.microsoft.com/oss/kubernetes/windows-host-process-containers-base-image:v1.0.0 AS agent
COPY --from=build /rootfs/agent /
ENV PATH="C:\Windows\system32;C:\Windows"
ENTRYPOINT ["%CONTAINER_SANDBOX_MOUNT_POINT%\\lcow-agent\\node.exe", "%CONTAINER_SANDBOX_MOUNT_POINT%\\lcow-agent\\agent\\main.js"]
