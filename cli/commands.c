/*
 * The table of all commands: match, abbreviate, help
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/number.h"
#include "sbc/calls.h"
#include "sbc/surrogates.h"
#include "cli/arguments.h"
#include "cli/acceptance.h"
#include "cli/activate.h"
#include "cli/agents.h"
#include "cli/aors.h"
#include "cli/backups.h"
#include "cli/bulk.h"
#include "cli/roster.h"
#include "cli/commands.h"
#include "cli/configure.h"
#include "cli/enable.h"
#include "cli/entries.h"
#include "cli/form.h"
#include "cli/rehearsal.h"
#include "cli/restart.h"
#include "cli/inside.h"
#include "cli/logfiles.h"
#include "cli/logging.h"
#include "cli/reach.h"
#include "cli/registered.h"
#include "cli/show.h"
#include "cli/specifics.h"
#include "cli/sipd.h"
#include "cli/statistics.h"
#include "cli/streams.h"
#include "cli/system.h"
#include "cli/transfer.h"
#include "cli/trial.h"

struct command {
	const char *words; /* "show surrogate-agents" */
	enum mode mode;    /* least mode that may */
	void (*run)(struct session *s, const struct words *w, uint32_t at);
	const char *help;
	bool json; /* takes `| json` */
};

static void help(struct session *s, const struct words *w, uint32_t at);
static void ping(struct session *s, const struct words *w, uint32_t at);

/* One level up, where there are levels; else the connection ends */
static void leave_mode(struct session *s, bool quits)
{
	bool asked = s->form;

	form_close(s);
	if (asked && (!quits || !s->configure))
		return;
	if (s->configure)
		configure_leave(s, quits);
	else if (s->mode == MODE_SUPERUSER && !quits)
		s->mode = MODE_USER;
	else
		s->ends = true;
}

static void leave(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	leave_mode(s, false);
}

static void quit(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	leave_mode(s, true);
}

static void disable(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	form_close(s);
	if (s->configure)
		configure_leave(s, true);
	if (!s->configure)
		s->mode = MODE_USER;
}

/* The path may follow: `configure terminal session-router` */
static void configure(struct session *s, const struct words *w, uint32_t at,
		      bool exclusive)
{
	char line[LINE_MAX_BYTES + 1] = "";
	size_t n = 0;

	for (; at < w->n; at++) {
		struct pl word = range_of(w->v[at]);
		int len = re_snprintf(line + n, sizeof(line) - n, "%H ",
				      value_quote, &word);

		n += len > 0 ? (size_t)len : 0;
	}
	configure_open(s, exclusive, n ? line : NULL);
}

static void configure_terminal(struct session *s, const struct words *w,
			       uint32_t at)
{
	configure(s, w, at, false);
}

static void configure_exclusive(struct session *s, const struct words *w,
				uint32_t at)
{
	configure(s, w, at, true);
}

static void unlock_config(struct session *s, const struct words *w, uint32_t at)
{
	(void)w;
	(void)at;
	reply_line(&s->reply, control_break(s)
				      ? "The configuration is unlocked."
				      : "It was not locked.");
}

/* --- cli: pages --------------------------------------------------------- */

/* The client pages: it is told what was chosen */
static void cli_more(struct session *s, const struct words *w, uint32_t at)
{
	struct pl word = { NULL, 0 };

	if (at < w->n)
		word = range_of(w->v[at]);
	if (pl_strcmp(&word, "enabled") && pl_strcmp(&word, "disabled")) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "cli more [%r] is not one of: enabled, disabled",
			    &word);
		return;
	}
	reply_note(&s->reply, REPLY_PAGE, *word.p == 'e' ? "-1" : "0");
	reply_line(&s->reply, "Paging is %s.", *word.p == 'e' ? "on" : "off");
}

