"""
Run the parts of the test suite and count what passed and failed.

Called by test.sh. Each part gives (passed, failed, skipped); the last line printed is their sum,
and the exit status is 0 only when nothing failed.
"""
import glob
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"
UNIT_LIMIT = 120  # [s] for one test program
SANITIZED = 5     # times slower, and more
# What more than one thread has a hand in
THREADED = ("sbc_mailbox", "sbc_media", "sbc_forward", "sbc_counters", "sbc_worker", "sbc_job",
            "sbc_alarm", "store_database", "store_registrations", "store_records",
            "store_credentials", "store_log", "realms_ports", "realms_rate", "realms_capacity")
THREADED_CALLS = ("test_b_calls", "test_m_media", "test_r_registration", "test_u_change")
# All functional tests hold with several signalling workers, too (SBC_WORKERS=N); these in each run
WORKERS = "3"
OF_WORKERS = ("test_b_calls", "test_d_dialogs", "test_d_transparency", "test_p_agents", "test_t_tcp",
              "test_u_change", "test_u_statistics")
SIDE_BY_SIDE = 4  # functional tests


def say(text):
    print(f"== {text}", flush=True)


def lint():
    say("lint")
    passed = failed = 0
    for script in sorted(glob.glob(f"{ROOT}/tests/lint/*")):
        command = {".py": [PYTHON, script], ".sh": ["bash", script]}.get(os.path.splitext(script)[1])
        if not command:
            continue
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if result.returncode:
            failed += 1
            print(f"FAILED {os.path.basename(script)}\n{result.stdout}{result.stderr}")
        else:
            passed += 1
    return passed, failed, 0


def unit(build="build", names=("*",)):
    say(f"unit tests in {build}/")
    passed = failed = 0
    limit = UNIT_LIMIT * (SANITIZED if build != "build" else 1)
    programs = sorted(p for name in names for p in glob.glob(f"{ROOT}/{build}/tests/test_{name}"))
    for program in (p for p in programs if os.access(p, os.X_OK) and os.path.isfile(p)):
        try:
            result = subprocess.run([program], cwd=ROOT, capture_output=True, text=True,
                                    errors="replace", timeout=limit)
            output, code = result.stdout + result.stderr, result.returncode
        except subprocess.TimeoutExpired as late:
            output, code = f"{late.output}\nno end within {limit} s", -1
        good = len(re.findall(r"^\[ +OK \]", output, re.M))
        bad = len(re.findall(r"^\[  FAILED  \] [^:\n]*:?[^\n]*$", output, re.M)) // 2
        passed += good
        if code:
            failed += max(bad, 1)
            print(f"FAILED {os.path.basename(program)}\n{output[-6000:]}")
    if not programs:
        failed += 1
        print("FAILED no test program was built")
    return passed, failed, 0


def func(words, build="build", files=None, workers="1"):
    say("functional tests with real peers" + (f", {workers} workers" if workers != "1" else ""))
    report = f"{ROOT}/{build}/func.xml"
    if os.path.exists(report):
        os.unlink(report)
    environment = dict(os.environ, SBC_BUILD=f"{ROOT}/{build}")
    environment.setdefault("SBC_WORKERS", workers)
    # They wait more than they work, and each has a network of its own
    subprocess.run([PYTHON, "-m", "pytest", "-q", "-ra", "--tb=short", "-p", "no:cacheprovider", "-n", str(SIDE_BY_SIDE),
                    f"--junitxml={report}", *(files or ["tests/func"]), *words], cwd=ROOT, env=environment)
    if not os.path.exists(report):
        return 0, 1, 0
    suite = xml.parse(report).getroot().find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    return total - failed - skipped, failed + (total == 0), skipped


def fuzz(seconds):
    """Each target for so many seconds, with its corpus as seeds"""
    passed = failed = 0
    out = f"{ROOT}/build-fuzz"
    os.makedirs(out, exist_ok=True)
    built = subprocess.run(["bash", f"{ROOT}/tests/fuzz/build.sh", out], cwd=ROOT)
    if built.returncode:
        return 0, 1, 0
    for target in sorted(glob.glob(f"{ROOT}/tests/fuzz/fuzz_*.c")):
        name = os.path.splitext(os.path.basename(target))[0]
        found = f"{out}/corpus-{name}"
        os.makedirs(found, exist_ok=True)
        seeds = f"{ROOT}/tests/fuzz/corpus/{name[5:]}"
        say(f"{name} for {seconds} s")
        result = subprocess.run(
            [f"{out}/{name}", f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
             f"-artifact_prefix={out}/{name}-", found] + ([seeds] if os.path.isdir(seeds) else []),
            capture_output=True, text=True, errors="replace")
        if result.returncode:
            failed += 1
            print(f"FAILED {name}\n{result.stderr[-4000:]}")
        else:
            passed += 1
            print(result.stderr.strip().splitlines()[-1])
    return passed, failed, 0


def named(names):
    return [f"tests/func/{name}.py" for name in names]


def tsan(words):
    """What has threads, under ThreadSanitizer: a report fails its test (tests/tsan.supp)"""
    os.environ["TSAN_OPTIONS"] = f"suppressions={ROOT}/tests/tsan.supp"
    return [unit("build-tsan", THREADED),
            func(words, "build-tsan", named(THREADED_CALLS)),
            func(words, "build-tsan", named(THREADED_CALLS), WORKERS)]


def sequences(seconds):
    """Random sequences against the core, other ones each time"""
    say("random sequences")
    environment = dict(os.environ, SEED=str(int(time.time())), RUNS=str(50 * seconds))
    result = subprocess.run([f"{ROOT}/build/tests/test_sbc_sequences"], cwd=ROOT, env=environment,
                            capture_output=True, text=True, errors="replace")
    if result.returncode:
        print(f"FAILED test_sbc_sequences\n{(result.stdout + result.stderr)[-6000:]}")
    return int(not result.returncode), int(bool(result.returncode)), 0


def soak(seconds):
    """What takes longer than a minute (quality.md "Survival"), with its figures"""
    os.environ["SBC_SOAK"] = str(seconds)
    return func(["-s", "-k", "soak or survival or power or test_u_load"])


def bench():
    return (1, 0, 0) if not subprocess.run([PYTHON, "tests/bench/bench.py"], cwd=ROOT).returncode \
        else (0, 1, 0)


def main(part, words):
    if part == "all":
        counts = [lint(), unit(), func(words), func(words, files=named(OF_WORKERS), workers=WORKERS)]
    elif part == "asan":
        counts = [unit("build-asan"), func(words, "build-asan")]
    elif part == "fuzz":
        counts = [fuzz(int(words[0]) if words else 60)]
    elif part == "soak":
        seconds = int(words[0]) if words else 3600
        counts = [sequences(seconds), soak(seconds)]
    elif part == "tsan":
        counts = tsan(words)
    elif part in ("lint", "unit", "bench"):
        counts = [{"lint": lint, "unit": unit, "bench": bench}[part]()]
    elif part == "func":
        counts = [func(words)]
    else:
        sys.exit(f"test.sh: no part [{part}]: unit, lint, func, asan, tsan, fuzz SECONDS, soak SECONDS, bench")
    passed, failed, skipped = (sum(column) for column in zip(*counts))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
