"""
verify-config knows the rules that the specification names, with their severity, sentence and hint.

The table of acli.md 3.5 is tests/golden/verify/rules.txt. A rule is in store/rules.c, or in the table of
tests/golden/README.md with the reason why not; and none stays there once its element exists.
"""
import glob
import re
import sys

LIST, RULES, README = "tests/golden/verify/rules.txt", "store/rules.c", "tests/golden/README.md"
OURS = {"VC-0119", "VC-0121"}
TEXT = r'"((?:[^"\\]|\\.)*)"'
# The table has one sentence for each case, parted by " / ", and shortens the second
MESSAGES = {
    "VC-0515": "credentials {}",
    "VC-1004": "has ftp-push without push-receiver; has ftp-push without file-output",
}
HINTS = {"VC-0120": "Remove it, or leave it as it is"}  # it names a section of the specification
problems = []

wanted = [tuple(line.rstrip("\n").split(" | ")) for line in open(LIST) if not line.startswith("#")]
rows = re.findall(rf'^\tF?([EWN])\("(\d{{4}})", {TEXT},\s*{TEXT}, {TEXT}\)', open(RULES).read(), re.M)
there = {"VC-" + id: (severity, message, hint) for severity, id, _, message, hint in rows}
missing = {id: (needs, why) for id, needs, why in
           re.findall(r"^\| (VC-\d{4}) \| ([^|]+) \| (.+?) \|$", open(README).read(), re.M)}
elements = {name for path in glob.glob("store/elements/*.c")
            for name in re.findall(r'^\t\.name = "([a-z-]+)"', open(path).read(), re.M)}

if not elements or len(rows) != len(there) or len(wanted) < 165:
    problems.append("this lint does not read its files any more")
for id, severity, _, message, hint in wanted:
    if id in missing and id in there:
        problems.append(f"{README} says that {id} is missing, but it is there")
    if id not in missing and id not in there:
        problems.append(f"{id} is neither in {RULES} nor in the table of {README}")
    needs, why = missing.get(id, ("", ""))
    exist = [name for name in needs.split(", ") if name in elements]
    if why == "no such element yet" and exist:
        problems.append(f"{id} is missing, but its element [{exist[0]}] exists")
    if id not in there:
        continue
    message = MESSAGES.get(id, message.replace(" / ", "; ")).format(message)
    for what, is_, should in zip(("severity", "message", "hint"), there[id],
                                 (severity, message, HINTS.get(id, hint))):
        if is_ != should:
            problems.append(f"{id} has {what} [{is_}], the specification has [{should}]")
for id in sorted(set(there) - {row[0] for row in wanted} - OURS):
    problems.append(f"{id} is not in the specification")
for id in sorted(set(missing) - {row[0] for row in wanted}):
    problems.append(f"{README} names {id}, which is not in the specification")

print("\n".join(problems))
sys.exit(1 if problems else 0)