static void cli_height(struct session *s, const struct words *w, uint32_t at)
{
	struct pl word = { NULL, 0 };
	uint64_t n;

	if (at < w->n)
		word = range_of(w->v[at]);
	if (uint_parse(&n, &word, 1000) || (n && n < 5)) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "cli terminal-height [%r] is out of range 5-1000, "
			    "0 for no pages",
			    &word);
		return;
	}
	reply_note(&s->reply, REPLY_PAGE, "%llu", (unsigned long long)n);
	reply_line(&s->reply, n ? "Pages have %llu lines." : "Paging is off.",
		   (unsigned long long)n);
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
	if (!surrogates_notify(w->surrogates, agent, number, n->leave))
		n->found = true;
}

enum {
	SLICE = 200 /* agents at a time: the loop is not held up */
};

struct notice_all {
	struct session *s;
	const char *user;
	size_t next;
	uint32_t told;
};

static void notify_slice(struct worker *w, void *arg)
{
	struct notice_all *all = arg;
	const struct config *cfg = w->plan->config;
	size_t n = config_count(cfg, &element_surrogate_agent);
	size_t i = all->next, end = i + SLICE < n ? i + SLICE : n;

	all->next = end < n ? end : 0;
	for (; i < end; i++) {
		const struct surrogate_agent *agent =
			config_at(cfg, &element_surrogate_agent, i);
		uint32_t number = UINT32_MAX;
		struct pl user;

		if (all->user) {
			pl_set_str(&user, all->user);
			if (aor_number(&number, agent, &user))
				continue;
		}
		if (agent->state &&
		    !surrogates_notify(w->surrogates, agent, number, false))
			all->told++;
	}
}

static void notify_all(struct session *s, const char *user)
{
	struct notice_all all = { .s = s, .user = user };

	session_walk(s, notify_slice, &all, &all.next);
	if (user && !all.told)
		reply_error(&s->reply, REPLY_ARGUMENT, "There is no AoR [%s]",
			    user);
	else
		reply_line(&s->reply, "Registering: %u surrogate-agent%s.",
			   all.told, all.told == 1 ? "" : "s");
}

/* Only surrogates are in the cache: they register anew, paced */
static void clear_registrations(struct session *s, const struct words *w,
				uint32_t at)
{
	if (at < w->n && !strcmp(w->v[at], "all"))
		notify_all(s, NULL);
	else if (at + 1 < w->n && !strcmp(w->v[at], "by-user"))
		notify_all(s, w->v[at + 1]);
	else if (at + 1 < w->n && !strcmp(w->v[at], "by-ip"))
		registered_renew(s, w->v[at + 1]);
	else
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "Missing all, by-user U or by-ip IP");
}

/* KEY has three words: register-host, register-user, realm-id */
static void notify(struct session *s, const struct words *w, uint32_t at,
		   bool leaves)
{
	struct notice n = { .s = s, .leave = leaves };
	char key[1024];

	if (!leaves && at < w->n && !strcmp(w->v[at], "all")) {
		notify_all(s, at + 1 < w->n ? w->v[at + 1] : NULL);
		return;
	}
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

	v->found = v->found || !calls_kill(w->calls, v->id);
}

