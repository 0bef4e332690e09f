/*
 * The table of all commands: match, abbreviate, help
 */
#include <errno.h>
#include <string.h>
#include "store/number.h"
#include "sbc/calls.h"
#include "sbc/surrogates.h"
#include "cli/activate.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/transfer.h"
#include "cli/trial.h"

struct command {
	const char *words; /* "show surrogate-agents" */
	enum mode mode;    /* least mode that may */
	void (*run)(struct session *s, const struct words *w, uint32_t at);
	const char *help;
};

static void help(struct session *s, const struct words *w, uint32_t at);

static void leave(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	s->ends = true;
}

static void enable(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	if (s->may_be_superuser)
		s->mode = MODE_SUPERUSER;
	else
		reply_error(&s->reply, REPLY_DENIED, "Access denied");
}

static void disable(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	s->mode = MODE_USER;
}

/* --- notify, kill ------------------------------------------------------- */

struct notice {
	struct session *s;
	const char *user; /* of one AoR, or NULL: all */
	struct pl key;
	bool leave, found;
};

static void notify_on_worker(struct worker *w, void *arg)
{
	struct notice *n = arg;
	const struct surrogate_agent *agent;
	uint32_t number = UINT32_MAX;
	struct pl user;

	agent = config_find(w->plan->config, &element_surrogate_agent, &n->key);
	if (!agent)
		return;
	if (n->user) {
		pl_set_str(&user, n->user);
		if (aor_number(&number, agent, &user))
			return;
	}
	n->found = !surrogates_notify(w->surrogates, agent, number, n->leave);
}

/* KEY has three words: register-host, register-user, realm-id */
static void notify(struct session *s, const struct words *w, uint32_t at,
		   bool leaves)
{
	struct notice n = { .s = s, .leave = leaves };
	char key[1024];

	if (w->n < at + 3) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "Missing register-host register-user realm-id");
		return;
	}
	(void)re_snprintf(key, sizeof(key), "%s %s %s", w->v[at], w->v[at + 1],
			  w->v[at + 2]);
	pl_set_str(&n.key, key);
	if (w->n > at + 3)
		n.user = w->v[at + 3];
	sbc_ask(s->sbc, notify_on_worker, &n);
	if (!n.found) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no surrogate-agent [%s]%s%s", key,
			    n.user ? " with AoR " : "", n.user ? n.user : "");
		return;
	}
	reply_line(&s->reply, "%s: %s.", leaves ? "Leaving" : "Registering",
		   n.user ? n.user : key);
}

static void notify_register(struct session *s, const struct words *w,
			    uint32_t at)
{
	notify(s, w, at, false);
}

static void notify_unregister(struct session *s, const struct words *w,
			      uint32_t at)
{
	notify(s, w, at, true);
}

struct victim {
	uint64_t id;
	bool found;
};

static void kill_on_worker(struct worker *w, void *arg)
{
	struct victim *v = arg;

	v->found = !calls_kill(w->calls, v->id);
}

static void kill_session(struct session *s, const struct words *w, uint32_t at)
{
	struct victim v = { 0 };
	struct pl id = { 0 };

	if (at < w->n)
		pl_set_str(&id, w->v[at]);
	if (uint_parse(&v.id, &id, UINT64_MAX)) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing session id");
		return;
	}
	sbc_ask(s->sbc, kill_on_worker, &v);
	if (v.found)
		reply_line(&s->reply, "Session %llu ended.", v.id);
	else
		reply_error(&s->reply, REPLY_FAILED,
			    "There is no session [%llu]", v.id);
}

/* --- The table ---------------------------------------------------------- */

