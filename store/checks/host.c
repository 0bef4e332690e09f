/*
 * Rules that look at this machine: files, addresses, rights
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/checks/checks.h"

/* --- Addresses ----------------------------------------------------------- */

static void machine_lacks(struct survey *s, struct finding_about *about,
			  const struct sa *sa)
{
	const struct outside_host *host = s->outside->host;
	struct sa bare = *sa;

	if (!host->has_address || !sa_isset(sa, SA_ADDR) || sa_is_any(sa) ||
	    host->has_address(sa, host->arg))
		return;
	sa_set_port(&bare, 0);
	about->value = survey_address(s, &bare);
	survey_found(s, "VC-0209", about,
		     "has address [%s] which this machine does not have",
		     about->value);
}

static void addresses(struct survey *s)
{
	const struct item *system =
		config_item_at(s->cfg, &element_system_config, 0);
	const struct system_config *config = system->value;
	struct finding_about about;

	for (size_t i = 0; i < s->ports_n; i++) {
		const struct port_facts *p = &s->ports[i];

		about = about_child(p->item, &element_sip_port, p->port);
		about.parameter = "address";
		if (p->interface->state)
			machine_lacks(s, &about, &p->port->address);
	}
	about = about_item(system);
	about.parameter = "metrics-address";
	machine_lacks(s, &about, &config->metrics_address);
}

/* --- Steering-pools ------------------------------------------------------ */

static void pools(struct survey *s)
{
	const struct outside_host *host = s->outside->host;
	size_t n = config_count(s->cfg, &element_steering_pool);

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_steering_pool, i);
		const struct steering_pool *pool = item->value;
		struct finding_about about = about_item(item);

		about.parameter = "ip-address";
		machine_lacks(s, &about, &pool->ip_address);
		if (!host->last_port || pool->start_port > host->last_port ||
		    pool->end_port < host->first_port)
			continue;
		about.parameter = "start-port";
		about.value = survey_text(s, "%u-%u", host->first_port,
					  host->last_port);
		survey_found(s, "VC-0609", &about,
			     "overlaps the system's port range [%s]",
			     about.value);
	}
}

/* --- Secrets ------------------------------------------------------------- */

/* Does the key of the machine open what it has sealed? */
static void secret_check(struct survey *s, struct opener *opener,
			 const struct element *type, const void *value,
			 struct finding_about about)
{
	char clear[SECRET_MAX + 1];

	for (const struct field *f = type->fields; f->name; f++) {
		const struct secret *secret;
		int err;

		if (f->type != &type_secret)
			continue;
		secret = field_slot_const(f, value);
		if (!secret_is_set(secret) || !secret->sealed)
			continue;
		err = opener_use(opener, clear, secret);
		secret_wipe_bytes(clear, sizeof(clear));
		if (err == ENOMEM)
			s->err = ENOMEM;
		if (err != EBADMSG)
			continue;
		about.field = f;
		about.hint = survey_text(s,
					 "Restore the key file or enter %s "
					 "again",
					 f->name);
		survey_found(s, "VC-0112", &about,
			     "has a %s that the key file does not open",
			     f->name);
	}
}

static void secrets(struct survey *s, const struct element *type,
		    struct opener *opener)
{
	size_t n = config_count(s->cfg, type);

	for (size_t i = 0; i < n && !s->err; i++) {
		const struct item *item = config_item_at(s->cfg, type, i);

		secret_check(s, opener, type, item->value, about_item(item));
		for (const struct field *f = type->fields; f->name; f++) {
			const struct items *items;

			if (!f->child)
				continue;
			items = field_slot_const(f, item->value);
			for (uint32_t j = 0; j < items->n; j++)
				secret_check(s, opener, f->child, items->v[j],
					     about_child(item, f->child,
							 items->v[j]));
		}
	}
}

static void stored_secrets(struct survey *s)
{
	struct opener *opener = NULL;

	if (!s->outside->host->seal)
		return;
	s->err = opener_open(&opener, s->outside->host->seal);
	for (size_t i = 0; elements[i] && !s->err; i++)
		secrets(s, elements[i], opener);
	opener_close(opener);
}

/* --- Files --------------------------------------------------------------- */

static bool has_clear(const struct element *type, const void *value)
{
	for (const struct field *f = type->fields; f->name; f++) {
		if (f->type == &type_secret) {
			const struct secret *secret =
				field_slot_const(f, value);

			if (secret_is_set(secret) && !secret->sealed &&
			    !secret_is_mask(secret))
				return true;
		} else if (f->child) {
			const struct items *items = field_slot_const(f, value);

			for (uint32_t i = 0; i < items->n; i++)
				if (has_clear(f->child, items->v[i]))
					return true;
		}
	}

	return false;
}

static bool has_clear_secrets(const struct config *cfg)
{
	for (size_t e = 0; elements[e]; e++) {
		size_t n = config_count(cfg, elements[e]);

		for (size_t i = 0; i < n; i++)
			if (has_clear(elements[e],
				      config_at(cfg, elements[e], i)))
				return true;
	}

	return false;
}

static bool is_open_to_others(const char *path)
{
	struct stat st;

	return !stat(path, &st) && (st.st_mode & (S_IRWXG | S_IRWXO));
}

static void file_found(struct survey *s, const char *path, bool error)
{
	const struct finding_about about = {
		.value = path,
		.severity = SEVERITY_WARNING,
		.severity_set = !error,
	};

	survey_found(s, "VC-0720", &about,
		     "File [%s] is missing or readable by others", path);
}

static void files(struct survey *s)
{
	const char *key = s->outside->host->key_file;
	const char *file = s->outside->host->file;

	if (key && (access(key, F_OK) || is_open_to_others(key)))
		file_found(s, key, true);
	if (file && is_open_to_others(file) && has_clear_secrets(s->cfg))
		file_found(s, file, false);
}

static void records(struct survey *s)
{
	const struct item *item =
		config_item_at(s->cfg, &element_account_config, 0);
	const struct account_config *a = item->value;
	struct finding_about about = about_item(item);

	if (!a->state || !a->file_output || !*a->file_path ||
	    !access(a->file_path, W_OK | X_OK))
		return;
	about.parameter = "file-path";
	about.value = a->file_path;
	survey_found(s, "VC-1002", &about,
		     "has file-path [%s] which cannot be written",
		     a->file_path);
}

static void superuser(struct survey *s)
{
	const struct item *item =
		config_item_at(s->cfg, &element_admin_security, 0);
	struct finding_about about = about_item(item);

	if (s->outside->host->unguarded)
		survey_found(s, "VC-0721", &about, "has no superuser password");
}

void check_host(struct survey *s)
{
	if (!s->outside->host)
		return;
	addresses(s);
	pools(s);
	stored_secrets(s);
	files(s);
	records(s);
	superuser(s);
}
