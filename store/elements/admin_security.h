/*
 * admin-security: who may use the shell, and what is recorded of it
 */
#pragma once

#include "store/config.h"

enum audit_detail {
	AUDIT_DETAIL_BRIEF,
	AUDIT_DETAIL_VERBOSE,
};

struct login_config {
	char *user_group, *superuser_group;
	uint32_t concurrent_session_limit;
	uint32_t max_login_attempts;
	uint32_t login_attempt_interval; /* [s] */
	uint32_t lockout_interval;       /* [s]; 0: nobody is locked out */
	bool send_alarm;
	uint32_t min_secure_pwd_len;
	char *login_banner;
};

struct audit_logging {
	bool state;
	uint8_t detail_level;   /* enum audit_detail */
	uint32_t max_file_size; /* [MB] */
	uint32_t max_files;
	bool audit_required;
};

struct admin_security {
	struct items login_config, audit_logging; /* one object each */
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_login_config;
extern const struct element element_audit_logging;
extern const struct element element_admin_security;

/** Who may log in, and what is recorded; never NULL, and alive as long as cfg */
const struct login_config *login_config_of(const struct config *cfg);
const struct audit_logging *audit_logging_of(const struct config *cfg);
