"""
The map is true: each file of a folder has one row in its README.md, and opens with its sentence.
"""
import glob
import os
import re
import sys

problems = []

for folder in ("store", "realms", "policy", "sbc", "cli"):
    rows = dict(re.findall(r"^\| ([a-z0-9_/]+) \| (.+?) \|$", open(f"{folder}/README.md").read(), re.M))
    rows.pop("file", None)
    files = {}
    for path in glob.glob(f"{folder}/**/*.[ch]", recursive=True):
        files.setdefault(os.path.splitext(path)[0][len(folder) + 1:], []).append(path)
    for name in sorted(set(rows) - set(files)):
        problems.append(f"{folder}/README.md has a row [{name}] without a file")
    for name in sorted(set(files) - set(rows)):
        problems.append(f"{folder}/README.md has no row for [{name}]")
    for name in sorted(set(files) & set(rows)):
        for path in sorted(files[name]):
            lines = open(path).read().split("\n", 3)
            # A sentence of the map may go on in the second line of the comment
            first = " ".join(line.removeprefix(" * ").strip() for line in lines[1:3])
            if lines[0] != "/*" or not first.startswith(rows[name]):
                problems.append(f"{path} does not open with: {rows[name]}")

print("\n".join(problems))
sys.exit(1 if problems else 0)
