# Makes root directories, disk images, archives and a container image with debootstrap, mkosi and mmdebstrap in /out, from Debian's mirror.
# Runs in a container that has these tools; see trees.ts.
set -e
mirror=http://deb.debian.org/debian
suite=trixie
cd /out

debootstrap --variant=minbase --include=busybox-static $suite debootstrap $mirror > /var/log/debootstrap 2>&1 || { tail -n 30 /var/log/debootstrap >&2; exit 1; }
rm -rf debootstrap/var/cache/apt/* debootstrap/var/lib/apt/lists/*

# By itself mkosi also reads repositories that mirrors do not have.
mkdir -p /mkosi/mkosi.sandbox/etc/apt/sources.list.d
cat > /mkosi/mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources <<F
Types: deb
URIs: $mirror
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
F
# A service that says that the system is up, and ends it.
system=/mkosi/mkosi.extra/usr/lib/systemd/system
mkdir -p $system/multi-user.target.wants
ln -s ../says.service $system/multi-user.target.wants/says.service
ln -s multi-user.target $system/default.target
cat > $system/says.service <<F
[Unit]
SuccessAction=poweroff
[Service]
Type=oneshot
ExecStart=/usr/bin/busybox echo booted
F
cd /mkosi
make_image() {
  mkosi --force --distribution=debian --release=$suite --with-network=yes --with-docs=no --bootable=no --output-directory=/out \
    --workspace-directory=/var/tmp "$@" build > /var/log/mkosi 2>&1 || { tail -n 30 /var/log/mkosi >&2; exit 1; }
}
make_image --format=directory --output=mkosi --package=busybox-static,systemd,systemd-sysv
make_image --format=disk --output=mkosi-disk --base-tree=/out/mkosi
make_image --format=tar --output=mkosi-tar --base-tree=/out/mkosi
make_image --format=oci --output=mkosi-oci --base-tree=/out/mkosi
cd /out
rm -f mkosi-disk mkosi-tar

for format in tar ext4 squashfs; do
  mmdebstrap --quiet --mode=root --variant=extract --include=busybox-static $suite mmdebstrap.$format $mirror
done
