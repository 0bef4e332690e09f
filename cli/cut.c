/*
 * A long list: no more than N rows of it, and how many more there are
 */
#include <string.h>
#include "store/base.h"
#include "cli/arguments.h"
#include "cli/cut.h"
#include "cli/json.h"

bool cut_words(struct cut *c, struct reply *r, const struct words *w,
	       uint32_t at, struct words *rest)
{
	uint64_t n = CUT_LIMIT;
	uint32_t i = at;

	if (rest != w)
		*rest = *w;
	while (i < w->n && strcmp(w->v[i], "limit") != 0)
		i++;
	if (i + 1 == w->n) {
		reply_error(r, REPLY_ARGUMENT, "Missing N");
		return false;
	}
	if (i < w->n) {
		if (!arguments_number(r, w, i + 1, "limit", 0, UINT32_MAX, &n))
			return false;
		rest->n -= 2;
		for (; i < rest->n; i++) {
			rest->v[i] = rest->v[i + 2];
			rest->from[i] = rest->from[i + 2];
		}
	}
	*c = (struct cut){ .limit = (uint32_t)n };
	return true;
}

bool cut_row(struct cut *c)
{
	return c->rows++ < c->limit;
}

bool cut_is_full(const struct cut *c)
{
	return c->rows >= c->limit;
}

bool cut_end(const struct cut *c, struct reply *r)
{
	if (c->rows <= c->limit)
		return false;
	if (r->json && !r->nested)
		json_number(r, "more", c->rows - c->limit);
	else if (!r->json)
		reply_line(r, "... %u more", c->rows - c->limit);
	return true;
}
