/*
 * The daemon: options, first configuration, readiness, signals
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>
#include "store/base.h"
#include <re_main.h>
#include <re_sys.h>
#include "store/log.h"
#include "store/manual.h"
#include "store/number.h"
#include "store/records.h"
#include "store/verify.h"
#include "store/versions.h"
#include "store/yaml.h"
#include "sbc/alarm.h"
#include "sbc/clerk.h"
#include "sbc/clock.h"
#include "sbc/image.h"
#include "sbc/leap.h"
#include "sbc/sbc.h"
#include "sbc/thresholds.h"
#include "sbc/trace.h"
#include "cli/acceptance.h"
#include "cli/inquiry.h"
#include "cli/logging.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/vitals.h"
#include "cli/watchdog.h"

/* jemalloc reads this at its start. Calls come and go through some hundred
 * megabytes: in pages of 2 MiB they cost fewer page faults and fewer misses of
 * the address cache. An environment variable MALLOC_CONF goes before it */
extern const char *malloc_conf;
const char *malloc_conf = "thp:always";

enum {
	EXIT_CLEAN = 0,
	EXIT_FINDINGS = 1,   /* verify, or a start that failed */
	EXIT_UNREADABLE = 2, /* options, or a file that is not well-formed */
	DESCRIPTORS = 65536
};

struct options {
	const char *config, *db, *socket, *verify, *manual;
	const char *log_level, *node_id;
	bool run_manual, version, json, strict, host, dns, help;
};

struct daemon {
	struct options options;
	struct database *db;
	struct seal *seal;
	const struct plan *plan, *before;
	struct sbc *sbc;
	struct mailbox *mailbox; /* of this, the front thread */
	struct server *server;
	struct audit *audit;
	struct control *control;
	struct leap leap;
	struct thresholds thresholds;
	struct watchdog watchdog;
	struct clerk clerk;
	struct vitals vitals;
	bool began;    /* its orderly end is noted */
	bool restarts; /* and then it begins anew */
	struct timer end;
	uint32_t given_up; /* version that nobody accepted; 0: none */
	int signals;
};

static const char usage[] =
	"usage: sbcd --config FILE.yaml --db FILE.db [--socket PATH] "
	"[--log-level LEVEL]\n"
	"       sbcd --db FILE.db [--socket PATH]\n"
	"       sbcd --verify FILE.yaml [--json] [--strict] [--host] [--dns]\n"
	"       sbcd --manual [ELEMENT]\n"
	"       sbcd --version | --help\n";

/* What an option sets in struct options: a text, or a flag where it takes no
 * argument. The others are accepted so that scripts may name them already */
static const struct {
	const char *name;
	size_t at;
} slots[] = {
	{ "config", offsetof(struct options, config) },
	{ "db", offsetof(struct options, db) },
	{ "socket", offsetof(struct options, socket) },
	{ "log-level", offsetof(struct options, log_level) },
	{ "node-id", offsetof(struct options, node_id) },
	{ "verify", offsetof(struct options, verify) },
	{ "manual", offsetof(struct options, run_manual) },
	{ "version", offsetof(struct options, version) },
	{ "json", offsetof(struct options, json) },
	{ "strict", offsetof(struct options, strict) },
	{ "host", offsetof(struct options, host) },
	{ "dns", offsetof(struct options, dns) },
	{ "help", offsetof(struct options, help) },
};

static void option_set(struct options *o, const struct option_text *option)
{
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		char *at = (char *)o + slots[i].at;

		if (strcmp(slots[i].name, option->name))
			continue;
		if (option->argument)
			*(const char **)at = optarg;
		else
			*(bool *)at = true;
		return;
	}
	fprintf(stderr, "sbcd: this version has no use for --%s\n",
		option->name);
}

static int options_take(struct options *o, int argc, char *argv[])
{
	struct option known[OPTIONS_MAX];
	char brief[OPTIONS_MAX];
	int c;

	options_getopt(known, brief, sbcd_options);
	while ((c = getopt_long(argc, argv, brief, known, NULL)) != -1) {
		if (c < OPTION_CODE)
			return EINVAL;
		option_set(o, &sbcd_options[c - OPTION_CODE]);
	}
	return 0;
}

/* Of the options that this version only accepts, the one that has a range */
static bool is_node(const char *text)
{
	struct pl pl;
	uint64_t n;

	pl_set_str(&pl, text);
	return !uint_parse(&n, &pl, 255);
}

