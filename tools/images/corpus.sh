# Makes container (OCI) images with umoci, buildah, podman and skopeo in /out, from the busybox tree in /busybox. Runs in a container that
# has these tools and no network; see corpus.ts.
set -e
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot TMPDIR=/var/tmp HOME=/root PODMAN_IGNORE_CGROUPSV1_WARNING=1
cd /out
says='echo ran as $(id -u) in $(pwd)'
command='["/bin/sh","-c","echo ran as $(id -u) in $(pwd)"]'
mkdir -p layer/etc/new
echo x > layer/etc/new/file
(cd layer && tar cf ../layer.tar .)

umoci init --layout umoci
umoci new --image umoci:base
umoci insert --image umoci:base /busybox /
umoci config --image umoci:base --config.cmd /bin/sh --config.cmd -c --config.cmd "$says"
umoci config --image umoci:base --tag user --config.user app --config.workingdir /home/app --config.env A=1
umoci insert --image umoci:base --tag whiteout --whiteout /etc/hosts
umoci insert --image umoci:base --tag opaque --opaque layer/etc/new /etc/new
umoci raw add-layer --image umoci:base --tag layer layer.tar
umoci unpack --image umoci:base bundle
echo new > bundle/rootfs/etc/motd
rm bundle/rootfs/etc/localtime
umoci repack --image umoci:repacked bundle
umoci config --image umoci:repacked --config.user 1000:1000
rm -r bundle

c=$(buildah from scratch)
buildah copy -q "$c" /busybox /
buildah config --cmd "$command" "$c"
buildah commit -q "$c" base
buildah commit -q --format docker "$c" docker-base
buildah commit -q --squash "$c" squashed
buildah commit -q --timestamp 0 "$c" timestamp
buildah run "$c" -- sh -c 'mkdir -p /srv/data; chown app /srv/data; rm /etc/localtime; ln -s ../srv /etc/link'
buildah config --user app --workingdir /srv/data --volume /srv/data --env dotted.name=1 --label a=b --port 80 --stop-signal TERM "$c"
buildah commit -q "$c" changed
cat > Containerfile <<'F'
FROM localhost/base
RUN echo built:x:4711:4711::/:/bin/sh >> /etc/passwd && mkdir -p /opt/app && rm -rf /home/app
COPY layer/etc/new/file /opt/app/file
ENV GREETING="hello world" PATH=/opt/app:/bin:/usr/bin
WORKDIR /opt/app
USER built
VOLUME ["/opt/volume"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo ran as $(id -u) in $(pwd)"]
F
buildah build -q --layers -t built .
for image in base docker-base squashed timestamp changed built; do buildah push -q $image oci:/out/buildah:$image; done
buildah push -q --compression-format zstd base oci:/out/buildah:zstd
buildah push -q --compression-format zstd:chunked base oci:/out/buildah:zstd-chunked
buildah push -q -D base oci:/out/buildah:uncompressed
buildah push -q built oci-archive:/out/buildah-oci.tar:built
buildah push -q built docker-archive:/out/buildah-docker.tar:built:1
buildah manifest create many
buildah manifest add --arch arm64 --os linux many localhost/squashed
buildah manifest add --arch amd64 --os linux many localhost/base
buildah manifest push -q --all many oci:/out/buildah-many:many

podman build -q --isolation=chroot -t podman-built .
podman save -q --format oci-archive -o podman-oci.tar localhost/podman-built
podman save -q --format docker-archive -o podman-docker.tar localhost/podman-built
podman save -q --format oci-dir -o podman-dir localhost/podman-built
podman save -q -m -o podman-two.tar localhost/podman-built localhost/base
tar -C /busybox -cf busybox.tar .
podman import -q -c "CMD $command" busybox.tar imported
podman save -q --format oci-archive -o podman-imported.tar imported

skopeo copy -q oci:/out/umoci:base docker-archive:/out/skopeo-docker.tar:base:1
skopeo copy -q oci:/out/umoci:base oci-archive:/out/skopeo-oci.tar:base
skopeo copy -q --format v2s2 oci:/out/umoci:user docker-archive:/out/skopeo-v2s2.tar:user:1
skopeo copy -q --multi-arch=all oci:/out/buildah-many:many oci-archive:/out/skopeo-many.tar:many
gzip -k podman-docker.tar
rm -r layer layer.tar busybox.tar Containerfile
