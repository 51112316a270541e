#!/usr/bin/env bash
# Makes what cross-builds Martlet for aarch64 Linux, and prints the folder that holds it:
#   sdks/      for swift build --swift-sdks-path DIR/sdks --swift-sdk martlet-aarch64
#   sysroot/   for clang --target=aarch64-linux-gnu --sysroot=DIR/sysroot, and qemu-aarch64 -L
#   runtime/   the Swift runtime's shared libraries
#   bin/qemu-aarch64
#
# Usage: scripts/arm-sdk.sh [DIR]   default ${XDG_CACHE_HOME:-~/.cache}/martlet/arm-sdk; kept once made
# Needs apt-get, dpkg, debian-archive-keyring and this system's Swift toolchain. The C libraries and
# the Swift runtime are Debian's (about 220 MB fetched, 210 MB kept); nothing is installed.
# MARTLET_DEBIAN_MIRROR names another mirror than the one this system uses.
set -euo pipefail
suite=trixie
version=1  # of what this script makes: raise it and everyone's is made anew
dir=$(realpath -m "${1:-${XDG_CACHE_HOME:-$HOME/.cache}/martlet/arm-sdk}")
fail() { echo "arm-sdk: $*" >&2; exit 1; }

swift=$(command -v "${SWIFT:-swift}") || fail "needs a Swift toolchain"
toolchain=$(dirname "$(dirname "$(realpath "$swift")")")
stamp="$version $toolchain $("$swift" --version 2>/dev/null | head -n 1)"
if [ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ]; then
  echo "$dir"
  exit 0
fi

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "needs apt-get and dpkg"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -e "$keys" ] && [ "$(id -u)" = 0 ]; then
  apt-get -qq install -y debian-archive-keyring >&2
fi
[ -e "$keys" ] || fail "needs the package debian-archive-keyring"
mirror=${MARTLET_DEBIAN_MIRROR:-}
if [ -z "$mirror" ] && [ -r /etc/apt/sources.list.d/debian.sources ]; then
  mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)
fi
mirror=${mirror:-http://deb.debian.org/debian}
echo "arm-sdk: fetching aarch64 libraries from $mirror (once, about 220 MB)" >&2

rm -rf "$dir"
mkdir -p "$dir"/apt/{state/lists/partial,cache/archives/partial} "$dir"/{packages,bin,sysroot/usr/lib}
# A package index of its own, for another architecture and without touching this system's.
host=$(dpkg --print-architecture)
echo "deb [arch=arm64,$host signed-by=$keys] $mirror $suite main" > "$dir/apt/sources.list"
apt=(-qq -o "Dir::State=$dir/apt/state" -o Dir::State::status=/dev/null
  -o "Dir::Cache=$dir/apt/cache" -o "Dir::Etc::sourcelist=$dir/apt/sources.list"
  -o Dir::Etc::sourceparts=/dev/null -o APT::Architecture=arm64 -o APT::Architectures::=arm64
  -o "APT::Architectures::=$host" -o APT::Sandbox::User=root -o Acquire::Retries=3)
apt-get "${apt[@]}" update >&2
(cd "$dir/packages" && apt-get "${apt[@]}" download libc6 libc6-dev linux-libc-dev libgcc-s1 \
  libstdc++6 libgcc-14-dev libstdc++-14-dev libcrypt1 libswiftlang swiftlang >&2
  # Not this system's own: 7.2 ends where a forked child makes threads; Debian's 10.0 does not.
  apt-get "${apt[@]}" download "qemu-user:$host" >&2)

ln -s usr/lib "$dir/sysroot/lib"
modules=usr/libexec/swift/lib/swift/linux
for package in "$dir"/packages/*.deb; do
  case $package in
    */qemu-user_*) dpkg-deb --fsys-tarfile "$package" | tar -x -C "$dir" --strip-components=3 \
      --one-top-level=bin ./usr/bin/qemu-aarch64 ;;
    # The compiler's package, for its aarch64 modules alone.
    */swiftlang_*) dpkg-deb --fsys-tarfile "$package" |
      tar -x -C "$dir/sysroot" --wildcards "./$modules/*" ;;
    *) dpkg -x "$package" "$dir/sysroot" ;;
  esac
done
mv "$dir/sysroot/$modules" "$dir/runtime"
rm -rf "$dir/packages" "$dir/apt" "$dir/sysroot/usr/libexec" "$dir/sysroot/usr/share/doc"
mkdir -p "$dir/sysroot/usr/lib/swift" "$dir/resources"
ln -s "$dir/runtime" "$dir/sysroot/usr/lib/swift/linux"
ln -s "$dir/runtime" "$dir/resources/linux"
cp -r "$toolchain/lib/swift/shims" "$dir/resources/shims"
ln -s "$("$toolchain/bin/clang" -print-resource-dir)" "$dir/resources/clang"
# This toolchain is newer than Debian's: the textual interfaces serve it, the compiled ones do not.
for interface in "$dir"/runtime/*.swiftmodule/*.swiftinterface; do
  rm -f "${interface%.swiftinterface}.swiftmodule"
done

bundle=$dir/sdks/martlet-aarch64.artifactbundle
mkdir -p "$bundle/aarch64"
cat > "$bundle/info.json" <<JSON
{"schemaVersion": "1.0", "artifacts": {"martlet-aarch64": {"type": "swiftSDK", "version": "0.0.$version",
  "variants": [{"path": "aarch64"}]}}}
JSON
cat > "$bundle/aarch64/swift-sdk.json" <<JSON
{"schemaVersion": "4.0", "targetTriples": {"aarch64-unknown-linux-gnu": {
  "sdkRootPath": "$dir/sysroot", "swiftResourcesPath": "$dir/resources",
  "toolsetPaths": ["toolset.json"]}}}
JSON
cat > "$bundle/aarch64/toolset.json" <<JSON
{"schemaVersion": "1.0", "rootPath": "$toolchain/bin", "swiftCompiler": {"extraCLIOptions":
  ["-use-ld=lld", "-L$dir/sysroot/usr/lib/gcc/aarch64-linux-gnu/14"]}}
JSON
echo "$stamp" > "$dir/stamp"
echo "$dir"
