/*
 * Rules for call records: whether they go anywhere
 */
#include "store/checks/checks.h"

void check_account(struct survey *s)
{
	const struct item *item =
		config_item_at(s->cfg, &element_account_config, 0);
	const struct account_config *a = item->value;
	struct finding_about about = about_item(item);

	about.parameter = "file-output";
	about.value = "disabled";
	if (a->state && !a->account_servers.n && !a->file_output)
		survey_found(s, "VC-1001", &about,
			     "writes records to the database only");
	about.parameter = "ftp-push";
	about.value = "enabled";
	if (a->ftp_push && !a->push_receiver.n)
		survey_found(s, "VC-1004", &about,
			     "has ftp-push without push-receiver");
	if (a->ftp_push && !a->file_output)
		survey_found(s, "VC-1004", &about,
			     "has ftp-push without file-output");
}
