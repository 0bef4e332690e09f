#!/usr/bin/env bash
# The formatting is that of .clang-format (clang-format 14)
files=$(find store realms policy sbc cli tests -name '*.[ch]')
# shellcheck disable=SC2086
clang-format-14 --dry-run -Werror $files 2>&1 | grep -E 'error:' | cut -d: -f1 | sort | uniq -c
exit "$((${PIPESTATUS[0]} != 0))"
