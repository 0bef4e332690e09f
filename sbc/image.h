/*
 * The code of the program in pages of 2 MiB
 *
 * A message runs through some hundred functions, each on a page of its own as
 * far as the processor is concerned, and whoever ran meanwhile has driven their
 * addresses out of its cache. On a virtual machine a miss there costs two walks
 * through page tables. In one large page all code is one address.
 */
#pragma once

/**
 * Put the code of the program, not that of its libraries, into large pages. Once,
 * before there is another thread
 *
 * The code is copied into a sealed file in memory, which is mapped where the code
 * was: never writable and executable at the same time. A tracer can set its
 * breakpoints; valgrind and perf find no symbols there (meson -Dlarge-code=false).
 *
 * @return 0; ENOTSUP not linked for it, see meson.build; else errno of what the
 *         kernel refused. Then the program runs on as it was
 */
int image_enlarge(void);
