/*
 * Rotate a file: FILE becomes FILE.1, that FILE.2, and the last one goes
 */
#pragma once

#include <stdint.h>

/**
 * Make room for a new file of this name; the open one goes on under its new name
 *
 * @param path  File
 * @param kept  How many there are, with the new one; 1: the old one is deleted
 */
void rotate(const char *path, uint32_t kept);