/* clang-format off */
static const struct command commands[] = {
	{ "activate-config",        MODE_SUPERUSER, activate_config,       "Run the newest saved version" },
	{ "disable",                MODE_USER,      disable,               "Back to user mode" },
	{ "discard",                MODE_SUPERUSER, discard,               "Editing as last saved: [ELEMENT KEY]" },
	{ "display-current-cfg-version", MODE_USER, display_current,       "Number of the newest saved version" },
	{ "display-running-cfg-version", MODE_USER, display_running,       "Number of the running version" },
	{ "enable",                 MODE_USER,      enable,                "Superuser mode" },
	{ "exit",                   MODE_USER,      leave,                 "End the connection" },
	{ "export-config",          MODE_SUPERUSER, export_config,         "[FILE] [saved|running|editing] [yaml|text]" },
	{ "help",                   MODE_USER,      help,                  "This list" },
	{ "import-config",          MODE_SUPERUSER, import_config,         "A YAML file into editing: FILE [replace|merge]" },
	{ "kill sip session",       MODE_SUPERUSER, kill_session,          "End a call with BYE: ID" },
	{ "notify sipd register",   MODE_SUPERUSER, notify_register,       "Register now, paced: KEY [AOR-USER]" },
	{ "notify sipd unregister", MODE_SUPERUSER, notify_unregister,     "Leave now: KEY [AOR-USER]" },
	{ "quit",                   MODE_USER,      leave,                 "End the connection" },
	{ "save-config",            MODE_SUPERUSER, save_config,           "Editing becomes the newest saved version" },
	{ "show alarms",            MODE_USER,      show_alarms,           "Alarms that are up; history" },
	{ "show configuration",     MODE_SUPERUSER, show_configuration,    "diff [saved|running|version N], versions" },
	{ "show media",             MODE_USER,      show_media,            "Media flows and ports" },
	{ "show records",           MODE_USER,      show_records,          "The newest call records: [N]" },
	{ "show refusals",          MODE_USER,      show_refusals,         "What the SBC itself refused, by step" },
	{ "show registration",      MODE_USER,      show_registration,     "Registrations, counted" },
	{ "show running-config",    MODE_SUPERUSER, show_running_config,   "ACLI text: [ELEMENT [KEY]]" },
	{ "show sessions",          MODE_USER,      show_sessions,         "Calls: [ID]" },
	{ "show sipd",              MODE_USER,      show_sipd,             "status, sessions, transactions, errors, policy, authentication, agents [NAME]" },
	{ "show surrogate-agents",  MODE_USER,      show_surrogate_agents, "A line for each AoR: [detail] [state S] [realm R]" },
	{ "show version",           MODE_USER,      show_version,          "Versions of program and configuration" },
	{ "test-credentials",       MODE_SUPERUSER, test_credentials,      "Which credentials would answer" },
	{ "test-policy",            MODE_SUPERUSER, test_policy,           "Which routes a request would take" },
	{ "verify-config",          MODE_SUPERUSER, verify_config,         "Check the editing configuration: [detail]" },
};
/* clang-format on */
enum {
	COMMANDS = sizeof(commands) / sizeof(commands[0])
};

static void help(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].mode <= s->mode)
			reply_line(&s->reply, "%-24s%s", commands[i].words,
				   commands[i].help);
}

/* --- Matching ----------------------------------------------------------- */

/* The n-th word of a command; false when it has fewer */
static bool word_at(const char *words, uint32_t n, struct pl *word)
{
	for (;; n--) {
		size_t len = strcspn(words, " ");

		if (!len)
			return false;
		if (!n) {
			word->p = words;
			word->l = len;
			return true;
		}
		words += len;
		words += *words == ' ';
	}
}

static bool is_exact(const struct pl *word, const char *typed)
{
	return word->l == strlen(typed) && !memcmp(word->p, typed, word->l);
}

static bool begins(const struct pl *word, const char *typed)
{
	size_t n = strlen(typed);

	return n <= word->l && !memcmp(word->p, typed, n);
}

/* Candidates that are left after each word; an exact word wins (1.5) */
struct match {
	bool fits[COMMANDS];
	uint32_t at; /* words used */
};

