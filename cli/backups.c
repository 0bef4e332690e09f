/*
 * Backups of configurations, restored and deleted; delete-config
 *
 * A backup is written beside its name and linked to it when it is whole: there is
 * no half one, and none is ever replaced. Its first line says what it is of.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "store/log.h"
#include "store/number.h"
#include "store/versions.h"
#include "store/yaml.h"
#include "sbc/clock.h"
#include "cli/acceptance.h"
#include "cli/backups.h"
#include "cli/check.h"

enum {
	NAME_SIZE = 129,
	PATH_SIZE = 1024,
	SPACE = 10 << 20, /* that has to be free [bytes] */
	LISTED = 1000
};

enum place {
	SAVED,
	RUNNING,
	EDITING,
	PLACES
};
static const char *const places[] = { "saved", "running", "editing" };

struct backup {
	struct task task;
	char name[NAME_SIZE]; /* "": a version is restored */
	enum place place;
	uint32_t version;
	bool deletes;       /* what is emptied was backed up before */
	struct config *cfg; /* at hand */
};

static void backup_destructor(void *arg)
{
	struct backup *b = arg;

	config_give(b->cfg);
}

static void no_memory(struct session *s)
{
	reply_error(&s->reply, REPLY_FAILED, "no memory");
}

/* --- Files ----------------------------------------------------------------- */

static int folder_path(const struct task *task, char path[PATH_SIZE])
{
	return database_beside(task->control->setup.db, "backup", path,
			       PATH_SIZE);
}

static int file_path(const struct task *task, const char *name,
		     char path[PATH_SIZE])
{
	char folder[PATH_SIZE];
	int err = folder_path(task, folder);

	if (!err &&
	    snprintf(path, PATH_SIZE, "%s/%s.yaml", folder, name) >= PATH_SIZE)
		err = ENAMETOOLONG;

	return err;
}

static bool has_space(const char *folder)
{
	struct statvfs fs;

	return !statvfs(folder, &fs) &&
	       (uint64_t)fs.f_bavail * fs.f_frsize >= SPACE;
}

static int bytes_write(const char *path, const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = fd < 0 ? errno : 0;

	while (!err && n) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno != EINTR)
			err = errno;
		if (done > 0) {
			text += done;
			n -= (size_t)done;
		}
	}
	if (!err && fsync(fd))
		err = errno;
	if (fd >= 0)
		close(fd);

	return err;
}

/* EEXIST: there is one of this name */
static int file_write(const char *path, const char *text)
{
	char beside[PATH_SIZE + 8];
	int err;

	(void)snprintf(beside, sizeof(beside), "%s.new", path);
	err = bytes_write(beside, text, strlen(text));
	if (!err && link(beside, path))
		err = errno;
	(void)unlink(beside);

	return err;
}

static size_t elements_of(const struct config *cfg)
{
	size_t n = 0;

	for (const struct element *const *e = elements; *e; e++)
		n += config_count(cfg, *e);

	return n;
}

/* The number that a configuration has; that of editing is the next one */
static uint32_t number_of(const struct task *task, const struct config *cfg)
{
	uint32_t saved = 0;

	if (cfg->version)
		return cfg->version;
	(void)versions_numbers(task->control->setup.db, &saved, NULL);

	return saved + 1;
}

static int backup_text(char **textp, const struct task *task,
		       const struct config *cfg, enum place place)
{
	/* Stored secrets are sealed, and printed as they are */
	struct yaml_setup setup = { .cfg = cfg, .clear = true };
	char now[25];

	clock_rfc3339(now, clock_wall_ms());

	return re_sdprintf(textp,
			   "# backup of version %u, source %s, %zu elements, "
			   "made %s by %s\n%H",
			   number_of(task, cfg), places[place],
			   elements_of(cfg), now, task->by, yaml_print, &setup)
		       ? ENOMEM
		       : 0;
}

static int refuse(struct task *task, const char *fmt, const char *what)
{
	reply_error(&task->reply, REPLY_FAILED, fmt, what);

	return ECANCELED;
}

