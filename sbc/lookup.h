/*
 * Ask DNS for many names at once, on a loop of its own
 *
 * For verify and `dns lookup`: whoever asks has no loop, or may not be held up
 * on it.
 */
#pragma once

#include "store/config.h"
#include "store/outside.h"

/**
 * Ask for all names and wait for what comes of them: 2 s each, 10 s in all
 * (acli.md 3.1)
 *
 * @param cfg  Realms and DNS servers
 * @param v    Names; answer and targets are set
 * @param n    Their number
 *
 * @return 0; ENOMEM; EAGAIN no thread; errno of its loop
 */
int lookup_names(const struct config *cfg, struct outside_name *v, size_t n);
