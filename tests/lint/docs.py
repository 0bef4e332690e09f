"""
Each public function has a docstring in its header.

A docstring may serve several prototypes that follow each other without a blank line.
"""
import glob
import re
import sys

problems = []
PROTOTYPE = re.compile(
    r"^(?!typedef|static|extern|#|\s|\}|struct [a-z_]+ \{)[a-z][a-z0-9_ *]*?\b([a-z][a-z0-9_]*)\(", re.M)


def chunks(text):
    """Parts of a header between blank lines at the top level, brackets balanced"""
    chunk, depth, comment = [], 0, False
    for line in text.split("\n"):
        if comment or line.lstrip().startswith("/*"):
            comment = "*/" not in line
        else:
            depth += line.count("{") - line.count("}")
        if not line.strip() and not depth and not comment:
            yield "\n".join(chunk)
            chunk = []
        else:
            chunk.append(line)
    yield "\n".join(chunk)


for path in sorted(glob.glob("[a-z]*/**/*.h", recursive=True)):
    if path.startswith(("tests/", "build")):
        continue
    for chunk in chunks(open(path).read()):
        code = re.sub(r"/\*.*?\*/", "", chunk, flags=re.S).strip()
        for match in PROTOTYPE.finditer(code):
            if "/**" not in chunk:
                problems.append(f"{path}: {match.group(1)} has no docstring")

print("\n".join(problems))
sys.exit(1 if problems else 0)
