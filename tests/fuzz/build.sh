#!/usr/bin/env bash
# Build every fuzz target into the folder that is given: clang, libFuzzer,
# AddressSanitizer and UBSan. The libraries are compiled once into an archive.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1
mkdir -p "$out/objects"

flags="-std=gnu11 -O1 -g -D_GNU_SOURCE -DHAVE_INTTYPES_H -DHAVE_STDBOOL_H -DHAVE_INET6
 -DUSE_OPENSSL -DUSE_TLS -DHAVE_PTHREAD -DRELEASE -I. -isystem /usr/include/re
 -fno-sanitize-recover=undefined -Wno-gnu-folding-constant"
# The folder store has a yaml.h of its own: only the top folder is searched
compile() {
	clang $flags -fsanitize=fuzzer-no-link,address,undefined -c "$1" -o "$2"
}
export -f compile
export flags

rm -f "$out/libsbc.a"
newest=$(ls -t store/*.h store/elements/*.h realms/*.h policy/*.h sbc/*.h | head -1)
objects=()
pids=0
for source in store/*.c store/elements/*.c realms/*.c policy/*.c sbc/*.c cli/words.c cli/typed.c cli/choices.c cli/audit.c; do
	object=$out/objects/$(echo "${source%.c}" | tr / _).o
	objects+=("$object")
	if [ "$source" -nt "$object" ] || [ "$newest" -nt "$object" ]; then
		# What does not compile must be missed by ar
		rm -f "$object"
		compile "$source" "$object" &
		pids=$((pids + 1))
		[ $((pids % 2)) = 0 ] && wait
	fi
done
wait
ar rcs "$out/libsbc.a" "${objects[@]}"

for target in tests/fuzz/fuzz_*.c; do
	name=$(basename "$target" .c)
	# A fake that a target includes takes the place of the real file
	fakes=$(sed -n 's|^#include "\(tests/unit/\)\{0,1\}\(fake_[a-z]*\)\.h"|tests/unit/\2.c|p' "$target")
	clang $flags -Itests/unit -fsanitize=fuzzer,address,undefined "$target" $fakes "$out/libsbc.a" -o "$out/$name" \
		-lre -lsqlite3 -lyaml -lpcre2-8 -lcrypto -lssl -lcares -lsystemd -lpthread
done