static void kill_session(struct session *s, const struct words *w, uint32_t at)
{
	struct victim v = { 0 };

	if (!arguments_number(&s->reply, w, at, "ID", 0, UINT64_MAX, &v.id))
		return;
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
	{ "clear-cache credentials", MODE_SUPERUSER, clear_cache,          "Read credentials anew" },
	{ "clear-cache dns",        MODE_SUPERUSER, clear_cache,           "Ask for names anew: [NAME]" },
	{ "clear-cache nonce",      MODE_SUPERUSER, clear_cache,           "Forget nonces: each target challenges anew" },
	{ "clear-cache registration sip", MODE_SUPERUSER, clear_registrations, "Register AoRs anew, paced: all, by-user U, by-ip IP" },
	{ "backup-config",          MODE_SUPERUSER, backup_config,         "Write NAME.yaml: NAME [saved|running|editing]" },
	{ "clear-alarm",            MODE_SUPERUSER, clear_alarm,           "End an alarm: ID" },
	{ "cli more",               MODE_USER,      cli_more,              "Pages: enabled, disabled" },
	{ "cli terminal-height",    MODE_USER,      cli_height,            "Lines of a page: 0, 5-1000" },
	{ "configure exclusive",    MODE_SUPERUSER, configure_exclusive,   "Configuration mode, locked for others at once" },
	{ "configure terminal",     MODE_SUPERUSER, configure_terminal,    "Configuration mode: [PATH]" },
	{ "delete realm-specifics", MODE_SUPERUSER, delete_specifics,      "Delete every object that names a realm: REALM" },
	{ "delete-backup-config",   MODE_SUPERUSER, delete_backup,         "Delete a backup: NAME" },
	{ "delete-config",          MODE_SUPERUSER, delete_config,         "Empty editing and saved, after a backup" },
	{ "delete-password superuser", MODE_SUPERUSER, delete_password,    "enable asks for no password any more" },
	{ "disable",                MODE_USER,      disable,               "Back to user mode" },
	{ "discard",                MODE_SUPERUSER, discard,               "Editing as last saved: [ELEMENT KEY]" },
	{ "display-alarms",         MODE_USER,      show_alarms,           "As show alarms", true },
	{ "display-backups",        MODE_SUPERUSER, display_backups,       "Backups, oldest first" },
	{ "display-current-cfg-version", MODE_USER, display_current,       "Number of the newest saved version" },
	{ "display-logfiles",       MODE_SUPERUSER, display_logfiles,      "Log files with size and date", true },
	{ "display-running-cfg-version", MODE_USER, display_running,       "Number of the running version" },
	{ "dns lookup",             MODE_USER,      dns_lookup,            "What DNS says, and where the SBC would go: NAME [naptr|srv|a|aaaa] [realm R]" },
	{ "enable",                 MODE_USER,      enable,                "Superuser mode" },
	{ "exit",                   MODE_USER,      leave,                 "One level up; from the top end the connection" },
	{ "export-config",          MODE_SUPERUSER, export_config,         "[FILE] [saved|running|editing] [yaml|text]" },
	{ "help",                   MODE_USER,      help,                  "This list" },
	{ "import-config",          MODE_SUPERUSER, import_config,         "A YAML file into editing: FILE [replace|merge]" },
	{ "import-credentials",     MODE_SUPERUSER, import_credentials,    "CSV rows: FILE realm R [replace|merge], FILE surrogate-agent KEY" },
	{ "import-surrogate-agents", MODE_SUPERUSER, import_surrogate_agents, "CSV rows into editing: FILE [merge|replace]" },
	{ "kill sip session",       MODE_SUPERUSER, kill_session,          "End a call with BYE: ID" },
	{ "log-level",              MODE_SUPERUSER, log_level,             "Level now: all|COMPONENT LEVEL [for MINUTES] [persist]" },
	{ "notify all rotate-logs", MODE_SUPERUSER, rotate_logs,           "Open log files anew" },
	{ "notify all notrace",     MODE_SUPERUSER, notify_notrace,        "End it" },
	{ "notify all trace",       MODE_SUPERUSER, notify_trace,          "SIP messages to a pcap file beside the logs, TLS in clear: ADDR|all FILE" },
	{ "notify sipd debug",      MODE_SUPERUSER, notify_debug,          "DEBUG for the SIP part: [MINUTES]" },
	{ "notify sipd nodebug",    MODE_SUPERUSER, notify_nodebug,        "End it" },
	{ "notify sipd nosiplog",   MODE_SUPERUSER, notify_nosiplog,       "SIP messages go nowhere" },
	{ "notify sipd register",   MODE_SUPERUSER, notify_register,       "Register now, paced: KEY|all [AOR-USER]" },
	{ "notify sipd siplog",     MODE_SUPERUSER, notify_siplog,         "SIP messages to sipmsg.log, until the next start: [full]" },
	{ "notify sipd unregister", MODE_SUPERUSER, notify_unregister,     "Leave now: KEY [AOR-USER]" },
	{ "quit",                   MODE_USER,      quit,                  "Out of configuration mode; else end the connection" },
	{ "realm-specifics",        MODE_SUPERUSER, realm_specifics,       "Every object that names a realm: REALM" },
	{ "reset all",              MODE_SUPERUSER, reset,                 "Counters anew, those of all tables" },
	{ "reset authentication",   MODE_SUPERUSER, reset,                 "Counters anew" },
	{ "reset dns",              MODE_SUPERUSER, reset,                 "Counters anew" },
	{ "reset media",            MODE_SUPERUSER, reset,                 "Counters anew" },
	{ "reset policy",           MODE_SUPERUSER, reset,                 "Counters anew" },
	{ "reset refusals",         MODE_SUPERUSER, reset,                 "Counters anew" },
	{ "reset registration",     MODE_SUPERUSER, reset,                 "Counters anew" },
	{ "reset sipd",             MODE_SUPERUSER, reset,                 "Counters anew" },
	{ "restore-backup-config",  MODE_SUPERUSER, restore_backup,        "NAME|version N [editing|saved|running]" },
	{ "save-config",            MODE_SUPERUSER, save_config,           "Editing becomes the newest saved version" },
	{ "show accounting",        MODE_USER,      show_accounting,       "Files of call records", true },
	{ "set-password superuser", MODE_SUPERUSER, set_password,          "The password that enable asks for" },
	{ "show alarms",            MODE_USER,      show_alarms,           "Alarms that are up; [history] [limit N]", true },
	{ "show configuration",     MODE_SUPERUSER, show_configuration,    "Editing: [short] [to-file NAME] [ELEMENT [KEY]]; diff [saved|running|version N], versions", true },
	{ "show credentials",       MODE_SUPERUSER, show_credentials,      "Who has an entry: [realm R] [lookup L] [limit N]; seen [realm R] [limit N]: who challenged us", true },
	{ "show dns",               MODE_USER,      show_dns,              "What the resolver knows: [NAME] [limit N]", true },
	{ "show health",            MODE_USER,      show_health,           "Checks, and the worst of them", true },
	{ "show logfile",           MODE_SUPERUSER, show_logfile,          "Its last lines: NAME [last N] [follow]", true },
	{ "show log-level",         MODE_USER,      show_log_level,        "Level of each component", true },
	{ "show media",             MODE_USER,      show_media,            "Media flows and ports; realms [NAME] [limit N], errors, sessions [ID] [limit N]", true },
	{ "show memory",            MODE_USER,      show_memory,           "What is kept in memory: [usage]", true },
	{ "show processes cpu",     MODE_USER,      show_processes,        "Threads and the time they use", true },
	{ "show realm",             MODE_USER,      show_realm,            "Realms with their calls and media ports: [NAME] [limit N]", true },
	{ "show records",           MODE_USER,      show_records,          "The newest call records: [N]", true },
	{ "show refusals",          MODE_USER,      show_refusals,         "What the SBC itself refused: [last N] [step S]", true },
	{ "show registration",      MODE_USER,      show_registration,     "Registrations, counted; sipd by-user|by-realm|by-ip|by-registrar|by-route VALUE [brief|detailed] [limit N]", true },
	{ "show running-config",    MODE_SUPERUSER, configure_show_running,   "ACLI text: [ELEMENT [KEY]]", true },
	{ "show sessions",          MODE_USER,      show_sessions,         "Calls: [ID [ladder]] [realm R] [agent A] [user U] [state S] [limit N]", true },
	{ "show sip interface",     MODE_USER,      show_sip_interface,    "Sip-ports with their connections: [limit N]", true },
	{ "show sipd",              MODE_USER,      show_sipd,             "status, sessions, transactions, errors, policy, authentication, METHOD, agents|realms|interface [NAME [METHOD]] [limit N], rate, registration-queue [limit N], endpoint-ip USER|IP [limit N]", true },
	{ "show support-info",      MODE_SUPERUSER, show_support_info,     "Everything that helps somebody far away", true },
	{ "show surrogate-agents",  MODE_USER,      show_surrogate_agents, "A line for each AoR: [KEY] [summary|detail] [state S] [realm R] [registrar H] [limit N]", true },
	{ "show users",             MODE_USER,      show_users,            "Who is connected", true },
	{ "show uptime",            MODE_USER,      show_uptime,           "Time now, and since the start", true },
	{ "show version",           MODE_USER,      show_version,          "Versions of program and configuration", true },
	{ "test-credentials",       MODE_SUPERUSER, test_credentials,      "Which credentials would answer", true },
	{ "ping",                   MODE_USER,      ping,                  "ICMP echo: HOST [count N] [source IP]; sip AGENT: OPTIONS to a session-agent" },
	{ "reboot",                 MODE_SUPERUSER, reboot,                "Orderly restart of the SBC: [activate] [force]" },
	{ "reset session-agent",    MODE_SUPERUSER, reset_agent,           "Clear its timers and limits, ping at once: NAME" },
	{ "test-policy",            MODE_SUPERUSER, test_policy,           "Which routes a request would take", true },
	{ "test-surrogate",         MODE_SUPERUSER, test_surrogate,        "The REGISTER that would leave: KEY [AOR-USER]", true },
	{ "unlock-config",          MODE_SUPERUSER, unlock_config,         "Break the lock of the configuration" },
	{ "verify-config",          MODE_SUPERUSER, verify_config,         "Check editing: [detail] [strict] [static] [rule ID] [element E]", true },
};
/* clang-format on */
enum {
	COMMANDS = sizeof(commands) / sizeof(commands[0])
};

