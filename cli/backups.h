/*
 * Backups of configurations, restored and deleted; delete-config
 *
 * acli.md 1.8. They lie in the folder `backup` beside the database, mode 0600;
 * secrets in them stay sealed with the key of this machine.
 */
#pragma once

#include "cli/control.h"

/** backup-config NAME [saved|running|editing] */
void backup_config(struct session *s, const struct words *w, uint32_t at);

/** display-backups: what the first line of each says of it */
void display_backups(struct session *s, const struct words *w, uint32_t at);

/** delete-backup-config NAME: asks */
void delete_backup(struct session *s, const struct words *w, uint32_t at);

/** restore-backup-config NAME|version N [editing|saved|running]; to running only
 *  what has no errors */
void restore_backup(struct session *s, const struct words *w, uint32_t at);

/** delete-config: asks for the word yes, makes backups, empties editing and saved */
void delete_config(struct session *s, const struct words *w, uint32_t at);
