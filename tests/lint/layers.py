"""
The line of folders holds: every include points left, or up in the table of its folder.

The order inside a folder is that of the table in its README.md; a pair (x.c, x.h) is one place.
Some headers of libraries may be included by certain files only, others by none.
"""
import glob
import re
import sys

LINE = ["store", "realms", "policy", "sbc", "cli"]
NOWHERE = {"re.h", "re_sip.h", "re_uri.h", "re_tmr.h", "re_tcp.h", "re_tls.h", "re_dns.h",
           "re_srtp.h", "re_sdp.h", "re_websock.h"}
ONCE = {"re_types.h", "re_fmt.h", "re_mem.h", "re_mbuf.h", "re_list.h", "re_sa.h"}
ONLY = {  # header: files that may
    "yaml.h": ["store/yaml.c"],
    "pcre2.h": ["store/value.c"],
    "ares.h": ["sbc/resolver.c"],
    "srtp2/srtp.h": ["sbc/srtp.c"],
    "re_http.h": ["sbc/metrics.c"],
    "histedit.h": ["cli/line.c"],
}
ONLY_LIKE = [  # pattern, files that may
    (r"^openssl/", ["store/seal.c", "store/password.c", "sbc/random.c", "sbc/tls.c", "sbc/digest.c", "sbc/keyset.c"]),
    (r"^systemd/", ["cli/sbcd.c", "store/log.c"]),
    (r"^rem", ["sbc/interwork.c"]),
]
# SQL stays in store; of store the files that have statements of their own
SQL = {f"store/{f}.c" for f in ("database", "versions", "credentials", "registrations", "records",
                                "facts")}
CLOCKS = re.compile(r"\b(clock_gettime|gettimeofday|time\s*\(\s*NULL\s*\)|localtime_r?|gmtime_r?)\b")
CLOCK_FILES = {"sbc/clock.c", "store/log.c"}

problems = []


def table(folder):
    """Files of a folder in the order of its README"""
    rows = re.findall(r"^\| ([a-z0-9_/]+) \|", open(f"{folder}/README.md").read(), re.M)
    return {name: place for place, name in enumerate(r for r in rows if r != "file")}


TABLES = {folder: table(folder) for folder in LINE}


def check_ours(path, header):
    folder, name = path.split("/", 1)[0], re.sub(r"\.[ch]$", "", path.split("/", 1)[1])
    other, target = header.split("/", 1)[0], re.sub(r"\.h$", "", header.split("/", 1)[1])
    if other not in LINE:
        return
    if LINE.index(other) > LINE.index(folder):
        problems.append(f"{path} includes {header}, which is right of it")
    if other != folder or target == name:
        return
    here, there = TABLES[folder].get(name), TABLES[folder].get(target)
    if here is None or there is None:
        return  # map.py says so
    if there > here:
        problems.append(f"{path} includes {header}, which stands below it in {folder}/README.md")


def check_library(path, header):
    if header in NOWHERE:
        problems.append(f"{path} includes {header}, which nobody may")
    if header in ONCE and path != "store/base.h":
        problems.append(f"{path} includes {header}; store/base.h has it")
    if header in ONLY and path not in ONLY[header]:
        problems.append(f"{path} includes {header}, which is for {', '.join(ONLY[header])}")
    for pattern, files in ONLY_LIKE:
        if re.search(pattern, header) and path not in files:
            problems.append(f"{path} includes {header}, which is for {', '.join(files)}")
    if header == "sqlite3.h" and path not in SQL:
        problems.append(f"{path} includes sqlite3.h outside of the files of store that know SQL")


for folder in LINE:
    for path in sorted(glob.glob(f"{folder}/**/*.[ch]", recursive=True)):
        text = open(path).read()
        for header in re.findall(r'^#include "([^"]+)"', text, re.M):
            check_ours(path, header)
        for header in re.findall(r"^#include <([^>]+)>", text, re.M):
            check_library(path, header)
        if CLOCKS.search(re.sub(r"/\*.*?\*/", "", text, flags=re.S)) and path not in CLOCK_FILES:
            problems.append(f"{path} asks a clock; sbc/clock.h is for that")

print("\n".join(problems))
sys.exit(1 if problems else 0)
