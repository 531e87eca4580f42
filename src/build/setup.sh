#!/bin/sh
# From a bare clone to a built dist/: checks Node and root, installs Debian and npm packages, builds.
#   setup.sh [run|test|bench]     which Debian packages are wanted (vagrant/provision.sh)
set -eu
cd "$(dirname "$0")/../.."

node_version=$(node --version 2>/dev/null || echo none)
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null; then
  echo "rkt needs Node 20.19 or newer; found: $node_version" >&2
  exit 1
fi

as_root=''
if [ "$(id -u)" != 0 ]; then
  if command -v sudo >/dev/null; then
    as_root='sudo'
  else
    echo "pods need root: run this as root, or install sudo" >&2
    exit 1
  fi
fi
$as_root sh vagrant/provision.sh "${1:-test}"

# npm writes this marker; a lock file that changed since means packages that changed.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "installing npm packages"
  # Not npm ci: it refuses a lock file as long as any registry lacks an optional package of any other platform.
  npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error
  touch node_modules/.package-lock.json
fi
node_modules/.bin/node src/build/main.ts