/* First words that are never shortened (acli.md 1.5) */
static const char *const in_full[] = {
	"delete",
	"delete-config",
	"delete-backup-config",
	"restore-backup-config",
	"reboot",
	"kill",
	NULL,
};

/* Beginnings of what works without a running SBC */
static const char *const offline[] = {
	"cli",
	"set-password",
	"configure",
	"delete",
	"realm-specifics",
	"disable",
	"discard",
	"display-current",
	"display-running",
	"display-backups",
	"enable",
	"exit",
	"export-config",
	"help",
	"import-config",
	"import-surrogate-agents",
	"quit",
	"restore-",
	"backup-config",
	"save-config",
	"show configuration",
	"unlock-config",
	"verify-config",
	NULL,
};

/* Commands that take no more arguments than so many; the others see for
 * themselves */
static const struct {
	const char *words;
	uint32_t most;
} limits[] = {
	{ "clear-alarm", 1 },
	{ "clear-cache dns", 1 },
	{ "cli more", 1 },
	{ "cli terminal-height", 1 },
	{ "delete-backup-config", 1 },
	{ "delete realm-specifics", 1 },
	{ "disable", 0 },
	{ "display-backups", 0 },
	{ "display-current-cfg-version", 0 },
	{ "display-logfiles", 0 },
	{ "display-running-cfg-version", 0 },
	{ "exit", 0 },
	{ "help", 0 },
	{ "kill sip session", 1 },
	{ "notify all rotate-logs", 0 },
	{ "quit", 0 },
	{ "realm-specifics", 1 },
	{ "reset session-agent", 1 },
	{ "save-config", 0 },
	{ "show accounting", 0 },
	{ "show health", 0 },
	{ "show log-level", 0 },
	{ "show processes cpu", 0 },
	{ "show records", 1 },
	{ "show support-info", 0 },
	{ "show uptime", 0 },
	{ "show users", 0 },
	{ "show version", 0 },
	{ "unlock-config", 0 },
};

