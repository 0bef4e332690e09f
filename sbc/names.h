/*
 * Call-IDs, tags, branches and session ids of ours: make and recognise
 *
 * Random, of a fixed length, without an address. The first characters name the
 * worker, so a message finds it without a look-up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/base.h"

enum {
	TAG_SIZE = 17, /* with the ending zero */
	CALLID_SIZE = 28,
	BRANCH_SIZE = 29 /* "z9hG4bK" and the rest */
};

/** Make a new one; it names the worker that makes it */
void names_tag(char tag[TAG_SIZE], uint8_t worker);
void names_callid(char callid[CALLID_SIZE], uint8_t worker);
void names_branch(char branch[BRANCH_SIZE], uint8_t worker);

/** Is it of the form that we make? Then worker is set. A stranger can make the
 *  form too: the worker is checked against those there are */
bool names_is_tag(const struct pl *tag, uint8_t *worker);
bool names_is_callid(const struct pl *callid, uint8_t *worker);
bool names_is_branch(const struct pl *branch, uint8_t *worker);
