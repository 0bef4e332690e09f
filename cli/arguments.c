/*
 * Words that may stand behind a command: offered, and completed when shortened
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "store/elements/elements.h"
#include "store/number.h"
#include "store/rules.h"
#include "sbc/call.h"
#include "sbc/surrogates.h"
#include "cli/arguments.h"
#include "cli/form.h"
#include "cli/places.h"

enum {
	ANYWHERE = -1,
	BEHIND = -2, /* a first word that is a name */
	AFTER = -3   /* the first word `with` */
};

/* A word of the grammar, and at which place behind the command it may stand */
struct argument {
	const char *command;
	int place;        /* from 0, or ANYWHERE, or BEHIND */
	const char *with; /* the second word, or the first; NULL: any */
	const char *word, *help;
	bool full; /* behind the parts of a key, which are never shortened: the
		      place is the first, and it is not either */
};

/* clang-format off */
static const struct argument grammar[] = {
	{ "activate-config",         0,        NULL,    "accept",  "What runs on trial stays, whoever has the lock" },
	{ "activate-config",         0,        NULL,    "confirm", "On trial for MINUTES, 1-60" },
	{ "activate-config",         0,        NULL,    "rollback", "The version that ran before returns now, whoever has the lock" },
	{ "dns lookup",              1,        NULL,    "a",       "IPv4 addresses alone" },
	{ "dns lookup",              1,        NULL,    "aaaa",    "IPv6 addresses alone" },
	{ "dns lookup",              1,        NULL,    "naptr",   "NAPTR alone" },
	{ "dns lookup",              1,        NULL,    "srv",     "SRV alone" },
	{ "reboot",                  ANYWHERE, NULL,    "activate", "With the saved configuration" },
	{ "reboot",                  ANYWHERE, NULL,    "force",   "Without a question" },
	{ "show sipd", 0, NULL, "status", "Sessions, dialogs, transactions, rates" },
	{ "show sipd", 0, NULL, "sessions", "Sessions and dialogs by state" },
	{ "show sipd", 0, NULL, "transactions", "Transactions by kind" },
	{ "show sipd", 0, NULL, "errors", "What went wrong" },
	{ "show sipd", 0, NULL, "policy", "Look-ups of routes" },
	{ "show sipd", 0, NULL, "authentication", "Challenges, and who answered them" },
	{ "show sipd", 0, NULL, "agents", "Session-agents: [NAME [METHOD]]" },
	{ "show sipd", 0, NULL, "realms", "Realms: [NAME [METHOD]]" },
	{ "show sipd", 0, NULL, "interface", "Sip-interfaces: [NAME [METHOD]]" },
	{ "show sipd", 0, NULL, "rate", "Requests a second by method" },
	{ "show sipd", 0, NULL, "registration-queue", "Who waits to register" },
	{ "show sipd", 0, NULL, "endpoint-ip", "Bindings of a user or an address: USER|IP" },
	{ "show sipd", 0, NULL, "invite", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "cancel", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "bye", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "options", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "register", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "info", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "prack", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "update", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "refer", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "subscribe", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "notify", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "message", "This method, as server and as client" },
	{ "show sipd", 0, NULL, "publish", "This method, as server and as client" },
	{ "show sipd", AFTER, "agents", "limit", "No more than N" },
	{ "show sipd", AFTER, "realms", "limit", "No more than N" },
	{ "show sipd", AFTER, "interface", "limit", "No more than N" },
	{ "show sipd", AFTER, "registration-queue", "limit", "No more than N" },
	{ "show sipd", AFTER, "endpoint-ip", "limit", "No more than N" },
	{ "show media", 0, NULL, "realms", "Ports and flows by realm: [NAME]" },
	{ "show media", 0, NULL, "errors", "What went wrong with media" },
	{ "show media", 0, NULL, "sessions", "Streams: [ID]" },
	{ "show media", AFTER, "realms", "limit", "No more than N" },
	{ "show media", AFTER, "sessions", "limit", "No more than N" },
	{ "show realm", ANYWHERE, NULL, "limit", "No more than N" },
	{ "show sip interface", ANYWHERE, NULL, "limit", "No more than N" },
	{ "show dns", ANYWHERE, NULL, "limit", "No more than N" },
	{ "show memory", 0, NULL, "usage", "The same" },
	{ "show alarms", 0, NULL, "history", "Those that are over, too" },
	{ "display-alarms", 0, NULL, "history", "Those that are over, too" },
	{ "show alarms", ANYWHERE, NULL, "limit", "No more than N" },
	{ "display-alarms", ANYWHERE, NULL, "limit", "No more than N" },
	{ "show registration", 0, NULL, "sipd", "Bindings by-user, by-realm, by-ip, by-registrar, by-route" },
	{ "show registration", 1, NULL, "by-user", "User, or its beginning and *" },
	{ "show registration", 1, NULL, "by-realm", "Realm of the PBX or the registrar" },
	{ "show registration", 1, NULL, "by-ip", "Address of the registrar" },
	{ "show registration", 1, NULL, "by-registrar", "Name of the registrar" },
	{ "show registration", 1, NULL, "by-route", "Part of its Service-Route" },
	{ "show registration", 3, NULL, "brief", "A line for each" },
	{ "show registration", 3, NULL, "detailed", "All that is known" },
	{ "show registration", 3, NULL, "limit", "No more than N" },
	{ "show refusals", ANYWHERE, NULL, "last", "The newest N" },
	{ "show refusals", ANYWHERE, NULL, "step", "Of this step alone: S" },
	{ "show surrogate-agents", 0, NULL, "summary", "A line for each agent", true },
	{ "show surrogate-agents", 0, NULL, "detail", "All that is known of each", true },
	{ "show surrogate-agents", 0, NULL, "state", "In this state: S", true },
	{ "show surrogate-agents", 0, NULL, "realm", "Of this realm: R", true },
	{ "show surrogate-agents", 0, NULL, "registrar", "At this registrar: H", true },
	{ "show surrogate-agents", 0, NULL, "limit", "No more than N", true },
	{ "show sessions", ANYWHERE, NULL, "realm", "Of this realm: R" },
	{ "show sessions", ANYWHERE, NULL, "agent", "Of this session-agent: A" },
	{ "show sessions", ANYWHERE, NULL, "user", "With this user: U" },
	{ "show sessions", ANYWHERE, NULL, "state", "In this state: S" },
	{ "show sessions", ANYWHERE, NULL, "limit", "No more than N" },
	{ "show sessions", 1, NULL, "ladder", "Its messages, both sides" },
	{ "show credentials", ANYWHERE, NULL, "realm", "Of this realm: R" },
	{ "show credentials", ANYWHERE, NULL, "lookup", "With this auth-user-lookup: L" },
	{ "show credentials", ANYWHERE, NULL, "limit", "No more than N" },
	{ "show credentials", 0, NULL, "seen", "Who challenged us, and what answered" },
	{ "show logfile", BEHIND, NULL, "last", "The last N lines" },
	{ "show logfile", BEHIND, NULL, "follow", "And what is written next, until Ctrl-C" },
	{ "clear-cache registration sip", 0, NULL, "all", "All AoRs" },
	{ "clear-cache registration sip", 0, NULL, "by-user", "Those with this user: U" },
	{ "clear-cache registration sip", 0, NULL, "by-ip", "Those at a registrar of this address: IP" },
	{ "backup-config", 1, NULL, "saved", "The newest saved version" },
	{ "export-config", BEHIND, NULL, "saved", "The newest saved version" },
	{ "backup-config", 1, NULL, "running", "What runs" },
	{ "export-config", BEHIND, NULL, "running", "What runs" },
	{ "backup-config", 1, NULL, "editing", "What is edited" },
	{ "export-config", BEHIND, NULL, "editing", "What is edited" },
	{ "export-config", BEHIND, NULL, "yaml", "YAML" },
	{ "export-config", BEHIND, NULL, "text", "ACLI text" },
	{ "restore-backup-config", 1, NULL, "editing", "Into editing" },
	{ "restore-backup-config", 1, NULL, "saved", "As a new saved version" },
	{ "restore-backup-config", 1, NULL, "running", "And runs" },
	{ "notify sipd siplog", 0, NULL, "full", "Digest responses, too" },
	{ "notify all trace", 0, NULL, "all", "All peers" },
	{ "notify sipd register", 0, NULL, "all", "All agents", true },
	{ "log-level", 0, NULL, "all", "All components" },
	{ "log-level", 0, NULL, "sipd", "This component" },
	{ "log-level", 0, NULL, "surrogate", "This component" },
	{ "log-level", 0, NULL, "auth", "This component" },
	{ "log-level", 0, NULL, "policy", "This component" },
	{ "log-level", 0, NULL, "realms", "This component" },
	{ "log-level", 0, NULL, "media", "This component" },
	{ "log-level", 0, NULL, "tls", "This component" },
	{ "log-level", 0, NULL, "dns", "This component" },
	{ "log-level", 0, NULL, "db", "This component" },
	{ "log-level", 0, NULL, "cli", "This component" },
	{ "log-level", 0, NULL, "plugin", "This component" },
	{ "log-level", 0, NULL, "diameter", "This component" },
	{ "log-level", 0, NULL, "federation", "This component" },
	{ "log-level", 0, NULL, "flow", "This component" },
	{ "log-level", 1, NULL, "ZERO", "Nothing" },
	{ "log-level", 1, NULL, "EMERGENCY", "This level and those above it" },
	{ "log-level", 1, NULL, "CRITICAL", "This level and those above it" },
	{ "log-level", 1, NULL, "MAJOR", "This level and those above it" },
	{ "log-level", 1, NULL, "MINOR", "This level and those above it" },
	{ "log-level", 1, NULL, "WARNING", "This level and those above it" },
	{ "log-level", 1, NULL, "NOTICE", "This level and those above it" },
	{ "log-level", 1, NULL, "INFO", "This level and those above it" },
	{ "log-level", 1, NULL, "TRACE", "This level and those above it" },
	{ "log-level", 1, NULL, "DEBUG", "This level and those above it" },
	{ "log-level", 1, NULL, "DETAIL", "This level and those above it" },
	{ "log-level", 2, NULL, "for", "It ends by itself: MINUTES" },
	{ "log-level", 2, NULL, "persist", "Into the editing configuration, too" },
	{ "log-level", 4, NULL, "persist", "Into the editing configuration, too" },
	{ "dns lookup", BEHIND, NULL, "realm", "With the servers and families of this realm: R" },
	{ "ping", BEHIND, NULL, "count", "So many: N" },
	{ "ping", BEHIND, NULL, "source", "From this address: IP" },
	{ "cli more", 0, NULL, "enabled", "Pages" },
	{ "cli more", 0, NULL, "disabled", "No pages" },
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

/* Behind this word, or NULL: behind the command, stands a name: of an element, a
 * rule, or an object; or what nobody can know */
static const struct {
	const char *command, *after;
	const struct element *type; /* of the object; NULL: see `what` */
	enum { OBJECT, RULE, ELEMENT, AOR_STATE, CALL_STATE, VALUE } what;
	bool also; /* or a word of the grammar, which is in full then */
} names[] = {
	{ "verify-config", "rule", NULL, RULE },
	{ "verify-config", "element", NULL, ELEMENT },
	{ "import-credentials", "realm", &element_realm_config, OBJECT },
	{ "import-credentials", "surrogate-agent", &element_surrogate_agent, OBJECT },
	{ "show realm", NULL, &element_realm_config, OBJECT, true },
	{ "realm-specifics", NULL, &element_realm_config, OBJECT },
	{ "delete realm-specifics", NULL, &element_realm_config, OBJECT },
	{ "show media", "realms", &element_realm_config, OBJECT, true },
	{ "show media", "limit", NULL, VALUE },
	{ "show media", "sessions", NULL, VALUE, true },
	{ "show sipd", "limit", NULL, VALUE },
	{ "show realm", "limit", NULL, VALUE },
	{ "show sip interface", "limit", NULL, VALUE },
	{ "show dns", "limit", NULL, VALUE },
	{ "show dns", NULL, NULL, VALUE, true },
	{ "show alarms", "limit", NULL, VALUE },
	{ "display-alarms", "limit", NULL, VALUE },
	{ "show sipd", "agents", &element_session_agent, OBJECT, true },
	{ "show sipd", "realms", &element_realm_config, OBJECT, true },
	{ "show sipd", "interface", &element_sip_interface, OBJECT, true },
	{ "show sipd", "endpoint-ip", NULL, VALUE },
	{ "show surrogate-agents", NULL, &element_surrogate_agent, OBJECT, true },
	{ "show surrogate-agents", "realm", &element_realm_config, OBJECT },
	{ "show surrogate-agents", "registrar", NULL, VALUE },
	{ "show surrogate-agents", "state", NULL, AOR_STATE },
	{ "show surrogate-agents", "limit", NULL, VALUE },
	{ "show sessions", "realm", &element_realm_config, OBJECT },
	{ "show sessions", "agent", &element_session_agent, OBJECT },
	{ "show sessions", "user", NULL, VALUE },
	{ "show sessions", "state", NULL, CALL_STATE },
	{ "show sessions", "limit", NULL, VALUE },
	{ "show registration", "by-realm", &element_realm_config, OBJECT },
	{ "show registration", "limit", NULL, VALUE },
	{ "show credentials", "realm", &element_realm_config, OBJECT },
	{ "show credentials", "lookup", NULL, VALUE },
	{ "show credentials", "limit", NULL, VALUE },
	{ "show refusals", "last", NULL, VALUE },
	{ "show refusals", "step", NULL, VALUE },
	{ "show logfile", "last", NULL, VALUE },
	{ "dns lookup", "realm", &element_realm_config, OBJECT },
	{ "ping", "sip", &element_session_agent, OBJECT },
	{ "ping", "count", NULL, VALUE },
	{ "ping", "source", NULL, VALUE },
	{ "reset session-agent", NULL, &element_session_agent, OBJECT },
	{ "notify sipd unregister", NULL, &element_surrogate_agent, OBJECT },
	{ "log-level", "for", NULL, VALUE },
	{ "activate-config", "confirm", NULL, VALUE },
};
/* clang-format on */

const char *aor_states(int n)
{
	/* one that is refreshed is shown as registered */
	n += n >= SUR_REFRESHING;

	return n < SUR_STATES ? surrogate_state_name((enum surrogate_state)n)
			      : NULL;
}

const char *call_states(int n)
{
	return call_machine.states[n];
}

bool arguments_number(struct reply *r, const struct words *w, uint32_t at,
		      const char *name, uint64_t min, uint64_t max,
		      uint64_t *np)
{
	struct pl text =
		at < w->n ? range_of(w->v[at]) : (struct pl){ NULL, 0 };
	uint64_t n = 0;
	int err = uint_parse(&n, &text, max);

	if (!text.l)
		reply_error(r, REPLY_ARGUMENT, "Missing %s", name);
	else if (err == EINVAL)
		reply_error(r, REPLY_ARGUMENT, "%s [%r] is not a number", name,
			    &text);
	else if (err || n < min)
		reply_error(r, REPLY_ARGUMENT,
			    "%s [%r] is out of range %llu-%llu", name, &text,
			    (unsigned long long)min, (unsigned long long)max);
	else
		*np = n;

	return text.l && !err && n >= min;
}

const char *state_pick(struct reply *r, const char *typed, words_h *words)
{
	char text[512] = "";
	size_t at = 0;

	for (int n = 0; words(n); n++) {
		int len = re_snprintf(text + at, sizeof(text) - at, "%s%s",
				      n ? ", " : "", words(n));

		if (!strcasecmp(words(n), typed))
			return words(n);
		at += len > 0 ? (size_t)len : 0;
	}
	reply_error(r, REPLY_ARGUMENT, "state [%s] is not one of: %s", typed,
		    text);
	return NULL;
}

static bool is_here(const struct argument *g, const char *command,
		    char *const *words, uint32_t n)
{
	uint32_t place = (uint32_t)g->place;

	if (strcmp(g->command, command))
		return false;
	if (g->place == AFTER)
		return n && !strcmp(g->with, words[0]);
	if ((g->with && (n < 2 || strcmp(g->with, words[1]))))
		return false;
	return g->place == ANYWHERE || (g->place == BEHIND && n) ||
	       (g->place >= 0 && (n == place || (g->full && n > place)));
}

/* Where the name begins that the words up to n belong to: behind the command, or
 * behind the last word that says so. n: no name is open there */
static uint32_t name_begin(const char *after, char *const *words, uint32_t n)
{
	uint32_t at = n;

	if (!after)
		return 0;
	while (at && strcmp(words[at - 1], after) != 0)
		at--;
	return at ? at : n + 1;
}

static uint32_t parts_of(const struct element *type)
{
	uint32_t n = 0;

	for (const struct field *f = type ? type->fields : NULL; f && f->name;
	     f++)
		n += (f->flags & KEY) != 0;
	return n ? n : 1;
}

/* Is a name, or a part of one, what comes next, and nothing else? */
static bool names_add(struct choices *c, const char *command,
		      char *const *words, uint32_t n, const struct config *cfg,
		      bool *alsop)
{
	*alsop = false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct keys keys = { names[i].type, cfg, NULL };
		uint32_t from;

		if (strcmp(names[i].command, command))
			continue;
		from = name_begin(names[i].after, words, n);
		if (from > n || n - from >= parts_of(names[i].type))
			continue;

		switch (names[i].what) {

		case OBJECT:
			if (cfg)
				place_keys(c, &keys, words + from, n - from);
			break;
		case RULE:
			for (const struct rule_text *r = rules; r->id; r++)
				choices_word(c, CHOICE_VALUE, r->id,
					     r->condition, NULL);
			break;
		case AOR_STATE:
			for (int k = 0; aor_states(k); k++)
				choices_word(c, CHOICE_VALUE, aor_states(k), "",
					     NULL);
			break;
		case CALL_STATE:
			for (int k = 0; call_states(k); k++)
				choices_word(c, CHOICE_VALUE, call_states(k),
					     "", NULL);
			break;
		case VALUE:
			break;
		case ELEMENT:
			for (size_t e = 0; elements[e]; e++)
				choices_word(c, CHOICE_VALUE, elements[e]->name,
					     elements[e]->help, NULL);
			break;
		}
		if (!names[i].also)
			return true;
		*alsop = true;
	}
	return false;
}

void arguments_add(struct choices *c, const char *command, char *const *words,
		   uint32_t n, const struct config *cfg)
{
	const struct element *form = form_type(command);
	bool named;

	if (form) {
		form_arguments(c, form, words, n, cfg);
		return;
	}
	if (names_add(c, command, words, n, cfg, &named))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(grammar); i++) {
		const struct argument *g = &grammar[i];
		const struct choice choice = { (char *)g->word, (char *)g->help,
					       g->word, CHOICE_VALUE,
					       g->full || named };

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
			w->v[i] = (char *)picked->what; /* of the grammar */
		choices_clear(&c);
	}
	return clear;
}