static uint32_t most_of(const char *words)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (!strcmp(limits[i].words, words))
			return limits[i].most;
	return UINT32_MAX;
}

/* Beginnings of what changes something beside the configuration, which is
 * guarded where it is changed */
static const char *const changing[] = {
	"clear-",    "delete-password", "diameter",
	"generate-", "import-",         "kill",
	"log-level", "notify",          "reboot",
	"reset",     "set-password",    NULL,
};

/* `sip` alone is a name of a machine */
static void ping(struct session *s, const struct words *w, uint32_t at)
{
	if (at + 1 < w->n && !strcmp(w->v[at], "sip"))
		ping_sip(s, w, at + 1);
	else
		ping_host(s, w, at);
}

static int by_words(const void *a, const void *b)
{
	const struct command *const *x = a, *const *y = b;

	return strcmp((*x)->words, (*y)->words);
}

static void help(struct session *s, const struct words *w, uint32_t at)
{
	const struct command *sorted[COMMANDS];
	(void)w;
	(void)at;

	for (size_t i = 0; i < COMMANDS; i++)
		sorted[i] = &commands[i];
	qsort(sorted, COMMANDS, sizeof(*sorted), by_words);
	for (size_t i = 0; i < COMMANDS; i++)
		if (sorted[i]->mode <= s->mode)
			reply_line(&s->reply, "%-30s  %s", sorted[i]->words,
				   sorted[i]->help);
}