static int options_read(struct options *o, int argc, char *argv[])
{
	if (options_take(o, argc, argv)) {
		fputs(usage, stderr);
		return EINVAL;
	}
	if (o->run_manual && optind < argc)
		o->manual = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "sbcd: unexpected argument [%s]\n%s",
			argv[optind], usage);
		return EINVAL;
	}
	if (o->node_id && !is_node(o->node_id)) {
		fprintf(stderr, "sbcd: --node-id [%s] is out of range 0-255\n",
			o->node_id);
		return EINVAL;
	}
	if (o->log_level && log_level_parse(o->log_level) < 0) {
		fprintf(stderr, "sbcd: unknown log level [%s]\n", o->log_level);
		return EINVAL;
	}
	if (!o->socket)
		o->socket = "/run/sbc/acli.sock";
	if (!o->db)
		o->db = "/var/lib/sbc/sbc.db";
	return 0;
}

/* --- Things to print ---------------------------------------------------- */

/* One object through a printer of libre, however long */
static int print_to(FILE *f, int (*h)(struct re_printf *pf, const void *arg),
		    const void *arg)
{
	char *text = NULL;
	int err = re_sdprintf(&text, "%H", h, arg);

	if (!err)
		fputs(text, f);
	mem_deref(text);
	return err;
}

/* What was not printed was not said */
static int printed(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "sbcd: standard output: %s\n", strerror(errno));
	return EXIT_UNREADABLE;
}

static int manual(const struct options *o)
{
	const struct element *only = NULL;

	if (o->manual) {
		struct pl name;

		pl_set_str(&name, o->manual);
		only = element_find(&name);
		if (!only) {
			fprintf(stderr, "sbcd: there is no element [%s]\n",
				o->manual);
			return EXIT_UNREADABLE;
		}
	}
	return print_to(stdout, (void *)manual_print, only) ? EXIT_FINDINGS
							    : EXIT_CLEAN;
}

/* --- Verify ------------------------------------------------------------- */

static void problems_print(FILE *f, const char *file,
			   const struct list *findings)
{
	for (struct le *le = list_head(findings); le; le = le->next) {
		struct yaml_problem problem = { file, le->data };

		(void)print_to(f, (void *)yaml_problem_print, &problem);
		fputc('\n', f);
	}
}

/* Read and verify a file. *cfgp is set when it can run; the return value is the
 * exit status */
static int file_verify(struct config **cfgp, const char *file,
		       const struct options *o, FILE *f)
{
	struct list findings = LIST_INIT;
	struct verify_totals totals = { 0 };
	struct verify_setup setup = { .file = file };
	struct verify_report report = { &findings, &totals, file, false };
	struct inquiry_setup ask = { .file = file,
				     .host = o->host,
				     .dns = o->dns };
	struct inquiry inquiry = { .cfg = NULL };
	struct config *cfg = NULL;
	struct local_time now;
	int err, status;

	clock_local(&now);
	setup.now = now.now;
	err = yaml_read_file(&cfg, file, &findings);
	if (err && list_isempty(&findings)) {
		fprintf(stderr, "%s: %s\n", file, strerror(err));
		return EXIT_UNREADABLE;
	}
	if (err && !o->json) {
		problems_print(f, file, &findings);
		status = err == EBADMSG ? EXIT_FINDINGS : EXIT_UNREADABLE;
		goto out;
	}

	ask.cfg = cfg;
	inquiry_init(&inquiry, &ask);
	setup.outside = &inquiry.outside;
	if (!err)
		err = verify_run(cfg, &setup, &findings, &totals);
	else if (verify_total(&findings, &totals))
		err = ENOMEM;
	if (err && err != EBADMSG && err != EINVAL) {
		fprintf(stderr, "sbcd: %s\n", strerror(err));
		status = EXIT_UNREADABLE;
		goto out;
	}
	(void)print_to(f, o->json ? (void *)verify_json : (void *)verify_print,
		       &report);
	status = err == EINVAL                  ? EXIT_UNREADABLE
		 : totals.errors                ? EXIT_FINDINGS
		 : o->strict && totals.warnings ? EXIT_FINDINGS
						: EXIT_CLEAN;
	if (!totals.errors && !err && cfgp) {
		*cfgp = cfg;
		cfg = NULL;
	}
out:
	inquiry_finish(&inquiry);
	list_flush(&findings);
	config_give(cfg);
	return status;
}

/* --- Start -------------------------------------------------------------- */

static void database_news(bool works, const char *why, void *arg)
{
	(void)arg;
	if (works) {
		log_notice(DB, "database-works", "text=\"writing again\"");
		alarm_clear("database-error", "database");
		return;
	}
	log_error(DB, "database-error", "text=\"%s\"", why);
	alarm_raise("database-error", ALARM_CRITICAL, "database", "%s", why);
}

