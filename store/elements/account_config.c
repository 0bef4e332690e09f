/*
 * account-config: which call records are written, and where they go
 */
#include "store/elements/account_config.h"

/* clang-format off */
static const char *const protocol_words[] = { "radius", NULL };
static const char *const strategy_words[] = { "hunt", "failover", "roundrobin", "fastestrtt", "fewestpending", NULL };
static const char *const start_words[] = { "None", "Invite", "OK", NULL };
static const char *const interim_words[] = { "Reinvite-Response", "OK", "1xx", "Unsuccessful-Attempt", NULL };
static const char *const format_words[] = { "csv", "json", "both", NULL };
static const char *const push_words[] = { "SFTP", NULL };

#define S account_server
static const struct field account_server_fields[] = {
	HOST(S, hostname, "hostname", .flags = KEY | REQUIRED | UNSERVED,
		.help = "Address or name of the server",
		.source = "ACLI"),
	UINT(S, port, "port", .flags = KEY, .dflt = "1813", .min = 1, .max = 65535,
		.help = "Port of the server",
		.source = "RFC 2866 3"),
	FLAG(S, state, "state", .flags = UNSERVED, .dflt = "enabled",
		.help = "Records go to this server",
		.source = "ACLI"),
	PASSWORD(S, secret, "secret", .flags = SECRET | REQUIRED,
		.help = "Secret shared with the server",
		.source = "RFC 2866 3"),
	UINT(S, priority, "priority", .flags = UNSERVED, .dflt = "0", .min = 0, .max = 4294967295,
		.help = "Lower comes first",
		.source = "ACLI"),
	UINT(S, timeout, "timeout", .flags = UNSERVED, .dflt = "5", .min = 1, .max = 60, .unit = "s",
		.help = "Longest wait for an answer",
		.source = "own"),
	UINT(S, retries, "retries", .flags = UNSERVED, .dflt = "0", .min = 0, .max = 10,
		.help = "How often a record is sent again",
		.source = "own"),
	END_OF_FIELDS,
};
#undef S

const struct element element_account_server = {
	.name = "account-servers",
	.alias = "account-server",
	.folder = "session-router",
	.size = sizeof(struct account_server),
	.fields = account_server_fields,
	.help = "A RADIUS server that gets call records",
};

#define S push_receiver
static const struct field push_receiver_fields[] = {
	HOST(S, server, "server", .flags = KEY | REQUIRED | UNSERVED,
		.help = "Address or name of the receiver",
		.source = "ACLI"),
	UINT(S, port, "port", .flags = UNSERVED, .dflt = "22", .min = 1, .max = 65535,
		.help = "Port of the receiver",
		.source = "ACLI"),
	FLAG(S, admin_state, "admin-state", .flags = UNSERVED, .dflt = "enabled",
		.help = "Files go to this receiver",
		.source = "ACLI"),
	WORD(S, protocol, "protocol", .flags = UNSERVED, .dflt = "SFTP", .words = push_words,
		.help = "How files are brought there",
		.source = "ACLI"),
	TEXT(S, remote_path, "remote-path", .flags = REQUIRED,
		.help = "Folder of the receiver",
		.source = "ACLI"),
	TEXT(S, filename_prefix, "filename-prefix", .flags = UNSERVED,
		.help = "Put before the name of each file",
		.source = "ACLI"),
	TEXT(S, username, "username", .flags = REQUIRED,
		.help = "User name at the receiver",
		.source = "ACLI"),
	PASSWORD(S, password, "password", .flags = SECRET | REQUIRED,
		.help = "Password at the receiver",
		.source = "ACLI"),
	TEXT(S, public_key, "public-key", .flags = REQUIRED,
		.help = "Host key that the receiver must have",
		.source = "ACLI"),
	UINT(S, priority, "priority", .flags = UNSERVED, .dflt = "4", .min = 0, .max = 4,
		.help = "Lower comes first",
		.source = "ACLI"),
	END_OF_FIELDS,
};
#undef S

const struct element element_push_receiver = {
	.name = "push-receiver",
	.folder = "session-router",
	.size = sizeof(struct push_receiver),
	.fields = push_receiver_fields,
	.help = "A machine that gets closed files of call records",
};

