/*
 * account-config: which call records are written, and where they go
 */
#pragma once

#include "store/schema.h"

enum account_protocol {
	ACCOUNT_PROTOCOL_RADIUS,
};

enum account_strategy {
	ACCOUNT_STRATEGY_HUNT,
	ACCOUNT_STRATEGY_FAILOVER,
	ACCOUNT_STRATEGY_ROUNDROBIN,
	ACCOUNT_STRATEGY_FASTESTRTT,
	ACCOUNT_STRATEGY_FEWESTPENDING,
};

enum account_start {
	ACCOUNT_START_NONE,
	ACCOUNT_START_INVITE,
	ACCOUNT_START_OK,
};

enum account_format {
	ACCOUNT_FORMAT_CSV,
	ACCOUNT_FORMAT_JSON,
	ACCOUNT_FORMAT_BOTH,
};

enum push_protocol {
	PUSH_PROTOCOL_SFTP,
};

struct account_server {
	char *hostname;
	uint32_t port;
	bool state;
	struct secret secret;
	uint32_t priority; /* lower first */
	uint32_t timeout;  /* [s] */
	uint32_t retries;
};

struct push_receiver {
	char *server;
	uint32_t port;
	bool admin_state;
	uint8_t protocol; /* enum push_protocol */
	char *remote_path, *filename_prefix, *username;
	struct secret password;
	char *public_key;
	uint32_t priority; /* lower first */
};

struct account_config {
	bool state;
	char *hostname;
	uint32_t port;
	uint8_t protocol;       /* enum account_protocol */
	uint8_t strategy;       /* enum account_strategy */
	uint32_t max_msg_delay; /* [s] */
	uint32_t max_wait_failover;
	bool trans_at_close;
	uint8_t generate_start; /* enum account_start */
	struct names generate_interim;
	uint32_t intermediate_period; /* [s]; 0: never */
	struct names generate_event;
	bool file_output;
	uint8_t file_format; /* enum account_format */
	char *file_path;
	uint32_t max_file_size; /* [bytes] */
	uint32_t max_files;
	uint32_t file_rotate_time; /* [min]; 0: not by time */
	bool ftp_push;
	struct items account_servers, push_receiver;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_account_server;
extern const struct element element_push_receiver;
extern const struct element element_account_config;