static uint32_t narrow(struct match *m, const char *typed, uint32_t n)
{
	bool exact = false;
	struct pl word, first = { 0 };
	uint32_t different = 0;

	for (size_t i = 0; i < COMMANDS; i++)
		if (m->fits[i] && word_at(commands[i].words, n, &word) &&
		    is_exact(&word, typed))
			exact = true;
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!m->fits[i])
			continue;
		m->fits[i] =
			word_at(commands[i].words, n, &word) &&
			(exact ? is_exact(&word, typed) : begins(&word, typed));
		if (!m->fits[i])
			continue;
		if (!different || pl_cmp(&first, &word)) {
			different++;
			first = word;
		}
	}
	return different;
}

/* Words possible at a place, each once, joined by commas */
static void possible(char *buf, size_t size, const struct match *before,
		     const char *typed, uint32_t n)
{
	struct pl word, last = { 0 };
	size_t at = 0;

	*buf = '\0';
	for (size_t i = 0; i < COMMANDS; i++) {
		int len;

		if (!before->fits[i] || !word_at(commands[i].words, n, &word) ||
		    (typed && !begins(&word, typed)) || !pl_cmp(&word, &last))
			continue;
		last = word;
		len = re_snprintf(buf + at, size - at, "%s%r", at ? ", " : "",
				  &word);
		if (len > 0)
			at += (size_t)len;
	}
}

static const struct command *command_find(struct session *s,
					  const struct words *w, uint32_t *at)
{
	struct match m, before;
	char words[512];
	struct pl next;
	uint32_t n;

	memset(&m, 0, sizeof(m));
	for (size_t i = 0; i < COMMANDS; i++)
		m.fits[i] = commands[i].mode <= s->mode;

	for (n = 0; n < w->n; n++) {
		uint32_t different;

		before = m;
		different = narrow(&m, w->v[n], n);
		if (!different) {
			possible(words, sizeof(words), &before, NULL, n);
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: %s",
				    w->v[n], words);
			return NULL;
		}
		if (different > 1) {
			possible(words, sizeof(words), &before, w->v[n], n);
			reply_error(&s->reply, REPLY_AMBIGUOUS,
				    "Ambiguous word [%s]: %s", w->v[n], words);
			return NULL;
		}
		for (size_t i = 0; i < COMMANDS; i++) {
			if (m.fits[i] &&
			    !word_at(commands[i].words, n + 1, &next)) {
				*at = n + 1;
				return &commands[i];
			}
		}
	}
	possible(words, sizeof(words), &m, NULL, n);
	reply_error(&s->reply, REPLY_UNKNOWN, "Missing a word, possible: %s",
		    words);
	return NULL;
}

/* `| include TEXT`: the one filter of this version */
static bool filter_take(struct session *s, char *filter)
{
	struct words w;

	if (!filter)
		return true;
	if (words_cut(&w, filter) || w.n != 2 || strcmp(w.v[0], "include")) {
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown filter, possible here: include TEXT");
		return false;
	}
	pl_set_str(&s->reply.only, w.v[1]);
	return true;
}

void commands_run(struct session *s, char *line)
{
	const struct command *c;
	struct words w;
	uint32_t at = 0;

	switch (words_cut(&w, line)) {

	case 0:
		break;
	case E2BIG:
		reply_error(&s->reply, REPLY_ARGUMENT, "Too many words");
		return;
	default:
		reply_error(&s->reply, REPLY_ARGUMENT, "A quote is open");
		return;
	}

	if (w.n && filter_take(s, w.filter)) {
		c = command_find(s, &w, &at);
		if (c)
			c->run(s, &w, at);
	}
}

void commands_end(struct session *s)
{
	char prompt[64];

	if (!session_is_done(s))
		return;
	session_prompt(s, control_mark(s->control), prompt, sizeof(prompt));
	reply_end(&s->reply, prompt);
}
