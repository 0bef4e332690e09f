"""
Each acceptance statement has its tests: the table of tests/func/README.md names 1 to 51 in order, and
only tests that exist.
"""
import os
import re
import sys

FOLDER, STATEMENTS = "tests/func", 51
problems = []
rows = re.findall(r"^\| (\d+) \| (.+?) \|$", open(f"{FOLDER}/README.md").read(), re.M)

for number in range(1, STATEMENTS + 1):
    count = sum(1 for n, _ in rows if int(n) == number)
    if count != 1:
        problems.append(f"statement {number} has {count} rows")
if [int(n) for n, _ in rows] != sorted(int(n) for n, _ in rows):
    problems.append("the rows are not in order")

for number, cell in rows:
    for part in cell.split("; "):
        name, _, tests = part.partition("::")
        path = f"{FOLDER}/{name}.py"
        if not os.path.exists(path):
            problems.append(f"statement {number} names a file that does not exist: {name}")
            continue
        there = re.findall(r"^def (test_\w+)\(", open(path).read(), re.M)
        for test in tests.split(", "):
            if there.count(test) != 1:
                problems.append(f"statement {number}: {name} has {there.count(test)} tests [{test}]")

print("\n".join(problems))
sys.exit(1 if problems else 0)
