/*
 * A line to words
 */
#include <errno.h>
#include <string.h>
#include "cli/words.h"

/* Copy one word to `out`, which is never ahead of `in`. 0; EINVAL */
static int word_take(char **in, char **out)
{
	char *p = *in, *q = *out;
	bool quoted = false;

	for (; *p && (quoted || (*p != ' ' && *p != '\t' && *p != '|')); p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted && *p == '\\' && (p[1] == '"' || p[1] == '\\'))
			*q++ = *++p;
		else
			*q++ = *p;
	}
	*in = p;
	*out = q;
	return quoted ? EINVAL : 0;
}

int words_cut(struct words *words, char *line)
{
	char *p = line, *out = line;

	memset(words, 0, sizeof(*words));
	for (;;) {
		char *begin;
		char stop;

		p += strspn(p, " \t\r\n");
		words->end = (uint32_t)(p - line);
		if (!*p || (*p == '#' && !words->n))
			return 0;
		if (*p == '|') {
			words->filter = p + 1;
			return 0;
		}
		if (words->n == WORDS_MAX)
			return E2BIG;

		begin = out;
		words->from[words->n] = words->end;
		if (word_take(&p, &out))
			return EINVAL;
		words->end = (uint32_t)(p - line);
		stop = *p;
		*out++ = '\0';
		words->v[words->n++] = begin;
		if (stop == '|') {
			words->filter = p + 1;
			return 0;
		}
		if (!stop)
			return 0;
		p++;
	}
}
