/*
 * Files of call records as the running configuration wants them
 */
#include <string.h>
#include "store/elements/account_config.h"
#include "store/log.h"
#include "store/records.h"
#include "sbc/alarm.h"
#include "sbc/clerk.h"
#include "sbc/clock.h"

enum {
	EVERY = 5000 /* [ms] */
};

/* On the writer thread */
static void news(bool works, const char *why, void *arg)
{
	(void)arg;
	if (works)
		alarm_clear("cdr-write-failed", "files");
	else
		alarm_raise("cdr-write-failed", ALARM_MAJOR, "files", "%s",
			    why);
}

void clerk_open(struct clerk *clerk, struct database *db)
{
	memset(clerk, 0, sizeof(*clerk));
	clerk->db = db;
	records_news(db, news, clerk);
}

static void look(void *arg)
{
	struct clerk *clerk = arg;
	struct ledger_setup setup = {
		.folder = clerk->folder,
		.csv = clerk->csv,
		.json = clerk->json,
		.size_max = clerk->size_max,
		.files_max = clerk->files_max,
		.age_max = clerk->age_max,
	};
	int err = records_follow(clerk->db, &setup, clock_ms() / 1000);

	if (err && log_admit("record-files"))
		log_error(DB, "record-files", "text=\"%s\"", strerror(err));
	timer_start(&clerk->timer, EVERY, look, clerk);
}

void clerk_follow(struct clerk *clerk, const struct plan *plan)
{
	const struct account_config *account =
		config_single(plan->config, &element_account_config);
	const uint8_t format = account->file_format;

	clerk->folder[0] = '\0';
	if (account->state && account->file_output && !*account->file_path)
		(void)database_beside(clerk->db, "cdr", clerk->folder,
				      sizeof(clerk->folder));
	else if (account->state && account->file_output &&
		 strlen(account->file_path) < sizeof(clerk->folder))
		strcpy(clerk->folder, account->file_path);
	clerk->csv = format != ACCOUNT_FORMAT_JSON;
	clerk->json = format != ACCOUNT_FORMAT_CSV;
	clerk->size_max = account->max_file_size;
	clerk->files_max = account->max_files;
	clerk->age_max = 60ULL * account->file_rotate_time;
	look(clerk);
}

void clerk_close(struct clerk *clerk)
{
	if (clerk->db)
		timer_cancel(&clerk->timer);
}