static int backup_write(struct task *task, const struct config *cfg,
			const char *name, enum place place)
{
	char folder[PATH_SIZE], path[PATH_SIZE], *text = NULL;
	int err = folder_path(task, folder);

	if (!err)
		err = file_path(task, name, path);
	if (!err && mkdir(folder, 0700) && errno != EEXIST)
		err = errno;
	if (err)
		return refuse(task, "The backup folder cannot be used: %s",
			      strerror(err));
	if (!has_space(folder))
		return refuse(task,
			      "Less than 10 MiB are free for the backup [%s]",
			      name);
	err = backup_text(&text, task, cfg, place);
	if (!err)
		err = file_write(path, text);
	mem_deref(text);
	if (err == EEXIST)
		return refuse(task, "Backup [%s] exists already", name);
	if (err)
		return refuse(task, "The backup cannot be written: %s",
			      strerror(err));
	reply_change(&task->reply, "backup %s", name);
	log_notice(CLI, "backup-made", "name=%s source=%s by=%s", name,
		   places[place], task->by);

	return 0;
}

/* --- Words ----------------------------------------------------------------- */

static bool name_take(struct session *s, char name[NAME_SIZE],
		      const struct words *w, uint32_t at)
{
	struct pl pl;

	if (at == w->n) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing NAME");
		return false;
	}
	pl_set_str(&pl, w->v[at]);
	if (!name_is_valid(&pl) || pl_strcpy(&pl, name, NAME_SIZE)) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "NAME [%s] is no name: letters, digits, _ . -",
			    w->v[at]);
		return false;
	}
	return true;
}

/* The last word, or the default. False: said so */
static bool place_take(struct session *s, enum place *place,
		       const struct words *w, uint32_t at)
{
	for (int i = 0; at < w->n && i < PLACES; i++) {
		if (strcmp(w->v[at], places[i]))
			continue;
		*place = (enum place)i;
		at++;
		break;
	}
	if (at == w->n)
		return true;
	reply_error(&s->reply, REPLY_UNKNOWN,
		    "Unknown word [%s], possible here: editing, running, saved",
		    w->v[at]);
	return false;
}

static struct backup *backup_alloc(void)
{
	return mem_zalloc(sizeof(struct backup), backup_destructor);
}

/* --- backup-config ---------------------------------------------------------- */

static int version_load(struct task *task, struct config **cfgp,
			enum place place)
{
	struct database *db = task->control->setup.db;
	uint32_t number = 0;
	int err = 0;

	if (place == SAVED)
		err = versions_numbers(db, &number, NULL);
	else if (place == EDITING)
		number = VERSION_EDITING;
	if (!err && place == SAVED && !number)
		err = ENOENT;
	if (!err)
		err = versions_load(cfgp, db, number);
	if (err == ENOENT)
		return refuse(task, "There is no %s configuration",
			      places[place]);

	return err;
}

static int load_place(struct task *task)
{
	struct backup *b = (struct backup *)task;

	return version_load(task, &b->cfg, b->place);
}

static int make(struct task *task)
{
	struct backup *b = (struct backup *)task;
	int err = backup_write(task, b->cfg, b->name, b->place);

	if (!err)
		reply_line(&task->reply, "Backup [%s] is made of %s.", b->name,
			   places[b->place]);

	return err;
}

static const struct step backup_steps[] = {
	{ ON_JOB, load_place },
	{ ON_JOB, make },
	{ ON_JOB, NULL },
};

void backup_config(struct session *s, const struct words *w, uint32_t at)
{
	struct backup *b = backup_alloc();

	if (!b)
		no_memory(s);
	else if (name_take(s, b->name, w, at) &&
		 place_take(s, &b->place, w, at + 1)) {
		task_start(s, (struct task *)b, backup_steps, false);
		return;
	}
	mem_deref(b);
}

/* --- display-backups --------------------------------------------------------- */

struct found {
	char name[NAME_SIZE];
	uint32_t version;
	char source[16];
	size_t elements;
	uint64_t size;
	char made[32];
};

