/*
 * Every rule of verify-config: id, severity, sentence and hint
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "store/rules.h"

/* clang-format off */
/* p and q are parameters, v and w values, T an element, k a key (acli.md 3.5) */
const struct rule_text rules[] = {
	{ "VC-0104", SEVERITY_ERROR,   "required parameter empty",
	  "is missing p entry", "Set p" },
	{ "VC-0105", SEVERITY_ERROR,   "value of wrong type, range or word, or name with forbidden characters",
	  "has invalid p [v]", "Allowed: RANGE", true },
	{ "VC-0106", SEVERITY_ERROR,   "same key twice",
	  "is defined more than once", "Remove or rename one", true },
	{ "VC-0108", SEVERITY_ERROR,   "unknown element or parameter",
	  "has unknown parameter [p]; Unknown element [v]", "Did you mean [q]?", true },
	{ "VC-0119", SEVERITY_NOTE,    "parameter is not default but this version does not serve it",
	  "has p [v] which has no effect in this version", "Leave p at its default" },
	{ "VC-0117", SEVERITY_NOTE,    "verify-ignore names an unknown id, an ERROR, or matched nothing",
	  "has verify-ignore [v] without effect", "Remove it" },
	{ "VC-0120", SEVERITY_NOTE,    "element, parameter or word that the SBC knows but has no use for",
	  "is not needed and was left out", "Remove it, or leave it as it is", true },
	{ "VC-0121", SEVERITY_ERROR,   "the text is not YAML, or uses more of YAML than a configuration needs",
	  "The text is not YAML", "", true },
	{ NULL, SEVERITY_ERROR, NULL, NULL, NULL, false },
};
/* clang-format on */

static void finding_destructor(void *arg)
{
	struct finding *f = arg;

	list_unlink(&f->le);
	mem_deref(f->key);
	mem_deref(f->parent_key);
	mem_deref(f->parameter);
	mem_deref(f->value);
	mem_deref(f->message);
	mem_deref(f->hint);
}

static int text_dup(char **to, const char *from)
{
	return from ? str_dup(to, from) : 0;
}

/* The key; nothing where it is not yet known */
static int key_dup(char **to, const struct element *type, const void *item)
{
	struct item_ref ref = { type, item };
	int err;

	if (!type || !item || (type->flags & SINGLE))
		return 0;

	err = re_sdprintf(to, "%H", item_key_print, &ref);
	if (!err && !**to)
		*to = mem_deref(*to);

	return err;
}

/* "SUB [KEY] from ELEMENT [KEY] sentence" */
static int message_make(struct finding *f, const char *sentence)
{
	if (!f->element || isupper((unsigned char)sentence[0]))
		return str_dup(&f->message, sentence);

	return re_sdprintf(
		&f->message, "%s%s%s%s%s%s%s%s%s %s", f->element->name,
		f->key ? " [" : "", f->key ? f->key : "", f->key ? "]" : "",
		f->parent ? " from " : "", f->parent ? f->parent->name : "",
		f->parent_key ? " [" : "", f->parent_key ? f->parent_key : "",
		f->parent_key ? "]" : "", sentence);
}

const struct rule_text *rule_find(const char *id)
{
	for (const struct rule_text *r = rules; r->id; r++) {
		if (!strcmp(r->id, id))
			return r;
	}

	return NULL;
}

int finding_add(struct list *findings, const char *id,
		const struct finding_about *about, const char *fmt, ...)
{
	const char *parameter =
		about->field ? about->field->name : about->parameter;
	char *sentence = NULL;
	struct finding *f;
	va_list ap;
	int err, n;

	f = mem_zalloc(sizeof(*f), finding_destructor);
	if (!f)
		return ENOMEM;

	f->rule = rule_find(id);
	assert(f->rule);
	f->severity = about->severity_set ? about->severity : f->rule->severity;
	f->element = about->element;
	f->parent = about->parent;
	f->line = about->line;
	f->column = about->column;

	err = key_dup(&f->key, about->element, about->item) ||
	      key_dup(&f->parent_key, about->parent, about->parent_item) ||
	      text_dup(&f->parameter, parameter) ||
	      text_dup(&f->value, about->value) ||
	      text_dup(&f->hint, about->hint ? about->hint : f->rule->hint);
	if (err) {
		err = ENOMEM;
		goto out;
	}

	va_start(ap, fmt);
	n = vasprintf(&sentence, fmt, ap);
	va_end(ap);
	if (n < 0) {
		sentence = NULL;
		err = ENOMEM;
		goto out;
	}
	err = message_make(f, sentence);

out:
	free(sentence);
	if (err)
		mem_deref(f);
	else
		list_append(findings, &f->le, f);

	return err;
}