bool commands_text(size_t n, const char **words, const char **help,
		   bool *superuser)
{
	if (n >= COMMANDS)
		return false;
	*words = commands[n].words;
	*help = commands[n].help;
	*superuser = commands[n].mode == MODE_SUPERUSER;
	return true;
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

/* Candidates that are left after each word; an exact word wins (1.5) */
struct match {
	bool fits[COMMANDS];
};

static void match_begin(struct match *m, enum mode mode)
{
	for (size_t i = 0; i < COMMANDS; i++)
		m->fits[i] = commands[i].mode <= mode;
}

static bool is_listed(const char *const *list, const char *words, bool whole)
{
	for (; *list; list++) {
		size_t n = strlen(*list);

		if (!strncmp(words, *list, n) &&
		    (!whole || !words[n] || words[n] == ' '))
			return true;
	}
	return false;
}

/* The n-th words of those that are left */
static void words_add(struct choices *c, const struct match *m, uint32_t n)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		struct choice choice = { .kind = CHOICE_COMMAND };
		char word[64];
		struct pl pl, next;

		if (!m->fits[i] || !word_at(commands[i].words, n, &pl) ||
		    pl_strcpy(&pl, word, sizeof(word)))
			continue;
		choice.word = word;
		choice.full = is_listed(in_full, commands[i].words, true) &&
			      (!n || !strncmp(commands[i].words, "delete ", 7));
		if (!word_at(commands[i].words, n + 1, &next))
			choice.help = (char *)commands[i].help;
		choices_add(c, &choice);
	}
}

static void match_narrow(struct match *m, const char *picked, uint32_t n)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		struct pl word;

		m->fits[i] = m->fits[i] &&
			     word_at(commands[i].words, n, &word) &&
			     is_exact(&word, picked);
	}
}

/* The command whose words are all there after n of them */
static const struct command *match_end(const struct match *m, uint32_t n)
{
	struct pl next;

	for (size_t i = 0; i < COMMANDS; i++)
		if (m->fits[i] && !word_at(commands[i].words, n, &next))
			return &commands[i];
	return NULL;
}

/* Would the words be a command of a superuser? */
static bool is_for_superuser(const struct session *s, char *const *words,
			     uint32_t n)
{
	char name[64] = "";

	for (uint32_t i = 1; s->mode == MODE_USER && i <= n && !*name; i++)
		commands_name(MODE_SUPERUSER, words, i, name, sizeof(name));
	return *name != '\0';
}

/* Say why no word was picked */
static void say_unknown(struct session *s, const struct choices *c,
			const char *typed, int err)
{
	struct choices_list all = { c, NULL }, some = { c, typed };
	const char *near = choices_near(c, typed);

	if (err == EEXIST)
		reply_error(&s->reply, REPLY_AMBIGUOUS,
			    "Ambiguous word [%s]: %H", typed, choices_print,
			    &some);
	else if (near)
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], did you mean [%s]?", typed,
			    near);
	else
		reply_error(&s->reply, REPLY_UNKNOWN,
			    "Unknown word [%s], possible here: %H", typed,
			    choices_print, &all);
}