/* A new key would make every stored password unreadable without a word. With
 * --config they all come anew and are sealed with the new one */
static bool may_make_key(const struct daemon *d)
{
	uint32_t saved = 0, running = 0;

	return d->options.config ||
	       (!versions_numbers(d->db, &saved, &running) && !saved);
}

static int store_open(struct daemon *d)
{
	char why[256] = "", key[1024];
	int err;

	err = database_open(&d->db, d->options.db, false, why);
	if (err) {
		fprintf(stderr, "sbcd: %s\n", why);
		return err;
	}
	err = records_open(d->db);
	if (err) {
		fprintf(stderr, "sbcd: call records: %s\n", strerror(err));
		return err;
	}
	err = database_beside(d->db, "sbc.key", key, sizeof(key));
	if (!err)
		err = seal_open(&d->seal, key, may_make_key(d));
	if (err)
		fprintf(stderr, "sbcd: key file %s: %s\n", key,
			err == EACCES ? "is readable by others; chmod 600"
			: err == ENOENT
				? "is missing, and with it all stored "
				  "passwords; restore it, or start with "
				  "--config FILE.yaml"
			: err == EBADMSG ? "is no key file"
					 : strerror(err));
	return err;
}

/* What ran last, so that changed agents are seen (behaviour.md 4.3). Without
 * it they are tried again when their pause is over */
static void before_load(struct daemon *d)
{
	struct config *cfg = NULL;

	if (versions_load(&cfg, d->db, 0))
		return;
	(void)plan_alloc(&d->before, cfg);
	config_give(cfg);
}

/* --config: read, verify, save, activate */
static int config_take_in(struct daemon *d)
{
	struct options options = d->options;
	struct config *cfg = NULL;
	uint32_t version;
	int err, status;

	/* All rules (acli.md 3.1) but for DNS, which finds no ERROR and would
	 * hold up a start by ten seconds where it is silent */
	options.host = true;
	status = file_verify(&cfg, d->options.config, &options, stderr);
	if (!cfg)
		return status ? status : EXIT_FINDINGS;

	before_load(d);
	err = versions_save(&version, d->db, cfg, d->seal, "sbcd@local");
	if (!err)
		err = versions_activate(d->db, version);
	config_give(cfg);
	if (err) {
		fprintf(stderr, "sbcd: the configuration cannot be saved: %s\n",
			strerror(err));
		return EXIT_FINDINGS;
	}
	return EXIT_CLEAN;
}

/* A version that nobody accepted; with --config it is replaced anyway */
static int trial_settle(struct daemon *d)
{
	struct version_trial trial = { 0 };
	int err = versions_trial(d->db, &trial);

	if (!err && trial.until) {
		before_load(d);
		err = acceptance_settle(d->db, &d->given_up);
	}
	if (err)
		fprintf(stderr,
			"sbcd: the version that ran before cannot be "
			"taken back: %s\n",
			strerror(err));
	return err;
}

static int plan_load(struct daemon *d)
{
	struct config *cfg = NULL;
	int err;

	err = versions_load(&cfg, d->db, 0);
	if (err) {
		fprintf(stderr, "sbcd: %s\n",
			err == ENOENT ? "no configuration was ever activated; "
					"start with --config FILE.yaml"
				      : strerror(err));
		return err;
	}
	err = plan_alloc(&d->plan, cfg);
	if (err)
		fprintf(stderr,
			"sbcd: the configuration cannot be compiled: %s\n",
			strerror(err));
	config_give(cfg);
	return err;
}

/* Logging follows the plan that runs; an option of the command line wins */
static void levels_follow(const struct plan *plan, void *arg)
{
	const struct daemon *d = arg;

	logging_follow(d->control, plan, d->options.log_level);
}

/* Who may use the shell, and where that is recorded */
static void shell_follow(struct daemon *d, const struct plan *plan)
{
	char folder[1024];

	logging_folder(folder, sizeof(folder), plan->system, d->db);
	audit_follow(d->audit, plan->config, folder);
	server_follow(d->server);
}

/* What is of the whole program, and not of a worker */
static void plan_runs(const struct plan *plan, void *arg)
{
	struct daemon *d = arg;

	levels_follow(plan, d);
	clerk_follow(&d->clerk, plan);
	shell_follow(d, plan);
}

