/*
 * Rotate a file: FILE becomes FILE.1, that FILE.2, and the last one goes
 */
#include <errno.h>
#include <fcntl.h>
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

int rotate_open(int *fdp, const char *path, int flags, mode_t mode,
		struct stat *st)
{
	int err = 0, fd;

	fd = open(path,
		  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK |
			  flags,
		  mode);
	if (fd < 0)
		return errno == ENXIO ? EINVAL : errno; /* nobody reads it */
	if (fstat(fd, st))
		err = errno;
	else if (!S_ISREG(st->st_mode))
		err = EINVAL;
	if (err)
		(void)close(fd);
	else
		*fdp = fd;

	return err;
}
