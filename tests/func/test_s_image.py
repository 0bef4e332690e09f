"""The code of sbcd lies in a page of 2 MiB, where the kernel gives one (sbc/image.h)."""
import ctypes
import mmap
import re

import pytest

MADV_COLLAPSE = 25
LARGE = 2 << 20


def gives_large_pages():
    """Does this kernel collapse memory at once (Linux 6.1)?"""
    libc = ctypes.CDLL(None, use_errno=True)
    memory = mmap.mmap(-1, 2 * LARGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = b"x" * len(memory)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    at = (at + LARGE - 1) // LARGE * LARGE
    return libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(LARGE), MADV_COLLAPSE) == 0


def test_the_code_of_sbcd_is_one_page_that_cannot_be_written(sbc, trunk, pbx_a):
    if not gives_large_pages():
        pytest.skip("this kernel has no MADV_COLLAPSE")
    sbc.start().registered()
    smaps = open(f"/proc/{sbc.process.pid}/smaps").read()
    found = re.search(r"^\S+ (\S+) .*memfd:sbcd code.*\n(?:[A-Z].*\n)*?ShmemPmdMapped: +(\d+)", smaps, re.M)
    if not found:
        assert re.search("lib[at]san", smaps), "in small pages"
        pytest.skip("a sanitizer's build")
    assert found.group(1) == "r-xp" and int(found.group(2)) >= 2048
    assert not re.search(r"^\S+ rwx", smaps, re.M)
    pbx_a.calls("0301234").until_answered().hang_up()
