/*
 * Rotate a file: FILE becomes FILE.1, that FILE.2, and the last one goes
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

/**
 * Make room for a new file of this name; the open one goes on under its new name
 *
 * @param path  File
 * @param kept  How many there are, with the new one; 1: the old one is deleted
 */
void rotate(const char *path, uint32_t kept);

/**
 * Open a file for writing at its end, made if there is none; nothing else than a
 * regular file, and without ever waiting: a FIFO of this name would hold its
 * writer until somebody reads
 *
 * @param fdp    Set to the descriptor
 * @param path   File
 * @param flags  More of open(): O_TRUNC, O_NOFOLLOW
 * @param mode   Of a new file
 * @param st     Set to what fstat() says of it
 *
 * @return 0; EINVAL it is no regular file; errno of open()
 */
int rotate_open(int *fdp, const char *path, int flags, mode_t mode,
		struct stat *st);
