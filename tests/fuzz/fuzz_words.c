/*
 * A line that an operator types: cut into words, read as values, masked
 *
 * Words lie in the line and each ends in it; what is masked has no word behind
 * one that names a secret.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "cli/audit.h"
#include "cli/typed.h"
#include "cli/words.h"

static void words(const char *text, size_t n)
{
	char *line = malloc(n + 1);
	struct words w;

	memcpy(line, text, n + 1);
	if (!words_cut(&w, line)) {
		assert(w.n <= WORDS_MAX && w.end <= n);
		for (uint32_t i = 0; i < w.n; i++) {
			assert(w.v[i] >= line && w.v[i] <= line + n);
			assert(w.v[i] + strlen(w.v[i]) <= line + n);
			assert(w.from[i] <= n);
			assert(!i || w.from[i] > w.from[i - 1]);
		}
		assert(!w.filter || (w.filter > line && w.filter <= line + n));
	}
	free(line);
}

static void values(const char *text)
{
	struct pl rest = range_of(text);
	char *word, kind;

	for (size_t before = rest.l + 1; before > rest.l;) {
		before = rest.l;
		if (typed_word(&word, &rest, &kind))
			break;
		mem_deref(word);
	}
}

static void masked(const char *text)
{
	static const char head[] = "password ";
	char out[LINE_MAX_BYTES + 1], line[LINE_MAX_BYTES + 1];
	size_t at = strlen(head);

	audit_mask(out, sizeof(out), text, false);
	assert(strlen(out) < sizeof(out));
	if (strlen(text) > 4000)
		return;
	strcpy(line, head);
	strcpy(line + at, text);
	audit_mask(out, sizeof(out), line, false);
	/* Nothing but masks stands behind the name of a secret */
	for (const char *p = out + strlen("password"); *p;) {
		assert(*p == ' ');
		assert(!strncmp(p + 1, "********", 8));
		p += 9;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size > LINE_MAX_BYTES)
		return 0;
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	words(text, strlen(text));
	values(text);
	masked(text);
	free(text);

	return 0;
}