/* From the word after the first on, which is picked already */
static const struct command *command_find(struct session *s,
					  const struct words *w,
					  const char *first, uint32_t *at)
{
	const struct command *found;
	struct choices c = { 0 };
	struct choices_list list = { &c, NULL };
	struct match m;

	match_begin(&m, s->mode);
	match_narrow(&m, first, 0);
	for (uint32_t n = 1;; n++) {
		const struct choice *picked;
		int err;

		*at = n;
		found = match_end(&m, n);
		if (found)
			return found;
		words_add(&c, &m, n);
		if (n == w->n) {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Missing a word, possible: %H",
				    choices_print, &list);
			break;
		}
		err = choices_pick(&c, w->v[n], &picked);
		if (err && is_for_superuser(s, w->v, w->n)) {
			reply_error(&s->reply, REPLY_DENIED, "Access denied");
			break;
		}
		if (err) {
			say_unknown(s, &c, w->v[n], err);
			break;
		}
		match_narrow(&m, picked->word, n);
		choices_clear(&c);
	}
	choices_clear(&c);
	return NULL;
}

bool commands_next(struct choices *c, enum mode mode, char *const *words,
		   uint32_t n, uint32_t *used)
{
	struct match m;

	match_begin(&m, mode);
	for (uint32_t i = 0;; i++) {
		struct choices here = { 0 };
		const struct choice *picked;
		int err;

		*used = i;
		if (i && match_end(&m, i))
			return true;
		if (i == n) {
			words_add(c, &m, i);
			return false;
		}
		words_add(&here, &m, i);
		err = choices_pick(&here, words[i], &picked);
		if (!err)
			match_narrow(&m, picked->word, i);
		choices_clear(&here);
		if (err)
			return false;
	}
}

void commands_name(enum mode mode, char *const *words, uint32_t n, char *name,
		   size_t size)
{
	struct match m;
	const struct command *found;

	match_begin(&m, mode);
	for (uint32_t i = 0; i < n; i++) {
		struct choices here = { 0 };
		const struct choice *picked;

		words_add(&here, &m, i);
		if (!choices_pick(&here, words[i], &picked))
			match_narrow(&m, picked->word, i);
		choices_clear(&here);
	}
	found = match_end(&m, n);
	str_ncpy(name, found ? found->words : "", size);
}

/* --- Lines -------------------------------------------------------------- */

/* The command in full words, then its arguments as typed: what its document
 * says it is */
static void command_name(struct session *s, const struct command *c,
			 const struct words *w, uint32_t at)
{
	size_t size = sizeof(s->command), n;

	str_ncpy(s->command, c->words, size);
	for (; at < w->n; at++) {
		n = strlen(s->command);
		if (re_snprintf(s->command + n, size - n, " %s", w->v[at]) < 0)
			return;
	}
}

static void command_run(struct session *s, char *line, const char *first)
{
	const struct command *command;
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
	command = command_find(s, &w, first, &at);
	if (!command)
		return;
	if (!s->sbc && !is_listed(offline, command->words, false))
		reply_error(&s->reply, REPLY_FAILED, "This needs the daemon");
	else if (w.n - at > most_of(command->words))
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w.v[at + most_of(command->words)]);
	else if (is_listed(changing, command->words, false) &&
		 !control_may_change(s))
		; /* it said so */
	else if (s->reply.json && !command->json)
		reply_error(&s->reply, REPLY_ARGUMENT, "%s has no JSON form",
			    command->words);
	else if (arguments_expand(&s->reply, command->words, &w, at)) {
		command_name(s, command, &w, at);
		command->run(s, &w, at);
	}
}

/* `show` alone or `show short` is the object at hand; else it is a command */
static bool is_command_too(const struct choice *choice, const char *rest)
{
	size_t n;

	rest += strspn(rest, " \t");
	n = strcspn(rest, " \t");
	return choice->kind == CHOICE_VERB && !strcmp(choice->word, "show") &&
	       n && strncmp(rest, "short", n);
}

/* Out of configuration mode one gets also where it cannot be loaded */
static bool leaves(const struct choice *choice)
{
	return choice->kind == CHOICE_VERB &&
	       (!strcmp(choice->word, "exit") || !strcmp(choice->word, "quit"));
}

/* What a first word means here: words of the place and commands, then the top of
 * the tree */
static int first_pick(struct session *s, struct choices *c, const char *typed,
		      struct choice *picked)
{
	struct place place = configure_place(s);
	const struct choice *found;
	int err;

