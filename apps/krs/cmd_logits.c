/* apps/krs/cmd_logits.c - krs logits: raw logits of given tokens, for comparing with other programs. */
#include "command.h"
#include "raw_rows.h"

int krs_cmd_logits(const krs_config *config)
{
    return krs_raw_rows_run(config, KRS_ROWS_LOGITS, "vocab");
}