static int logs_open(const struct daemon *d)
{
	static const char *const targets[] = { "file", "syslog", "journal",
					       "stderr" };
	const struct system_config *system = d->plan->system;
	struct log_setup setup = {
		.target = targets[system->log_target],
		.format =
			system->log_format == LOG_FORMAT_JSON ? "json" : "text",
		.path = system->log_path[0] ? system->log_path : NULL,
	};
	char beside[1024];

	if (!setup.path &&
	    !database_beside(d->db, "log", beside, sizeof(beside)))
		setup.path = beside;
	if (setup.path)
		trace_folder(setup.path);
	levels_follow(d->plan, (void *)d);
	return log_open(&setup);
}

/* No secret in a core file, and enough descriptors for media */
static void limits_set(void)
{
	struct rlimit none = { 0, 0 }, files;

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* --- systemd ------------------------------------------------------------- */

/* libsystemd is linked for the journal anyway; its sd_notify knows abstract
 * sockets and says nothing where there is no systemd. None of these messages
 * matters to the SBC itself, so an error is nobody's */

static void life_tell(void *arg)
{
	(void)arg;
	(void)sd_notify(0, "WATCHDOG=1");
}

static void ready_tell(struct daemon *d)
{
	uint64_t silence = 0;

	(void)sd_notify(0, "READY=1");
	if (sd_watchdog_enabled(0, &silence) > 0)
		watchdog_begin(&d->watchdog, d->sbc, silence, life_tell, d);
}

/* Calls in progress may have their time: no sign of life comes meanwhile */
static void stopping_tell(const struct daemon *d)
{
	const struct plan *plan = sbc_plan(d->sbc);
	uint64_t us = (plan->system->shutdown_timeout + 10) * 1000000ull;

	plan_give(plan);
	(void)sd_notifyf(0,
			 "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\n"
			 "WATCHDOG_USEC=%llu",
			 (unsigned long long)us, (unsigned long long)us);
}

static void signalled(int flags, void *arg)
{
	struct daemon *d = arg;
	struct signalfd_siginfo info;
	(void)flags;

	if (read(d->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		log_reopen();
		trace_reopen();
		return;
	}
	stopping_tell(d);
	re_cancel();
}

/* Blocked before the first thread begins, so that none is found by them */
static int signals_open(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an errno */
	d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signals < 0)
		return errno;
	return fd_listen(d->signals, FD_READ, signalled, d);
}

static void notice(const char *text, void *arg)
{
	const struct daemon *d = arg;

	server_notice(d->server, text);
}

static void end(void *arg)
{
	(void)arg;
	re_cancel();
}

/* Who asked for it reads his answer first */
static void restart(void *arg)
{
	struct daemon *d = arg;

	d->restarts = true;
	server_notice(d->server, "The SBC restarts");
	stopping_tell(d);
	timer_start(&d->end, 100, end, d);
}

static void sessions(session_report_h *h, void *x, void *arg)
{
	const struct daemon *d = arg;

	server_walk(d->server, h, x);
}

static int control_begin(struct daemon *d)
{
	struct control_setup setup = {
		.sbc = d->sbc,
		.db = d->db,
		.seal = d->seal,
		.home = d->mailbox,
		.activated = plan_runs,
		.restart = restart,
		.notice = notice,
		.sessions = sessions,
		.arg = d,
	};
	int err = audit_open(&d->audit);

	setup.audit = d->audit;
	if (!err)
		err = control_open(&d->control, &setup);
	if (!err) {
		const struct plan *plan = sbc_plan(d->sbc);

		shell_follow(d, plan);
		plan_give(plan);
	}
	return err ? err : server_serve(d->server, d->control);
}

static int sbc_begin(struct daemon *d)
{
	struct sbc_setup setup = {
		.db = d->db,
		.seal = d->seal,
		.plan = d->plan,
		.before = d->before,
	};
	char why[256] = "";
	int err = sbc_open(&d->sbc, &setup, why);

	plan_give(d->before);
	d->before = NULL;
	if (err)
		fprintf(stderr, "sbcd: %s\n", why);
	return err;
}

/* The control socket comes first: where it cannot be had, nothing is sent */
static int serve(struct daemon *d)
{
	int err = wheel_open();

	if (err) {
		fprintf(stderr, "sbcd: cannot start: %s\n", strerror(err));
		return err;
	}
	err = server_open(&d->server, d->options.socket);
	if (err) {
		fprintf(stderr, "sbcd: control socket %s: %s\n",
			d->options.socket, strerror(err));
		return err;
	}
	err = sbc_begin(d);
	if (err)
		return err;
	log_notice(SIPD, "start", "version=%u", d->plan->config->version);
	if (d->given_up)
		acceptance_tell(d->given_up, d->plan->config->version,
				"was not accepted before the restart");
	leap_begin(&d->leap);
	/* a database that cannot be written has an alarm of its own */
	d->began = !vitals_started(d->db);
	clerk_follow(&d->clerk, d->plan);
	thresholds_begin(&d->thresholds, d->sbc, database_path(d->db));
	vitals_begin(&d->vitals, d->sbc, d->db, d->seal);
	plan_give(d->plan); /* the SBC has it, until another one runs */
	d->plan = NULL;
	err = mailbox_open(&d->mailbox, d);
	if (!err)
		err = control_begin(d);
	if (err) {
		fprintf(stderr, "sbcd: cannot start: %s\n", strerror(err));
		return err;
	}

	puts("sbcd: ready");
	fflush(stdout);
	ready_tell(d);
	return re_main(NULL);
}

static int writer_begin(struct daemon *d)
{
	clerk_open(&d->clerk, d->db);
	database_watch(d->db, vitals_flush, &d->vitals);
	return database_start(d->db, database_news, d);
}

static int run(struct daemon *d)
{
	int err, status, small;

	limits_set();
	small = image_enlarge();
	err = store_open(d);
	if (err)
		return EXIT_FINDINGS;
	if (d->options.config) {
		status = config_take_in(d);
		if (status)
			return status;
	}

	err = trial_settle(d);
	if (!err)
		err = plan_load(d);
	if (!err)
		err = signals_open(d);
	if (!err)
		err = logs_open(d);
	if (small)
		log_info(SIPD, "code-in-small-pages", "text=\"%s\"",
			 strerror(small));
	if (!err)
		err = writer_begin(d);
	if (!err)
		err = serve(d);

	return err ? EXIT_FINDINGS : EXIT_CLEAN;
}

static void daemon_close(struct daemon *d)
{
	watchdog_end(&d->watchdog);
	timer_cancel(&d->end);
	server_close(d->server);
	control_close(d->control);
	audit_close(d->audit);
	mailbox_close(d->mailbox);
	thresholds_end(&d->thresholds);
	vitals_end(&d->vitals);
	sbc_close(d->sbc);
	leap_end(&d->leap);
	if (d->began)
		(void)vitals_ended(d->db);
	clerk_close(&d->clerk);
	wheel_close();
	plan_give(d->plan);
	plan_give(d->before);
	database_close(d->db);
	seal_close(d->seal);
	if (d->signals > 0) {
		fd_close(d->signals);
		close(d->signals);
	}
	trace_close();
	log_close();
}

/* The same program with what was activated last; whatever is open still is not for
 * it. Comes back where that cannot be */
static void begin_anew(const struct options *o, char *program)
{
	char *arguments[16] = { program };
	size_t n = 1;
	sigset_t none;
	const struct {
		const char *name, *value;
	} kept[] = {
		{ "--db", o->db },
		{ "--socket", o->socket },
		{ "--log-level", o->log_level },
		{ "--node-id", o->node_id },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (!kept[i].value)
			continue;
		arguments[n++] = (char *)kept[i].name;
		arguments[n++] = (char *)kept[i].value;
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)close_range(STDERR_FILENO + 1, UINT_MAX, 0);
	(void)execv("/proc/self/exe", arguments);
	fprintf(stderr, "sbcd: cannot begin anew: %s\n", strerror(errno));
}

int main(int argc, char *argv[])
{
	struct daemon d = { .signals = -1 };
	int err, status;

	if (options_read(&d.options, argc, argv))
		return EXIT_UNREADABLE;
	if (d.options.help) {
		options_help(stdout, usage, sbcd_options);
		return printed(EXIT_CLEAN);
	}
	if (d.options.version) {
		puts("sbcd " SBC_VERSION);
		return printed(EXIT_CLEAN);
	}

	err = libre_init();
	if (!err)
		err = fd_setsize(DESCRIPTORS);
	if (err) {
		fprintf(stderr, "sbcd: %s\n", strerror(err));
		return EXIT_FINDINGS;
	}

	if (d.options.run_manual)
		status = printed(manual(&d.options));
	else if (d.options.verify)
		status = printed(file_verify(NULL, d.options.verify, &d.options,
					     stdout));
	else
		status = run(&d);

	daemon_close(&d);
	libre_close();
	if (d.restarts && !status) {
		begin_anew(&d.options, argv[0]);
		status = EXIT_FINDINGS;
	}
	return status;
}
