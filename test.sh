#!/usr/bin/env bash
# Every test: lint, unit, golden, functional with real peers.
#   ./test.sh              all of them
#   ./test.sh unit|lint|func|asan|tsan|bench      a part
#   ./test.sh fuzz SECONDS                   each fuzz target for so long
#   ./test.sh soak SECONDS                   load for so long; without: an hour
#   ./test.sh func -k NAME                   further words go to pytest
set -euo pipefail
cd "$(dirname "$0")"
. .ci/install.sh

part=${1:-all}
[ $# -gt 0 ] && shift

install_packages $BUILD_PACKAGES $TEST_PACKAGES
warnings=$([ "${CI:-}" ] && echo -Dwerror=true || true)
case $part in
asan|tsan|fuzz)
	;;
bench)
	build build-release -Dbuildtype=release -Ddebug=true
	export SBC_BUILD=$PWD/build-release
	;;
*)
	build build $warnings
	;;
esac
if [ "$part" = asan ]; then
	build build-asan -Dbuildtype=debug -Db_sanitize=address,undefined -Db_lundef=false
fi
if [ "$part" = tsan ]; then
	build build-tsan -Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false
fi
exec /usr/bin/python3 tests/run.py "$part" "$@"
