/*
 * admin-security: who may use the shell, and what is recorded of it
 */
#include "store/elements/admin_security.h"

/* clang-format off */
static const char *const detail_words[] = { "brief", "verbose", NULL };

#define S login_config
static const struct field login_config_fields[] = {
	NAME(S, user_group, "user-group", .dflt = "sbc",
		.help = "Group of the machine whose members may use the shell",
		.source = "own"),
	NAME(S, superuser_group, "superuser-group", .dflt = "sbc-admin",
		.help = "Group of the machine whose members, when they are in user-group too, may become superuser",
		.source = "own"),
	UINT(S, concurrent_session_limit, "concurrent-session-limit", .dflt = "10", .min = 1, .max = 100,
		.help = "Shell connections at once; one more is kept for root",
		.source = "ACLI"),
	UINT(S, max_login_attempts, "max-login-attempts", .dflt = "3", .min = 1, .max = 10,
		.help = "Wrong superuser passwords of one user until he is locked out",
		.source = "ACLI"),
	UINT(S, login_attempt_interval, "login-attempt-interval", .dflt = "4", .min = 0, .max = 60, .unit = "s",
		.help = "Wait after a wrong password",
		.source = "ACLI"),
	UINT(S, lockout_interval, "lockout-interval", .dflt = "60", .min = 0, .max = 3600, .unit = "s",
		.help = "How long a user is locked out; 0 is not at all",
		.source = "ACLI"),
	FLAG(S, send_alarm, "send-alarm", .dflt = "enabled",
		.help = "A lock-out raises the alarm login-lockout",
		.source = "ACLI"),
	UINT(S, min_secure_pwd_len, "min-secure-pwd-len", .dflt = "12", .min = 8, .max = 64, .unit = "characters",
		.help = "Length of the shortest superuser password",
		.source = "ACLI"),
	TEXT(S, login_banner, "login-banner",
		.help = "Text printed when an operator connects",
		.source = "ACLI"),
	END_OF_FIELDS,
};
#undef S

const struct element element_login_config = {
	.name = "login-config",
	.folder = "security",
	.flags = SINGLE,
	.size = sizeof(struct login_config),
	.fields = login_config_fields,
	.help = "Who may use the shell, and the superuser password",
};

#define S audit_logging
static const struct field audit_logging_fields[] = {
	FLAG(S, state, "state", .dflt = "enabled",
		.help = "Each line that an operator types is recorded in audit.log",
		.source = "ACLI"),
	WORD(S, detail_level, "detail-level", .dflt = "verbose", .words = detail_words,
		.help = "verbose records the old and the new value of each change too",
		.source = "ACLI"),
	UINT(S, max_file_size, "max-file-size", .dflt = "10", .min = 1, .max = 1000, .unit = "MB",
		.help = "Size at which a new file is begun",
		.source = "ACLI"),
	UINT(S, max_files, "max-files", .dflt = "10", .min = 1, .max = 1000,
		.help = "Number of files that are kept",
		.source = "ACLI"),
	FLAG(S, audit_required, "audit-required", .dflt = "disabled",
		.help = "Nothing is changed while audit.log cannot be written",
		.source = "own"),
	END_OF_FIELDS,
};
#undef S

const struct element element_audit_logging = {
	.name = "audit-logging",
	.folder = "security",
	.flags = SINGLE,
	.size = sizeof(struct audit_logging),
	.fields = audit_logging_fields,
	.help = "The record of what operators do",
};

#define S admin_security
static const struct field admin_security_fields[] = {
	CHILD(S, login_config, "login-config", element_login_config,
		.help = "Who may use the shell, and the superuser password",
		.source = "ACLI"),
	CHILD(S, audit_logging, "audit-logging", element_audit_logging,
		.help = "The record of what operators do",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_admin_security = {
	.name = "admin-security",
	.folder = "security",
	.flags = SINGLE,
	.size = sizeof(struct admin_security),
	.fields = admin_security_fields,
	.help = "Who may use the shell, and what is recorded of it",
};
/* clang-format on */

static const struct admin_security *security_of(const struct config *cfg)
{
	return config_single(cfg, &element_admin_security);
}

const struct login_config *login_config_of(const struct config *cfg)
{
	return security_of(cfg)->login_config.v[0];
}

const struct audit_logging *audit_logging_of(const struct config *cfg)
{
	return security_of(cfg)->audit_logging.v[0];
}
