#!/bin/sh
# Installs the Debian packages rkt needs; the one place that lists them (npm start, npm test, the VM).
#   provision.sh [run|test|bench]     test and bench include run; default: test
set -eu

# To build and to run pods; to check and to decompress images.
run='crun busybox-static gcc libc6-dev gpgv xz-utils bzip2 zstd'
# Oracles and real counterparts in the tests, and what rkt is measured against.
test='apache2-utils docker-registry tcpdump dnsmasq-base iproute2 nftables containernetworking-plugins podman skopeo umoci strace procps gnupg openssl bsdutils'

case "${1:-test}" in
  run) wanted="$run" ;;
  test | bench) wanted="$run $test" ;;
  *) echo "usage: provision.sh [run|test|bench]" >&2; exit 2 ;;
esac

missing=''
for package in $wanted; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "missing Debian packages:$missing" >&2
  echo "run as root: apt-get install --no-install-recommends$missing" >&2
  exit 1
fi
command -v apt-get >/dev/null || { echo "no apt-get here; install by hand:$missing" >&2; exit 1; }
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 -- a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null
