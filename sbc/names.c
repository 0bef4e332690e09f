/*
 * Call-IDs, tags, branches and session ids of ours: make and recognise
 *
 * 32 letters, five random bits each: tags and branches are compared without
 * case (RFC 3261 7.3.1), so there is one case only. A tag has 70 random bits
 * (19.3 asks for 32), a Call-ID 125, a branch 95. Two letters name the worker.
 */
#include <string.h>
#include <strings.h>
#include "sbc/names.h"
#include "sbc/random.h"

enum {
	WORKER = 2, /* letters, ahead of the random ones */
	LONGEST = CALLID_SIZE
};

static const char alphabet[] = "0123456789abcdefghijklmnopqrstuv";
static const char cookie[] = "z9hG4bK"; /* RFC 3261 8.1.1.7 */
enum {
	COOKIE = sizeof(cookie) - 1
};

static void name_make(char *p, size_t n, uint8_t worker)
{
	uint8_t bytes[LONGEST];

	random_fill(bytes, n - WORKER);
	p[0] = alphabet[worker / 32];
	p[1] = alphabet[worker % 32];
	for (size_t i = WORKER; i < n; i++)
		p[i] = alphabet[bytes[i - WORKER] % 32];
	p[n] = '\0';
}

static int letter_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'v')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'V')
		return c - 'A' + 10;
	return -1;
}

static bool name_read(const char *p, size_t n, uint8_t *worker)
{
	for (size_t i = 0; i < n; i++) {
		if (letter_value(p[i]) < 0)
			return false;
	}
	if (letter_value(p[0]) >= 256 / 32)
		return false;

	*worker = (uint8_t)(letter_value(p[0]) * 32 + letter_value(p[1]));
	return true;
}

void names_tag(char tag[TAG_SIZE], uint8_t worker)
{
	name_make(tag, TAG_SIZE - 1, worker);
}

void names_callid(char callid[CALLID_SIZE], uint8_t worker)
{
	name_make(callid, CALLID_SIZE - 1, worker);
}

void names_branch(char branch[BRANCH_SIZE], uint8_t worker)
{
	memcpy(branch, cookie, COOKIE);
	name_make(branch + COOKIE, BRANCH_SIZE - 1 - COOKIE, worker);
}

bool names_is_tag(const struct pl *tag, uint8_t *worker)
{
	return tag->l == TAG_SIZE - 1 && name_read(tag->p, tag->l, worker);
}

bool names_is_callid(const struct pl *callid, uint8_t *worker)
{
	return callid->l == CALLID_SIZE - 1 &&
	       name_read(callid->p, callid->l, worker);
}

bool names_is_branch(const struct pl *branch, uint8_t *worker)
{
	return branch->l == BRANCH_SIZE - 1 &&
	       !strncasecmp(branch->p, cookie, COOKIE) &&
	       name_read(branch->p + COOKIE, branch->l - COOKIE, worker);
}
