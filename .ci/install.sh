# Debian 12 packages that are missing are installed; sourced by run.sh and test.sh.
# Needs root or sudo for that alone.

BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config libre-dev librem-dev
 libssl-dev libsqlite3-dev libyaml-dev libpcre2-dev libc-ares-dev libsrtp2-dev
 libedit-dev libsystemd-dev libjemalloc-dev libcmocka-dev"
PEER_PACKAGES="kamailio kamailio-extra-modules sip-tester python3 procps"
TEST_PACKAGES="$PEER_PACKAGES python3-pytest python3-pytest-xdist python3-yaml python3-pexpect baresip-core baresip-ffmpeg
 tshark dnsmasq-base sqlite3 clang clang-format-14 libclang-rt-14-dev iproute2
 binutils git man-db"

say() { printf '== %s\n' "$*"; }

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# A package counts only when dpkg has it fully installed
missing() {
	for p in "$@"; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null |
			grep -q '^install ok installed' || printf '%s ' "$p"
	done
}

install_packages() {
	need=$(missing "$@")
	[ -z "$need" ] && return 0
	say "installing $need"
	export DEBIAN_FRONTEND=noninteractive
	# One retry with fresh lists: those of an image may be old or absent
	as_root apt-get install -y -q --no-install-recommends $need >/dev/null 2>&1 ||
		{ as_root apt-get update -q >/dev/null &&
		  as_root apt-get install -y -q --no-install-recommends $need >/dev/null; }
}

# build DIRECTORY [meson options]
build() {
	dir=$1
	shift
	say "building in $dir/"
	[ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" >"$dir.log" 2>&1 ||
		{ cat "$dir.log"; rm -f "$dir.log"; return 1; }
	rm -f "$dir.log"
	ninja -C "$dir" --quiet
}
