#!/usr/bin/env bash
# The SBC at work, on loopback.
#   ./run.sh               builds, starts sbcd on configs/quickstart.yaml, shows two tenants
#                          calling through a trunk that challenges, and leaves sbcd running
#   ./run.sh FILE.yaml     builds and starts sbcd on FILE.yaml, without the demonstration
# What it writes lies under var/. A second run stops what the first one left.
set -euo pipefail
cd "$(dirname "$0")"
. .ci/install.sh

# stop NAME: end the process of var/NAME.pid if that is still a NAME of ours
stop() {
	local pid
	pid=$(cat "var/$1.pid" 2>/dev/null) || return 0
	if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] &&
		[ "$(readlink "/proc/$pid/cwd")" = "$PWD" ]; then
		say "stopping the $1 of an earlier run"
		kill "$pid" 2>/dev/null || true
		for _ in $(seq 100); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -9 "$pid" 2>/dev/null || true
	fi
	rm -f "var/$1.pid"
}

# Peers of a demonstration that was killed before it could end them
stop_peers() {
	local pid
	while read -r pid; do
		case $(cat "/proc/$pid/comm" 2>/dev/null) in
		kamailio | sipp)
			say "stopping a peer of an earlier run"
			kill "$pid" 2>/dev/null || true
			;;
		esac
	done < <(cat var/peers.pid 2>/dev/null)
	rm -f var/peers.pid
}

start() {
	say "starting sbcd on $1, database $2"
	: >var/sbcd.log
	# --socket is short: a UNIX socket has 107 bytes, wherever this folder lies
	setsid nohup build/sbcd --config "$1" --db "$2" --socket "$socket" \
		>var/sbcd.log 2>&1 </dev/null &
	echo $! >var/sbcd.pid
	for _ in $(seq 100); do
		grep -q '^sbcd: ready' var/sbcd.log && return 0
		kill -0 "$(cat var/sbcd.pid)" 2>/dev/null || break
		sleep 0.1
	done
	cat var/sbcd.log >&2
	stop sbcd
	return 1
}

if [ $# -gt 1 ] || { [ $# = 1 ] && [ ! -r "$1" ]; }; then
	echo "usage: ./run.sh [FILE.yaml]" >&2
	exit 2
fi

if [ $# = 0 ]; then
	install_packages $BUILD_PACKAGES $PEER_PACKAGES
else
	install_packages $BUILD_PACKAGES
fi
mkdir -p var
stop sbcd
stop_peers
build build

if [ $# = 1 ]; then
	socket=var/acli.sock
	start "$1" "var/$(basename "${1%.*}").db"
else
	# The demonstration shows registrations from nothing
	say "clearing var/demo/"
	rm -rf var/demo
	mkdir -p var/demo
	socket=var/demo/acli.sock
	start configs/quickstart.yaml var/demo/sbc.db
	/usr/bin/python3 tests/func/demo.py var/demo var/peers.pid
	rm -f var/peers.pid
fi
say "the SBC goes on running (process $(cat var/sbcd.pid), log var/sbcd.log)"
say "its shell: ./build/acli --socket $socket"
say "to stop it: kill $(cat var/sbcd.pid)"
