"""
No function of ours has the name of one of libre's or librem's.

They are linked dynamically: ours would take the place of theirs inside the library.
"""
import glob
import subprocess
import sys


def names(arguments, path):
    out = subprocess.run(["nm", *arguments, path], capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines() if len(line.split()) == 3 and
            line.split()[1] in "TDBR"}


theirs = set()
for library in ("libre", "librem"):
    for path in glob.glob(f"/usr/lib/*/{library}.so"):
        theirs |= names(["-D", "--defined-only"], path)
ours = set()
for path in glob.glob("build/*/lib*.a"):
    ours |= names(["--defined-only"], path)

clash = sorted(ours & theirs)
if not theirs or not ours:
    print("libraries not found: build first")
print("\n".join(f"{name} is a function of libre" for name in clash))
sys.exit(1 if clash or not theirs or not ours else 0)
