/*
 * Rotate a file: FILE becomes FILE.1, that FILE.2, and the last one goes
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include "store/rotate.h"

enum {
	NAME_BYTES = PATH_MAX + 16
};

static void name_of(char name[NAME_BYTES], const char *path, uint32_t n)
{
	if (n)
		(void)snprintf(name, NAME_BYTES, "%s.%u", path, n);
	else
		(void)snprintf(name, NAME_BYTES, "%s", path);
}

void rotate(const char *path, uint32_t kept)
{
	char from[NAME_BYTES], to[NAME_BYTES];

	/* A missing older file is usual; a full disk shows when the new one is
	 * written */
	for (uint32_t i = kept - 1; i > 0; i--) {
		name_of(from, path, i - 1);
		name_of(to, path, i);
		(void)rename(from, to);
	}
	if (kept == 1)
		(void)unlink(path);
}