/* What its first line says; another file is none of ours */
static bool found_read(struct found *f, int folder, const char *file)
{
	size_t n = strlen(file);
	struct stat st;
	FILE *in;
	int fd, got;

	if (n < 6 || n - 5 >= sizeof(f->name) || strcmp(file + n - 5, ".yaml"))
		return false;
	fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	in = fdopen(fd, "r");
	if (!in) {
		close(fd);
		return false;
	}
	got = fstat(fd, &st)
		      ? 0
		      : fscanf(in,
			       "# backup of version %u, source %15[a-z],"
			       " %zu elements, made %31s",
			       &f->version, f->source, &f->elements, f->made);
	fclose(in);
	if (got != 4)
		return false;
	memcpy(f->name, file, n - 5);
	f->name[n - 5] = '\0';
	f->size = (uint64_t)st.st_size;

	return true;
}

static int found_order(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int made = strcmp(x->made, y->made);

	return made ? made : strcmp(x->name, y->name);
}

/* How many; free(3) *fp */
static size_t found_all(struct found **fp, const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	size_t n = 0;

	*fp = dir ? calloc(LISTED, sizeof(**fp)) : NULL;
	while (*fp && n < LISTED && (e = readdir(dir)))
		n += found_read(&(*fp)[n], dirfd(dir), e->d_name);
	if (dir)
		closedir(dir);
	if (n)
		qsort(*fp, n, sizeof(**fp), found_order);

	return n;
}

static int list(struct task *task)
{
	char folder[PATH_SIZE];
	struct found *f = NULL;
	size_t n;
	int err = folder_path(task, folder);

	if (err)
		return err;
	n = found_all(&f, folder);
	if (n)
		reply_line(&task->reply, "%-32s %7s  %-8s %8s %10s  %s", "Name",
			   "Version", "Source", "Elements", "Size", "Date");
	else
		reply_line(&task->reply, "There are no backups.");
	for (size_t i = 0; i < n; i++)
		reply_line(&task->reply, "%-32s %7u  %-8s %8zu %10llu  %s",
			   f[i].name, f[i].version, f[i].source, f[i].elements,
			   (unsigned long long)f[i].size, f[i].made);
	free(f);

	return 0;
}

static const struct step list_steps[] = {
	{ ON_JOB, list },
	{ ON_JOB, NULL },
};

static bool ends_here(struct session *s, const struct words *w, uint32_t at)
{
	if (at < w->n)
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at]);

	return at == w->n;
}

void display_backups(struct session *s, const struct words *w, uint32_t at)
{
	if (ends_here(s, w, at))
		task_start(s, mem_zalloc(sizeof(struct task), NULL), list_steps,
			   false);
}

/* --- delete-backup-config ------------------------------------------------------ */

static int remove_file(struct task *task)
{
	struct backup *b = (struct backup *)task;
	char path[PATH_SIZE];
	int err = file_path(task, b->name, path);

	if (!err && unlink(path))
		err = errno;
	if (err == ENOENT)
		return refuse(task, "There is no backup [%s]", b->name);
	if (err)
		return refuse(task, "The backup cannot be deleted: %s",
			      strerror(err));
	reply_line(&task->reply, "Backup [%s] is deleted.", b->name);
	reply_change(&task->reply, "backup %s deleted", b->name);
	log_notice(CLI, "backup-deleted", "name=%s by=%s", b->name, task->by);

	return 0;
}

static const struct step remove_steps[] = {
	{ ON_JOB, remove_file },
	{ ON_JOB, NULL },
};

static void remove_agreed(struct session *s, const struct pl *answer)
{
	struct backup *b = s->arg;

	s->arg = NULL;
	if (is_word(answer, "y") || is_word(answer, "yes")) {
		task_start(s, (struct task *)b, remove_steps, false);
		return;
	}
	reply_line(&s->reply, "Nothing was deleted.");
	mem_deref(b);
}

static int find_file(struct task *task)
{
	struct backup *b = (struct backup *)task;
	char path[PATH_SIZE];
	int err = file_path(task, b->name, path);

	if (!err && access(path, F_OK))
		err = errno;
	return err == ENOENT ? refuse(task, "There is no backup [%s]", b->name)
			     : err;
}