	if (s->configure || s->form)
		place_words(c, &place);
	commands_add(c, s->mode);
	err = choices_pick(c, typed, &found);
	if (err == ENOENT && s->configure) {
		struct choices top = { 0 };

		place_top(&top);
		err = choices_pick(&top, typed, &found);
		if (err) {
			place_top(c); /* they are possible too */
			choices_clear(&top);
			return err;
		}
		choices_clear(c);
		*c = top;
	}
	if (!err)
		*picked = *found;
	return err;
}

/* Part of a line up to the filters; what stands behind the first bar that is in
 * no quotes */
static char *filter_cut(char *line)
{
	bool quoted = false;

	for (; *line; line++) {
		if (*line == '"')
			quoted = !quoted;
		else if (quoted && *line == '\\' && line[1])
			line++;
		else if (!quoted && *line == '|') {
			*line = '\0';
			return line + 1;
		}
	}
	return NULL;
}

/* Role or mode: it is not said which (acli.md 1.6) */
static bool is_denied(const struct session *s, const char *line)
{
	char copy[LINE_MAX_BYTES + 1];
	struct words w;
	bool denied;

	if (s->mode != MODE_USER)
		return false;
	str_ncpy(copy, line, sizeof(copy));
	denied = !words_cut(&w, copy) && is_for_superuser(s, w.v, w.n);
	explicit_bzero(copy, sizeof(copy));
	return denied;
}

/* Does the word belong to the test command at hand? Folders and elements lead
 * away from it */
static bool is_of_form(const struct session *s, const struct choice *choice)
{
	return s->form && (choice->kind == CHOICE_PARAMETER ||
			   choice->kind == CHOICE_VERB);
}

static void form_word(struct session *s, const struct choice *choice,
		      const char *rest)
{
	struct pl pl = range_of(rest);

	while (pl.l && strchr(" \t\r\n", *pl.p))
		pl_advance(&pl, 1);
	while (pl.l && strchr(" \t\r\n", pl.p[pl.l - 1]))
		pl.l--;
	form_run(s, choice, &pl);
}

/* One word of the line; what is to be run after it, or NULL */
static char *word_take(struct session *s, char *line)
{
	struct choices c = { 0 };
	struct choice picked = { 0 };
	char typed[128], *rest;
	bool goes_on = false;
	size_t n;
	int err;

	line += strspn(line, " \t\r\n");
	n = strcspn(line, " \t\r\n");
	if (!n || *line == '#')
		return NULL;
	str_ncpy(typed, line, n < sizeof(typed) ? n + 1 : sizeof(typed));
	rest = line + n;
	err = first_pick(s, &c, typed, &picked);
	if (err && is_denied(s, line))
		reply_error(&s->reply, REPLY_DENIED, "Access denied");
	else if (err)
		say_unknown(s, &c, typed, err);
	else if (picked.kind == CHOICE_COMMAND || is_command_too(&picked, rest))
		command_run(s, line, picked.word);
	else if (is_of_form(s, &picked))
		form_word(s, &picked, rest);
	else if (!configure_editing(s) && !leaves(&picked))
		configure_load(s, line);
	else {
		form_close(s);
		goes_on = configure_run(s, &picked, line, rest) != NULL;
	}
	choices_clear(&c);
	return goes_on ? rest : NULL;
}

void commands_run(struct session *s, const char *typed)
{
	char line[LINE_MAX_BYTES + 1];
	char *filter;

	str_ncpy(line, typed, sizeof(line));
	filter = filter_cut(line);
	if (!filter || !reply_filter(&s->reply, filter))
		for (char *at = line; at;)
			at = word_take(s, at);
	if (s->secret)
		reply_note(&s->reply, REPLY_SECRET, "");
	s->secret = false;
	explicit_bzero(line, sizeof(line));
}

void commands_add(struct choices *c, enum mode mode)
{
	struct match m;

	match_begin(&m, mode);
	words_add(c, &m, 0);
}

void commands_end(struct session *s)
{
	char prompt[128];

	if (!session_is_done(s))
		return;
	session_prompt(s, control_mark(s->control), configure_word(s), prompt,
		       sizeof(prompt));
	reply_end(&s->reply, s->ends ? "" : prompt);
}
