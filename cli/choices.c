/*
 * Words that are possible at a place: match, abbreviate, suggest
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "cli/choices.h"

enum {
	SHOWN = 12,     /* possibilities in an error (acli.md 1.6) */
	NEAR = 2,       /* letters that may be wrong */
	NEAR_BYTES = 64 /* of a word that is compared so */
};

static const struct choice *find(const struct choices *c, const char *word)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].word, word))
			return &c->v[i];
	return NULL;
}

void choices_add(struct choices *c, const struct choice *choice)
{
	struct choice *to;

	if (find(c, choice->word))
		return;
	if (c->n == c->room) {
		size_t room = c->room ? 2 * c->room : 32;
		void *v = realloc(c->v, room * sizeof(*c->v));

		if (!v)
			return;
		c->v = v;
		c->room = room;
	}
	to = &c->v[c->n];
	*to = *choice;
	to->word = strdup(choice->word);
	to->help = strdup(choice->help ? choice->help : "");
	if (to->word && to->help) {
		c->n++;
		return;
	}
	free(to->word);
	free(to->help);
}

void choices_word(struct choices *c, enum choice_kind kind, const char *word,
		  const char *help, const void *what)
{
	struct choice choice = { .word = (char *)word,
				 .help = (char *)help,
				 .what = what,
				 .kind = kind };

	choices_add(c, &choice);
}

static void drop(struct choice *choice)
{
	free(choice->word);
	free(choice->help);
}

void choices_clear(struct choices *c)
{
	for (size_t i = 0; i < c->n; i++)
		drop(&c->v[i]);
	free(c->v);
	memset(c, 0, sizeof(*c));
}

static bool begins(const char *word, const char *typed)
{
	return !strncmp(word, typed, strlen(typed));
}

bool choices_begin(const struct choices *c, const char *typed)
{
	for (size_t i = 0; i < c->n; i++)
		if (begins(c->v[i].word, typed))
			return true;
	return false;
}

int choices_pick(const struct choices *c, const char *typed,
		 const struct choice **choice)
{
	const struct choice *only = find(c, typed);
	size_t n = 0;

	if (only) {
		*choice = only;
		return 0;
	}
	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].full || !begins(c->v[i].word, typed))
			continue;
		only = &c->v[i];
		n++;
	}
	if (n != 1)
		return n ? EEXIST : ENOENT;
	*choice = only;
	return 0;
}

static int by_word(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	return strcmp(x->word, y->word);
}

void choices_narrow(struct choices *c, const char *typed)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (begins(c->v[i].word, typed))
			c->v[n++] = c->v[i];
		else
			drop(&c->v[i]);
	}
	c->n = n;
	if (n)
		qsort(c->v, n, sizeof(*c->v), by_word);
}

int choices_print(struct re_printf *pf, const struct choices_list *list)
{
	const struct choices *c = list->c;
	const char *last = "";
	size_t shown = 0;
	int err = 0;

	/* The next one in the order of the alphabet, each time: they are few */
	while (shown < SHOWN) {
		const char *next = NULL;

		for (size_t i = 0; i < c->n; i++) {
			const char *word = c->v[i].word;

			if (strcmp(word, last) > 0 &&
			    (!next || strcmp(word, next) < 0) &&
			    (!list->typed ||
			     (begins(word, list->typed) && !c->v[i].full)))
				next = word;
		}
		if (!next)
			return err;
		err |= re_hprintf(pf, "%s%s", shown++ ? ", " : "", next);
		last = next;
	}
	return err | re_hprintf(pf, ", ...");
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Letters to add, drop or change (Levenshtein) */
static size_t distance(const char *a, const char *b)
{
	size_t row[NEAR_BYTES + 1], n = strlen(a), m = strlen(b);

	if (n > NEAR_BYTES || m > NEAR_BYTES)
		return NEAR + 1;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t above = row[j];

			row[j] = least(corner + (a[i - 1] != b[j - 1]),
				       least(above, row[j - 1]) + 1);
			corner = above;
		}
	}
	return row[m];
}

const char *choices_near(const struct choices *c, const char *typed)
{
	size_t best = NEAR + 1;
	const char *near = NULL;

	/* Two wrong letters of three are another word */
	if (strlen(typed) < 3)
		return NULL;
	for (size_t i = 0; i < c->n; i++) {
		size_t d = distance(c->v[i].word, typed);

		if (d < best) {
			best = d;
			near = c->v[i].word;
		}
	}
	return near;
}