#define S account_config
static const struct field account_config_fields[] = {
	FLAG(S, state, "state", .dflt = "enabled",
		.help = "Records go to servers and files too; disabled keeps them in the database only",
		.source = "ACLI"),
	HOST(S, hostname, "hostname", .flags = UNSERVED, .dflt = "localhost",
		.help = "Source of RADIUS accounting",
		.source = "RFC 2866"),
	UINT(S, port, "port", .flags = UNSERVED, .dflt = "1813", .min = 1, .max = 65535,
		.help = "Port of the source",
		.source = "RFC 2866"),
	WORD(S, protocol, "protocol", .flags = UNSERVED, .dflt = "radius", .words = protocol_words,
		.help = "Protocol of the servers",
		.source = "ACLI"),
	WORD(S, strategy, "strategy", .flags = UNSERVED, .dflt = "hunt", .words = strategy_words,
		.help = "Choice among the servers",
		.source = "ACLI"),
	UINT(S, max_msg_delay, "max-msg-delay", .flags = UNSERVED, .dflt = "60", .min = 0, .max = 4294967295, .unit = "s",
		.help = "How long a record is tried",
		.source = "ACLI"),
	UINT(S, max_wait_failover, "max-wait-failover", .flags = UNSERVED, .dflt = "100", .min = 1, .max = 4096,
		.help = "Records that wait before the next server is taken",
		.source = "ACLI"),
	FLAG(S, trans_at_close, "trans-at-close", .dflt = "disabled",
		.help = "All records at the end of the call",
		.source = "ACLI"),
	WORD(S, generate_start, "generate-start", .dflt = "OK", .words = start_words,
		.help = "When the start record is written",
		.source = "ACLI"),
	WORDS(S, generate_interim, "generate-interim", .dflt = "Reinvite-Response", .words = interim_words,
		.help = "What writes an interim record",
		.source = "ACLI"),
	UINT(S, intermediate_period, "intermediate-period", .dflt = "0", .min = 0, .max = 86400, .unit = "s",
		.help = "Time between interim records; 0 is never",
		.source = "ACLI"),
	METHODS(S, generate_event, "generate-event",
		.help = "Methods outside calls that write an event record",
		.source = "ACLI"),
	FLAG(S, file_output, "file-output", .dflt = "enabled",
		.help = "Records as files",
		.source = "ACLI"),
	WORD(S, file_format, "file-format", .dflt = "csv", .words = format_words,
		.help = "Form of the files",
		.source = "own"),
	TEXT(S, file_path, "file-path", .flags = FILE_NAME,
		.help = "Folder of the files; empty is the folder cdr beside the database",
		.source = "ACLI"),
	UINT(S, max_file_size, "max-file-size", .dflt = "1000000", .min = 1000000, .max = 4294967295, .unit = "bytes",
		.help = "A file is closed at this size",
		.source = "ACLI"),
	UINT(S, max_files, "max-files", .dflt = "5", .min = 1, .max = 4096,
		.help = "The oldest file beyond this number is deleted",
		.source = "ACLI"),
	UINT(S, file_rotate_time, "file-rotate-time", .dflt = "60", .min = 0, .max = 1440, .unit = "min",
		.help = "A file is closed at this age; 0 is not by time",
		.source = "ACLI"),
	FLAG(S, ftp_push, "ftp-push", .flags = UNSERVED, .dflt = "disabled",
		.help = "Closed files go to the push-receivers, and are deleted when one has them",
		.source = "ACLI"),
	CHILD(S, account_servers, "account-servers", element_account_server,
		.help = "RADIUS servers that get call records",
		.source = "RFC 2866"),
	CHILD(S, push_receiver, "push-receiver", element_push_receiver,
		.help = "Machines that get closed files",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_account_config = {
	.name = "account-config",
	.folder = "session-router",
	.flags = SINGLE,
	.size = sizeof(struct account_config),
	.fields = account_config_fields,
	.help = "Which call records are written, and where they go",
};
/* clang-format on */