static int remove_ask(struct task *task)
{
	struct backup *b = backup_alloc();
	struct session *s = task->session;

	if (!b)
		return ENOMEM;
	str_ncpy(b->name, ((struct backup *)task)->name, sizeof(b->name));
	if (!s) {
		mem_deref(b);
		return ECANCELED;
	}
	s->arg = b;
	s->asks = remove_agreed;
	reply_ask(&task->reply, REPLY_QUESTION, "Delete backup [%s]? [y/n] ",
		  b->name);
	return 0;
}

/* What is not there is not asked about */
static const struct step remove_ask_steps[] = {
	{ ON_JOB, find_file },
	{ ON_FRONT, remove_ask },
	{ ON_JOB, NULL },
};

void delete_backup(struct session *s, const struct words *w, uint32_t at)
{
	struct backup *b = backup_alloc();

	if (!b)
		no_memory(s);
	else if (name_take(s, b->name, w, at) && ends_here(s, w, at + 1)) {
		task_start(s, (struct task *)b, remove_ask_steps, false);
		return;
	}
	mem_deref(b);
}

/* --- restore-backup-config ------------------------------------------------------ */

static int file_restore(struct task *task)
{
	struct backup *b = (struct backup *)task;
	struct list findings = LIST_INIT;
	char path[PATH_SIZE];
	int err = file_path(task, b->name, path);

	if (!err && access(path, F_OK))
		return refuse(task, "There is no backup [%s]", b->name);
	if (!err)
		err = yaml_read_file(&b->cfg, path, &findings);
	for (struct le *le = list_head(&findings); le; le = le->next) {
		struct yaml_problem problem = { b->name, le->data };

		reply_print(&task->reply, (re_printf_h *)yaml_problem_print,
			    &problem);
	}
	list_flush(&findings);
	if (!err || err == ENOMEM)
		return err;

	return refuse(task, "Backup [%s] was not taken; nothing was changed",
		      b->name);
}

static int restore_load(struct task *task)
{
	struct backup *b = (struct backup *)task;
	char number[16];
	int err;

	if (!b->version)
		return file_restore(task);
	err = versions_load(&b->cfg, task->control->setup.db, b->version);
	(void)snprintf(number, sizeof(number), "%u", b->version);

	return err == ENOENT ? refuse(task, "There is no version %s", number)
			     : err;
}

/* What is to run has to be free of errors before anything is changed */
static int restore_verify(struct task *task)
{
	struct backup *b = (struct backup *)task;
	uint32_t errors = 0;
	int err = verify_say(task, b->cfg, NULL, b->place != RUNNING, false,
			     &errors);

	if (err || b->place != RUNNING || !errors)
		return err;
	reply_error(&task->reply, REPLY_FAILED,
		    "Configuration has %u error%s; nothing was changed", errors,
		    errors == 1 ? "" : "s");

	return ECANCELED;
}

static int restore_write(struct task *task)
{
	struct backup *b = (struct backup *)task;
	const struct control_setup *setup = &task->control->setup;
	uint32_t number = 0;
	int err;

	err = b->place == EDITING
		      ? versions_edit(setup->db, b->cfg, setup->seal)
		      : versions_save(&number, setup->db, b->cfg, setup->seal,
				      task->by);
	if (err)
		return err;
	if (b->version)
		reply_change(&task->reply, "version %u restored", b->version);
	else
		reply_change(&task->reply, "backup %s restored", b->name);
	if (b->place == EDITING) {
		reply_line(&task->reply, "Editing is what was restored.");
	} else {
		reply_line(&task->reply, "Saved as version %u.", number);
		reply_change(&task->reply, "version %u", number);
	}
	log_notice(CLI, "config-restored", "to=%s by=%s", places[b->place],
		   task->by);

	return 0;
}

static const struct step restore_steps[] = {
	{ ON_JOB, restore_load },
	{ ON_JOB, restore_verify },
	{ ON_JOB, restore_write },
	{ ON_JOB, NULL },
};

static void restored(struct session *s, struct task *task)
{
	struct backup *b = (struct backup *)task;
	const struct words none = { .n = 0 };

	if (b->place != EDITING)
		control_unlock(s->control, s);
	if (b->place == RUNNING)
		activate_config(s, &none, 0);
}

