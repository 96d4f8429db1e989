#!/bin/sh
# Downloads Debian packages, with those they need and this machine lacks, and unpacks them into a folder.
# Installs nothing, needs no root, and leaves the machine's own package lists and archives alone.
# Usage: unpack-debian.sh FOLDER RELEASE PACKAGE...     FOLDER appears at the end, whole; run it under a lock.
set -eu
folder=$1 release=$2
shift 2
[ -d "$folder" ] && exit 0

draft=$folder.draft
rm -rf "$draft"
trap 'rm -rf "$draft"' EXIT
mkdir -p "$draft/root" "$draft/lists/partial" "$draft/archives/partial"

mirror=http://deb.debian.org
cat >"$draft/sources.list" <<LIST
deb $mirror/debian $release main
deb $mirror/debian $release-updates main
deb $mirror/debian $release-backports main
deb $mirror/debian-security $release-security main
LIST

apt() {
  apt-get -q -y \
    -o Dir::Etc::SourceList="$draft/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$draft/lists" -o Dir::Cache::Archives="$draft/archives" \
    -o Dir::Cache::pkgcache="$draft/pkgcache.bin" -o Dir::Cache::srcpkgcache="$draft/srcpkgcache.bin" \
    -o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
    -o APT::Sandbox::User= -o Debug::NoLocking=1 \
    -o APT::Install-Recommends=0 -o APT::Keep-Downloaded-Packages=1 "$@"
}

apt update
# A package that only backports has is taken from there; of all others the release's own version is preferred.
apt install --download-only "$@"
for package in "$draft"/archives/*.deb; do dpkg -x "$package" "$draft/root"; done

if [ -x "$draft/root/usr/lib/chromium/chromium" ]; then
  cat >"$draft/root/run-chromium" <<'RUN'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")
for folder in "$root"/usr/lib/*-linux-gnu "$root"/usr/lib/*-linux-gnu/pulseaudio "$root"/lib/*-linux-gnu; do
  LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
# Neither settings nor crash reports are written to the user's home.
export LD_LIBRARY_PATH GSETTINGS_BACKEND=memory BREAKPAD_DUMP_LOCATION="$root/crashes"
[ -e /etc/fonts/fonts.conf ] || export FONTCONFIG_SYSROOT="$root"
exec "$root/usr/lib/chromium/chromium" "$@"
RUN
  chmod +x "$draft/root/run-chromium"
fi
mv "$draft/root" "$folder"
