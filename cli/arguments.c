/*
 * Words that may stand behind a command: offered, and completed when shortened
 */
#include <errno.h>
#include <string.h>
#include "store/elements/elements.h"
#include "store/rules.h"
#include "cli/arguments.h"

enum {
	ANYWHERE = -1
};

/* A word of the grammar, and at which place behind the command it may stand */
struct argument {
	const char *command;
	int place;        /* from 0, or ANYWHERE */
	const char *with; /* the second word; NULL: any */
	const char *word, *help;
	bool full; /* behind the parts of a key, which are never shortened: the
		      place is the first, and it is not either */
};

/* clang-format off */
static const struct argument grammar[] = {
	{ "activate-config",         0,        NULL,    "accept",  "What runs on trial stays" },
	{ "activate-config",         0,        NULL,    "confirm", "On trial for MINUTES, 1-60" },
	{ "activate-config",         0,        NULL,    "rollback", "The version that ran before returns now" },
	{ "dns lookup",              1,        NULL,    "a",       "IPv4 addresses alone" },
	{ "dns lookup",              1,        NULL,    "aaaa",    "IPv6 addresses alone" },
	{ "dns lookup",              1,        NULL,    "naptr",   "NAPTR alone" },
	{ "dns lookup",              1,        NULL,    "srv",     "SRV alone" },
	{ "reboot",                  ANYWHERE, NULL,    "activate", "With the saved configuration" },
	{ "reboot",                  ANYWHERE, NULL,    "force",   "Without a question" },
	{ "verify-config",           ANYWHERE, NULL,    "detail",  "Id, path, hint and repair of each finding" },
	{ "verify-config",           ANYWHERE, NULL,    "strict",  "A WARNING fails the command, too" },
	{ "verify-config",           ANYWHERE, NULL,    "static",  "Neither this machine nor DNS is asked" },
	{ "verify-config",           ANYWHERE, NULL,    "rule",    "This rule alone: ID" },
	{ "verify-config",           ANYWHERE, NULL,    "element", "This element and its sub-elements alone: NAME" },
	{ "import-config",           1,        NULL,    "replace", "Editing becomes what the file has" },
	{ "import-config",           1,        NULL,    "merge",   "Objects of the file replace those with their key" },
	{ "import-surrogate-agents", 1,        NULL,    "merge",   "Agents of the file are added or changed" },
	{ "import-surrogate-agents", 1,        NULL,    "replace", "Agents that the file has not go" },
	{ "import-credentials",      1,        NULL,    "realm",   "Rows of the table of a realm-config: NAME" },
	{ "import-credentials",      1,        NULL,    "surrogate-agent", "Credentials of single AoRs: KEY" },
	{ "import-credentials",      3,        "realm", "replace", "What was imported for it before goes" },
	{ "import-credentials",      3,        "realm", "merge",   "Rows are added, or replace those with their key" },
	{ "import-credentials",      3,        "surrogate-agent", "replace", "What was imported for it before goes", true },
	{ "import-credentials",      3,        "surrogate-agent", "merge",   "Rows are added, or replace those with their key", true },
};

/* Behind this word stands a name: of an element, a rule, or an object */
static const struct {
	const char *command, *after;
	const struct element *type; /* of the object; NULL: see `what` */
	enum { OBJECT, RULE, ELEMENT } what;
} names[] = {
	{ "verify-config",      "rule",            NULL,                     RULE },
	{ "verify-config",      "element",         NULL,                     ELEMENT },
	{ "import-credentials", "realm",           &element_realm_config,    OBJECT },
	{ "import-credentials", "surrogate-agent", &element_surrogate_agent, OBJECT },
};
/* clang-format on */

static bool is_here(const struct argument *g, const char *command,
		    char *const *words, uint32_t n)
{
	uint32_t place = (uint32_t)g->place;

	if (strcmp(g->command, command) ||
	    (g->with && (n < 2 || strcmp(g->with, words[1]))))
		return false;
	return g->place == ANYWHERE || n == place || (g->full && n > place);
}

static void objects_add(struct choices *c, const struct element *type,
			const struct config *cfg)
{
	size_t n = cfg ? config_count(cfg, type) : 0;

	for (size_t i = 0; i < n; i++) {
		struct item_ref ref = { type, config_at(cfg, type, i) };
		char key[1024];

		if (re_snprintf(key, sizeof(key), "%H", item_key_spell, &ref) >
		    0)
			choices_word(c, CHOICE_VALUE, key, "", NULL);
	}
}

/* Is a name what comes next? */
static bool names_add(struct choices *c, const char *command,
		      const char *before, const struct config *cfg)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i].command, command) ||
		    strcmp(names[i].after, before))
			continue;

		switch (names[i].what) {

		case OBJECT:
			objects_add(c, names[i].type, cfg);
			break;
		case RULE:
			for (const struct rule_text *r = rules; r->id; r++)
				choices_word(c, CHOICE_VALUE, r->id,
					     r->condition, NULL);
			break;
		case ELEMENT:
			for (size_t e = 0; elements[e]; e++)
				choices_word(c, CHOICE_VALUE, elements[e]->name,
					     elements[e]->help, NULL);
			break;
		}
		return true;
	}
	return false;
}

void arguments_add(struct choices *c, const char *command, char *const *words,
		   uint32_t n, const struct config *cfg)
{
	if (n && names_add(c, command, words[n - 1], cfg))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(grammar); i++) {
		const struct argument *g = &grammar[i];
		const struct choice choice = { (char *)g->word, (char *)g->help,
					       g, CHOICE_VALUE, g->full };

		if (is_here(g, command, words, n))
			choices_add(c, &choice);
	}
}

bool arguments_expand(struct reply *r, const char *command, struct words *w,
		      uint32_t at)
{
	bool clear = true;

	for (uint32_t i = at; i < w->n && clear; i++) {
		struct choices c = { 0 };
		struct choices_list list = { &c, w->v[i] };
		const struct choice *picked;
		int err;

		arguments_add(&c, command, w->v + at, i - at, NULL);
		err = choices_pick(&c, w->v[i], &picked);
		clear = err != EEXIST;
		if (!clear)
			reply_error(r, REPLY_AMBIGUOUS,
				    "Ambiguous word [%s]: %H", w->v[i],
				    choices_print, &list);
		else if (!err && picked->what)
			w->v[i] =
				(char *)((const struct argument *)picked->what)
					->word;
		choices_clear(&c);
	}
	return clear;
}