/* NAME, or `version N`. False: said so */
static bool source_take(struct session *s, struct backup *b,
			const struct words *w, uint32_t *at)
{
	struct pl pl;
	uint64_t n;

	if (*at + 1 >= w->n || strcmp(w->v[*at], "version")) {
		if (!name_take(s, b->name, w, *at))
			return false;
		++*at;
		return true;
	}
	pl_set_str(&pl, w->v[*at + 1]);
	if (uint_parse(&n, &pl, VERSION_EDITING - 1) || !n) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "There is no version [%s]", w->v[*at + 1]);
		return false;
	}
	b->version = (uint32_t)n;
	*at += 2;

	return true;
}

void restore_backup(struct session *s, const struct words *w, uint32_t at)
{
	struct backup *b = backup_alloc();

	if (!b) {
		no_memory(s);
		return;
	}
	b->place = EDITING;
	if (!source_take(s, b, w, &at) || !place_take(s, &b->place, w, at))
		goto out;
	if (b->place == RUNNING && !s->sbc) {
		reply_error(&s->reply, REPLY_FAILED, "This needs the daemon");
		goto out;
	}
	if (!control_lock(s))
		goto out;
	b->task.then = restored;
	task_start(s, (struct task *)b, restore_steps, true);
	return;

out:
	mem_deref(b);
}

/* --- delete-config ---------------------------------------------------------------- */

/* Editing too where it differs: nothing that somebody made is lost */
static int backup_all(struct task *task)
{
	struct backup *b = (struct backup *)task;
	struct database *db = task->control->setup.db;
	struct config *cfg = NULL;
	struct local_time now;
	char name[NAME_SIZE + 8];
	bool edited = false;
	uint32_t saved = 0;
	int err = versions_numbers(db, &saved, NULL);

	clock_local(&now);
	(void)snprintf(b->name, sizeof(b->name), "before-delete-%llu",
		       (unsigned long long)now.now);
	if (!err)
		err = versions_edited(&edited, db);
	if (!err && saved)
		err = version_load(task, &cfg, SAVED);
	if (!err && saved)
		err = backup_write(task, cfg, b->name, SAVED);
	config_give(cfg);
	cfg = NULL;
	(void)snprintf(name, sizeof(name), "%s%s", b->name,
		       saved ? "-editing" : "");
	if (!err && edited)
		err = version_load(task, &cfg, EDITING);
	if (!err && edited)
		err = backup_write(task, cfg, name, EDITING);
	config_give(cfg);

	return err;
}

static int empty(struct task *task)
{
	struct backup *b = (struct backup *)task;
	const struct control_setup *setup = &task->control->setup;
	uint32_t number = 0, running = 0;
	int err = config_alloc(&b->cfg);

	if (!err)
		err = versions_save(&number, setup->db, b->cfg, setup->seal,
				    task->by);
	if (err)
		return err;
	(void)versions_numbers(setup->db, NULL, &running);
	reply_line(&task->reply,
		   "Editing and saved are empty, version %u. Backup is [%s]. "
		   "Running is version %u and goes on.",
		   number, b->name, running);
	reply_change(&task->reply, "configuration deleted, version %u", number);
	log_warning(CLI, "config-deleted", "version=%u backup=%s by=%s", number,
		    b->name, task->by);

	return 0;
}

static const struct step delete_steps[] = {
	{ ON_JOB, backup_all },
	{ ON_JOB, empty },
	{ ON_JOB, NULL },
};

static void delete_agreed(struct session *s, const struct pl *answer)
{
	if (pl_strcmp(answer, "yes")) {
		reply_line(&s->reply, "Nothing was deleted.");
		return;
	}
	control_unlock(s->control, s);
	task_start(s, (struct task *)backup_alloc(), delete_steps, true);
}

void delete_config(struct session *s, const struct words *w, uint32_t at)
{
	if (!ends_here(s, w, at) || !control_lock(s))
		return;
	s->asks = delete_agreed;
	reply_ask(&s->reply, REPLY_QUESTION,
		  "Delete the whole configuration? Type yes: ");
}
